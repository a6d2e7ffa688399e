//! The mempool: transactions on their way into a block, verified once, bounded per institution, shared with the peers.
//!
//! ```text
//! callers ── submit ──┐                                    ┌── gossip batches to the peers
//!                     ├── queue ── workers: verify, check ─┤
//! peers ─── gossip ───┘            (one batch for all)     └── pool ── take ── blocks ── committed ── waiting callers
//! ```
//!
//! [`Mempool::submit`] answers once a transaction stands in the pool; that it is final is told by [`Mempool::wait`].
//! The pool lives in memory: what a node had accepted but no block carried is lost with the node, unless a peer has it,
//! so a caller repeats until the transaction is committed (a repeat is recognised and changes nothing).

mod admit;
mod peers;
pub mod pool;
mod queue;
mod quota;
mod source;
#[cfg(test)]
mod tests;
mod waiters;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use libp2p::PeerId;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{InstitutionId, TransactionId};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::base::version::UnknownVersion;
use yilian_spec::ledger::transaction::{CheckedTransaction, Transaction};
use yilian_spec::ledger::validation::contextual::ContextualError;
use yilian_spec::ledger::validation::semantic::SemanticError;
use yilian_spec::state::ViewError;

use crate::application::reader::LedgerReader;
use crate::application::timings::Timings;
use crate::base::clock::Clock;
use crate::base::limits;
use crate::conduct::{Conduct, Offence};
use crate::storage::StorageError;
use admit::Work;
pub use peers::GossipOutcome;
use peers::{Peers, Sender};
use pool::{Pool, PoolBounds, PoolError};
use queue::{Job, Queue, QueueError, Source};
pub use waiters::Committed;
use waiters::Waiters;

/// What became of a transaction that may stand in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It stands in the pool now.
    Accepted,
    /// It stood there already.
    Pending,
    /// The ledger holds it already: the first outcome counts.
    Committed {
        /// Its block's height.
        height: Height,
        /// Its place in the block.
        index: u32,
    },
}

/// Why a transaction does not enter the pool.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// It is not valid on any state.
    #[error(transparent)]
    Semantic(SemanticError),
    /// It is not valid now.
    #[error(transparent)]
    Contextual(ContextualError),
    /// There is no room.
    #[error(transparent)]
    Pool(PoolError),
    /// The node is too old for the next block.
    #[error(transparent)]
    Version(UnknownVersion),
    /// The ledger cannot be read.
    #[error(transparent)]
    Storage(#[from] ViewError),
}

/// The answer for one transaction.
pub type Verdict = Result<Admission, Rejection>;

/// Why a submission as a whole is refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum SubmitError {
    /// Too many at once.
    #[error(
        "{count} transactions in one submission, at most {} are taken: split it",
        limits::SUBMISSION_TRANSACTIONS_MAX
    )]
    TooMany {
        /// How many there were.
        count: usize,
    },
    /// Too much waits to be verified.
    #[error(
        "{} submissions wait to be verified, the bound: submit again in a moment",
        limits::VERIFY_QUEUE_MAX
    )]
    Busy,
    /// Too much of the caller's institution waits to be verified.
    #[error(
        "{institution} has {} transactions waiting to be verified, the bound: submit again in a moment",
        limits::VERIFY_QUEUE_SOURCE_MAX
    )]
    InstitutionBusy {
        /// The institution.
        institution: InstitutionId,
    },
    /// The node is stopping.
    #[error("the node is stopping: submit to another one")]
    Stopped,
}

/// What a caller that waited is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitOutcome {
    /// It is final.
    Committed(Committed),
    /// It waits for a block.
    Pending,
    /// This node knows nothing of it.
    Unknown,
}

/// Why nobody can wait.
#[derive(Debug, Error)]
pub enum WaitError {
    /// Too many wait.
    #[error("{} callers wait already, the bound: ask again later instead of waiting", limits::WAITERS_MAX)]
    TooMany,
    /// The ledger cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What the mempool has done since the start, and what it holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MempoolStatistics {
    /// Transactions that wait.
    pub transactions: usize,
    /// Their encoded size in bytes.
    pub bytes: usize,
    /// Transactions accepted.
    pub accepted: u64,
    /// Transactions that were known already.
    pub repeated: u64,
    /// Transactions rejected.
    pub rejected: u64,
    /// Batches that the queue to the peers had no room for.
    pub gossip_dropped: u64,
    /// Transactions of peers that did not verify.
    pub gossip_invalid: u64,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    repeated: AtomicU64,
    rejected: AtomicU64,
    gossip_dropped: AtomicU64,
    gossip_invalid: AtomicU64,
}

impl Counters {
    fn verdicts(&self, verdicts: &[Verdict]) {
        for verdict in verdicts {
            let counter = match verdict {
                Ok(Admission::Accepted) => &self.accepted,
                Ok(_) => &self.repeated,
                Err(_) => &self.rejected,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn gossip_invalid(&self, count: u32) {
        self.gossip_invalid.fetch_add(u64::from(count), Ordering::Relaxed);
    }
}

struct Shared {
    reader: LedgerReader,
    clock: Arc<dyn Clock>,
    timings: Arc<Timings>,
    /// Locked last, and never while waiting for anything.
    pool: Mutex<Pool>,
    waiters: Mutex<Waiters>,
    peers: Mutex<Peers>,
    /// Whose peers are whose, and where what they do in vain is kept account of; unset where there is no network.
    conduct: OnceLock<Conduct>,
    queue: Queue<Work>,
    outgoing: mpsc::Sender<Bytes>,
    work: watch::Sender<usize>,
    counters: Counters,
}

/// A handle on the mempool; clones are cheap.
#[derive(Clone)]
pub struct Mempool {
    shared: Arc<Shared>,
}

/// Nothing is done under one of these locks that can leave its data half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mempool {
    /// An empty mempool over a ledger. The receiver hands out the batches for the peers.
    pub fn new(
        reader: LedgerReader,
        clock: Arc<dyn Clock>,
        timings: Arc<Timings>,
        bounds: PoolBounds,
    ) -> (Self, mpsc::Receiver<Bytes>) {
        let (outgoing, batches) = mpsc::channel(limits::GOSSIP_QUEUE_MAX);
        let quota_work_per_s = reader.tip().tip.parameters.quota_work_per_s;
        let shared = Shared {
            reader,
            clock,
            timings,
            pool: Mutex::new(Pool::new(bounds, quota_work_per_s)),
            waiters: Mutex::default(),
            peers: Mutex::default(),
            conduct: OnceLock::new(),
            queue: Queue::new(),
            outgoing,
            work: watch::Sender::new(0),
            counters: Counters::default(),
        };
        (Self { shared: Arc::new(shared) }, batches)
    }

    /// From now on peers count as their institutions, and what they send in vain stands in the book of conduct.
    pub fn set_conduct(&self, conduct: Conduct) {
        // A second call would be a mistake of the wiring; the first book stays.
        let _ = self.shared.conduct.set(conduct);
    }

    /// Who a peer counts as.
    fn sender(&self, peer: PeerId) -> Sender {
        let institution = self.shared.conduct.get().and_then(|conduct| conduct.institution(&peer));
        institution.map_or(Sender::Peer(peer), Sender::Institution)
    }

    fn refused(&self, peer: PeerId, offence: Offence, count: u64) {
        if let Some(conduct) = self.shared.conduct.get() {
            conduct.refused_times(peer, offence, count);
        }
    }

    /// Starts the threads that verify; they end after [`Mempool::stop`].
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn_workers(&self, count: usize) -> std::io::Result<Vec<JoinHandle<()>>> {
        let spawn = |number| {
            let mempool = self.clone();
            std::thread::Builder::new().name(format!("verify-{number}")).spawn(move || {
                while let Some(batch) = mempool.shared.queue.gather() {
                    mempool.process(batch);
                }
            })
        };
        (0..count.max(1)).map(spawn).collect()
    }

    /// Ends the workers; what waits to be verified is dropped, and its callers are told.
    pub fn stop(&self) {
        self.shared.queue.stop();
    }

    /// Submits transactions that `caller` has brought and waits until each stands in the pool, or is refused, in the same
    /// order.
    ///
    /// # Errors
    /// When the submission as a whole is refused.
    pub async fn submit(
        &self,
        caller: &InstitutionId,
        transactions: Vec<Transaction>,
    ) -> Result<Vec<Verdict>, SubmitError> {
        let count = transactions.len();
        if count > limits::SUBMISSION_TRANSACTIONS_MAX {
            return Err(SubmitError::TooMany { count });
        }
        let (reply, answer) = oneshot::channel();
        let work = Work::Submitted { transactions, reply };
        let job = Job { source: Source::Institution(caller.clone()), work, transactions: count };
        self.shared.queue.push(job).map_err(|error| match error {
            QueueError::SourceFull => SubmitError::InstitutionBusy { institution: caller.clone() },
            QueueError::Full => SubmitError::Busy,
        })?;
        answer.await.map_err(|_| SubmitError::Stopped)
    }

    /// [`Mempool::submit`] on the caller's thread, without workers: for the simulator and for tests.
    pub fn submit_now(&self, transactions: Vec<Transaction>) -> Vec<Verdict> {
        let local = vec![true; transactions.len()];
        self.admit(transactions, &local)
    }

    /// Takes a batch from a peer.
    pub fn gossip(&self, from: PeerId, bytes: Bytes) -> GossipOutcome {
        let now_ms = self.shared.clock.now_ms();
        let sender = self.sender(from);
        let outcome = self.peers().admit(&sender, now_ms);
        if outcome != GossipOutcome::Queued {
            return outcome;
        }
        // How many it has is only known once it is decoded; an average transaction has a few hundred bytes.
        let transactions = bytes.len() / 512 + 1;
        let job =
            Job { source: Source::Peer(sender.clone()), work: Work::Gossiped { from, bytes }, transactions };
        let Err(error) = self.shared.queue.push(job) else { return GossipOutcome::Queued };
        self.peers().done(&sender, 0, now_ms);
        match error {
            QueueError::SourceFull => GossipOutcome::PeerBusy,
            QueueError::Full => GossipOutcome::NodeBusy,
        }
    }

    /// [`Mempool::gossip`] on the caller's thread, without workers.
    pub fn gossip_now(&self, from: PeerId, bytes: Bytes) -> GossipOutcome {
        let outcome = self.peers().admit(&self.sender(from), self.shared.clock.now_ms());
        if outcome == GossipOutcome::Queued {
            self.process(vec![Work::Gossiped { from, bytes }]);
        }
        outcome
    }

    /// Waits until a transaction is committed, at most `timeout`.
    ///
    /// # Errors
    /// When too many wait, or the ledger cannot be read.
    pub async fn wait(&self, id: TransactionId, timeout: Duration) -> Result<WaitOutcome, WaitError> {
        // First wait, then look: a block in between is not missed.
        let (number, receiver) = lock(&self.shared.waiters).register(id).ok_or(WaitError::TooMany)?;
        let _registration = Registration { mempool: self, id, number };
        if let Some(committed) = self.committed_already(id)? {
            return Ok(WaitOutcome::Committed(committed));
        }
        if let Ok(Ok(committed)) = tokio::time::timeout(timeout, receiver).await {
            return Ok(WaitOutcome::Committed(committed));
        }
        let waits = self.pool().get(id).is_some();
        Ok(if waits { WaitOutcome::Pending } else { WaitOutcome::Unknown })
    }

    fn committed_already(&self, id: TransactionId) -> Result<Option<Committed>, StorageError> {
        let Some((height, index)) = self.shared.reader.location(id)? else {
            return Ok(None);
        };
        let receipt = self.shared.reader.receipt((height, index))?;
        let receipt = receipt.ok_or_else(|| {
            let reason = format!("transaction {id} is committed at {height}/{index} without a receipt");
            StorageError::contradiction(reason)
        })?;
        Ok(Some(Committed { height, index, receipt }))
    }

    /// To be called about once a second: drops what has expired, and sends what still waits to the peers again.
    pub fn maintain(&self) {
        let now_ms = self.shared.clock.now_ms();
        let mut pool = self.pool();
        pool.expire(LedgerTime(now_ms));
        let due = pool.due_for_gossip(now_ms, limits::GOSSIP_REPEAT_MS, limits::GOSSIP_REPEAT_BYTES_MAX);
        drop(pool);
        self.announce_work();
        self.gossip_out(&due);
    }

    /// What waits, whoever submitted it, in batches for a peer that has connected: it may have missed what was sent before,
    /// and be the next to propose. The oldest, when more waits than [`limits::GOSSIP_REPEAT_BYTES_MAX`].
    pub fn greeting(&self) -> Vec<Bytes> {
        let waiting = self.pool().oldest(limits::GOSSIP_REPEAT_BYTES_MAX);
        batches(&waiting)
    }

    /// Transactions that wait for a block.
    pub fn pending(&self) -> usize {
        self.pool().length()
    }

    /// Tells how many transactions wait, whenever that changes; 0 while all of them wait for their quota.
    pub fn work(&self) -> watch::Receiver<usize> {
        self.shared.work.subscribe()
    }

    /// Figures for metrics.
    pub fn statistics(&self) -> MempoolStatistics {
        let counters = &self.shared.counters;
        let pool = self.pool();
        MempoolStatistics {
            transactions: pool.length(),
            bytes: pool.bytes(),
            accepted: counters.accepted.load(Ordering::Relaxed),
            repeated: counters.repeated.load(Ordering::Relaxed),
            rejected: counters.rejected.load(Ordering::Relaxed),
            gossip_dropped: counters.gossip_dropped.load(Ordering::Relaxed),
            gossip_invalid: counters.gossip_invalid.load(Ordering::Relaxed),
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        lock(&self.shared.pool)
    }

    fn peers(&self) -> MutexGuard<'_, Peers> {
        lock(&self.shared.peers)
    }

    fn announce_work(&self) {
        let now = LedgerTime(self.shared.clock.now_ms());
        let pool = self.pool();
        let pending = if pool.is_ready(now) { pool.length() } else { 0 };
        drop(pool);
        self.shared.work.send_if_modified(|shown| std::mem::replace(shown, pending) != pending);
    }

    /// Hands transactions to the peers' queue in batches. When it is full they stay due and are sent again later.
    fn gossip_out(&self, transactions: &[CheckedTransaction]) {
        for batch in batches(transactions) {
            if self.shared.outgoing.try_send(batch).is_err() {
                self.shared.counters.gossip_dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Transactions as peers send them to each other: lists of at most [`limits::GOSSIP_BATCH_BYTES_MAX`].
fn batches(transactions: &[CheckedTransaction]) -> Vec<Bytes> {
    let mut batches = Vec::new();
    let mut rest = transactions;
    while !rest.is_empty() {
        let mut bytes = size_of::<u64>();
        let fits = |transaction: &&CheckedTransaction| {
            bytes += transaction.encoded().len();
            bytes <= limits::GOSSIP_BATCH_BYTES_MAX
        };
        let (batch, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        let mut encoded = Vec::new();
        codec::append_list(&mut encoded, batch.iter().map(CheckedTransaction::encoded));
        batches.push(Bytes::from(encoded));
        rest = later;
    }
    batches
}

/// Takes a waiting caller away when it goes, however it goes.
struct Registration<'a> {
    mempool: &'a Mempool,
    id: TransactionId,
    number: u64,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        lock(&self.mempool.shared.waiters).remove(self.id, self.number);
    }
}
