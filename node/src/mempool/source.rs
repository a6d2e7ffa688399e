//! The mempool as the ledger's source of transactions.

use yilian_spec::base::id::TransactionId;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::ledger::transaction::CheckedTransaction;

use super::{Committed, Mempool, lock};
use crate::application::publish::CommittedBlock;
use crate::application::source::{BlockRoom, TransactionSource};

impl TransactionSource for Mempool {
    fn has_work(&self) -> bool {
        self.pool().is_ready(LedgerTime(self.shared.clock.now_ms()))
    }

    /// Fairly by institution.
    fn take(&self, room: BlockRoom, time: LedgerTime) -> Vec<CheckedTransaction> {
        self.pool().take(room, time)
    }

    fn checked(&self, id: TransactionId) -> Option<CheckedTransaction> {
        self.pool().get(id).cloned()
    }

    fn discard(&self, ids: &[TransactionId]) {
        self.pool().remove(ids);
        self.announce_work();
    }

    /// Its transactions leave the pool, as does what has expired with its time, and whoever waits for one is told.
    fn committed(&self, block: &CommittedBlock) {
        let (height, time) = (block.header.height, block.header.time);
        let shares = self.shares(block);
        let quota_work_per_s = self.shared.reader.tip().tip.parameters.quota_work_per_s;
        let mut pool = self.pool();
        pool.set_quota(quota_work_per_s);
        for (institution, work) in shares {
            pool.charge(&institution, work, time);
        }
        pool.remove(block.receipts.iter().map(|receipt| &receipt.transaction_id));
        pool.expire(time);
        drop(pool);
        self.announce_work();
        let mut waiters = lock(&self.shared.waiters);
        if waiters.is_empty() {
            return;
        }
        for (index, receipt) in (0..).zip(&block.receipts) {
            waiters.notify(&Committed { height, index, receipt: receipt.clone() });
        }
    }
}
