//! Verification of log proofs (rules M-4 and M-5; RFC 9162, sections 2.1.3.2 and 2.1.4.2).

use thiserror::Error;

use super::node_hash;
use crate::crypto::merkle::NodeHash;

/// Why a log proof is refused; one variant per rule.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum LogProofError {
    /// Rule M-4: the index lies within the log.
    #[error("leaf {index} is not in a log of {size} leaves")]
    IndexBeyondSize {
        /// Leaf that was claimed.
        index: u64,
        /// Leaves in the log.
        size: u64,
    },
    /// Rules M-4 and M-5: the proof is for the size that the trusted root has.
    #[error(
        "the proof is for {claimed} leaves, the trusted root for {trusted}; ask for a proof at that size"
    )]
    OtherSize {
        /// Size in the proof.
        claimed: u64,
        /// Size that belongs to the root.
        trusted: u64,
    },
    /// Rule M-5: an empty log is the beginning of every log, which proves nothing.
    #[error("a consistency proof starts from at least one leaf")]
    EmptyOldLog,
    /// Rule M-5: a log only grows.
    #[error("the earlier log has {old_size} leaves, more than the later log's {new_size}")]
    SizesOutOfOrder {
        /// Leaves in the earlier log.
        old_size: u64,
        /// Leaves in the later log.
        new_size: u64,
    },
    /// Rules M-4 and M-5: the path ends before it reaches the root.
    #[error("the path of {length} hashes ends below the root")]
    PathTooShort {
        /// Hashes in the path.
        length: usize,
    },
    /// Rules M-4 and M-5: the path goes on above the root.
    #[error("the path of {length} hashes goes on above the root")]
    PathTooLong {
        /// Hashes in the path.
        length: usize,
    },
    /// Rules M-4 and M-5: the path leads to the trusted root.
    #[error("the path does not lead to the trusted root")]
    RootMismatch,
    /// Rule M-5: the path leads to the earlier root.
    #[error("the path does not lead to the earlier root")]
    OldRootMismatch,
}

/// Walks from a node up to the root of a log whose last leaf is `last`, both counted in the node's level.
struct Climb {
    position: u64,
    last: u64,
}

impl Climb {
    fn at_root(&self) -> bool {
        self.last == 0
    }

    /// Goes up one path element; true if that element is the left sibling.
    fn step(&mut self) -> bool {
        let left = self.position & 1 == 1 || self.position == self.last;
        if left {
            // The right edge of an incomplete tree has no sibling on some levels; they have no path element either.
            while self.position & 1 == 0 && self.position != 0 {
                self.up();
            }
        }
        self.up();
        left
    }

    fn up(&mut self) {
        self.position >>= 1;
        self.last >>= 1;
    }
}

/// Verifies that `leaf` is at `index` of the log of `size` leaves with this root (rule M-4).
///
/// # Errors
/// [`LogProofError`] names the rule that does not hold.
pub fn verify_inclusion(
    leaf: &NodeHash,
    index: u64,
    size: u64,
    path: &[NodeHash],
    root: &NodeHash,
) -> Result<(), LogProofError> {
    if index >= size {
        return Err(LogProofError::IndexBeyondSize { index, size });
    }
    let mut climb = Climb { position: index, last: size - 1 };
    let mut hash = *leaf;
    for sibling in path {
        if climb.at_root() {
            return Err(LogProofError::PathTooLong { length: path.len() });
        }
        hash = if climb.step() { node_hash(sibling, &hash) } else { node_hash(&hash, sibling) };
    }
    if !climb.at_root() {
        return Err(LogProofError::PathTooShort { length: path.len() });
    }
    if hash != *root {
        return Err(LogProofError::RootMismatch);
    }
    Ok(())
}

/// Verifies that the log of `new_size` leaves begins with the log of `old_size` leaves (rule M-5).
///
/// # Errors
/// [`LogProofError`] names the rule that does not hold.
pub fn verify_consistency(
    old_size: u64,
    new_size: u64,
    path: &[NodeHash],
    old_root: &NodeHash,
    new_root: &NodeHash,
) -> Result<(), LogProofError> {
    if old_size == 0 {
        return Err(LogProofError::EmptyOldLog);
    }
    if old_size > new_size {
        return Err(LogProofError::SizesOutOfOrder { old_size, new_size });
    }
    if old_size == new_size {
        return verify_same(path, old_root, new_root);
    }
    // The walk starts at the last complete subtree of the old log: the old root itself if that is all of it.
    let (seed, siblings) = match path.split_first() {
        _ if old_size.is_power_of_two() => (old_root, path),
        Some((first, rest)) => (first, rest),
        None => return Err(LogProofError::PathTooShort { length: 0 }),
    };
    let complete = old_size.trailing_zeros();
    let mut climb = Climb { position: (old_size - 1) >> complete, last: (new_size - 1) >> complete };
    let (mut old_hash, mut new_hash) = (*seed, *seed);
    for sibling in siblings {
        if climb.at_root() {
            return Err(LogProofError::PathTooLong { length: path.len() });
        }
        if climb.step() {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
    }
    if !climb.at_root() {
        return Err(LogProofError::PathTooShort { length: path.len() });
    }
    if old_hash != *old_root {
        return Err(LogProofError::OldRootMismatch);
    }
    if new_hash != *new_root {
        return Err(LogProofError::RootMismatch);
    }
    Ok(())
}

/// Logs of equal size are consistent if they are the same, and nothing else needs to be said.
fn verify_same(path: &[NodeHash], old_root: &NodeHash, new_root: &NodeHash) -> Result<(), LogProofError> {
    if !path.is_empty() {
        return Err(LogProofError::PathTooLong { length: path.len() });
    }
    if old_root != new_root {
        return Err(LogProofError::RootMismatch);
    }
    Ok(())
}
