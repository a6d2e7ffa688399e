//! Whether the node does its work, and if not, why and what to do about it.
//!
//! One judgement over a few observations, free of I/O; [`HealthMonitor`] gathers them and tells `/health`, `/metrics` and
//! the log. Only a healthy or syncing node that has room on its disk accepts transactions.

pub(crate) mod alarm;
pub(crate) mod chronicle;
pub(crate) mod clocks;
pub(crate) mod disk;
pub(crate) mod upgrade;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::clock::Clock;
use crate::conduct::missing::{self, Missing};
use crate::health::alarm::Alarm;

/// A height that is under way for so long has no quorum, whatever the connections say: rounds take a second or two.
const UNDECIDED_MS_MAX: u64 = 15_000;

/// How often the log looks at the status.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// What keeps a node from its work stands in the log again after so long.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);

/// The node does not know how its operator names its home.
const DAMAGE_REMEDY: &str = "stop the node and run `yilian-node repair --home DIR`, which sets the ledger aside, then start \
    the node, which rebuilds it from its peers; or start it with `yilian-node run --home DIR --repair`, which does both";

/// Everybody is there, and nothing is decided.
const STALLED_REMEDY: &str = "see with `yilian-node status` on every validator's node whether it abstains; compare clocks, versions and logs";
/// A validator that abstains where the others decide nothing without it.
const VOTE_AGAIN_REMEDY: &str = "start the missing validators' nodes; where the others run and cannot decide anything without this one, \
    `yilian-node vote-again --help` says how it may vote again";

/// What the node is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// Blocks are decided when there is work.
    Healthy,
    /// It fetches blocks that the others have decided.
    Syncing,
    /// Too few validators are connected to decide anything.
    NoQuorum,
    /// It follows the others without voting, because it may have forgotten a vote.
    Abstaining,
    /// A file of the ledger is damaged.
    Damaged,
    /// There is work, enough validators are connected, and still no block for long.
    Stalled,
    /// Free space on the disk is below the bound.
    Disk,
    /// It stops.
    Stopping,
}

impl HealthStatus {
    /// All, for metrics.
    pub const ALL: [Self; 8] = [
        Self::Healthy,
        Self::Syncing,
        Self::NoQuorum,
        Self::Abstaining,
        Self::Damaged,
        Self::Stalled,
        Self::Disk,
        Self::Stopping,
    ];

    /// The name in JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Syncing => "syncing",
            Self::NoQuorum => "no_quorum",
            Self::Abstaining => "abstaining",
            Self::Damaged => "damaged",
            Self::Stalled => "stalled",
            Self::Disk => "disk",
            Self::Stopping => "stopping",
        }
    }
}

/// What the judgement rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observations {
    /// Whether the node is being stopped.
    pub is_stopping: bool,
    /// What could not be read of the ledger, if anything could not.
    pub damage: Option<String>,
    /// From what this validator abstains and why, in a sentence.
    pub abstains: Option<String>,
    /// Free bytes on the disk that holds the ledger, and the bound.
    pub disk_free_bytes: u64,
    /// The bound below which no transactions are taken.
    pub disk_free_bytes_min: u64,
    /// The last committed height.
    pub height: u64,
    /// Heights that others have and this node lacks.
    pub behind_by: u64,
    /// Peers connected.
    pub peers: usize,
    /// Voting power of this node and of the validators connected to it.
    pub power_reachable: u64,
    /// Voting power of all validators.
    pub power_total: u64,
    /// For how long the present height has been under way without a decision.
    pub undecided_ms: u64,
    /// Age of the last block by the node's clock.
    pub last_block_age_ms: u64,
    /// Longest time that may pass without a block: heartbeat and some rounds.
    pub last_block_age_ms_max: u64,
    /// For how long this node has been running.
    pub running_for_ms: u64,
    /// The validators of which no node is connected.
    pub missing: Vec<Missing>,
    /// What else an operator should know.
    pub alarms: Vec<Alarm>,
}

/// The answer of `/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HealthReport {
    /// In one word.
    pub status: HealthStatus,
    /// In one sentence.
    pub reason: String,
    /// What to do; empty when there is nothing to do.
    pub remedy: String,
    /// The last committed height.
    pub height: u64,
    /// Peers connected.
    pub peers: usize,
    /// Heights that others have and this node lacks.
    pub behind_by: u64,
    /// Age of the last block by the node's clock, in milliseconds.
    pub last_block_age_ms: u64,
    /// The validators of which no node is connected: since when, where tried last, and why that failed.
    pub missing: Vec<Missing>,
    /// What else the operator should know, although the node may do its work.
    pub alarms: Vec<Alarm>,
}

impl Observations {
    fn has_quorum(&self) -> bool {
        u128::from(self.power_reachable) * 3 > u128::from(self.power_total) * 2
    }

    /// Judges: what keeps the node from its work comes first.
    pub fn judge(&self) -> HealthReport {
        let (status, reason, remedy) = self.verdict();
        HealthReport {
            status,
            reason,
            remedy: remedy.to_owned(),
            height: self.height,
            peers: self.peers,
            behind_by: self.behind_by,
            last_block_age_ms: self.last_block_age_ms,
            missing: self.missing.clone(),
            alarms: self.missing.iter().map(Missing::alarm).chain(self.alarms.iter().cloned()).collect(),
        }
    }

    fn verdict(&self) -> (HealthStatus, String, &'static str) {
        const MIB: u64 = 1 << 20;
        if self.is_stopping {
            return (HealthStatus::Stopping, "the node is being stopped".to_owned(), "use another node");
        }
        if self.disk_free_bytes < self.disk_free_bytes_min {
            let reason = format!(
                "{} MiB are free on the ledger's disk, the bound is {} MiB: no transactions are accepted",
                self.disk_free_bytes / MIB,
                self.disk_free_bytes_min / MIB
            );
            return (
                HealthStatus::Disk,
                reason,
                "free space on the disk, or move the data directory to a larger one",
            );
        }
        if let Some(damage) = &self.damage {
            let reason = format!("the ledger on this disk is damaged: {damage}");
            return (HealthStatus::Damaged, reason, DAMAGE_REMEDY);
        }
        if self.behind_by > 1 {
            let reason = format!("the node is {} blocks behind its peers and fetches them", self.behind_by);
            return (HealthStatus::Syncing, reason, "wait; use another node meanwhile");
        }
        if !self.has_quorum() {
            let reason = format!(
                "validators with voting power {} of {} are reachable, more than two thirds are needed: nothing can be \
                 decided{}",
                self.power_reachable,
                self.power_total,
                match self.missing.as_slice() {
                    [] => String::new(),
                    missing => format!("; missing: {}", missing::describe_all(missing)),
                }
            );
            return match &self.abstains {
                None => (
                    HealthStatus::NoQuorum,
                    reason,
                    "start the missing validators' nodes, check the network between here and the addresses named, and let in again \
                     whom this node has disconnected (`yilian-node peers`)",
                ),
                Some(abstains) => {
                    (HealthStatus::NoQuorum, format!("{reason}; {abstains}"), VOTE_AGAIN_REMEDY)
                }
            };
        }
        let waited_ms = self.last_block_age_ms.min(self.running_for_ms);
        let is_late = waited_ms > self.last_block_age_ms_max;
        if let Some(abstains) = &self.abstains {
            if is_late {
                let reason = format!("{abstains}; and no block has come for {} s", waited_ms / 1_000);
                return (HealthStatus::Stalled, reason, VOTE_AGAIN_REMEDY);
            }
            return (HealthStatus::Abstaining, abstains.clone(), "wait; it votes again by itself");
        }
        if self.undecided_ms > UNDECIDED_MS_MAX {
            let reason =
                format!("block {} has been under way for {} s", self.height + 1, self.undecided_ms / 1_000);
            return (HealthStatus::Stalled, reason, STALLED_REMEDY);
        }
        if is_late {
            let reason =
                format!("no block for {} s although enough validators are reachable", waited_ms / 1_000);
            return (HealthStatus::Stalled, reason, STALLED_REMEDY);
        }
        (HealthStatus::Healthy, "blocks are decided".to_owned(), "")
    }
}

/// Gathers the observations; cheap to ask.
pub struct HealthMonitor {
    clock: Arc<dyn Clock>,
    source: Box<dyn Fn() -> Gathered + Send + Sync>,
    disk_free_bytes: AtomicU64,
    disk_free_bytes_min: u64,
    last_block_age_ms_max: u64,
    started_ms: u64,
    is_stopping: AtomicBool,
    damage: OnceLock<String>,
    abstains: Mutex<Option<String>>,
    /// Further alarms, asked for at this moment.
    alarms: Vec<AlarmSource>,
}

/// Gives the alarms of a moment, in milliseconds since 1970-01-01 UTC.
type AlarmSource = Box<dyn Fn(u64) -> Vec<Alarm> + Send + Sync>;

/// What the ledger, the network and consensus say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gathered {
    /// The last committed height.
    pub height: u64,
    /// Its time in milliseconds since 1970-01-01 UTC.
    pub block_time_ms: u64,
    /// Heights that others have and this node lacks.
    pub behind_by: u64,
    /// Peers connected.
    pub peers: usize,
    /// Voting power of this node and of the validators connected to it.
    pub power_reachable: u64,
    /// Voting power of all validators.
    pub power_total: u64,
    /// For how long the present height has been under way without a decision.
    pub undecided_ms: u64,
    /// The validators of which no node is connected.
    pub missing: Vec<Missing>,
}

impl HealthMonitor {
    /// A monitor over `source`, which is asked each time. Disk space counts as plenty until it is first measured.
    pub fn new(
        clock: Arc<dyn Clock>,
        disk_free_bytes_min: u64,
        last_block_age_ms_max: u64,
        source: impl Fn() -> Gathered + Send + Sync + 'static,
    ) -> Self {
        let started_ms = clock.now_ms();
        Self {
            clock,
            source: Box::new(source),
            disk_free_bytes: AtomicU64::new(u64::MAX),
            disk_free_bytes_min,
            last_block_age_ms_max,
            started_ms,
            is_stopping: AtomicBool::new(false),
            damage: OnceLock::new(),
            abstains: Mutex::new(None),
            alarms: Vec::new(),
        }
    }

    /// The same, with the alarms of one more source.
    #[must_use]
    pub fn with_alarms(mut self, source: impl Fn(u64) -> Vec<Alarm> + Send + Sync + 'static) -> Self {
        self.alarms.push(Box::new(source));
        self
    }

    /// For how long the present height has been under way without a decision.
    pub fn undecided_ms(&self) -> u64 {
        (self.source)().undecided_ms
    }

    /// Notes that a file of the ledger is damaged; the first note stays.
    pub fn set_damage(&self, reason: &str) {
        if self.damage.set(reason.to_owned()).is_ok() {
            tracing::error!(reason, "the ledger on this disk is damaged: {DAMAGE_REMEDY}");
        }
    }

    /// What is damaged, if anything is.
    pub fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Notes why and from what this validator abstains, in a sentence.
    pub fn set_abstains(&self, abstains: String) {
        *self.abstains.lock().unwrap_or_else(PoisonError::into_inner) = Some(abstains);
    }

    /// Notes how much space is free.
    pub fn set_disk_free_bytes(&self, bytes: u64) {
        self.disk_free_bytes.store(bytes, Ordering::Relaxed);
    }

    /// The space that was free when it was last measured.
    pub fn disk_free_bytes(&self) -> u64 {
        self.disk_free_bytes.load(Ordering::Relaxed)
    }

    /// Notes that the node stops.
    pub fn set_stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Why what is submitted now will not be final soon, if so.
    pub fn cannot_decide(&self) -> Option<String> {
        // Alarms are for operators, and dear to gather for each submission.
        let report = self.judge(Vec::new());
        match report.status {
            HealthStatus::NoQuorum | HealthStatus::Stalled => {
                Some(format!("{}: {}; {}", report.status.name(), report.reason, report.remedy))
            }
            HealthStatus::Healthy
            | HealthStatus::Syncing
            | HealthStatus::Abstaining
            | HealthStatus::Damaged
            | HealthStatus::Disk
            | HealthStatus::Stopping => None,
        }
    }

    /// Whether the disk has room and the node stays up: without that no transaction is taken.
    pub fn refuses_transactions(&self) -> Option<HealthReport> {
        let full = self.disk_free_bytes() < self.disk_free_bytes_min;
        let stopping = self.is_stopping.load(Ordering::Relaxed);
        (full || stopping).then(|| self.report())
    }

    /// The judgement of this moment.
    pub fn report(&self) -> HealthReport {
        let now_ms = self.clock.now_ms();
        self.judge(self.alarms.iter().flat_map(|source| source(now_ms)).collect())
    }

    fn judge(&self, alarms: Vec<Alarm>) -> HealthReport {
        let gathered = (self.source)();
        let now_ms = self.clock.now_ms();
        Observations {
            is_stopping: self.is_stopping.load(Ordering::Relaxed),
            damage: self.damage().map(str::to_owned),
            abstains: self.abstains.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            disk_free_bytes: self.disk_free_bytes(),
            disk_free_bytes_min: self.disk_free_bytes_min,
            height: gathered.height,
            behind_by: gathered.behind_by,
            peers: gathered.peers,
            power_reachable: gathered.power_reachable,
            power_total: gathered.power_total,
            undecided_ms: gathered.undecided_ms,
            last_block_age_ms: now_ms.saturating_sub(gathered.block_time_ms),
            last_block_age_ms_max: self.last_block_age_ms_max,
            running_for_ms: now_ms.saturating_sub(self.started_ms),
            missing: gathered.missing,
            alarms,
        }
        .judge()
    }
}

/// Says in the log when the status changes, and once a minute what keeps a node from deciding.
pub async fn watch(health: Arc<HealthMonitor>) {
    let mut told: Option<(HealthStatus, Instant)> = None;
    loop {
        tokio::time::sleep(WATCH_INTERVAL).await;
        let report = health.report();
        let is_due = told.is_none_or(|(status, at)| {
            status != report.status || (status != HealthStatus::Healthy && at.elapsed() >= REPEAT_INTERVAL)
        });
        if !is_due {
            continue;
        }
        told = Some((report.status, Instant::now()));
        let HealthReport { status, reason, remedy, height, peers, .. } = report;
        match status {
            HealthStatus::Healthy | HealthStatus::Syncing | HealthStatus::Stopping => {
                tracing::info!(status = status.name(), height, peers, "{reason}");
            }
            HealthStatus::NoQuorum
            | HealthStatus::Abstaining
            | HealthStatus::Damaged
            | HealthStatus::Stalled
            | HealthStatus::Disk => {
                tracing::warn!(status = status.name(), height, peers, remedy, "{reason}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Observations {
        Observations {
            is_stopping: false,
            damage: None,
            abstains: None,
            disk_free_bytes: 1 << 40,
            disk_free_bytes_min: 1 << 30,
            height: 7,
            behind_by: 0,
            peers: 3,
            power_reachable: 4,
            power_total: 4,
            undecided_ms: 0,
            last_block_age_ms: 500,
            last_block_age_ms_max: 60_000,
            running_for_ms: 1_000_000,
            missing: Vec::new(),
            alarms: Vec::new(),
        }
    }

    #[test]
    fn each_trouble_has_its_word_reason_and_remedy() {
        assert_eq!(fine().judge().status, HealthStatus::Healthy);
        let cases = [
            (Observations { is_stopping: true, ..fine() }, HealthStatus::Stopping),
            (Observations { disk_free_bytes: 1, ..fine() }, HealthStatus::Disk),
            (Observations { behind_by: 20, ..fine() }, HealthStatus::Syncing),
            (Observations { damage: Some("a row".to_owned()), ..fine() }, HealthStatus::Damaged),
            (Observations { abstains: Some("up to block 9".to_owned()), ..fine() }, HealthStatus::Abstaining),
            (Observations { power_reachable: 2, ..fine() }, HealthStatus::NoQuorum),
            (
                Observations { power_reachable: 2, abstains: Some("it may have voted".to_owned()), ..fine() },
                HealthStatus::NoQuorum,
            ),
            (Observations { last_block_age_ms: 70_000, ..fine() }, HealthStatus::Stalled),
            (Observations { undecided_ms: 20_000, ..fine() }, HealthStatus::Stalled),
        ];
        for (observations, status) in cases {
            let report = observations.judge();
            assert_eq!(report.status, status);
            assert!(!report.reason.is_empty() && !report.remedy.is_empty(), "{status:?}");
        }
        assert_eq!(Observations { power_reachable: 3, ..fine() }.judge().status, HealthStatus::Healthy);
        let needed =
            Observations { power_reachable: 2, abstains: Some("it may have voted".to_owned()), ..fine() };
        let needed = needed.judge();
        assert!(
            needed.reason.contains("it may have voted") && needed.remedy.contains("vote-again"),
            "{needed:?}"
        );
        assert!(!needed.reason.contains("missing"), "nobody is: {needed:?}");
        // Where all others abstain as well, they are there, and no block comes.
        let late = Observations {
            last_block_age_ms: 70_000,
            abstains: Some("it may have voted".to_owned()),
            ..fine()
        }
        .judge();
        assert_eq!(late.status, HealthStatus::Stalled);
        assert!(late.reason.contains("70 s") && late.remedy.contains("vote-again"), "{late:?}");
    }

    #[test]
    fn a_node_that_has_just_started_is_not_stalled() {
        let report = Observations { last_block_age_ms: u64::MAX, running_for_ms: 10, ..fine() }.judge();
        assert_eq!(report.status, HealthStatus::Healthy);
    }
}
