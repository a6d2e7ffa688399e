//! The authenticated map of the state: a compact sparse Merkle tree over 256-bit key hashes (rules M-7 to M-13).
//!
//! The root depends on the set of keys and values alone, never on the order in which they came. A subtree without
//! keys hashes to 32 zero bytes, one with a single key to that key's leaf hash, any other to the hash of its halves.
//!
//! ```text
//!   in memory    upper tree: inner nodes and, at its tips, one node per bucket
//!   in the store one row per bucket: up to 16 leaves and the hashes of the bucket's inner nodes
//! ```
//!
//! The upper tree is immutable and shared: [`StateTree::prepare`] copies the nodes on the changed paths, so several
//! candidate blocks can be prepared on one base, and a clone of a tree (one pointer) keeps answering for its height as
//! long as the reader also holds a snapshot of the rows. [`StateTree::apply`] comes after the rows are durable; after a
//! crash between the two, [`StateTree::open`] reads the rows and finds the new root.
//!
//! How leaves are grouped into buckets is a matter of storage: it depends on history and never shows in a hash.

mod bucket;
mod hash;
mod open;
mod prepare;
mod proof;
mod prove;
mod rebuild;
mod row;
pub mod workload;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use thiserror::Error;

pub use bucket::{
    BUCKET_DEPTH_MAX, BUCKET_ID_BYTES, BUCKET_LEAVES_JOIN, BUCKET_LEAVES_MAX, BucketId, BucketRows,
    BucketStore,
};
pub use hash::{EMPTY, KEY_BITS, KeyHash, ValueHash, leaf_hash, node_hash};
pub use open::OpenError;
pub use prepare::TreeUpdate;
pub use proof::{StateLeaf, StateProof, StateProofError};
pub use row::{RowError, audit_row};

use super::NodeHash;

/// The upper levels of the state tree in memory: about 112 bytes per bucket.
#[derive(Debug, Clone)]
pub struct StateTree {
    root: Node,
    /// Counts applied updates, so that an update prepared on another base is recognised.
    revision: u64,
}

/// A node of the upper tree: a bucket, or an inner node above buckets.
#[derive(Debug, Clone)]
struct Node {
    hash: NodeHash,
    /// Keys below. An inner node has more than [`BUCKET_LEAVES_JOIN`], so its hash is always that of its halves.
    leaves: u64,
    halves: Option<Arc<[Node; 2]>>,
}

impl Node {
    const EMPTY: Self = Self { hash: EMPTY, leaves: 0, halves: None };

    fn inner(left: Self, right: Self) -> Self {
        let (hash, leaves) = (node_hash(&left.hash, &right.hash), left.leaves + right.leaves);
        Self { hash, leaves, halves: Some(Arc::new([left, right])) }
    }
}

/// Why the tree could not read what it needs.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum StateTreeError<E> {
    /// The store could not be read.
    #[error("reading a bucket of the state tree failed: {0}")]
    Store(E),
    /// A bucket that holds keys has no row.
    #[error("the row of bucket {id:?} is missing; restore the state from a snapshot")]
    MissingRow {
        /// The bucket.
        id: BucketId,
    },
    /// A row cannot be read.
    #[error("the row of bucket {id:?} is damaged ({error}); restore the state from a snapshot")]
    Row {
        /// The bucket.
        id: BucketId,
        /// The rule that does not hold.
        error: RowError,
    },
    /// A row is not the one that the tree was built from: the store is ahead of the tree, or behind it.
    #[error("the row of bucket {id:?} belongs to another state; open the tree again from the store")]
    OtherState {
        /// The bucket.
        id: BucketId,
    },
}

/// An update was prepared on another state than the one it is applied to.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("the update was prepared on another state; prepare it again")]
pub struct OtherBase;

impl Default for StateTree {
    fn default() -> Self {
        Self::new()
    }
}

impl StateTree {
    /// A tree without keys.
    pub const fn new() -> Self {
        Self { root: Node::EMPTY, revision: 0 }
    }

    /// The root hash (rule M-8).
    pub fn root(&self) -> NodeHash {
        self.root.hash
    }

    /// Keys in the tree.
    pub fn length(&self) -> u64 {
        self.root.leaves
    }

    /// Takes over an update whose rows are durable.
    ///
    /// # Errors
    /// [`OtherBase`] if another update was applied since this one was prepared; nothing has changed then.
    pub fn apply(&mut self, update: TreeUpdate) -> Result<(), OtherBase> {
        if update.base_revision != self.revision || update.base_root != self.root.hash {
            return Err(OtherBase);
        }
        self.root = update.root;
        self.revision += 1;
        Ok(())
    }
}
