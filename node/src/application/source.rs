//! Where a block's transactions come from: what the ledger asks, whoever keeps them.

use yilian_spec::base::id::TransactionId;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::ledger::transaction::CheckedTransaction;

use super::CommittedBlock;

/// What a block has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRoom {
    /// Transactions.
    pub transactions: usize,
    /// Their encoded size in bytes.
    pub bytes: usize,
    /// The work that they are expected to cost.
    pub work: u64,
}

/// Keeps transactions until a block carries them.
pub trait TransactionSource: Send + Sync {
    /// Whether a block of now would carry anything.
    fn has_work(&self) -> bool;

    /// Transactions for a block of `time`, in their order; they stay until they are committed.
    fn take(&self, room: BlockRoom, time: LedgerTime) -> Vec<CheckedTransaction>;

    /// A transaction that is kept, which need not be verified again.
    fn checked(&self, id: TransactionId) -> Option<CheckedTransaction>;

    /// No block may carry these.
    fn discard(&self, ids: &[TransactionId]);

    /// A block is part of the ledger.
    fn committed(&self, block: &CommittedBlock);
}
