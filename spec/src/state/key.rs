//! The keys of the state's rows (rule R-2): one byte that says what the row is, then its identifiers.
//!
//! Numbers are big endian and texts end in a zero byte, so that rows which belong together lie together and a
//! database can list them in order.

use serde::{Deserialize, Serialize};

use crate::id::{
    AgreementId, DisclosureId, GrantId, InstitutionId, ReferralId, ServiceCode, ServiceId, SubjectTag,
};
use crate::signature::PublicKey;

/// A stream: an append-only list about which somebody may ask "is that all?".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StreamId {
    /// Everything about a subject.
    Subject(SubjectTag),
    /// Everything an institution did or was named in.
    Institution(InstitutionId),
    /// Everything under a grant.
    Grant(GrantId),
    /// Everything about a referral.
    Referral(ReferralId),
    /// The services that count in a period of an agreement.
    Period {
        /// The agreement.
        agreement: AgreementId,
        /// The period, counted from 0.
        period: u32,
    },
}

impl StreamId {
    /// The stream whose head lies under the bytes of a [`StateKey::StreamHead`]; `None` for bytes of anything else.
    pub fn of_head_key(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.strip_prefix(&[STREAM_HEAD_TAG])?.split_first()?;
        let id = || <[u8; 32]>::try_from(rest).ok();
        let stream = match kind {
            1 => Self::Subject(SubjectTag(id()?)),
            2 => Self::Institution(std::str::from_utf8(rest.strip_suffix(&[0])?).ok()?.parse().ok()?),
            3 => Self::Grant(GrantId(id()?)),
            4 => Self::Referral(ReferralId(id()?)),
            5 => {
                let (agreement, period) = rest.split_first_chunk::<32>()?;
                let period = u32::from_be_bytes(period.try_into().ok()?);
                Self::Period { agreement: AgreementId(*agreement), period }
            }
            _ => return None,
        };
        Some(stream)
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Subject(tag) => tagged(bytes, 1, &tag.0),
            Self::Institution(id) => tagged(bytes, 2, &text(id.as_str())),
            Self::Grant(id) => tagged(bytes, 3, &id.0),
            Self::Referral(id) => tagged(bytes, 4, &id.0),
            Self::Period { agreement, period } => {
                tagged(bytes, 5, &agreement.0);
                bytes.extend_from_slice(&period.to_be_bytes());
            }
        }
    }
}

/// The key of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateKey {
    /// Proven: [`crate::membership::Institution`].
    Institution(InstitutionId),
    /// Proven: [`crate::membership::KeyRecord`].
    Key(PublicKey),
    /// Proven: [`crate::membership::ValidatorSet`] of the next height.
    Validators,
    /// Proven: [`crate::genesis::Parameters`].
    Parameters,
    /// Proven: [`crate::rotation::Attendance`] after the last block.
    Attendance,
    /// Proven: [`super::record::Grant`].
    Grant(GrantId),
    /// Proven: [`super::record::Referral`].
    Referral(ReferralId),
    /// Proven: [`super::record::Capacity`].
    Capacity(InstitutionId, ServiceCode),
    /// Proven: [`super::record::Agreement`].
    Agreement(AgreementId),
    /// Proven: [`super::record::ClosedPeriod`].
    ClosedPeriod(AgreementId, u32),
    /// Proven: the head of a stream, [`crate::merkle::log::Frontier`].
    StreamHead(StreamId),
    /// Plain: [`super::stream::Entry`].
    StreamEntry(StreamId, u64),
    /// Plain: [`super::record::Disclosure`].
    Disclosure(DisclosureId),
    /// Plain: [`super::record::Service`].
    Service(ServiceId),
    /// Plain: the service that carries this evidence, [`ServiceId`].
    Evidence(crate::id::Commitment),
    /// Plain: the agreements under which a payer owes an institution for a service, a list of [`AgreementId`].
    Coverage(InstitutionId, InstitutionId, ServiceCode),
    /// Plain: what the open period has counted so far, [`crate::settlement::period::Accumulator`].
    Accumulator(AgreementId, u32),
    /// Plain: the statement of a closed period, [`super::record::PeriodStatement`].
    Statement(AgreementId, u32),
    /// Plain: what a closed period has settled, [`crate::settlement::statement::SettledPeriod`].
    Settled(AgreementId, u32),
    /// Plain: what operations on the agreement cost, [`crate::work::AgreementWork`].
    AgreementWork(AgreementId),
    /// Plain: the number of an institution's administrator keys that are not revoked, `u32`.
    Administrators(InstitutionId),
    /// Plain: the number of an institution's node keys that are not revoked, `u32`.
    NodeKeys(InstitutionId),
    /// Plain, empty: this grant concerns the institution (an index to list by).
    GrantIndex(InstitutionId, GrantId),
    /// Plain, empty: this referral concerns the institution.
    ReferralIndex(InstitutionId, ReferralId),
    /// Plain, empty: this agreement concerns the institution.
    AgreementIndex(InstitutionId, AgreementId),
    /// Plain, empty: this disclosure by or to the institution has no receipt yet.
    OpenDisclosureIndex(InstitutionId, DisclosureId),
    /// Plain, empty: this key belongs to the institution.
    KeyIndex(InstitutionId, PublicKey),
}

/// First byte of the keys of the rows of keys.
pub const KEY_TAG: u8 = 0x02;
/// First byte of the keys of streams' heads.
const STREAM_HEAD_TAG: u8 = 0x20;

/// First byte of the keys of plain rows; below it lie proven ones.
pub const FIRST_PLAIN_TAG: u8 = 0x80;

impl StateKey {
    /// The key as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(72);
        let out = &mut bytes;
        match self {
            Self::Institution(id) => tagged(out, 0x01, &text(id.as_str())),
            Self::Key(key) => tagged(out, KEY_TAG, &key.0),
            Self::Validators => tagged(out, 0x03, &[]),
            Self::Parameters => tagged(out, 0x04, &[]),
            Self::Attendance => tagged(out, 0x05, &[]),
            Self::Grant(id) => tagged(out, 0x10, &id.0),
            Self::Referral(id) => tagged(out, 0x11, &id.0),
            Self::Capacity(institution, service) => pair(out, 0x12, institution, service.as_str().as_bytes()),
            Self::Agreement(id) => tagged(out, 0x13, &id.0),
            Self::ClosedPeriod(id, period) => numbered(out, 0x14, id, *period),
            Self::StreamHead(stream) => {
                out.push(STREAM_HEAD_TAG);
                stream.write(out);
            }
            Self::StreamEntry(stream, index) => {
                out.push(0x80);
                stream.write(out);
                out.extend_from_slice(&index.to_be_bytes());
            }
            Self::Disclosure(id) => tagged(out, 0x81, &id.0),
            Self::Service(id) => tagged(out, 0x82, &id.0),
            Self::Evidence(commitment) => tagged(out, 0x83, &commitment.0),
            Self::Coverage(payer, party, service) => {
                pair(out, 0x84, payer, &text(party.as_str()));
                out.extend_from_slice(service.as_str().as_bytes());
            }
            Self::Accumulator(id, period) => numbered(out, 0x85, id, *period),
            Self::Statement(id, period) => numbered(out, 0x86, id, *period),
            Self::Settled(id, period) => numbered(out, 0x88, id, *period),
            Self::AgreementWork(id) => tagged(out, 0x89, &id.0),
            Self::Administrators(id) => tagged(out, 0x87, &text(id.as_str())),
            Self::NodeKeys(id) => tagged(out, 0x8f, &text(id.as_str())),
            Self::GrantIndex(institution, id) => pair(out, 0x90, institution, &id.0),
            Self::ReferralIndex(institution, id) => pair(out, 0x91, institution, &id.0),
            Self::AgreementIndex(institution, id) => pair(out, 0x92, institution, &id.0),
            Self::OpenDisclosureIndex(institution, id) => pair(out, 0x93, institution, &id.0),
            Self::KeyIndex(institution, key) => pair(out, 0x94, institution, &key.0),
        }
        bytes
    }

    /// Whether a row under these bytes has a leaf in the tree.
    pub fn is_proven(bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|tag| *tag < FIRST_PLAIN_TAG)
    }
}

fn tagged(bytes: &mut Vec<u8>, tag: u8, rest: &[u8]) {
    bytes.push(tag);
    bytes.extend_from_slice(rest);
}

fn numbered(bytes: &mut Vec<u8>, tag: u8, agreement: &AgreementId, period: u32) {
    tagged(bytes, tag, &agreement.0);
    bytes.extend_from_slice(&period.to_be_bytes());
}

fn pair(bytes: &mut Vec<u8>, tag: u8, institution: &InstitutionId, rest: &[u8]) {
    tagged(bytes, tag, &text(institution.as_str()));
    bytes.extend_from_slice(rest);
}

/// A text that ends in a zero byte; slugs contain none, so no text is a prefix of another.
fn text(slug: &str) -> Vec<u8> {
    [slug.as_bytes(), &[0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_heads_key_is_found_again() {
        let agreement = AgreementId([9; 32]);
        let streams = [
            StreamId::Subject(SubjectTag([1; 32])),
            StreamId::Institution(InstitutionId::new("renhe-hospital").unwrap()),
            StreamId::Grant(GrantId([3; 32])),
            StreamId::Referral(ReferralId([4; 32])),
            StreamId::Period { agreement, period: 70_000 },
        ];
        for stream in streams {
            let mut key = StateKey::StreamHead(stream.clone()).bytes();
            assert_eq!(StreamId::of_head_key(&key), Some(stream));
            key.push(7);
            assert_eq!(StreamId::of_head_key(&key), None);
        }
        assert_eq!(StreamId::of_head_key(&StateKey::Grant(GrantId([3; 32])).bytes()), None);
    }
}
