//! Hashes of the state tree: keys, values, leaves and inner nodes (rule M-7).

use serde::{Deserialize, Serialize};
use wincode::{SchemaRead, SchemaWrite};

use crate::base::schema::{self, text_schema};
use crate::crypto::merkle::NodeHash;
use crate::crypto::merkle::hash::{STATE_KEY, STATE_LEAF, STATE_NODE, STATE_VALUE, hash_bytes, hash_pair};
use crate::crypto::merkle::hex_serde;

/// The hash of a subtree without keys.
pub const EMPTY: NodeHash = [0; 32];

/// Bits of a key hash: the greatest depth of a leaf.
pub const KEY_BITS: u16 = 256;

/// Where a key lives in the tree: the hash of the key's bytes, its bits read from the most significant.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, SchemaRead, SchemaWrite, Serialize, Deserialize,
)]
pub struct KeyHash(#[serde(with = "hex_serde")] pub NodeHash);

/// What the tree holds for a key: the hash of the value's bytes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, SchemaRead, SchemaWrite, Serialize, Deserialize,
)]
pub struct ValueHash(#[serde(with = "hex_serde")] pub NodeHash);

text_schema!(KeyHash, schema::HASH, "Where a key lives in the state tree: the hash of its bytes");
text_schema!(ValueHash, schema::HASH, "The hash of a row's bytes");

impl KeyHash {
    /// Hashes a key's bytes.
    pub fn of(key: &[u8]) -> Self {
        Self(hash_bytes(STATE_KEY, key))
    }

    /// Whether the path to the key turns right below `depth`.
    pub fn bit(&self, depth: u16) -> bool {
        bit(&self.0, depth)
    }

    /// How many leading bits two keys share, 0 to 256.
    pub fn common_prefix_bits(&self, other: &Self) -> u16 {
        common_prefix_bits(&self.0, &other.0)
    }
}

impl ValueHash {
    /// Hashes a value's bytes.
    pub fn of(value: &[u8]) -> Self {
        Self(hash_bytes(STATE_VALUE, value))
    }
}

/// The hash of a subtree that holds exactly this key, at whatever depth (rule M-8).
pub fn leaf_hash(key: &KeyHash, value: &ValueHash) -> NodeHash {
    hash_pair(STATE_LEAF, &key.0, &value.0)
}

/// The hash of a subtree that holds two keys or more (rule M-8).
pub fn node_hash(left: &NodeHash, right: &NodeHash) -> NodeHash {
    hash_pair(STATE_NODE, left, right)
}

/// The bit of `bytes` below `depth`, the most significant first.
pub(super) fn bit(bytes: &NodeHash, depth: u16) -> bool {
    bytes[usize::from(depth / 8)] >> (7 - depth % 8) & 1 == 1
}

/// Leading bits that both have in common.
pub(super) fn common_prefix_bits(a: &NodeHash, b: &NodeHash) -> u16 {
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let mut shared = 0;
    for (a, b) in words {
        let difference = u64::from_be_bytes(*a) ^ u64::from_be_bytes(*b);
        if difference != 0 {
            return shared + difference.leading_zeros() as u16;
        }
        shared += 64;
    }
    shared
}

/// Raises the hash of a subtree of two keys or more from depth `from` to depth `to` above it, on the way of `key`,
/// where no other key joins: on every level its sibling is empty.
pub(super) fn raise(mut hash: NodeHash, key: &NodeHash, from: u16, to: u16) -> NodeHash {
    for depth in (to..from).rev() {
        hash = if bit(key, depth) { node_hash(&EMPTY, &hash) } else { node_hash(&hash, &EMPTY) };
    }
    hash
}
