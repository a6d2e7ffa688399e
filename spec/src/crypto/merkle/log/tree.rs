//! A whole log in memory: the transactions or receipts of one block, or a test's stream.

use std::convert::Infallible;

use super::{
    ConsistencyProof, Frontier, FrontierError, InclusionProof, LogReader, ProveError, prove_consistency,
    prove_inclusion,
};
use crate::crypto::merkle::NodeHash;

/// A log with all its complete subtrees in memory, about 64 bytes per leaf.
#[derive(Debug, Clone, Default)]
pub struct LogTree {
    frontier: Frontier,
    levels: Vec<Vec<NodeHash>>,
}

impl LogTree {
    /// The log of these leaf hashes, in order.
    pub fn from_leaf_hashes(leaves: &[NodeHash]) -> Self {
        let mut tree = Self::default();
        tree.levels.push(Vec::with_capacity(leaves.len()));
        for leaf in leaves {
            tree.append(*leaf).expect("a slice in memory is shorter than the longest log");
        }
        tree
    }

    /// Appends a leaf hash.
    ///
    /// # Errors
    /// [`FrontierError::Full`] at the longest length.
    pub fn append(&mut self, leaf: NodeHash) -> Result<(), FrontierError> {
        let levels = &mut self.levels;
        self.frontier.append_with(leaf, |node| {
            let level = usize::from(node.level);
            if level == levels.len() {
                levels.push(Vec::new());
            }
            levels[level].push(node.hash);
        })
    }

    /// Leaves in the log.
    pub fn length(&self) -> u64 {
        self.frontier.length()
    }

    /// The root of the whole log.
    pub fn root(&self) -> NodeHash {
        self.frontier.root()
    }

    /// The log's compact head.
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Proves a leaf's inclusion in the whole log.
    ///
    /// # Errors
    /// [`ProveError::IndexBeyondSize`] when there is no such leaf.
    pub fn prove_inclusion(&self, index: u64) -> Result<InclusionProof, ProveError<Infallible>> {
        prove_inclusion(self, index, self.length())
    }

    /// Proves that the whole log begins with its first `old_size` leaves.
    ///
    /// # Errors
    /// [`ProveError::SizesOutOfOrder`] when `old_size` is zero or beyond the log.
    pub fn prove_consistency(&self, old_size: u64) -> Result<ConsistencyProof, ProveError<Infallible>> {
        prove_consistency(self, old_size, self.length())
    }
}

impl LogReader for LogTree {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Option<NodeHash>, Infallible> {
        let level = self.levels.get(usize::from(level));
        Ok(level.and_then(|nodes| nodes.get(usize::try_from(index).ok()?)).copied())
    }
}
