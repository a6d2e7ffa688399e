//! What the load costs the nodes: CPU time by stage, memory, and bytes on disk.
//!
//! The process's whole CPU time comes from the operating system, the stages from the node's own counters in `/metrics`;
//! the difference is consensus, network, API and the database's background threads.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cluster::Cluster;

/// Clock ticks per second of `/proc/PID/stat`, a constant of Linux's interface to programs.
const TICKS_PER_SECOND: f64 = 100.0;
/// The stages that the node counts, in the order of [`StageTimes`].
const STAGES: [&str; 4] = ["verification", "execution", "state_root", "storage"];

/// Readings of all nodes at one moment.
#[derive(Debug, Clone)]
pub struct Meter(Vec<Reading>);

#[derive(Debug, Clone)]
struct Reading {
    process_id: u32,
    cpu_seconds: f64,
    stage_seconds: [f64; 4],
    memory_bytes: u64,
    disk_bytes: u64,
}

/// CPU time in microseconds per transaction and node.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StageTimes {
    /// Decoding, structure and signatures.
    pub verification: f64,
    /// Contextual checks and the state machine.
    pub execution: f64,
    /// The state tree.
    pub state_root: f64,
    /// Encoding and writing a block's rows.
    pub storage: f64,
    /// Consensus, network, API, and the database's background threads.
    pub other: f64,
    /// All of them.
    pub total: f64,
}

/// What a run costs a node, on average over the nodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// CPU time per transaction.
    pub cpu_us: StageTimes,
    /// Growth of the ledger's directory per transaction, in bytes.
    pub disk_bytes: f64,
    /// Resident memory of the largest node at the end, in MiB.
    pub memory_mib: f64,
}

impl Meter {
    /// Reads all meters of these nodes.
    ///
    /// # Errors
    /// When one cannot be read.
    pub async fn read(cluster: &Cluster, nodes: &[usize]) -> Result<Self> {
        let mut readings = Vec::new();
        for node in nodes {
            let process_id =
                cluster.process_id(*node).with_context(|| format!("node {node} does not run"))?;
            let metrics = metrics(&cluster.url(*node)).await?;
            let mut stage_seconds = [0.0; 4];
            for (seconds, stage) in stage_seconds.iter_mut().zip(STAGES) {
                *seconds = stage_value(&metrics, stage)
                    .with_context(|| format!("node {node} does not count the CPU time of stage {stage}"))?;
            }
            readings.push(Reading {
                process_id,
                cpu_seconds: cpu_seconds(process_id)?,
                stage_seconds,
                memory_bytes: memory_bytes(process_id)?,
                disk_bytes: directory_bytes(&cluster.ledger_directory(*node)?)?,
            });
        }
        Ok(Self(readings))
    }
}

impl Cost {
    /// What `transactions` cost between two readings; `None` when a node restarted meanwhile.
    pub fn between(before: &Meter, after: &Meter, transactions: usize) -> Option<Self> {
        let pairs: Vec<(&Reading, &Reading)> = before.0.iter().zip(&after.0).collect();
        if pairs.iter().any(|(before, after)| before.process_id != after.process_id) {
            return None;
        }
        let shared = (transactions * pairs.len()).max(1) as f64;
        let per_transaction_us = |seconds: f64| seconds * 1e6 / shared;
        let sum = |of: &dyn Fn(&Reading) -> f64| {
            pairs.iter().map(|(before, after)| of(after) - of(before)).sum::<f64>()
        };
        let total = per_transaction_us(sum(&|reading| reading.cpu_seconds));
        let stage = |index: usize| per_transaction_us(sum(&|reading| reading.stage_seconds[index]));
        let [verification, execution, state_root, storage] = [stage(0), stage(1), stage(2), stage(3)];
        let other = (total - verification - execution - state_root - storage).max(0.0);
        let memory = after.0.iter().map(|reading| reading.memory_bytes).max().unwrap_or(0);
        Some(Self {
            cpu_us: StageTimes { verification, execution, state_root, storage, other, total },
            disk_bytes: sum(&|reading| reading.disk_bytes as f64) / shared,
            memory_mib: memory as f64 / f64::from(1 << 20),
        })
    }
}

/// The greatest resident memory that any of these nodes has had so far, in bytes.
///
/// # Errors
/// When one does not run, or the system does not say.
pub fn memory_peak_bytes(cluster: &Cluster, nodes: &[usize]) -> Result<u64> {
    let peaks = nodes.iter().map(|node| {
        let process_id = cluster.process_id(*node).with_context(|| format!("node {node} does not run"))?;
        status_bytes(process_id, "VmHWM:")
    });
    peaks.collect::<Result<Vec<u64>>>()?.into_iter().max().context("of no node there is no memory")
}

/// CPU time of these nodes' processes together, in seconds.
///
/// # Errors
/// When one does not run, or the system does not say.
pub fn cpu_seconds_of(cluster: &Cluster, nodes: &[usize]) -> Result<f64> {
    let of = |node: &usize| {
        let process_id = cluster.process_id(*node).with_context(|| format!("node {node} does not run"))?;
        cpu_seconds(process_id)
    };
    nodes.iter().map(of).sum()
}

/// Transactions that wait in a node's mempool, as it says.
///
/// # Errors
/// When it does not say.
pub async fn waiting_transactions(url: &str) -> Result<u64> {
    let metrics = metrics(url).await?;
    let line = metrics.lines().find_map(|line| line.strip_prefix("yilian_mempool_transactions "));
    let waiting: Option<f64> = line.and_then(|line| line.trim().parse().ok());
    // A count, written as a float.
    waiting.map(|count| count as u64).context("the node does not count the transactions that wait")
}

async fn metrics(url: &str) -> Result<String> {
    let response = reqwest::get(format!("{url}/metrics")).await.context("the node gives no metrics")?;
    Ok(response.text().await?)
}

/// The value of a line such as `yilian_stage_cpu_seconds_total{stage="storage"} 1.5`.
fn stage_value(metrics: &str, stage: &str) -> Option<f64> {
    let name = format!("yilian_stage_cpu_seconds_total{{stage=\"{stage}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse().ok())
}

/// CPU time of a process, all threads, in seconds.
///
/// # Errors
/// When the system does not say.
pub fn cpu_seconds(process_id: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process_id}/stat"))?;
    ticks(&text).map(|ticks| ticks as f64 / TICKS_PER_SECOND).context("/proc/PID/stat has another form")
}

/// User and system time in ticks. The program's name, in parentheses, may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Resident memory of a process in bytes.
///
/// # Errors
/// When the system does not say.
pub fn memory_bytes(process_id: u32) -> Result<u64> {
    status_bytes(process_id, "VmRSS:")
}

fn status_bytes(process_id: u32, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process_id}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib: Option<u64> = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    Ok(kib.context("/proc/PID/status has another form")? << 10)
}

/// Bytes of all files below a directory. One that goes while it is read counts nothing.
fn directory_bytes(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let Ok(metadata) = entry.as_ref().map_err(drop).and_then(|entry| entry.metadata().map_err(drop))
        else {
            continue;
        };
        bytes += if metadata.is_dir() { directory_bytes(&entry?.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 700 30 0 0";
        assert_eq!(ticks(stat), Some(730));
        assert_eq!(ticks("42 (a) S 1"), None);
        assert!(cpu_seconds(std::process::id()).unwrap() >= 0.0);
    }

    #[test]
    fn a_stage_is_read_from_the_metrics_by_its_label() {
        let text = "# TYPE x\nyilian_stage_cpu_seconds_total{stage=\"storage\"} 1.5\n";
        assert_eq!(stage_value(text, "storage"), Some(1.5));
        assert_eq!(stage_value(text, "execution"), None);
    }

    #[test]
    fn costs_are_shared_by_nodes_and_transactions() {
        let reading = |cpu_seconds, disk_bytes| Reading {
            process_id: 1,
            cpu_seconds,
            stage_seconds: [cpu_seconds / 4.0, 0.0, 0.0, 0.0],
            memory_bytes: 2 << 20,
            disk_bytes,
        };
        let before = Meter(vec![reading(0.0, 0), reading(0.0, 0)]);
        let after = Meter(vec![reading(1.0, 1_000), reading(3.0, 3_000)]);
        let cost = Cost::between(&before, &after, 1_000).unwrap();
        assert_eq!(
            (cost.cpu_us.total, cost.cpu_us.verification, cost.cpu_us.other),
            (2_000.0, 500.0, 1_500.0)
        );
        assert_eq!((cost.disk_bytes, cost.memory_mib), (2.0, 2.0));
        let mut restarted = after.clone();
        restarted.0[0].process_id = 2;
        assert_eq!(Cost::between(&before, &restarted, 1_000), None);
    }
}
