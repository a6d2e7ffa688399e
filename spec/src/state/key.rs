//! The table of rows (rules ): of each kind its tag, the parts of its key, its record, and its name.
//!
//! A key is the tag and then its parts, so that rows which belong together lie together and a database can list them in
//! order. A new kind of row is a line of the table; keys, their parse, names and checks follow from it.

use std::fmt;

use super::key_part::KeyPart;
use super::stream::Entry;
pub use super::stream_id::StreamId;
use crate::base::codec::{self, DecodeError};
use crate::base::id::{
    AgreementId, Commitment, DisclosureId, GrantId, Hash, InstitutionId, ReferralId, ServiceCode, ServiceId,
};
use crate::base::limits;
use crate::crypto::merkle::log::Frontier;
use crate::crypto::signature::PublicKey;
use crate::domain::access::{Disclosure, Grant};
use crate::domain::agreement::work::AgreementWork;
use crate::domain::agreement::{Agreement, ClosedPeriod, PeriodStatement};
use crate::domain::membership::rotation::Attendance;
use crate::domain::membership::validators::ValidatorSet;
use crate::domain::membership::{Institution, KeyRecord};
use crate::domain::parameters::Parameters;
use crate::domain::referral::{Capacity, Referral};
use crate::domain::service::Service;
use crate::settlement::period::Accumulator;
use crate::settlement::statement::SettledPeriod;

/// Tags from here on are those of plain rows; below lie the proven ones.
const FIRST_PLAIN_TAG: u8 = 0x80;

/// The record of a row whose key says everything.
type Marker = ();

/// Writes the enumerations of keys and kinds from the table.
macro_rules! rows {
    ($($(#[$doc:meta])* $tag:literal $kind:ident $(($($part:ident: $type:ty),+))? => $record:ty, $name:literal;)*) => {
        /// The key of a row.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub enum StateKey {
            $($(#[$doc])* $kind $(($($type),+))?,)*
        }

        /// What a row is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum RowKind {
            $($(#[$doc])* $kind,)*
        }

        impl RowKind {
            /// All kinds, in the order of their tags.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The first byte of the keys of such rows.
            pub const fn tag(self) -> u8 {
                match self { $(Self::$kind => $tag,)* }
            }

            /// What such a row is called.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// What the parts of the key are called, in their order.
            pub const fn parts(self) -> &'static [&'static str] {
                match self { $(Self::$kind => &[$($(<$type as KeyPart>::NAME),+)?],)* }
            }

            /// Whether the bytes are the canonical encoding of such a row's record.
            ///
            /// # Errors
            /// [`DecodeError`] when they are not.
            pub fn check(self, row: &[u8]) -> Result<(), DecodeError> {
                match self { $(Self::$kind => codec::decode::<$record>(row, limits::PROOF_BYTES_MAX).map(drop),)* }
            }
        }

        impl StateKey {
            /// What the row is.
            pub const fn kind(&self) -> RowKind {
                match self { $(rows!(@ignored $kind $($($part)+)?) => RowKind::$kind,)* }
            }

            /// The key as bytes.
            pub fn bytes(&self) -> Vec<u8> {
                let mut bytes = Vec::with_capacity(72);
                bytes.push(self.kind().tag());
                match self {
                    $(Self::$kind $(($($part),+))? => { $($($part.write(&mut bytes);)+)? })*
                }
                bytes
            }

            /// The key that these bytes are; `None` for bytes of no key.
            pub fn parse(bytes: &[u8]) -> Option<Self> {
                let (tag, mut rest) = bytes.split_first()?;
                let rest = &mut rest;
                let key = match tag {
                    $($tag => Self::$kind $(($(<$type as KeyPart>::take(rest)?),+))?,)*
                    _ => return None,
                };
                rest.is_empty().then_some(key)
            }
        }

        impl fmt::Display for StateKey {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.kind().name())?;
                match self {
                    $(Self::$kind $(($($part),+))? => { $($(write!(f, " {}", $part)?;)+)? Ok(()) })*
                }
            }
        }
    };
    (@ignored $kind:ident) => { Self::$kind };
    (@ignored $kind:ident $($part:ident)+) => { Self::$kind(..) };
}

rows! {
    /// A member.
    0x01 Institution(institution: InstitutionId) => Institution, "institution";
    /// A key, in force or not.
    0x02 Key(key: PublicKey) => KeyRecord, "key";
    /// The validators of the next height.
    0x03 Validators => ValidatorSet, "set of validators";
    /// The parameters of the next height.
    0x04 Parameters => Parameters, "parameters";
    /// Who has missed turns to propose, after the last block.
    0x05 Attendance => Attendance, "attendance";
    /// A grant of access.
    0x10 Grant(grant: GrantId) => Grant, "grant";
    /// A referral.
    0x11 Referral(referral: ReferralId) => Referral, "referral";
    /// What an institution has published that it can take of a service.
    0x12 Capacity(institution: InstitutionId, service: ServiceCode) => Capacity, "capacity";
    /// An agreement.
    0x13 Agreement(agreement: AgreementId) => Agreement, "agreement";
    /// A closed period of an agreement.
    0x14 ClosedPeriod(agreement: AgreementId, period: u32) => ClosedPeriod, "closed period";
    /// The head of a stream.
    0x20 StreamHead(stream: StreamId) => Frontier, "head of the stream";
    /// An entry of a stream.
    0x80 StreamEntry(stream: StreamId, index: u64) => Entry, "entry of the stream";
    /// A disclosure.
    0x81 Disclosure(disclosure: DisclosureId) => Disclosure, "disclosure";
    /// A delivered service.
    0x82 Service(service: ServiceId) => Service, "service";
    /// The service that carries this evidence.
    0x83 Evidence(evidence: Commitment) => ServiceId, "evidence";
    /// The agreements under which a payer owes an institution for a service.
    0x84 Coverage(payer: InstitutionId, party: InstitutionId, service: ServiceCode) => Vec<AgreementId>, "coverage";
    /// What the open period has counted so far.
    0x85 Accumulator(agreement: AgreementId, period: u32) => Accumulator, "sums of the open period";
    /// The statement of a closed period.
    0x86 Statement(agreement: AgreementId, period: u32) => PeriodStatement, "statement";
    /// The number of an institution's administrator keys that are not revoked.
    0x87 Administrators(institution: InstitutionId) => u32, "administrators";
    /// What a closed period has settled.
    0x88 Settled(agreement: AgreementId, period: u32) => SettledPeriod, "settled period";
    /// What operations on the agreement cost.
    0x89 AgreementWork(agreement: AgreementId) => AgreementWork, "work of the agreement";
    /// The root of the stream's complete subtree of `2^level` entries from entry `index * 2^level` on (rule R-4).
    0x8a StreamNode(stream: StreamId, level: u8, index: u64) => Hash, "subtree of the stream";
    /// The number of an institution's node keys that are not revoked.
    0x8f NodeKeys(institution: InstitutionId) => u32, "node keys";
    /// This grant concerns the institution (an index to list by).
    0x90 GrantIndex(institution: InstitutionId, grant: GrantId) => Marker, "grant of the institution";
    /// This referral concerns the institution.
    0x91 ReferralIndex(institution: InstitutionId, referral: ReferralId) => Marker, "referral of the institution";
    /// This agreement concerns the institution.
    0x92 AgreementIndex(institution: InstitutionId, agreement: AgreementId) => Marker, "agreement of the institution";
    /// This disclosure has no receipt yet: who owes it, and to whom.
    0x93 OpenDisclosureIndex(recipient: InstitutionId, source: InstitutionId, disclosure: DisclosureId) => Marker, "open disclosure";
    /// This key belongs to the institution.
    0x94 KeyIndex(institution: InstitutionId, key: PublicKey) => Marker, "key of the institution";
}

impl RowKind {
    /// The kind of the row under these bytes of a key.
    pub fn of(key: &[u8]) -> Option<Self> {
        let tag = key.first()?;
        Self::ALL.iter().find(|kind| kind.tag() == *tag).copied()
    }

    /// Whether such rows have a leaf in the state tree.
    pub const fn is_proven(self) -> bool {
        self.tag() < FIRST_PLAIN_TAG
    }

    /// What the keys of all such rows begin with.
    pub fn prefix(self) -> Vec<u8> {
        vec![self.tag()]
    }

    /// What the keys of such rows begin with whose first part is this one.
    pub fn under(self, first: &impl KeyPart) -> Vec<u8> {
        let mut bytes = self.prefix();
        first.write(&mut bytes);
        bytes
    }

    /// What the keys of such rows begin with whose first two parts are these.
    pub fn under_both(self, first: &impl KeyPart, second: &impl KeyPart) -> Vec<u8> {
        let mut bytes = self.under(first);
        second.write(&mut bytes);
        bytes
    }
}

impl StateKey {
    /// Whether a row under these bytes has a leaf in the tree.
    pub fn is_proven(bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|tag| *tag < FIRST_PLAIN_TAG)
    }
}

impl StreamId {
    /// The stream whose head lies under these bytes of a key; `None` for bytes of anything else.
    pub fn of_head_key(bytes: &[u8]) -> Option<Self> {
        // Looked at before the key is read: most keys are those of other rows.
        if bytes.first() != Some(&RowKind::StreamHead.tag()) {
            return None;
        }
        match StateKey::parse(bytes)? {
            StateKey::StreamHead(stream) => Some(stream),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::SubjectTag;

    /// A key of each kind, with its bytes as the written protocol has them.
    fn keys() -> Vec<(StateKey, String)> {
        let renhe = InstitutionId::new("renhe").unwrap();
        let fund = InstitutionId::new("fund").unwrap();
        let imaging = ServiceCode::new("ct").unwrap();
        let hex_renhe = "72656e686500";
        let id = |byte: u8| hex::encode([byte; 32]);
        let period = "00011170";
        vec![
            (StateKey::Institution(renhe.clone()), format!("01{hex_renhe}")),
            (StateKey::Key(PublicKey::Ed25519([2; 32])), format!("0201{}", id(2))),
            (StateKey::Validators, "03".into()),
            (StateKey::Parameters, "04".into()),
            (StateKey::Attendance, "05".into()),
            (StateKey::Grant(GrantId([3; 32])), format!("10{}", id(3))),
            (StateKey::Referral(ReferralId([4; 32])), format!("11{}", id(4))),
            (StateKey::Capacity(renhe.clone(), imaging.clone()), format!("12{hex_renhe}637400")),
            (StateKey::Agreement(AgreementId([5; 32])), format!("13{}", id(5))),
            (StateKey::ClosedPeriod(AgreementId([5; 32]), 70_000), format!("14{}{period}", id(5))),
            (StateKey::StreamHead(StreamId::Subject(SubjectTag([6; 32]))), format!("2001{}", id(6))),
            (StateKey::StreamHead(StreamId::Institution(renhe.clone())), format!("2002{hex_renhe}")),
            (StateKey::StreamHead(StreamId::Grant(GrantId([3; 32]))), format!("2003{}", id(3))),
            (StateKey::StreamHead(StreamId::Referral(ReferralId([4; 32]))), format!("2004{}", id(4))),
            (
                StateKey::StreamEntry(
                    StreamId::Period { agreement: AgreementId([5; 32]), period: 70_000 },
                    258,
                ),
                format!("8005{}{period}0000000000000102", id(5)),
            ),
            (StateKey::Disclosure(DisclosureId([7; 32])), format!("81{}", id(7))),
            (StateKey::Service(ServiceId([8; 32])), format!("82{}", id(8))),
            (StateKey::Evidence(Commitment([9; 32])), format!("83{}", id(9))),
            (
                StateKey::Coverage(fund.clone(), renhe.clone(), imaging),
                format!("8466756e6400{hex_renhe}637400"),
            ),
            (StateKey::Accumulator(AgreementId([5; 32]), 70_000), format!("85{}{period}", id(5))),
            (StateKey::Statement(AgreementId([5; 32]), 70_000), format!("86{}{period}", id(5))),
            (StateKey::Administrators(renhe.clone()), format!("87{hex_renhe}")),
            (StateKey::Settled(AgreementId([5; 32]), 70_000), format!("88{}{period}", id(5))),
            (StateKey::AgreementWork(AgreementId([5; 32])), format!("89{}", id(5))),
            (
                StateKey::StreamNode(StreamId::Grant(GrantId([3; 32])), 9, 258),
                format!("8a03{}090000000000000102", id(3)),
            ),
            (StateKey::NodeKeys(renhe.clone()), format!("8f{hex_renhe}")),
            (StateKey::GrantIndex(renhe.clone(), GrantId([3; 32])), format!("90{hex_renhe}{}", id(3))),
            (StateKey::ReferralIndex(renhe.clone(), ReferralId([4; 32])), format!("91{hex_renhe}{}", id(4))),
            (
                StateKey::AgreementIndex(renhe.clone(), AgreementId([5; 32])),
                format!("92{hex_renhe}{}", id(5)),
            ),
            (
                StateKey::OpenDisclosureIndex(renhe.clone(), fund, DisclosureId([7; 32])),
                format!("93{hex_renhe}66756e6400{}", id(7)),
            ),
            (StateKey::KeyIndex(renhe, PublicKey::Ed25519([2; 32])), format!("94{hex_renhe}01{}", id(2))),
        ]
    }

    #[test]
    fn every_kind_has_frozen_keys_that_are_read_back() {
        let keys = keys();
        for (key, bytes) in &keys {
            assert_eq!(hex::encode(key.bytes()), *bytes);
            assert_eq!(StateKey::parse(&key.bytes()).as_ref(), Some(key));
            assert_eq!(RowKind::of(&key.bytes()), Some(key.kind()));
            assert_eq!(key.kind().is_proven(), StateKey::is_proven(&key.bytes()));
        }
        for kind in RowKind::ALL {
            assert!(keys.iter().any(|(key, _)| key.kind() == *kind), "no frozen key of a {kind:?}");
        }
    }

    #[test]
    fn bytes_of_no_key_are_not_read() {
        assert_eq!(StateKey::parse(&[]), None);
        assert_eq!(StateKey::parse(&[0x06]), None, "a tag of no row");
        for (key, _) in keys() {
            let bytes = key.bytes();
            assert_eq!(StateKey::parse(&[bytes.as_slice(), &[7]].concat()), None, "{key} and a byte more");
            assert_ne!(StateKey::parse(&bytes[..bytes.len() - 1]), Some(key));
        }
        assert_eq!(StateKey::parse(b"\x01UPPER\0"), None, "not a slug");
        assert_eq!(StateKey::parse(&[&[0x20, 9][..], &[0; 32]].concat()), None, "a stream of no kind");
    }

    #[test]
    fn tags_are_ascending_and_names_differ() {
        let tags: Vec<u8> = RowKind::ALL.iter().map(|kind| kind.tag()).collect();
        assert!(tags.is_sorted_by(|a, b| a < b), "{tags:x?}");
        let names: std::collections::BTreeSet<_> = RowKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), tags.len());
    }

    #[test]
    fn rows_that_share_a_first_part_share_a_prefix() {
        let renhe = InstitutionId::new("renhe").unwrap();
        let key = StateKey::GrantIndex(renhe.clone(), GrantId([3; 32])).bytes();
        assert!(key.starts_with(&RowKind::GrantIndex.under(&renhe)));
        assert!(!key.starts_with(&RowKind::GrantIndex.under(&InstitutionId::new("ren").unwrap())));
        assert!(key.starts_with(&RowKind::GrantIndex.prefix()));
    }
}
