//! The bounded queue between whoever brings transactions and the threads that verify them in batches.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits;

/// Something that waits, with how many transactions it has.
#[derive(Debug)]
pub(super) struct Job<T> {
    pub work: T,
    pub transactions: usize,
}

#[derive(Debug)]
struct State<T> {
    jobs: VecDeque<Job<T>>,
    transactions: usize,
    /// Whether the last batch had more than one job: only then is there load that is worth waiting for.
    loaded: bool,
    stopped: bool,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T> Queue<T> {
    pub fn new() -> Self {
        let state = State { jobs: VecDeque::new(), transactions: 0, loaded: false, stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing is done under the lock that can leave the queue half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job; gives it back when the queue is full or stopped.
    pub fn push(&self, job: Job<T>) -> Result<(), Job<T>> {
        let mut state = self.lock();
        if state.stopped || state.jobs.len() >= limits::VERIFY_QUEUE_MAX {
            return Err(job);
        }
        state.transactions += job.transactions;
        state.jobs.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for work and takes a batch: what waits, up to [`limits::VERIFY_BATCH_MAX`] transactions. Under load it
    /// waits a moment for the batch to grow. `None` when the queue was stopped.
    pub fn gather(&self) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.jobs.is_empty() && !state.stopped {
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
        let mut count = 0;
        while let Some(job) = state.jobs.front() {
            if count + job.transactions > limits::VERIFY_BATCH_MAX && !batch.is_empty() {
                break;
            }
            let job = state.jobs.pop_front()?;
            count += job.transactions;
            state.transactions -= job.transactions;
            batch.push(job.work);
        }
        state.loaded = batch.len() > 1;
        Some(batch)
    }

    /// Ends the workers; what waits is dropped.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.jobs.clear();
        drop(state);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_takes_what_fits_and_the_queue_refuses_what_does_not() {
        let queue = Queue::new();
        for number in 0..3 {
            queue.push(Job { work: number, transactions: limits::VERIFY_BATCH_MAX / 2 }).unwrap();
        }
        assert_eq!(queue.gather(), Some(vec![0, 1]));
        assert_eq!(queue.gather(), Some(vec![2]));
        for number in 0..limits::VERIFY_QUEUE_MAX {
            queue.push(Job { work: number, transactions: 1 }).unwrap();
        }
        let refused = queue.push(Job { work: 7_777, transactions: 1 }).unwrap_err();
        assert_eq!(refused.work, 7_777);
        queue.stop();
        assert_eq!(queue.gather(), None);
        assert!(queue.push(Job { work: 1, transactions: 1 }).is_err());
    }
}
