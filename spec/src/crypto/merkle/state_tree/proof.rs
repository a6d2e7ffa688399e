//! Proofs of presence and absence in the state, and their verification (rules M-9 and M-10).
//!
//! In full, for any language: `H` is SHA-256, `k = H(04 || key)`, `v = H(05 || value)`; start from the proof's leaf
//! `H(02 || leaf.key_hash || leaf.value_hash)`, or from 32 zero bytes if it has none; for each sibling from the last to
//! the first, at depth `d` = its position from 0: `hash = H(03 || sibling || hash)` if bit `d` of `k` is one, else
//! `H(03 || hash || sibling)`; the result is the root. Presence: `leaf = (k, v)`. Absence: no leaf, or a leaf with
//! another key hash whose first bits, as many as there are siblings, are those of `k`.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use super::hash::{EMPTY, KEY_BITS, KeyHash, ValueHash, leaf_hash, node_hash};
use crate::base::id::Hash;
use crate::crypto::merkle::NodeHash;
use crate::crypto::merkle::hex_serde;

/// A leaf at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaRead, SchemaWrite, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StateLeaf {
    /// Hash of the key.
    pub key_hash: KeyHash,
    /// Hash of the value.
    pub value_hash: ValueHash,
}

/// The path from the root towards a key, and what is at its end (rule M-9). The same form proves presence and absence.
#[derive(Debug, Clone, PartialEq, Eq, SchemaRead, SchemaWrite, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StatePath)]
pub struct StateProof {
    /// The other half at each depth, from the root down.
    #[serde(with = "hex_serde::list")]
    #[schema(value_type = Vec<Hash>)]
    pub siblings: Vec<NodeHash>,
    /// The only key below the end of the path; `None` if there is none.
    pub leaf: Option<StateLeaf>,
}

/// Why a state proof is refused; one variant per rule of M-10.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum StateProofError {
    /// The path is longer than a key hash.
    #[error("a path of {length} siblings is longer than the {KEY_BITS} bits of a key")]
    TooDeep {
        /// Siblings in the proof.
        length: usize,
    },
    /// The key is claimed present, but the path ends where there is none.
    #[error("the path ends without a leaf: the proof shows that the key is absent")]
    KeyAbsent,
    /// The key is claimed present, but the path ends at another one.
    #[error("the path ends at the leaf of another key: the proof shows that the key is absent")]
    OtherKey,
    /// The key is there with another value.
    #[error("the leaf holds another value for the key")]
    OtherValue,
    /// The key is claimed absent, but the path ends at its leaf.
    #[error("the path ends at the key's own leaf: the proof shows that the key is present")]
    KeyPresent,
    /// The key is claimed absent because of a leaf that does not lie on its path.
    #[error("the leaf shares {shared} bits with the key, the path has {length}; it lies elsewhere")]
    LeafOffPath {
        /// Leading bits that the leaf's key shares with the key.
        shared: u16,
        /// Siblings in the proof.
        length: u16,
    },
    /// The path does not lead to the trusted root.
    #[error("the path does not lead to the trusted root")]
    RootMismatch,
}

impl StateProof {
    /// Verifies that `key` has `value` under `root`, or no value if it is `None`.
    ///
    /// # Errors
    /// [`StateProofError`] names the rule that does not hold.
    pub fn verify(&self, root: &NodeHash, key: &[u8], value: Option<&[u8]>) -> Result<(), StateProofError> {
        self.verify_hashed(root, &KeyHash::of(key), value.map(ValueHash::of))
    }

    /// [`StateProof::verify`] for a key and value that are already hashed.
    ///
    /// # Errors
    /// [`StateProofError`] names the rule that does not hold.
    pub fn verify_hashed(
        &self,
        root: &NodeHash,
        key: &KeyHash,
        value: Option<ValueHash>,
    ) -> Result<(), StateProofError> {
        let length = self.siblings.len();
        let depth = u16::try_from(length).ok().filter(|depth| *depth <= KEY_BITS);
        let depth = depth.ok_or(StateProofError::TooDeep { length })?;
        self.check_end(key, value, depth)?;
        let end = self.leaf.map_or(EMPTY, |leaf| leaf_hash(&leaf.key_hash, &leaf.value_hash));
        let computed = (0..depth).zip(&self.siblings).rev().fold(end, |hash, (depth, sibling)| {
            if key.bit(depth) { node_hash(sibling, &hash) } else { node_hash(&hash, sibling) }
        });
        if computed != *root { Err(StateProofError::RootMismatch) } else { Ok(()) }
    }

    /// Whether what the path ends at supports the claim.
    fn check_end(&self, key: &KeyHash, value: Option<ValueHash>, depth: u16) -> Result<(), StateProofError> {
        match (self.leaf, value) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(StateProofError::KeyAbsent),
            (Some(leaf), Some(_)) if leaf.key_hash != *key => Err(StateProofError::OtherKey),
            (Some(leaf), Some(value)) if leaf.value_hash != value => Err(StateProofError::OtherValue),
            (Some(_), Some(_)) => Ok(()),
            (Some(leaf), None) if leaf.key_hash == *key => Err(StateProofError::KeyPresent),
            (Some(leaf), None) => {
                let shared = leaf.key_hash.common_prefix_bits(key);
                if shared < depth {
                    return Err(StateProofError::LeafOffPath { shared, length: depth });
                }
                Ok(())
            }
        }
    }
}
