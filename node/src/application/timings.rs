//! Where the time goes: counters that only grow, one pair per stage, for metrics and benchmarks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A stage in a transaction's life on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Decoding, structure and signatures, in the mempool and of blocks.
    Verification,
    /// Contextual checks and the state machine.
    Execution,
    /// The state tree: reading buckets and hashing.
    StateRoot,
    /// Encoding a block's rows and writing them, until they have reached the disk.
    Storage,
}

impl Stage {
    /// All stages.
    pub const ALL: [Self; 4] = [Self::Verification, Self::Execution, Self::StateRoot, Self::Storage];

    /// The stage's name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verification => "verification",
            Self::Execution => "execution",
            Self::StateRoot => "state_root",
            Self::Storage => "storage",
        }
    }
}

/// What one stage has taken since the node started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// CPU time of the thread that worked (not of the database's background threads), in nanoseconds.
    pub cpu_ns: u64,
    /// Wall time, with waiting for the disk, in nanoseconds.
    pub wall_ns: u64,
}

/// The counters. Shared by the writer, the mempool's workers, and whoever reads.
#[derive(Debug, Default)]
pub struct Timings {
    cpu_ns: [AtomicU64; 4],
    wall_ns: [AtomicU64; 4],
}

impl Timings {
    /// Runs `work` and counts its time.
    pub fn measure<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let (cpu, wall) = (thread_cpu(), Instant::now());
        let result = work();
        self.add(stage, thread_cpu().saturating_sub(cpu), wall.elapsed());
        result
    }

    /// Adds time that was measured elsewhere.
    pub fn add(&self, stage: Stage, cpu: Duration, wall: Duration) {
        self.cpu_ns[stage as usize].fetch_add(nanoseconds(cpu), Ordering::Relaxed);
        self.wall_ns[stage as usize].fetch_add(nanoseconds(wall), Ordering::Relaxed);
    }

    /// What a stage has taken so far.
    pub fn taken(&self, stage: Stage) -> Taken {
        Taken {
            cpu_ns: self.cpu_ns[stage as usize].load(Ordering::Relaxed),
            wall_ns: self.wall_ns[stage as usize].load(Ordering::Relaxed),
        }
    }
}

/// A stretch of work of which inner stretches are counted by themselves.
pub struct Outer<'a> {
    timings: &'a Timings,
    stage: Stage,
    started: (Duration, Instant),
    /// What the inner stage had taken before.
    inner: (Stage, Taken),
}

impl<'a> Outer<'a> {
    /// Starts to count for `stage`, leaving out what is counted for `inner` meanwhile.
    pub fn start(timings: &'a Timings, stage: Stage, inner: Stage) -> Self {
        let started = (thread_cpu(), Instant::now());
        Self { timings, stage, started, inner: (inner, timings.taken(inner)) }
    }

    /// Counts. Only one thread may work on the inner stage.
    pub fn finish(self) {
        let (inner, before) = self.inner;
        let after = self.timings.taken(inner);
        let cpu = thread_cpu()
            .saturating_sub(self.started.0)
            .saturating_sub(Duration::from_nanos(after.cpu_ns - before.cpu_ns));
        let wall =
            self.started.1.elapsed().saturating_sub(Duration::from_nanos(after.wall_ns - before.wall_ns));
        self.timings.add(self.stage, cpu, wall);
    }
}

/// CPU time of this thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0));
    Duration::new(seconds, nanoseconds)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_only_grow_and_an_inner_stage_is_counted_once() {
        let timings = Timings::default();
        let outer = Outer::start(&timings, Stage::Execution, Stage::StateRoot);
        timings.add(Stage::StateRoot, Duration::from_secs(5), Duration::from_secs(5));
        outer.finish();
        assert_eq!(timings.taken(Stage::StateRoot).cpu_ns, 5_000_000_000);
        assert_eq!(timings.taken(Stage::Execution).cpu_ns, 0, "the inner five seconds are not the outer's");
        timings.measure(Stage::Storage, || std::hint::black_box((0..100_000u64).sum::<u64>()));
        assert!(timings.taken(Stage::Storage).wall_ns > 0);
    }
}
