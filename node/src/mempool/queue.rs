//! The bounded queue between whoever brings transactions and the threads that verify them in batches.
//!
//! Each source has a queue of its own and they are served by turns, so that what one brings waits for a batch or two,
//! however much another has brought.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use yilian_spec::base::id::InstitutionId;

use super::peers::Sender;
use crate::base::limits;

/// Who brought something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// Callers of this institution.
    Institution(InstitutionId),
    /// A peer.
    Peer(Sender),
}

/// Something that waits, with how many transactions it has.
#[derive(Debug)]
pub(super) struct Job<T> {
    pub source: Source,
    pub work: T,
    pub transactions: usize,
}

/// Why a job cannot wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueueError {
    /// Too much of its source waits.
    SourceFull,
    /// Too much waits in all, or the queue was stopped.
    Full,
}

#[derive(Debug)]
struct State<T> {
    /// Never an empty queue.
    sources: BTreeMap<Source, VecDeque<Job<T>>>,
    jobs: usize,
    transactions: usize,
    /// Whose turn was last.
    served: Option<Source>,
    /// Whether the last batch had more than one job: only then is there load that is worth waiting for.
    loaded: bool,
    stopped: bool,
}

impl<T> State<T> {
    /// The next source by turns.
    fn next_source(&self) -> Option<Source> {
        let behind = self.served.as_ref().and_then(|served| {
            let behind = (std::ops::Bound::Excluded(served), std::ops::Bound::Unbounded);
            self.sources.range(behind).next()
        });
        behind.or_else(|| self.sources.first_key_value()).map(|(source, _)| source.clone())
    }

    /// The next job, unless it has more transactions than `room`.
    fn pop(&mut self, room: usize) -> Option<Job<T>> {
        let source = self.next_source()?;
        let queue = self.sources.get_mut(&source)?;
        if queue.front()?.transactions > room {
            return None;
        }
        let job = queue.pop_front()?;
        if queue.is_empty() {
            self.sources.remove(&source);
        }
        self.jobs -= 1;
        self.transactions -= job.transactions;
        self.served = Some(source);
        Some(job)
    }
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T> Queue<T> {
    pub fn new() -> Self {
        let state = State {
            sources: BTreeMap::new(),
            jobs: 0,
            transactions: 0,
            served: None,
            loaded: false,
            stopped: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing is done under the lock that can leave the queue half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job.
    pub fn push(&self, job: Job<T>) -> Result<(), QueueError> {
        let mut state = self.lock();
        if state.stopped || state.jobs >= limits::VERIFY_QUEUE_MAX {
            return Err(QueueError::Full);
        }
        let waiting = state.sources.get(&job.source);
        let waiting: usize = waiting.into_iter().flatten().map(|job| job.transactions).sum();
        if waiting > 0 && waiting + job.transactions > limits::VERIFY_QUEUE_SOURCE_MAX {
            return Err(QueueError::SourceFull);
        }
        state.jobs += 1;
        state.transactions += job.transactions;
        state.sources.entry(job.source.clone()).or_default().push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for work and takes a batch: what waits, one job of each source by turns, up to [`limits::VERIFY_BATCH_MAX`]
    /// transactions. Under load it waits a moment for the batch to grow. `None` when the queue was stopped.
    pub fn gather(&self) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.jobs == 0 && !state.stopped {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now() + Duration::from_millis(limits::VERIFY_GATHER_MS);
        while state.loaded && !state.stopped && state.transactions < limits::VERIFY_BATCH_MAX {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.stopped {
            return None;
        }
        let mut batch = Vec::new();
        let mut room = limits::VERIFY_BATCH_MAX;
        // One that alone has more than a batch is a batch of its own.
        while let Some(job) = state.pop(if batch.is_empty() { usize::MAX } else { room }) {
            room = room.saturating_sub(job.transactions);
            batch.push(job.work);
        }
        state.loaded = batch.len() > 1;
        Some(batch)
    }

    /// Ends the workers; what waits is dropped.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.sources.clear();
        (state.jobs, state.transactions) = (0, 0);
        drop(state);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(source: &str, work: u32, transactions: usize) -> Job<u32> {
        let source = Source::Institution(InstitutionId::new(source).unwrap());
        Job { source, work, transactions }
    }

    #[test]
    fn a_batch_takes_what_fits_and_the_queue_refuses_what_does_not() {
        let queue = Queue::new();
        for (number, source) in (0..).zip(["one", "three", "two"]) {
            queue.push(job(source, number, limits::VERIFY_BATCH_MAX / 2)).unwrap();
        }
        assert_eq!(queue.gather(), Some(vec![0, 1]));
        assert_eq!(queue.gather(), Some(vec![2]));
        for number in 0..u32::try_from(limits::VERIFY_QUEUE_MAX).unwrap() {
            queue.push(job(&format!("member-{}", number % 7), number, 1)).unwrap();
        }
        assert_eq!(queue.push(job("another", 7_777, 1)), Err(QueueError::Full));
        queue.stop();
        assert_eq!(queue.gather(), None);
        assert_eq!(queue.push(job("one", 1, 1)), Err(QueueError::Full));
    }

    #[test]
    fn sources_are_served_by_turns_and_one_fills_only_its_own_queue() {
        let queue = Queue::new();
        let part = limits::VERIFY_QUEUE_SOURCE_MAX / 8;
        for number in 0..8 {
            queue.push(job("flooder", number, part)).unwrap();
        }
        assert_eq!(queue.push(job("flooder", 8, 1)), Err(QueueError::SourceFull));
        queue.push(job("one", 100, 1)).unwrap();
        queue.push(job("two", 200, 1)).unwrap();
        let first = queue.gather().unwrap();
        assert_eq!(first[..3], [0, 100, 200]);
        assert!(!first.contains(&7), "what else the flooder has waits for the next batch: {first:?}");
    }

    #[test]
    fn a_job_larger_than_the_bound_of_its_source_can_wait_alone() {
        let queue = Queue::new();
        queue.push(job("one", 1, limits::VERIFY_QUEUE_SOURCE_MAX + 1)).unwrap();
        assert_eq!(queue.push(job("one", 2, 1)), Err(QueueError::SourceFull));
        assert_eq!(queue.gather(), Some(vec![1]));
    }
}
