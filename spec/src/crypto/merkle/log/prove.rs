//! Building proofs from stored complete subtrees (rules M-4 to M-6).

use std::ops::Range;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use super::{
    Frontier, LOG_LENGTH_MAX, LogProofError, LogReader, node_hash, verify_consistency, verify_inclusion,
};
use crate::base::id::Hash;
use crate::crypto::merkle::NodeHash;
use crate::crypto::merkle::hex_serde;

/// That a leaf is at `index` of the log with `size` leaves (rule M-4). Verify it only against a root whose size is
/// known from the same certified source: a path alone does not bind the size.
#[derive(Debug, Clone, PartialEq, Eq, SchemaRead, SchemaWrite, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InclusionProof {
    /// Position of the leaf, from 0.
    pub index: u64,
    /// Leaves in the log that the proof is for.
    pub size: u64,
    /// Sibling hashes, the leaf's own sibling first.
    #[serde(with = "hex_serde::list")]
    #[schema(value_type = Vec<Hash>)]
    pub path: Vec<NodeHash>,
}

impl InclusionProof {
    /// Verifies the proof for a leaf hash against a log of `size` leaves with this root.
    ///
    /// # Errors
    /// [`LogProofError`] names the rule that does not hold.
    pub fn verify(&self, leaf: &NodeHash, size: u64, root: &NodeHash) -> Result<(), LogProofError> {
        if self.size != size {
            return Err(LogProofError::OtherSize { claimed: self.size, trusted: size });
        }
        verify_inclusion(leaf, self.index, size, &self.path, root)
    }
}

/// That the log of `new_size` leaves begins with the log of `old_size` leaves (rule M-5).
#[derive(Debug, Clone, PartialEq, Eq, SchemaRead, SchemaWrite, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyProof {
    /// Leaves in the earlier log.
    pub old_size: u64,
    /// Leaves in the later log.
    pub new_size: u64,
    /// Hashes in the order of RFC 9162, section 2.1.4.1.
    #[serde(with = "hex_serde::list")]
    #[schema(value_type = Vec<Hash>)]
    pub path: Vec<NodeHash>,
}

impl ConsistencyProof {
    /// Verifies the proof against both roots, whose sizes the caller knows from the same sources as the roots.
    ///
    /// # Errors
    /// [`LogProofError`] names the rule that does not hold.
    pub fn verify(&self, old: (u64, &NodeHash), new: (u64, &NodeHash)) -> Result<(), LogProofError> {
        for (claimed, trusted) in [(self.old_size, old.0), (self.new_size, new.0)] {
            if claimed != trusted {
                return Err(LogProofError::OtherSize { claimed, trusted });
            }
        }
        verify_consistency(old.0, new.0, &self.path, old.1, new.1)
    }
}

/// Why a proof cannot be built.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ProveError<E> {
    /// The leaf is not in a log of that size.
    #[error("leaf {index} is not in a log of {size} leaves; ask for a smaller index or a later size")]
    IndexBeyondSize {
        /// Leaf asked for.
        index: u64,
        /// Leaves in the log.
        size: u64,
    },
    /// Consistency runs from a size of at least one to a size that is not smaller.
    #[error("no consistency proof from {old_size} to {new_size} leaves; it needs 1 <= old <= new")]
    SizesOutOfOrder {
        /// Leaves in the earlier log.
        old_size: u64,
        /// Leaves in the later log.
        new_size: u64,
    },
    /// No log has that many leaves.
    #[error("a log has at most {LOG_LENGTH_MAX} leaves, not {size}")]
    SizeTooLarge {
        /// Leaves asked for.
        size: u64,
    },
    /// The store holds no hash for a complete subtree that the log must have.
    #[error(
        "the log's node at level {level}, index {index} is missing from the store; rebuild it from the entries"
    )]
    MissingNode {
        /// Height above the leaves.
        level: u8,
        /// Position in the level.
        index: u64,
    },
    /// The store could not be read.
    #[error("reading a log node failed: {0}")]
    Store(E),
}

/// Builds the inclusion proof of leaf `index` in the first `size` leaves (RFC 9162, section 2.1.3.1).
///
/// # Errors
/// [`ProveError`] when the index or size is out of range, or a node cannot be read.
pub fn prove_inclusion<R: LogReader>(
    reader: &R,
    index: u64,
    size: u64,
) -> Result<InclusionProof, ProveError<R::Error>> {
    check_size(size)?;
    if index >= size {
        return Err(ProveError::IndexBeyondSize { index, size });
    }
    let mut path = Vec::new();
    let mut range = 0..size;
    while range.end - range.start > 1 {
        let middle = split(&range);
        let sibling = if index < middle { middle..range.end } else { range.start..middle };
        path.push(range_root(reader, sibling)?);
        range = if index < middle { range.start..middle } else { middle..range.end };
    }
    path.reverse();
    Ok(InclusionProof { index, size, path })
}

/// Builds the proof that the first `old_size` leaves begin the first `new_size` (RFC 9162, section 2.1.4.1).
///
/// # Errors
/// [`ProveError`] when the sizes are out of order or range, or a node cannot be read.
pub fn prove_consistency<R: LogReader>(
    reader: &R,
    old_size: u64,
    new_size: u64,
) -> Result<ConsistencyProof, ProveError<R::Error>> {
    check_size(new_size)?;
    if old_size == 0 || old_size > new_size {
        return Err(ProveError::SizesOutOfOrder { old_size, new_size });
    }
    let mut path = Vec::new();
    let mut range = 0..new_size;
    // Walk down to the subtree that ends where the old log ended.
    while range.end != old_size {
        let middle = split(&range);
        let (below, sibling) = if old_size <= middle {
            (range.start..middle, middle..range.end)
        } else {
            (middle..range.end, range.start..middle)
        };
        path.push(range_root(reader, sibling)?);
        range = below;
    }
    // The old root itself is known to the verifier, so it is left out where the walk never went right.
    if range.start != 0 {
        path.push(range_root(reader, range)?);
    }
    path.reverse();
    Ok(ConsistencyProof { old_size, new_size, path })
}

/// The head that the log had when it held its first `size` leaves (rule M-3).
///
/// # Errors
/// [`ProveError`] when the size is out of range, or a node cannot be read.
pub fn prefix_frontier<R: LogReader>(reader: &R, size: u64) -> Result<Frontier, ProveError<R::Error>> {
    check_size(size)?;
    let mut peaks = Vec::new();
    let mut start = 0;
    while start < size {
        let length = 1 << (size - start).ilog2();
        peaks.push(range_root(reader, start..start + length)?);
        start += length;
    }
    Ok(Frontier::from_parts(size, peaks).expect("one peak for each one-bit of the size"))
}

fn check_size<E>(size: u64) -> Result<(), ProveError<E>> {
    if size > LOG_LENGTH_MAX { Err(ProveError::SizeTooLarge { size }) } else { Ok(()) }
}

/// Where a subtree of at least two leaves divides: after the largest power of two below its length (rule M-2).
fn split(range: &Range<u64>) -> u64 {
    let length = range.end - range.start;
    range.start + (1 << (length - 1).ilog2())
}

/// The root of the leaves in `range`, which starts at a multiple of its length's power of two.
fn range_root<R: LogReader>(reader: &R, range: Range<u64>) -> Result<NodeHash, ProveError<R::Error>> {
    let length = range.end - range.start;
    if length.is_power_of_two() {
        let level = length.ilog2() as u8;
        let index = range.start >> level;
        return reader
            .node(level, index)
            .map_err(ProveError::Store)?
            .ok_or(ProveError::MissingNode { level, index });
    }
    let middle = split(&range);
    let left = range_root(reader, range.start..middle)?;
    let right = range_root(reader, middle..range.end)?;
    Ok(node_hash(&left, &right))
}
