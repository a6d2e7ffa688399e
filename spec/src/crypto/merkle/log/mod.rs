//! The append-only log with RFC 9162 hashing: every stream, the ledger-wide transaction log, and a block's lists.
//!
//! A log is known by its [`Frontier`] (length and the roots of its complete subtrees, at most 48 hashes), which
//! lives in the state. Appending completes some subtrees; a node that answers queries stores each of them once under
//! (level, index) and reads them back through [`LogReader`] to prove inclusion or consistency for any earlier size:
//!
//! ```text
//!   level 2            (2,0)
//!   level 1      (1,0)       (1,1)      (1,2)            seven leaves: peaks (2,0), (1,2), (0,6)
//!   level 0   (0,0) (0,1) (0,2) (0,3) (0,4) (0,5) (0,6)
//! ```

mod frontier;
mod prove;
mod tree;
mod verify;

#[cfg(test)]
mod tests;

pub use frontier::{CompleteNode, Frontier, FrontierError};
pub use prove::{
    ConsistencyProof, InclusionProof, ProveError, prefix_frontier, prove_consistency, prove_inclusion,
};
pub use tree::LogTree;
pub use verify::{LogProofError, verify_consistency, verify_inclusion};

use super::NodeHash;
use super::hash::{LOG_LEAF, LOG_NODE, hash_bytes, hash_pair};

/// Most leaves in a log: at 100,000 a second it is full after 89 years. Keeps every size, index and level computation
/// far from overflow.
pub const LOG_LENGTH_MAX: u64 = 1 << 48;

/// Reads the stored hashes of complete subtrees of one log.
pub trait LogReader {
    /// Why a read may fail.
    type Error;

    /// The root of the complete subtree of `2^level` leaves that starts at leaf `index * 2^level`; `None` if it was
    /// never stored.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn node(&self, level: u8, index: u64) -> Result<Option<NodeHash>, Self::Error>;
}

/// The hash of a leaf with these bytes (rule M-1).
pub fn leaf_hash(bytes: &[u8]) -> NodeHash {
    hash_bytes(LOG_LEAF, bytes)
}

/// The hash of an inner node (rule M-1).
pub fn node_hash(left: &NodeHash, right: &NodeHash) -> NodeHash {
    hash_pair(LOG_NODE, left, right)
}

/// The root of the log of these leaf hashes (rule M-2), without keeping its nodes.
pub fn root(leaves: &[NodeHash]) -> NodeHash {
    let mut frontier = Frontier::new();
    for leaf in leaves {
        frontier.append(*leaf).expect("a slice in memory is shorter than the longest log");
    }
    frontier.root()
}
