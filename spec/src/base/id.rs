//! Identifiers: 32-byte hashes and random tags, and the short names (slugs) of institutions, consortia and codes.
//!
//! All of them show as text in JSON (lower-case hexadecimal, or the slug) and as plain bytes in the canonical
//! encoding. A slug that came from bytes is not trusted until [`Slug::check`] has passed (structural validation).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::codec::{self, Domain};
use crate::base::limits;
use crate::base::schema::{self, text_schema};

/// Why a text is not an identifier.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum IdError {
    /// Not 64 hexadecimal digits.
    #[error("expected 64 lower-case hexadecimal digits")]
    NotHex,
    /// Not a slug (rule S-1).
    #[error(
        "expected 2 to {} characters of a-z, 0-9 and '-', starting with a letter",
        limits::SLUG_LENGTH_MAX
    )]
    NotSlug,
}

macro_rules! hash_newtype {
    ($($(#[doc = $doc:literal])* $name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, SchemaRead, SchemaWrite, Default)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let lower = text.bytes().all(|byte| !byte.is_ascii_uppercase());
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| IdError::NotHex)?;
                if lower { Ok(Self(bytes)) } else { Err(IdError::NotHex) }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        text_schema!($name, schema::HASH, concat!($($doc),*).trim_start());
    )*};
}

hash_newtype! {
    /// A SHA-256 value.
    Hash
    /// Names a ledger: the hash of its genesis.
    ChainId
    /// Names a block: the hash of its header. Never depends on the votes that certify it.
    BlockId
    /// Names a transaction: the hash of what its author signs.
    TransactionId
    /// Stands for a patient: who keeps the records, and 16 random bytes that the custodian draws; see [`SubjectTag::of`].
    SubjectTag
    /// Stands for a document: see [`commit`].
    Commitment
    /// Names a grant of access.
    GrantId
    /// Names a disclosure of records.
    DisclosureId
    /// Names a referral.
    ReferralId
    /// Names a delivered service.
    ServiceId
    /// Names an agreement.
    AgreementId
}

impl SubjectTag {
    /// The tag of `custodian` with these random bytes (rule O-26): only the custodian can begin anything about it, so a tag
    /// that was seen on its way is of no use to anybody else.
    pub fn of(custodian: &InstitutionId, random: [u8; 16]) -> Self {
        let mut bytes = [0; 32];
        let (space, rest) = bytes.split_at_mut(16);
        space.copy_from_slice(&Self::space(custodian));
        rest.copy_from_slice(&random);
        Self(bytes)
    }

    /// Whether the institution keeps the records that the tag stands for.
    pub fn is_kept_by(&self, institution: &InstitutionId) -> bool {
        self.0[..16] == Self::space(institution)
    }

    fn space(institution: &InstitutionId) -> [u8; 16] {
        let hash = codec::hash(Domain::Custodian, institution);
        hash.0[..16].try_into().expect("half of 32 bytes are 16")
    }
}

/// Commits to `document` under a 32-byte random `salt` (rule E-7): destroy both and the commitment says nothing.
pub fn commit(salt: &[u8; 32], document: &[u8]) -> Commitment {
    let mut bytes = Vec::with_capacity(salt.len() + document.len());
    bytes.extend_from_slice(salt);
    bytes.extend_from_slice(document);
    Commitment(codec::hash_bytes(Domain::Commitment, &bytes).0)
}

/// Rule S-1, as a pattern.
const SLUG: &str = "^[a-z][a-z0-9-]{1,39}$";

/// Whether `text` is a slug (rule S-1): 2 to 40 characters of a-z, 0-9 and '-', starting with a letter.
fn is_slug(text: &str) -> bool {
    (2..=limits::SLUG_LENGTH_MAX).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

macro_rules! slug_newtype {
    ($($(#[doc = $doc:literal])* $name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, SchemaRead, SchemaWrite)]
        pub struct $name(String);

        impl $name {
            /// Makes one from text.
            ///
            /// # Errors
            /// [`IdError::NotSlug`] when the text breaks rule S-1.
            pub fn new(text: &str) -> Result<Self, IdError> {
                let name = Self(text.to_owned());
                name.check().map(|()| name)
            }

            /// Checks rule S-1 on a value that came from bytes.
            ///
            /// # Errors
            /// [`IdError::NotSlug`] when the text breaks it.
            pub fn check(&self) -> Result<(), IdError> {
                if is_slug(&self.0) { Ok(()) } else { Err(IdError::NotSlug) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }

        text_schema!($name, SLUG, concat!($($doc),*).trim_start());
    )*};
}

slug_newtype! {
    /// Names an institution, for example `renhe-hospital`.
    InstitutionId
    /// Names a consortium: a lead hospital's group, a county community, a specialty alliance.
    ConsortiumId
    /// A coarse code of a service, for example `teleconsultation`.
    ServiceCode
    /// A coarse code of a metric, for example `blood-pressure-controlled`.
    MetricCode
    /// The name of a figure on a statement, for example `platform-fee`.
    FigureName
}
