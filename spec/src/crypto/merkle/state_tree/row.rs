//! A bucket's row (rules M-12 and M-13): its leaves in order, and the hashes of its inner nodes.
//!
//! ```text
//! count  u32, little endian, at least 1
//! root   32 bytes: the hash of the bucket's subtree
//! leaves count times: key hash (32), value hash (32); strictly ascending by key hash
//! inner  count - 1 times 32 bytes
//! ```
//!
//! Two neighbouring leaves part at exactly one inner node, so `inner[i]` is the node where leaves `i` and `i + 1` part,
//! as its parent sees it: hashed at the depth right below the node where its leaves part from a neighbour outside it
//! (or at the bucket's own depth), with the levels in between on which only one side has keys. A changed leaf then
//! costs its own path, and the rest is copied.

use std::ops::Range;

use thiserror::Error;

use super::bucket::BucketId;
use super::hash::{KeyHash, ValueHash, bit, common_prefix_bits, leaf_hash, node_hash, raise};
use crate::crypto::merkle::NodeHash;

/// A leaf in a row: key hash, then value hash.
pub(super) type RawLeaf = [u8; 64];

/// Bytes before the leaves.
const HEADER_BYTES: usize = 36;

/// Why bytes are not the row of a bucket; one variant per rule.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum RowError {
    /// The row is shorter than its header.
    #[error("a bucket row has at least {HEADER_BYTES} bytes, not {length}")]
    NoHeader {
        /// Bytes in the row.
        length: usize,
    },
    /// The row does not have the length that its leaf count asks for; an empty bucket has no row.
    #[error("a bucket row of {leaves} leaves does not have {length} bytes")]
    Length {
        /// Leaves that the row claims.
        leaves: u32,
        /// Bytes in the row.
        length: usize,
    },
    /// The leaves are not strictly ascending.
    #[error("leaf {index} of the bucket row is not above the one before it")]
    Order {
        /// Position of the leaf.
        index: usize,
    },
    /// A leaf lies outside the bucket's prefix.
    #[error("leaf {index} of the bucket row belongs to another bucket")]
    Prefix {
        /// Position of the leaf.
        index: usize,
    },
    /// The row's root is not the one of its topmost inner node, or of its only leaf.
    #[error("the bucket row's root is not the hash of its topmost node")]
    Root,
    /// A stored inner hash is not what the leaves give (found by [`audit_row`] alone).
    #[error("the bucket row's inner hashes are not those of its leaves")]
    Hashes,
}

/// A row read in place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub id: BucketId,
    pub root: &'a NodeHash,
    pub leaves: &'a [RawLeaf],
    pub inner: &'a [NodeHash],
}

/// Bytes of a row with this many leaves, at least one.
fn row_bytes(leaves: usize) -> Option<usize> {
    leaves.checked_mul(96)?.checked_add(HEADER_BYTES)?.checked_sub(32)
}

impl<'a> Row<'a> {
    /// The bucket without leaves, which has no row.
    pub fn empty(id: BucketId) -> Self {
        Self { id, root: &super::hash::EMPTY, leaves: &[], inner: &[] }
    }

    /// Reads a row strictly (rule M-13); its hashes are taken as they are.
    pub fn decode(id: BucketId, bytes: &'a [u8]) -> Result<Self, RowError> {
        let no_header = RowError::NoHeader { length: bytes.len() };
        let (count, rest) = bytes.split_first_chunk::<4>().ok_or(no_header.clone())?;
        let (root, rest) = rest.split_first_chunk::<32>().ok_or(no_header)?;
        let leaves = u32::from_le_bytes(*count);
        if leaves == 0 || row_bytes(leaves as usize) != Some(bytes.len()) {
            return Err(RowError::Length { leaves, length: bytes.len() });
        }
        let (leaf_bytes, inner_bytes) = rest.split_at(leaves as usize * 64);
        let row = Self { id, root, leaves: leaf_bytes.as_chunks().0, inner: inner_bytes.as_chunks().0 };
        row.check()?;
        Ok(row)
    }

    fn check(&self) -> Result<(), RowError> {
        for (index, pair) in self.leaves.windows(2).enumerate() {
            if key(&pair[0]) >= key(&pair[1]) {
                return Err(RowError::Order { index: index + 1 });
            }
        }
        // In ascending order the leaves between the first and the last share what those two share.
        for index in [0, self.leaves.len() - 1] {
            if !self.id.holds(key(&self.leaves[index])) {
                return Err(RowError::Prefix { index });
            }
        }
        let root = match self.leaves {
            [leaf] => raw_leaf_hash(leaf),
            leaves => self.inner[parting(leaves)],
        };
        if root != *self.root { Err(RowError::Root) } else { Ok(()) }
    }

    /// The depth at which the node with exactly these leaves was hashed into `inner`, or below it if there is no such
    /// node: right below where the leaves part from a neighbour.
    pub fn entry_depth(&self, range: &Range<usize>) -> u16 {
        let below = |index: usize| 1 + shared(&self.leaves[index - 1], &self.leaves[index]);
        let left = if range.start > 0 { below(range.start) } else { 0 };
        let right = if range.end < self.leaves.len() { below(range.end) } else { 0 };
        left.max(right).max(u16::from(self.id.depth()))
    }

    /// The stored hash of the node with exactly these leaves, at its [`Row::entry_depth`].
    pub fn node(&self, range: Range<usize>) -> NodeHash {
        match &self.leaves[range.clone()] {
            [leaf] => raw_leaf_hash(leaf),
            leaves => self.inner[range.start + parting(leaves)],
        }
    }

    /// The hash of the subtree with exactly these leaves at a `depth` below its entry depth, at or above where its
    /// leaves part.
    pub fn node_at(&self, range: Range<usize>, depth: u16) -> NodeHash {
        let leaves = &self.leaves[range.clone()];
        if leaves.len() == 1 {
            return raw_leaf_hash(&leaves[0]);
        }
        let middle = range.start + parting(leaves) + 1;
        let parted = shared(&leaves[0], &leaves[leaves.len() - 1]);
        let joined = node_hash(&self.node(range.start..middle), &self.node(middle..range.end));
        raise(joined, key(&leaves[0]), parted, depth)
    }
}

/// The key hash of a raw leaf.
pub(super) fn key(leaf: &RawLeaf) -> &NodeHash {
    leaf.first_chunk().expect("a leaf is 64 bytes long")
}

/// The value hash of a raw leaf.
pub(super) fn value(leaf: &RawLeaf) -> &NodeHash {
    leaf.last_chunk().expect("a leaf is 64 bytes long")
}

/// A leaf as it is stored.
pub(super) fn raw_leaf(key: &KeyHash, value: &ValueHash) -> RawLeaf {
    let mut leaf = [0; 64];
    leaf[..32].copy_from_slice(&key.0);
    leaf[32..].copy_from_slice(&value.0);
    leaf
}

/// Rule M-8: the hash of a subtree with one key.
pub(super) fn raw_leaf_hash(leaf: &RawLeaf) -> NodeHash {
    leaf_hash(&KeyHash(*key(leaf)), &ValueHash(*value(leaf)))
}

/// Leading bits that two leaves' keys share.
pub(super) fn shared(a: &RawLeaf, b: &RawLeaf) -> u16 {
    common_prefix_bits(key(a), key(b))
}

/// Index of the last leaf on the left of where two or more sorted leaves part.
pub(super) fn parting(leaves: &[RawLeaf]) -> usize {
    let depth = shared(&leaves[0], &leaves[leaves.len() - 1]);
    leaves.partition_point(|leaf| !bit(key(leaf), depth)) - 1
}

/// Starts a row: header with an open root, and the leaves. [`finish_row`] completes it.
pub(super) fn start_row(leaves: &[RawLeaf]) -> Vec<u8> {
    let bytes = row_bytes(leaves.len()).expect("leaves in memory are counted far below the limit");
    let mut row = Vec::with_capacity(bytes);
    row.extend_from_slice(&(leaves.len() as u32).to_le_bytes());
    row.extend_from_slice(&[0; 32]);
    row.extend_from_slice(leaves.as_flattened());
    row.resize(bytes, 0);
    row
}

/// The inner hashes of a row of this many leaves that [`start_row`] began.
pub(super) fn row_inner(row: &mut [u8], leaves: usize) -> &mut [NodeHash] {
    row[HEADER_BYTES + leaves * 64..].as_chunks_mut().0
}

/// Sets the root of a row.
pub(super) fn finish_row(row: &mut [u8], root: &NodeHash) {
    row[4..HEADER_BYTES].copy_from_slice(root);
}

/// Reads a row strictly and recomputes every hash in it, as a check of a whole store does.
///
/// # Errors
/// [`RowError`] names the rule that does not hold.
pub fn audit_row(id: BucketId, bytes: &[u8]) -> Result<(), RowError> {
    let row = Row::decode(id, bytes)?;
    let rebuilt =
        super::rebuild::Leaves::from_sorted(row.leaves).row(&Row::empty(id), 0..row.leaves.len(), id);
    if rebuilt.1 != bytes { Err(RowError::Hashes) } else { Ok(()) }
}
