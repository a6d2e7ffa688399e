//! What the log says while a node runs: members that come and go, slow blocks, missed turns, and status and alarms when they
//! change. It looks once a second and says the same about the same member once a minute at most, with how often it happened:
//! nobody can fill the log by coming and going.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libp2p::PeerId;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::domain::membership::rotation::{Absence, Attendance};

use crate::application::reader::LedgerReader;
use crate::base::limits;
use crate::health::alarm::{Alarm, AlarmKind, Severity};
use crate::health::{HealthMonitor, HealthReport, HealthStatus};
use crate::members::Members;

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
    /// Who had missed turns at the last look.
    attendance: Attendance,
    /// The last height that was told to be slow, and for how long it was under way when last seen.
    slow: Option<(u64, u64)>,
    status: HealthStatus,
    /// A status that may settle.
    status_next: Option<(HealthStatus, Instant)>,
    alarms: ToldAlarms,
}

/// How severe each alarm was when it was told, by what it is about.
type ToldAlarms = BTreeMap<(AlarmKind, String), Severity>;

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
            attendance: self.reader.tip().tip.attendance.clone(),
            slow: None,
            status: HealthStatus::Healthy,
            status_next: None,
            alarms: ToldAlarms::new(),
        };
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let report = self.health.report();
            self.peers(&mut told);
            self.turns(&mut told, &report);
            slow_block(&mut told, &report, self.health.undecided_ms());
            status(&mut told, &report);
            alarms(&mut told.alarms, &report.alarms);
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

    /// Validators that have missed a turn since the last look. The state says so, however many blocks a second are decided.
    fn turns(&self, told: &mut Told, report: &HealthReport) {
        let published = self.reader.tip();
        let before = std::mem::replace(&mut told.attendance, published.tip.attendance.clone());
        // Of blocks that are fetched, the turns are long past.
        if report.behind_by > 1 {
            return;
        }
        for Absence { institution, until, .. } in missed_since(&before, &told.attendance) {
            let who = institution.to_string();
            if let Some(missed) = repeats(&mut told.turns, &who) {
                let passed_over_up_to = until;
                tracing::info!(validator = who, missed, %passed_over_up_to, "a validator missed its turn to propose");
            }
        }
    }
}

/// The absences that began, or began anew, between two states.
fn missed_since<'a>(before: &Attendance, now: &'a Attendance) -> impl Iterator<Item = &'a Absence> {
    let known: BTreeMap<InstitutionId, Height> =
        before.absences().iter().map(|absence| (absence.institution.clone(), absence.until)).collect();
    now.absences().iter().filter(move |absence| known.get(&absence.institution) != Some(&absence.until))
}

/// How often it happened since it was last told, if it may be told again. Keys are institutions with validators, so there are few.
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

/// Alarms that are new or of another severity, and those that are over.
fn alarms(told: &mut ToldAlarms, present: &[Alarm]) {
    let (raised, over) = alarm_news(told, present);
    for alarm in raised {
        let (kind, severity) = (alarm.kind.name(), alarm.severity.name());
        tracing::warn!(alarm = kind, severity, "{}; {}", alarm.reason, alarm.remedy);
    }
    for (kind, about) in over {
        tracing::info!(alarm = kind.name(), about, "an alarm is over");
    }
}

/// What of the alarms is to be told, and notes it as told: a reason that counts days is no news, what begins to hurt is.
fn alarm_news<'a>(told: &mut ToldAlarms, present: &'a [Alarm]) -> (Vec<&'a Alarm>, Vec<(AlarmKind, String)>) {
    let mut now = ToldAlarms::new();
    let mut raised = Vec::new();
    for alarm in present.iter().filter(|alarm| !alarm.kind.is_logged_where_it_arises()) {
        let name = (alarm.kind, alarm.about.clone());
        if told.get(&name) != Some(&alarm.severity) {
            raised.push(alarm);
        }
        now.insert(name, alarm.severity);
    }
    let before = std::mem::replace(told, now);
    (raised, before.into_keys().filter(|name| !told.contains_key(name)).collect())
}

#[cfg(test)]
mod tests {
    use yilian_spec::base::id::Hash;
    use yilian_spec::crypto::signature::PublicKey;

    use super::*;
    use crate::test_world::genesis;

    #[test]
    fn a_turn_that_was_missed_since_the_last_look_is_told_once() {
        let tip = yilian_spec::ledger::chain::Tip::genesis(&genesis(), Hash::default());
        let miss = |before: &Attendance, height| {
            before.after((Height(height), &PublicKey::Ed25519([9; 32])), &tip.validators, &tip.validators)
        };
        let none = Attendance::default();
        let (once, twice) = (miss(&none, 1), miss(&miss(&none, 1), 2));
        let told = |before, now| missed_since(before, now).map(|absence| absence.until).collect::<Vec<_>>();
        assert_eq!(told(&none, &once), [Height(201)]);
        assert!(told(&once, &once).is_empty());
        assert_eq!(told(&once, &twice), [Height(202)], "another institution's");
        assert!(told(&twice, &none).is_empty(), "what is made up for is no news");
        // The same institution's, when its turn comes again.
        let again = (3..2_000).map(|height| miss(&twice, height)).find(|now| now.absences().len() == 2);
        let again = again.expect("its turn comes again");
        assert_eq!(told(&twice, &again).len(), 1);
    }

    #[test]
    fn an_alarm_is_told_when_it_comes_grows_and_goes_and_not_in_between() {
        let alarm = |severity, reason: &str| Alarm {
            kind: AlarmKind::Certificate,
            about: "api".to_owned(),
            severity,
            reason: reason.to_owned(),
            remedy: String::new(),
        };
        let mut told = ToldAlarms::new();
        let mut look = |present: &[Alarm]| {
            let (raised, over) = alarm_news(&mut told, present);
            (raised.into_iter().map(|alarm| alarm.reason.clone()).collect::<Vec<_>>(), over.len())
        };
        let (in_2_days, in_1_day, expired) = (
            alarm(Severity::Warning, "in 2 days"),
            alarm(Severity::Warning, "in 1 day"),
            alarm(Severity::Urgent, "has expired"),
        );
        assert_eq!(look(std::slice::from_ref(&in_2_days)), (vec!["in 2 days".to_owned()], 0));
        assert_eq!(look(std::slice::from_ref(&in_1_day)), (vec![], 0), "the same alarm");
        assert_eq!(look(std::slice::from_ref(&expired)), (vec!["has expired".to_owned()], 0));
        assert_eq!(look(std::slice::from_ref(&expired)), (vec![], 0), "told once");
        let of_a_member = Alarm { kind: AlarmKind::Missing, ..expired.clone() };
        assert_eq!(look(&[of_a_member]), (vec![], 1), "the log says that one where it arises");
        assert_eq!(look(&[]), (vec![], 0));
    }

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
