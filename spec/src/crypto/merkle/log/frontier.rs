//! A log's head: its length and the roots of its complete subtrees, enough to append and to know the root (rule M-3).

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use super::{LOG_LENGTH_MAX, node_hash};
use crate::base::id::Hash;
use crate::crypto::merkle::NodeHash;
use crate::crypto::merkle::hash::empty_log_root;
use crate::crypto::merkle::hex_serde;

/// The compact form of an append-only log.
///
/// Invariant (rule M-3): as many peaks as there are one-bits in the length, largest subtree first. [`Frontier::append`]
/// and [`Frontier::validate`] refuse a decoded value that breaks it.
#[derive(Debug, Clone, PartialEq, Eq, Default, SchemaRead, SchemaWrite, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Frontier {
    length: u64,
    #[serde(with = "hex_serde::list")]
    #[schema(value_type = Vec<Hash>)]
    peaks: Vec<NodeHash>,
}

/// A subtree that an append completed; its hash never changes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompleteNode {
    /// Height above the leaves: the subtree has `2^level` leaves.
    pub level: u8,
    /// Position among the subtrees of its level, from the left.
    pub index: u64,
    /// Root of the subtree.
    pub hash: NodeHash,
}

/// Why a frontier cannot be used.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum FrontierError {
    /// The number of peaks does not fit the length.
    #[error("a log of {length} leaves has {} peaks, not {peaks}; the bytes are not a frontier", length.count_ones())]
    PeakCount {
        /// Leaves in the log.
        length: u64,
        /// Peaks that were given.
        peaks: usize,
    },
    /// The log is at [`LOG_LENGTH_MAX`], or claims to be beyond it.
    #[error("a log of {length} leaves cannot grow; the most is {LOG_LENGTH_MAX}")]
    Full {
        /// Leaves in the log.
        length: u64,
    },
}

impl Frontier {
    /// An empty log.
    pub const fn new() -> Self {
        Self { length: 0, peaks: Vec::new() }
    }

    /// A frontier from its parts.
    ///
    /// # Errors
    /// [`FrontierError`] when the invariant does not hold.
    pub fn from_parts(length: u64, peaks: Vec<NodeHash>) -> Result<Self, FrontierError> {
        let frontier = Self { length, peaks };
        frontier.validate()?;
        Ok(frontier)
    }

    /// Leaves in the log.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Roots of the complete subtrees, the largest (leftmost) first.
    pub fn peaks(&self) -> &[NodeHash] {
        &self.peaks
    }

    /// Checks the invariant of a decoded value (rule M-3).
    ///
    /// # Errors
    /// [`FrontierError`] when it does not hold.
    pub fn validate(&self) -> Result<(), FrontierError> {
        if self.length > LOG_LENGTH_MAX {
            return Err(FrontierError::Full { length: self.length });
        }
        if self.peaks.len() != self.length.count_ones() as usize {
            return Err(FrontierError::PeakCount { length: self.length, peaks: self.peaks.len() });
        }
        Ok(())
    }

    /// Appends a leaf hash.
    ///
    /// # Errors
    /// [`FrontierError`] when the log is full or this is no frontier; nothing has changed then.
    pub fn append(&mut self, leaf: NodeHash) -> Result<(), FrontierError> {
        self.append_with(leaf, |_| {})
    }

    /// Appends a leaf hash and reports every subtree that it completes, the leaf itself (level 0) first.
    ///
    /// # Errors
    /// As [`Frontier::append`].
    pub fn append_with(
        &mut self,
        leaf: NodeHash,
        mut completed: impl FnMut(CompleteNode),
    ) -> Result<(), FrontierError> {
        self.validate()?;
        if self.length == LOG_LENGTH_MAX {
            return Err(FrontierError::Full { length: self.length });
        }
        let mut node = CompleteNode { level: 0, index: self.length, hash: leaf };
        completed(node);
        // A new leaf closes one subtree per trailing one-bit of the old length, as a carry does.
        for _ in 0..self.length.trailing_ones() {
            let left = self.peaks.pop().expect("one peak per one-bit of the length was checked above");
            node = CompleteNode {
                level: node.level + 1,
                index: node.index >> 1,
                hash: node_hash(&left, &node.hash),
            };
            completed(node);
        }
        self.peaks.push(node.hash);
        self.length += 1;
        Ok(())
    }

    /// The root of the log (rule M-2): the peaks joined from the right.
    pub fn root(&self) -> NodeHash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => empty_log_root(),
            Some(last) => peaks.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}
