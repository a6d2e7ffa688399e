//! What the log says while a node runs: members that come and go, slow blocks, missed turns, and status and alarms when they
//! change. It looks once a second and says the same about the same member once a minute at most, with how often it happened:
//! nobody can fill the log by coming and going.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libp2p::PeerId;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use yilian_spec::height::Height;
use yilian_spec::id::InstitutionId;

use crate::alarm::{Alarm, AlarmKind};
use crate::application::reader::LedgerReader;
use crate::health::{HealthMonitor, HealthReport, HealthStatus};
use crate::limits;
use crate::members::Members;
use crate::storage::StorageError;

/// How often it looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often it says the same about the same member.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);
/// A status that passes sooner is not told: a node that starts has no peers for a moment.
const STATUS_SETTLES: Duration = Duration::from_secs(3);

/// What it looks at.
pub struct Chronicle {
    /// The ledger.
    pub reader: LedgerReader,
    /// Who is a member.
    pub members: watch::Receiver<Arc<Members>>,
    /// Which peers are connected.
    pub connected: watch::Receiver<BTreeSet<PeerId>>,
    /// How the node is.
    pub health: Arc<HealthMonitor>,
}

/// What it has told.
struct Told {
    peers: BTreeMap<InstitutionId, Presence>,
    turns: BTreeMap<String, Repeated>,
    /// The last height whose turn was looked at.
    height: Height,
    /// The last height that was told to be slow, and for how long it was under way when last seen.
    slow: Option<(u64, u64)>,
    status: HealthStatus,
    /// A status that may settle.
    status_next: Option<(HealthStatus, Instant)>,
    alarms: BTreeSet<(AlarmKind, String)>,
}

/// What was last told of a member's connection, and when.
struct Presence {
    is_connected: bool,
    told: Instant,
}

/// Something that repeats.
struct Repeated {
    told: Instant,
    since: u64,
}

impl Chronicle {
    /// Runs until it is stopped.
    pub async fn run(self) {
        let mut told = Told {
            peers: BTreeMap::new(),
            turns: BTreeMap::new(),
            height: self.reader.tip().tip.height,
            slow: None,
            status: HealthStatus::Healthy,
            status_next: None,
            alarms: BTreeSet::new(),
        };
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let report = self.health.report();
            self.peers(&mut told);
            if let Err(error) = self.turns(&mut told, &report) {
                tracing::error!(%error, "the last blocks could not be read");
            }
            slow_block(&mut told, &report, self.health.undecided_ms());
            status(&mut told, &report);
            alarms(&mut told, &report.alarms);
        }
    }

    fn peers(&self, told: &mut Told) {
        let members = Arc::clone(&self.members.borrow());
        let connected: BTreeSet<InstitutionId> =
            self.connected.borrow().iter().filter_map(|peer| members.institution(peer).cloned()).collect();
        let known: BTreeSet<InstitutionId> = told.peers.keys().chain(&connected).cloned().collect();
        for institution in known {
            let is_connected = connected.contains(&institution);
            let last = told.peers.get(&institution);
            let is_news = last.map_or(is_connected, |last| {
                last.is_connected != is_connected && last.told.elapsed() >= REPEAT_INTERVAL
            });
            if !is_news {
                continue;
            }
            match is_connected {
                true => tracing::info!(%institution, peers = connected.len(), "a member is connected"),
                false => {
                    tracing::info!(%institution, peers = connected.len(), "a member is no longer connected")
                }
            }
            told.peers.insert(institution, Presence { is_connected, told: Instant::now() });
        }
    }

    /// Blocks that another than the one whose turn it was has proposed.
    fn turns(&self, told: &mut Told, report: &HealthReport) -> Result<(), StorageError> {
        let tip = self.reader.tip().tip.height;
        let first = told.height.next();
        told.height = tip;
        // Of blocks that are fetched, the turns are long past.
        if report.behind_by > 1 || tip.0.saturating_sub(first.0) > limits::CHRONICLE_BLOCKS_MAX {
            return Ok(());
        }
        for height in (first.0..=tip.0).map(Height) {
            let tables = self.reader.tables();
            let (Some(header), Some(expected)) = (tables.header(height)?, tables.turn(height)?) else {
                continue;
            };
            if header.proposer == expected {
                continue;
            }
            let published = self.reader.tip();
            let validator = published.tip.validators.get(&expected);
            let who = validator.map_or_else(|| expected.to_string(), |known| known.institution.to_string());
            if let Some(missed) = repeats(&mut told.turns, &who) {
                let round = tables.certificate(height)?.map_or(0, |certificate| certificate.round);
                tracing::info!(validator = who, %height, round, missed, "a validator missed its turn to propose");
            }
        }
        Ok(())
    }
}

/// How often it happened since it was last told, if it may be told again. Keys are validators, so there are few.
fn repeats(told: &mut BTreeMap<String, Repeated>, key: &str) -> Option<u64> {
    match told.get_mut(key) {
        Some(repeated) if repeated.told.elapsed() < REPEAT_INTERVAL => {
            repeated.since += 1;
            None
        }
        Some(repeated) => {
            let count = std::mem::take(&mut repeated.since) + 1;
            repeated.told = Instant::now();
            Some(count)
        }
        None => {
            told.insert(key.to_owned(), Repeated { told: Instant::now(), since: 0 });
            Some(1)
        }
    }
}

/// A block that is under way for long, once; and for how long it was, when it has come.
fn slow_block(told: &mut Told, report: &HealthReport, undecided_ms: u64) {
    let height = report.height + 1;
    if let Some((slow, took_ms)) = told.slow
        && slow < height
    {
        tracing::info!(height = slow, "a slow block is decided, after {} s", took_ms / 1_000);
        told.slow = None;
    }
    if undecided_ms < limits::SLOW_BLOCK_MS {
        return;
    }
    if told.slow.is_none() {
        tracing::info!(height, "a block is slow: it has been under way for {} s", undecided_ms / 1_000);
    }
    told.slow = Some((height, undecided_ms));
}

/// A status that has settled.
fn status(told: &mut Told, report: &HealthReport) {
    if report.status == told.status {
        told.status_next = None;
        return;
    }
    match told.status_next {
        Some((next, since)) if next == report.status => {
            if since.elapsed() < STATUS_SETTLES {
                return;
            }
            match report.status {
                HealthStatus::Healthy => tracing::info!("the node is healthy again"),
                // An operator asked for it, or nothing is wrong with it.
                HealthStatus::Stopping | HealthStatus::Syncing => {
                    tracing::info!("the node is {}: {}", report.status.name(), report.reason);
                }
                HealthStatus::NoQuorum
                | HealthStatus::Abstaining
                | HealthStatus::Damaged
                | HealthStatus::Stalled
                | HealthStatus::Disk => tracing::warn!(
                    "the node is {}: {}; {}",
                    report.status.name(),
                    report.reason,
                    report.remedy
                ),
            }
            told.status = report.status;
            told.status_next = None;
        }
        _ => told.status_next = Some((report.status, Instant::now())),
    }
}

/// Alarms that are new, and those that are over.
fn alarms(told: &mut Told, present: &[Alarm]) {
    let logged = present.iter().filter(|alarm| !alarm.kind.is_logged_where_it_arises());
    let mut now = BTreeSet::new();
    for alarm in logged {
        let name = (alarm.kind, alarm.about.clone());
        if !told.alarms.contains(&name) {
            tracing::warn!(alarm = alarm.kind.name(), "{}; {}", alarm.reason, alarm.remedy);
        }
        now.insert(name);
    }
    for (kind, about) in told.alarms.difference(&now) {
        tracing::info!(alarm = kind.name(), about, "an alarm is over");
    }
    told.alarms = now;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_told_once_and_counted() {
        let mut told = BTreeMap::new();
        assert_eq!(repeats(&mut told, "clinic"), Some(1));
        assert_eq!(repeats(&mut told, "clinic"), None);
        assert_eq!(repeats(&mut told, "insurer"), Some(1));
        let long_ago = Instant::now().checked_sub(REPEAT_INTERVAL);
        told.get_mut("clinic").unwrap().told = long_ago.expect("the machine runs for longer than a minute");
        assert_eq!(repeats(&mut told, "clinic"), Some(2));
    }
}
