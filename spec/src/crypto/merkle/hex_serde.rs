//! Hashes as lower-case hexadecimal text in JSON; for `#[serde(with = …)]` on proof types. Upper case is refused, so
//! that a proof has one text.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use super::NodeHash;

fn parse<E: serde::de::Error>(text: &str) -> Result<NodeHash, E> {
    let mut hash = [0u8; 32];
    hex::decode_to_slice(text, &mut hash)
        .map_err(|_| E::custom("expected 64 lower-case hexadecimal digits"))?;
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(E::custom("hexadecimal digits must be lower case"));
    }
    Ok(hash)
}

/// Writes one hash as 64 digits.
pub fn serialize<S: Serializer>(hash: &NodeHash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(hash))
}

/// Reads one hash from 64 lower-case digits.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NodeHash, D::Error> {
    parse(&String::deserialize(deserializer)?)
}

/// The same for a list of hashes.
pub mod list {
    use super::*;

    /// Writes a list of 64-digit texts.
    pub fn serialize<S: Serializer>(hashes: &[NodeHash], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(hashes.iter().map(hex::encode))
    }

    /// Reads a list of at most [`super::LIST_LENGTH_MAX`] hashes.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NodeHash>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        if texts.len() > super::LIST_LENGTH_MAX {
            return Err(D::Error::custom(format_args!(
                "{} hashes are more than the {} of the longest proof",
                texts.len(),
                super::LIST_LENGTH_MAX
            )));
        }
        texts.iter().map(|text| parse(text)).collect()
    }
}

/// Hashes in the longest list of any proof: one for each bit of a state key.
pub const LIST_LENGTH_MAX: usize = 256;
