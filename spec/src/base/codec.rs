//! The canonical encoding: bincode's format with fixed-size little-endian integers, decoded strictly.
//!
//! Rules E-1 to E-6 of `spec/protocol/01-encoding.md`. A value has exactly one encoding: what decodes must encode
//! to the same bytes again, so unsorted maps, repeated keys and trailing bytes are refused without a rule for each.

use sha2::{Digest, Sha256};
use thiserror::Error;
use wincode::config::DefaultConfig;
use wincode::{SchemaReadOwned, SchemaWrite};

use crate::base::id::Hash;

/// A value with a canonical encoding.
pub trait Canonical:
    SchemaWrite<DefaultConfig, Src = Self> + SchemaReadOwned<DefaultConfig, Dst = Self> + Sized
{
}

impl<T> Canonical for T where T: SchemaWrite<DefaultConfig, Src = T> + SchemaReadOwned<DefaultConfig, Dst = T> {}

/// Why bytes are not the canonical encoding of a value.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// Rule E-2: the input is longer than its kind may be; nothing was allocated.
    #[error("{length} bytes are more than the {limit} this kind of value may have")]
    TooLong {
        /// Length of the input in bytes.
        length: usize,
        /// The bound in bytes.
        limit: usize,
    },
    /// Rule E-3: the bytes end early, carry a bad tag, or have bytes left over.
    #[error("not an encoding of this kind of value: {0}")]
    Malformed(String),
    /// Rule E-4: the bytes decode, but the value has another encoding.
    #[error("not the canonical encoding of the value it decodes to")]
    NotCanonical,
}

/// The canonical encoding of `value` (rule E-1).
pub fn encode<T: Canonical>(value: &T) -> Vec<u8> {
    wincode::serialize(value)
        .expect("a vector grows as needed and protocol values stay below the size bounds")
}

/// Appends the canonical encoding of a list, given that of its elements: their number, then one after the other.
pub fn append_list<'b>(bytes: &mut Vec<u8>, elements: impl ExactSizeIterator<Item = &'b [u8]>) {
    bytes.extend_from_slice(&(elements.len() as u64).to_le_bytes());
    elements.for_each(|element| bytes.extend_from_slice(element));
}

/// Decodes the canonical encoding of a value of at most `limit` bytes (rules E-2 to E-4).
///
/// # Errors
/// [`DecodeError`] when the input is too long, malformed, or not canonical.
pub fn decode<T: Canonical>(bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong { length: bytes.len(), limit });
    }
    let value: T = wincode::deserialize_exact(bytes).map_err(malformed)?;
    if encode(&value) != bytes {
        return Err(DecodeError::NotCanonical);
    }
    Ok(value)
}

/// Decodes a value from the front of `bytes` and leaves what is behind it; also returns the bytes it was read from.
/// Whoever calls compares those with the value's encoding.
///
/// # Errors
/// [`DecodeError::Malformed`].
pub(crate) fn take<'b, T: Canonical>(bytes: &mut &'b [u8]) -> Result<(T, &'b [u8]), DecodeError> {
    let before = *bytes;
    let value: T = wincode::deserialize_from(&mut *bytes).map_err(malformed)?;
    Ok((value, &before[..before.len() - bytes.len()]))
}

/// Decodes a row that this code encoded itself and storage keeps under checksums: as [`decode`], without proving again
/// that the encoding is the canonical one.
///
/// # Errors
/// [`DecodeError::Malformed`].
pub fn decode_own<T: Canonical>(bytes: &[u8]) -> Result<T, DecodeError> {
    wincode::deserialize_exact(bytes).map_err(malformed)
}

/// What the decoder found, in the words of chapter 1.
fn malformed(error: wincode::ReadError) -> DecodeError {
    DecodeError::Malformed(match error {
        wincode::ReadError::Io(_) => "the bytes end early".to_owned(),
        wincode::ReadError::TrailingBytes => "bytes are left over".to_owned(),
        wincode::ReadError::InvalidTagEncoding(number) => {
            format!(
                "number {number} stands where a choice or an algorithm is named, and this program knows none of that number"
            )
        }
        other => other.to_string(),
    })
}

/// SHA-256 over a length-prefixed domain and `bytes` (rule E-5), so that no two kinds of value share a hash.
pub fn hash_bytes(domain: Domain, bytes: &[u8]) -> Hash {
    let name = domain.name().as_bytes();
    let mut hasher = Sha256::new();
    hasher.update([name.len() as u8]);
    hasher.update(name);
    hasher.update(bytes);
    Hash(hasher.finalize().into())
}

/// [`hash_bytes`] over the canonical encoding of `value`.
pub fn hash<T: Canonical>(domain: Domain, value: &T) -> Hash {
    hash_bytes(domain, &encode(value))
}

/// What a hash or a signature is over (rule E-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// A genesis; its hash is the chain id.
    Genesis,
    /// What a transaction's author signs; its hash is the transaction id.
    Transaction,
    /// A block header; its hash is the block id.
    Header,
    /// A validator's vote to commit a block.
    Precommit,
    /// A set of validators.
    Validators,
    /// The identifier of an object that an operation creates.
    Object,
    /// The writes of one transaction.
    Effects,
    /// A settlement statement.
    Statement,
    /// The terms that the parties of an agreement sign.
    Terms,
    /// A new key's proof that its owner holds the secret.
    KeyPossession,
    /// A salted commitment to a document.
    Commitment,
    /// An institution's name, for the tags that it keeps.
    Custodian,
}

impl Domain {
    /// The domain's text, at most 64 bytes (rule K-1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Genesis => "yilian/genesis/v1",
            Self::Transaction => "yilian/transaction/v1",
            Self::Header => "yilian/header/v1",
            Self::Precommit => "yilian/precommit/v1",
            Self::Validators => "yilian/validators/v1",
            Self::Object => "yilian/object/v1",
            Self::Effects => "yilian/effects/v1",
            Self::Statement => "yilian/statement/v1",
            Self::Terms => "yilian/terms/v1",
            Self::KeyPossession => "yilian/key-possession/v1",
            Self::Commitment => "yilian/commitment/v1",
            Self::Custodian => "yilian/custodian/v1",
        }
    }
}

/// What a signature is over (rule E-6): the length-prefixed domain, then the canonical encoding of `value`.
///
/// Every signed value carries the chain id inside, so a signature counts on one ledger only.
pub fn signing_bytes<T: Canonical>(domain: Domain, value: &T) -> Vec<u8> {
    let name = domain.name().as_bytes();
    let body = encode(value);
    let mut bytes = Vec::with_capacity(1 + name.len() + body.len());
    bytes.push(name.len() as u8);
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(&body);
    bytes
}
