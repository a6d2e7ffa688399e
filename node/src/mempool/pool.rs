//! The pure core of the mempool: verified transactions that wait for a block, within bounds, taken fairly.
//!
//! No clock, lock or storage here: whoever calls says what time it is. A transaction counts for the institution that
//! its author's key is registered for, whatever it claims, so nobody fills another member's share. Who takes more than
//! its quota waits for the others ([`super::quota`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use thiserror::Error;
use yilian_spec::base::id::{InstitutionId, TransactionId};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::ledger::transaction::CheckedTransaction;

use super::quota::{self, Credit, Quotas};
use crate::application::source::BlockRoom;
use crate::base::limits;

/// How much a pool holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolBounds {
    /// Transactions in all.
    pub transactions: usize,
    /// Their encoded size in bytes.
    pub bytes: usize,
    /// Transactions of one institution.
    pub institution_transactions: usize,
    /// Their encoded size in bytes.
    pub institution_bytes: usize,
}

impl Default for PoolBounds {
    fn default() -> Self {
        Self {
            transactions: limits::POOL_TRANSACTIONS_MAX,
            bytes: limits::POOL_BYTES_MAX,
            institution_transactions: limits::POOL_INSTITUTION_TRANSACTIONS_MAX,
            institution_bytes: limits::POOL_INSTITUTION_BYTES_MAX,
        }
    }
}

/// The room left with this transaction in the block; `None` if it does not fit.
fn after(room: BlockRoom, entry: &Entry) -> Option<BlockRoom> {
    Some(BlockRoom {
        transactions: room.transactions.checked_sub(1)?,
        bytes: room.bytes.checked_sub(entry.transaction.encoded().len())?,
        work: room.work.checked_sub(entry.work)?,
    })
}

/// Which bound a transaction would break. All of them pass with time: submit again after the next blocks.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum PoolError {
    /// Too many transactions.
    #[error("the mempool holds {bound} transactions, its bound: submit again after the next blocks")]
    Full {
        /// The bound.
        bound: usize,
    },
    /// Too many bytes.
    #[error("the mempool holds up to {bound} bytes and is full: submit again after the next blocks")]
    FullBytes {
        /// The bound in bytes.
        bound: usize,
    },
    /// Too many transactions of the institution.
    #[error("{institution} has {bound} transactions waiting, its bound: wait for them to be committed")]
    InstitutionFull {
        /// The institution.
        institution: InstitutionId,
        /// The bound.
        bound: usize,
    },
    /// Too many bytes of the institution.
    #[error(
        "{institution} may have {bound} bytes waiting and has no room left: wait for them to be committed"
    )]
    InstitutionFullBytes {
        /// The institution.
        institution: InstitutionId,
        /// The bound in bytes.
        bound: usize,
    },
    /// The institution is beyond its quota while others are at work, and enough of it waits.
    #[error(
        "{institution} is beyond its quota of {quota} units of work per second while others are at work, and has \
         {} s of it waiting, the bound: submit less, or wait for them to be committed",
        limits::QUOTA_WAITING_SECONDS_MAX
    )]
    OverQuota {
        /// The institution.
        institution: InstitutionId,
        /// The quota.
        quota: u64,
    },
}

/// A transaction that waits.
#[derive(Debug)]
struct Entry {
    transaction: CheckedTransaction,
    owner: InstitutionId,
    /// What it was expected to cost when it came.
    work: u64,
    arrival: u64,
    /// When to send it to the peers again; `None` for one that came from a peer.
    gossip_at_ms: Option<u64>,
}

/// What waits of one institution, in the order of arrival.
#[derive(Debug, Default)]
struct Queue {
    order: BTreeMap<u64, TransactionId>,
    bytes: usize,
    work: u64,
}

/// Verified transactions that wait for a block.
#[derive(Debug)]
pub struct Pool {
    bounds: PoolBounds,
    quotas: Quotas,
    entries: BTreeMap<TransactionId, Entry>,
    queues: BTreeMap<InstitutionId, Queue>,
    expiries: BTreeSet<(LedgerTime, TransactionId)>,
    gossip: BTreeSet<(u64, TransactionId)>,
    bytes: usize,
    arrivals: u64,
    /// Whose transaction was taken last: the next block begins behind it.
    last_served: Option<InstitutionId>,
}

impl Pool {
    /// An empty pool; every institution has a quota of so many units of work per second.
    pub fn new(bounds: PoolBounds, quota_work_per_s: u64) -> Self {
        Self {
            bounds,
            quotas: Quotas::new(quota_work_per_s),
            entries: BTreeMap::new(),
            queues: BTreeMap::new(),
            expiries: BTreeSet::new(),
            gossip: BTreeSet::new(),
            bytes: 0,
            arrivals: 0,
            last_served: None,
        }
    }

    /// The members agreed on another quota, or on the same.
    pub fn set_quota(&mut self, work_per_s: u64) {
        self.quotas.set(work_per_s);
    }

    /// Transactions in the pool.
    pub fn length(&self) -> usize {
        self.entries.len()
    }

    /// Their encoded size in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A transaction of the pool.
    pub fn get(&self, id: TransactionId) -> Option<&CheckedTransaction> {
        self.entries.get(&id).map(|entry| &entry.transaction)
    }

    /// Whether another transaction of `owner` may come in now.
    ///
    /// # Errors
    /// The bound it would break.
    pub fn admits(&self, owner: &InstitutionId, now: LedgerTime) -> Result<(), PoolError> {
        self.check_bounds(owner, 0)?;
        let quota = self.quotas.work_per_s();
        let waiting = self.queues.get(owner).map_or(0, |queue| queue.work);
        let has_enough = waiting >= quota.saturating_mul(limits::QUOTA_WAITING_SECONDS_MAX);
        if has_enough && self.somebody_is_at_work(now) {
            return Err(PoolError::OverQuota { institution: owner.clone(), quota });
        }
        Ok(())
    }

    /// Whether one that has something waiting is within its quota.
    fn is_within(&self, owner: &InstitutionId, queue: &Queue, now: LedgerTime) -> bool {
        self.quotas.credit(owner, now) >= quota::cost(queue.work)
    }

    /// Whether somebody within its quota is at work: it has something waiting, or had something in a block lately.
    fn somebody_is_at_work(&self, now: LedgerTime) -> bool {
        self.queues.iter().any(|(owner, queue)| self.is_within(owner, queue, now))
            || self.quotas.at_work(now).any(|owner| !self.queues.contains_key(owner))
    }

    /// Whether there is enough for a block now: anything, but not what is beyond a quota while others are at work.
    pub fn is_ready(&self, now: LedgerTime) -> bool {
        let is_ready = |(owner, queue): (&InstitutionId, &Queue)| {
            self.is_within(owner, queue, now) || self.quotas.credit(owner, now) >= self.quotas.block_part()
        };
        !self.queues.is_empty() && (self.queues.iter().any(is_ready) || !self.somebody_is_at_work(now))
    }

    /// A block of this time carries so much work of an institution.
    pub fn charge(&mut self, institution: &InstitutionId, work: u64, time: LedgerTime) {
        self.quotas.charge(institution, work, time);
    }

    /// Adds a transaction for `owner` that is expected to cost so much work; one that is in the pool already stays as it is. With `gossip_at_ms` it is one
    /// of this node's own callers, to be sent to the peers again at that time.
    ///
    /// # Errors
    /// The bound of transactions or bytes that it would break; nothing has changed then.
    pub fn insert(
        &mut self,
        transaction: CheckedTransaction,
        owner: InstitutionId,
        work: u64,
        gossip_at_ms: Option<u64>,
    ) -> Result<(), PoolError> {
        let id = transaction.id();
        if self.entries.contains_key(&id) {
            return Ok(());
        }
        let length = transaction.encoded().len();
        self.check_bounds(&owner, length)?;
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.bytes += length;
        self.expiries.insert((transaction.body().expires, id));
        self.gossip.extend(gossip_at_ms.map(|at| (at, id)));
        let queue = self.queues.entry(owner.clone()).or_default();
        queue.order.insert(arrival, id);
        queue.bytes += length;
        queue.work += work;
        self.entries.insert(id, Entry { transaction, owner, work, arrival, gossip_at_ms });
        Ok(())
    }

    fn check_bounds(&self, owner: &InstitutionId, length: usize) -> Result<(), PoolError> {
        let bounds = &self.bounds;
        if self.entries.len() >= bounds.transactions {
            return Err(PoolError::Full { bound: bounds.transactions });
        }
        if self.bytes + length > bounds.bytes {
            return Err(PoolError::FullBytes { bound: bounds.bytes });
        }
        let (count, bytes) = self.queues.get(owner).map_or((0, 0), |queue| (queue.order.len(), queue.bytes));
        let institution = || owner.clone();
        if count >= bounds.institution_transactions {
            let bound = bounds.institution_transactions;
            return Err(PoolError::InstitutionFull { institution: institution(), bound });
        }
        if bytes + length > bounds.institution_bytes {
            let bound = bounds.institution_bytes;
            return Err(PoolError::InstitutionFullBytes { institution: institution(), bound });
        }
        Ok(())
    }

    /// As many transactions as a block of `time` has room for, one of each institution by turns, each institution's in the
    /// order of arrival. While somebody within its quota is at work, those beyond have a small part of the block for the
    /// credit they have left. They stay in the pool until they are committed or discarded.
    pub fn take(&mut self, mut room: BlockRoom, time: LedgerTime) -> Vec<CheckedTransaction> {
        let mut taken = Vec::new();
        let mut last = None;
        let somebody_is_at_work = self.somebody_is_at_work(time);
        let with_share = |(owner, queue, ids)| {
            if !somebody_is_at_work || self.is_within(owner, queue, time) {
                return (owner, ids, Credit::MAX);
            }
            (owner, ids, self.quotas.credit(owner, time).min(self.quotas.block_part()))
        };
        let mut turns: VecDeque<_> = self.turns().into_iter().map(with_share).collect();
        while let Some((owner, mut ids, share)) = turns.pop_front() {
            if share <= 0 {
                continue;
            }
            let Some(entry) = ids.next().and_then(|id| self.entries.get(id)) else { continue };
            // What does not fit waits, and what stands behind it too: order within an institution is kept.
            let Some(left) = after(room, entry) else { continue };
            room = left;
            taken.push(entry.transaction.clone());
            last = Some(owner.clone());
            let share = share.saturating_sub(quota::cost(entry.work));
            turns.push_back((owner, ids, share));
        }
        drop(turns);
        self.last_served = last.or_else(|| self.last_served.take());
        taken
    }

    /// The institutions' queues, beginning behind the one that was served last.
    fn turns(&self) -> VecDeque<(&InstitutionId, &Queue, impl Iterator<Item = &TransactionId>)> {
        let mut turns: VecDeque<_> =
            self.queues.iter().map(|(owner, queue)| (owner, queue, queue.order.values())).collect();
        let served = |last: &InstitutionId| self.queues.range(..=last.clone()).count();
        turns.rotate_left(self.last_served.as_ref().map_or(0, served) % turns.len().max(1));
        turns
    }

    /// Removes transactions; ids that are not in the pool are passed over.
    pub fn remove<'a>(&mut self, ids: impl IntoIterator<Item = &'a TransactionId>) {
        for id in ids {
            let Some(entry) = self.entries.remove(id) else { continue };
            let length = entry.transaction.encoded().len();
            self.bytes -= length;
            self.expiries.remove(&(entry.transaction.body().expires, *id));
            if let Some(at) = entry.gossip_at_ms {
                self.gossip.remove(&(at, *id));
            }
            let queue = self.queues.get_mut(&entry.owner).expect("every entry stands in its owner's queue");
            queue.order.remove(&entry.arrival);
            queue.bytes -= length;
            queue.work -= entry.work;
            if queue.order.is_empty() {
                self.queues.remove(&entry.owner);
            }
        }
    }

    /// Removes what no block of `time` or later may carry; returns how many that were.
    pub fn expire(&mut self, time: LedgerTime) -> usize {
        let expired: Vec<TransactionId> =
            self.expiries.iter().take_while(|(expires, _)| *expires <= time).map(|(_, id)| *id).collect();
        self.remove(&expired);
        self.quotas.forget_idle(time);
        expired.len()
    }

    /// Makes a transaction that came from a peer, and was then submitted here, too, one of this node's own callers': who
    /// gave it to the peer may have lost it since.
    pub fn adopt(&mut self, id: TransactionId, gossip_at_ms: u64) {
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.gossip_at_ms.is_none()) else {
            return;
        };
        entry.gossip_at_ms = Some(gossip_at_ms);
        self.gossip.insert((gossip_at_ms, id));
    }

    /// All that waits, the oldest first, up to `bytes`.
    pub fn oldest(&self, bytes: usize) -> Vec<CheckedTransaction> {
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        entries.sort_unstable_by_key(|entry| entry.arrival);
        let mut together = 0;
        let fits = |entry: &&Entry| {
            together += entry.transaction.encoded().len();
            together <= bytes
        };
        entries.into_iter().take_while(fits).map(|entry| entry.transaction.clone()).collect()
    }

    /// Transactions of this node's own callers that are due to be sent to the peers again, together at most `bytes`;
    /// each is due again `repeat_ms` later.
    pub fn due_for_gossip(&mut self, now_ms: u64, repeat_ms: u64, bytes: usize) -> Vec<CheckedTransaction> {
        let mut room = bytes;
        let mut due = Vec::new();
        let next = now_ms.saturating_add(repeat_ms.max(1));
        while let Some(&(at, id)) = self.gossip.first().filter(|(at, _)| *at <= now_ms) {
            let entry = self.entries.get_mut(&id).expect("what is gossiped is in the pool");
            let Some(left) = room.checked_sub(entry.transaction.encoded().len()) else { break };
            room = left;
            entry.gossip_at_ms = Some(next);
            due.push(entry.transaction.clone());
            self.gossip.remove(&(at, id));
            self.gossip.insert((next, id));
        }
        due
    }
}
