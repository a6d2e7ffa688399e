//! What the demo counts while the day goes on.

use std::time::Duration;

/// Counts and latencies.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub transactions: usize,
    pub operations: usize,
    pub refused: usize,
    latencies: Vec<Duration>,
}

impl Tally {
    pub fn count(&mut self, operations: usize, latency: Duration, applied: bool) {
        self.transactions += 1;
        self.operations += operations;
        self.refused += usize::from(!applied);
        self.latencies.push(latency);
    }

    /// The middle of all times from submission to finality, in milliseconds.
    pub fn latency_p50_ms(&mut self) -> u128 {
        self.latencies.sort();
        self.latencies.get(self.latencies.len() / 2).map_or(0, Duration::as_millis)
    }
}
