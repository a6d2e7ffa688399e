//! What `/metrics` says about the ledger, the mempool, the network and the process, read when somebody asks.

use std::sync::Arc;

use tokio::sync::watch;

use crate::application::reader::LedgerReader;
use crate::application::timings::{Stage, Timings};
use crate::conduct::Conduct;
use crate::health::alarm::AlarmKind;
use crate::health::{HealthMonitor, HealthStatus};
use crate::members::{Members, expiry};
use crate::mempool::Mempool;
use crate::metrics::{Reading, Value};
use crate::network::NetworkHandle;

/// Where the readings come from.
pub struct Sources {
    /// The ledger.
    pub reader: LedgerReader,
    /// Transactions that wait.
    pub mempool: Mempool,
    /// The network.
    pub network: NetworkHandle,
    /// Where the time goes.
    pub timings: Arc<Timings>,
    /// The node's health.
    pub health: Arc<HealthMonitor>,
    /// What peers do.
    pub conduct: Conduct,
    /// Who is a member, and whose keys expire.
    pub members: watch::Receiver<Arc<Members>>,
    /// Compares the clocks.
    pub clocks: Box<dyn Fn() -> Vec<Reading> + Send + Sync>,
}

impl Sources {
    /// All readings; those of one name stand together.
    pub fn read(&self) -> Vec<Reading> {
        let mut readings = self.ledger();
        readings.extend(self.mempool());
        readings.extend(self.stages());
        readings.extend(self.health());
        readings.extend(self.conduct.readings());
        readings.extend(expiry::readings(&Arc::clone(&self.members.borrow())));
        readings.extend((self.clocks)());
        readings.extend(process());
        readings
    }

    fn ledger(&self) -> Vec<Reading> {
        let published = self.reader.tip();
        let tip = &published.tip;
        let mut readings = vec![
            gauge("ledger_height", "Height of the last committed block", tip.height.0 as f64),
            counter("ledger_transactions", "Transactions on the ledger", tip.log.length() as f64),
            gauge(
                "ledger_block_time_seconds",
                "Time of the last block, since 1970",
                tip.time.0 as f64 / 1_000.0,
            ),
        ];
        match self.reader.store().disk().bytes() {
            Ok(bytes) => readings.push(gauge("storage_bytes", "Bytes of the database's files", bytes as f64)),
            Err(error) => tracing::warn!(%error, "the database's size could not be read"),
        }
        readings
    }

    fn mempool(&self) -> Vec<Reading> {
        let pool = self.mempool.statistics();
        vec![
            gauge("mempool_transactions", "Transactions that wait for a block", pool.transactions as f64),
            gauge("mempool_bytes", "Their encoded size in bytes", pool.bytes as f64),
            counter("mempool_accepted", "Transactions accepted", pool.accepted as f64),
            counter("mempool_repeated", "Transactions that were known already", pool.repeated as f64),
            counter("mempool_rejected", "Transactions rejected", pool.rejected as f64),
            counter(
                "gossip_dropped_batches",
                "Batches with no room towards the peers",
                pool.gossip_dropped as f64,
            ),
            counter(
                "gossip_invalid",
                "Transactions of peers that did not verify",
                pool.gossip_invalid as f64,
            ),
            counter(
                "network_dropped_frames",
                "Frames not sent because a peer's backlog was full",
                self.network.dropped_frames() as f64,
            ),
        ]
    }

    fn stages(&self) -> Vec<Reading> {
        let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
        let cpu = Stage::ALL.map(|stage| Reading {
            labels: vec![("stage", stage.name().to_owned())],
            ..counter(
                "stage_cpu_seconds",
                "CPU time of a stage's own threads",
                seconds(self.timings.taken(stage).cpu_ns),
            )
        });
        let wall = Stage::ALL.map(|stage| Reading {
            labels: vec![("stage", stage.name().to_owned())],
            ..counter(
                "stage_seconds",
                "Time of a stage with its waiting",
                seconds(self.timings.taken(stage).wall_ns),
            )
        });
        cpu.into_iter().chain(wall).collect()
    }

    fn health(&self) -> Vec<Reading> {
        let report = self.health.report();
        let status = HealthStatus::ALL.map(|status| Reading {
            labels: vec![("status", status.name().to_owned())],
            ..gauge(
                "health",
                "1 for the status that the node is in",
                f64::from(u8::from(status == report.status)),
            )
        });
        let mut readings: Vec<Reading> = status.into_iter().collect();
        let alarms = AlarmKind::ALL.map(|kind| {
            let count = report.alarms.iter().filter(|alarm| alarm.kind == kind).count();
            Reading {
                labels: vec![("kind", kind.name().to_owned())],
                ..gauge("alarms", "What an operator should know and do something about", count as f64)
            }
        });
        readings.extend(alarms);
        let missing = report.missing.iter().map(|missing| Reading {
            labels: vec![("institution", missing.institution.clone())],
            ..gauge(
                "validator_missing_since_seconds",
                "Since when no node of a validator is connected, since 1970",
                missing.since_ms as f64 / 1_000.0,
            )
        });
        readings.extend(missing);
        readings.push(gauge("peers", "Members connected", report.peers as f64));
        readings.push(gauge(
            "behind_by_blocks",
            "Blocks that peers have and this node lacks",
            report.behind_by as f64,
        ));
        readings.push(gauge(
            "disk_free_bytes",
            "Free space on the ledger's disk when it was last measured",
            self.health.disk_free_bytes() as f64,
        ));
        readings
    }
}

fn gauge(name: &'static str, help: &'static str, value: f64) -> Reading {
    Reading { name, help, labels: Vec::new(), value: Value::Gauge(value) }
}

fn counter(name: &'static str, help: &'static str, value: f64) -> Reading {
    Reading { name, help, labels: Vec::new(), value: Value::Counter(value) }
}

/// Memory and CPU time of this process, where the system tells.
fn process() -> Vec<Reading> {
    let mut readings = Vec::new();
    if let Some(bytes) = resident_bytes() {
        readings.push(gauge("process_resident_memory_bytes", "Resident memory of the node", bytes as f64));
    }
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    readings.push(counter("process_cpu_seconds", "CPU time of the node, of all its threads", seconds));
    readings
}

fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(rustix::param::page_size() as u64))
}
