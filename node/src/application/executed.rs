//! Executed blocks of the next height, kept until one of them is decided, so that no node executes twice.

use yilian_spec::base::id::BlockId;
use yilian_spec::crypto::merkle::state_tree::TreeUpdate;
use yilian_spec::ledger::chain::ExecutedBlock;

use crate::base::limits;

/// A block that was executed on the tip, with what it does to the state tree.
#[derive(Debug)]
pub(super) struct Executed {
    pub block: ExecutedBlock,
    pub update: TreeUpdate,
}

impl Executed {
    /// The block's id.
    pub fn id(&self) -> BlockId {
        self.block.tip.block_id
    }
}

/// The executed blocks, the one used last at the end; at most [`limits::CANDIDATES_MAX`].
#[derive(Debug, Default)]
pub(super) struct Candidates(Vec<Executed>);

impl Candidates {
    /// Whether the block is here; if so, it counts as used.
    pub fn touch(&mut self, id: BlockId) -> bool {
        let Some(at) = self.0.iter().position(|executed| executed.id() == id) else {
            return false;
        };
        let executed = self.0.remove(at);
        self.0.push(executed);
        true
    }

    /// Keeps a block, forgetting the one used longest ago when there are too many.
    pub fn insert(&mut self, executed: Executed) {
        if self.touch(executed.id()) {
            return;
        }
        if self.0.len() == limits::CANDIDATES_MAX {
            self.0.remove(0);
        }
        self.0.push(executed);
    }

    /// Takes a block out.
    pub fn take(&mut self, id: BlockId) -> Option<Executed> {
        let at = self.0.iter().position(|executed| executed.id() == id)?;
        Some(self.0.remove(at))
    }

    /// Forgets all: they were executed on a tip that is no longer the last.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
