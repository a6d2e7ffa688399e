//! Callers that wait for a transaction to be committed.

use std::collections::BTreeMap;

use tokio::sync::oneshot;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::TransactionId;
use yilian_spec::ledger::receipt::Receipt;

use crate::base::limits;

/// Where a transaction was committed, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Its block's height.
    pub height: Height,
    /// Its place in the block.
    pub index: u32,
    /// What became of it.
    pub receipt: Receipt,
}

/// All who wait.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_transaction: BTreeMap<(TransactionId, u64), oneshot::Sender<Committed>>,
    next: u64,
}

impl Waiters {
    /// One more; `None` when there are too many. The number takes it away again.
    pub fn register(&mut self, id: TransactionId) -> Option<(u64, oneshot::Receiver<Committed>)> {
        if self.by_transaction.len() >= limits::WAITERS_MAX {
            return None;
        }
        let number = self.next;
        self.next += 1;
        let (sender, receiver) = oneshot::channel();
        self.by_transaction.insert((id, number), sender);
        Some((number, receiver))
    }

    /// Takes one away that waits no more.
    pub fn remove(&mut self, id: TransactionId, number: u64) {
        self.by_transaction.remove(&(id, number));
    }

    /// Tells all who wait for a transaction.
    pub fn notify(&mut self, committed: &Committed) {
        let id = committed.receipt.transaction_id;
        let numbers: Vec<u64> =
            self.by_transaction.range((id, 0)..=(id, u64::MAX)).map(|((_, number), _)| *number).collect();
        for number in numbers {
            if let Some(sender) = self.by_transaction.remove(&(id, number)) {
                // A caller that has gone away meanwhile needs no answer.
                let _ = sender.send(committed.clone());
            }
        }
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.by_transaction.is_empty()
    }
}
