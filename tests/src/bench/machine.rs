//! What this machine is and can do at all: cores, load, signatures verified per second, the state tree on its disk.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use yilian_node::storage::measure::measure_state_tree as measure_tree;
use yilian_spec::crypto::signature::Workload;

use super::plan::Plan;
use crate::cluster::VALIDATORS;

/// How long each way of verifying is measured.
const MEASURE_FOR: Duration = Duration::from_secs(1);
/// Keys in a block of the state tree's measurement.
const KEYS_PER_BLOCK: u64 = 1_000;

/// The machine when the benchmark started.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Machine {
    /// Cores that this program may use.
    pub cores: usize,
    /// Processes that wanted to run, on average over the last minute. Figures of a busy machine are too low.
    pub load_average_at_start: f64,
}

impl Machine {
    /// Looks.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn look() -> Result<Self> {
        let text = std::fs::read_to_string("/proc/loadavg").context("there is no /proc/loadavg")?;
        let load = text.split_whitespace().next().and_then(|first| first.parse().ok());
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            load_average_at_start: load.context("/proc/loadavg has another form")?,
        })
    }
}

/// Signatures verified per second on one core.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Verification {
    /// One by one.
    pub single_per_second: f64,
    /// In one batch, by as many keys as the load uses.
    pub batched_per_second: f64,
}

/// Measures verification, by as many keys as the load has gateways.
pub fn measure_verification(plan: &Plan) -> Verification {
    let workload = Workload::new(plan.signatures, plan.gateways * VALIDATORS.len());
    Verification {
        single_per_second: per_second(|| workload.verify_singly()),
        batched_per_second: per_second(|| workload.verify_batched()),
    }
}

/// How many of what `work` counts are done in a second.
fn per_second(work: impl Fn() -> usize) -> f64 {
    let began = Instant::now();
    let mut done = work();
    while began.elapsed() < MEASURE_FOR {
        done += work();
    }
    done as f64 / began.elapsed().as_secs_f64()
}

/// Microseconds per changed key of the state tree, with the rows written to a database on this disk.
///
/// # Errors
/// When the database cannot be made.
pub fn measure_state_tree(plan: &Plan) -> Result<f64> {
    let directory = tempfile::Builder::new().prefix("yilian-bench-tree-").tempdir()?;
    let (keys, blocks) = plan.state_tree;
    Ok(measure_tree(&directory.path().join("tree"), keys, KEYS_PER_BLOCK, blocks)?)
}
