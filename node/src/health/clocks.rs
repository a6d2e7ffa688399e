//! Whose clock is wrong: what the peers' clocks say when they tell their status, compared with this machine's.
//!
//! Nobody is believed alone. The median of all clocks, this one among them, is what the others call the time; whoever differs
//! from it by more than [`limits::CLOCK_DIFFERENCE_MS_MAX`] is named, with the difference. With fewer than three clocks it can
//! only be said that they differ. A clock behind the ledger's own time is told without any peer: whatever it signs has
//! expired before the next block.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libp2p::PeerId;
use yilian_spec::base::id::InstitutionId;

use crate::base::clock::Clock;
use crate::base::limits;
use crate::health::alarm::{Alarm, AlarmKind, Severity};
use crate::members::Members;
use crate::metrics::{Reading, Value};

const REMEDY: &str =
    "have the machine's clock set by the network (NTP, `timedatectl`), and look whether it stays right";

/// What is known of the peers' clocks.
#[derive(Clone)]
pub struct Clocks {
    clock: Arc<dyn Clock>,
    heard: Arc<Mutex<Heard>>,
}

/// By peer: by how many milliseconds its clock is ahead of this one's, the last few times it told.
type Heard = BTreeMap<PeerId, VecDeque<i64>>;

/// The clocks of a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// By how many milliseconds this machine's clock is ahead of the median.
    pub own_ahead_ms: i64,
    /// The same of each institution's node.
    pub ahead_ms: BTreeMap<InstitutionId, i64>,
}

impl Clocks {
    /// Nothing is known yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, heard: Arc::default() }
    }

    /// What this machine's clock says, in milliseconds since 1970-01-01 UTC.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Each change is whole under this lock.
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a peer's clock said when it sent something that has just arrived.
    pub fn note(&self, peer: PeerId, their_ms: u64) {
        let ahead_ms = i64::try_from(i128::from(their_ms) - i128::from(self.clock.now_ms()));
        let ahead_ms = ahead_ms.unwrap_or(i64::MAX);
        let mut heard = self.heard();
        if heard.len() >= limits::CLOCKS_MAX && !heard.contains_key(&peer) {
            return;
        }
        let last = heard.entry(peer).or_default();
        last.push_back(ahead_ms);
        if last.len() > limits::CLOCK_SAMPLES {
            last.pop_front();
        }
    }

    /// Compares the clocks of this node and its connected peers, one of each institution. Those of others are forgotten.
    pub fn compare(&self, connected: &BTreeSet<PeerId>, members: &Members) -> Comparison {
        let mut heard = self.heard();
        heard.retain(|peer, _| connected.contains(peer));
        let mut ahead_ms = BTreeMap::new();
        for (peer, samples) in heard.iter() {
            // On its way a message only gets older, so the one that took least is the nearest to the truth.
            let (Some(institution), Some(least_late)) = (members.institution(peer), samples.iter().max())
            else {
                continue;
            };
            ahead_ms.insert(institution.clone(), *least_late);
        }
        Comparison::of(ahead_ms)
    }
}

impl Comparison {
    /// From differences to this machine's clock to differences to the median.
    fn of(mut ahead_ms: BTreeMap<InstitutionId, i64>) -> Self {
        let mut all: Vec<i64> = ahead_ms.values().copied().chain([0]).collect();
        all.sort_unstable();
        // Of an even number the middle one that is nearer to this clock: two alone agree with neither.
        let (low, high) = (all[(all.len() - 1) / 2], all[all.len() / 2]);
        let median = if low.unsigned_abs() < high.unsigned_abs() { low } else { high };
        ahead_ms.values_mut().for_each(|ahead| *ahead = ahead.saturating_sub(median));
        Self { own_ahead_ms: median.saturating_neg(), ahead_ms }
    }

    /// What the operator should know; `tip_ms` is the time of the ledger's last block.
    pub fn alarms(&self, now_ms: u64, tip_ms: u64) -> Vec<Alarm> {
        self.ledger_alarm(now_ms, tip_ms).into_iter().chain(self.clock_alarms()).collect()
    }

    /// What `/metrics` shows; those of one name stand together.
    pub fn readings(&self) -> Vec<Reading> {
        let own = std::iter::once(("this node".to_owned(), self.own_ahead_ms));
        let others = self.ahead_ms.iter().map(|(id, ahead_ms)| (id.to_string(), *ahead_ms));
        let reading = |(institution, ahead_ms): (String, i64)| Reading {
            name: "clock_ahead_seconds",
            help: "By how much a node's clock is ahead of the median of all that are heard",
            labels: vec![("institution", institution)],
            value: Value::Gauge(ahead_ms as f64 / 1_000.0),
        };
        own.chain(others).map(reading).collect()
    }

    fn clock_alarms(&self) -> Vec<Alarm> {
        let mut alarms = Vec::new();
        let others = self.ahead_ms.len();
        if differs(self.own_ahead_ms) {
            let reason = format!(
                "this machine's clock is {} the clocks of the others ({others} are heard)",
                describe(self.own_ahead_ms)
            );
            alarms.push(alarm("this node", reason));
        }
        for (institution, ahead_ms) in self.ahead_ms.iter().filter(|(_, ahead_ms)| differs(**ahead_ms)) {
            let reason = match others {
                1 => format!(
                    "the clock of {institution}'s node is {} this machine's; with no third one it cannot be said which is \
                     wrong",
                    describe(*ahead_ms)
                ),
                _ => format!(
                    "the clock of {institution}'s node is {} those of the others",
                    describe(*ahead_ms)
                ),
            };
            alarms.push(alarm(institution.as_str(), reason));
        }
        alarms
    }

    /// The ledger's time is ahead of this clock.
    fn ledger_alarm(&self, now_ms: u64, tip_ms: u64) -> Option<Alarm> {
        let behind = behind_ledger(now_ms, tip_ms).filter(|_| !differs(self.own_ahead_ms))?;
        let agree =
            if self.ahead_ms.is_empty() { "" } else { ", and the clocks of the others agree with it" };
        let reason = format!(
            "this machine's clock is {behind}{agree}: until it has caught up, each transaction that is \
             signed by such a clock is refused as expired once it lives shorter than that"
        );
        Some(alarm("ledger", reason))
    }
}

fn alarm(about: &str, reason: String) -> Alarm {
    let (about, remedy) = (about.to_owned(), REMEDY.to_owned());
    Alarm { kind: AlarmKind::Clock, about, severity: Severity::Warning, reason, remedy }
}

fn differs(ahead_ms: i64) -> bool {
    ahead_ms.unsigned_abs() > limits::CLOCK_DIFFERENCE_MS_MAX
}

/// By how much a clock is behind the ledger's last block, such as `59 min 20 s behind the ledger's last block`, if it is.
pub fn behind_ledger(now_ms: u64, tip_ms: u64) -> Option<String> {
    let behind_ms = i64::try_from(tip_ms.saturating_sub(now_ms)).unwrap_or(i64::MAX);
    differs(behind_ms).then(|| format!("{} the ledger's last block", describe(-behind_ms)))
}

/// Such as `3.2 s ahead of` or `59 min 20 s behind`.
fn describe(ahead_ms: i64) -> String {
    let (ms, direction) = (ahead_ms.unsigned_abs(), if ahead_ms > 0 { "ahead of" } else { "behind" });
    let seconds = ms / 1_000;
    let amount = match seconds {
        0..60 => format!("{seconds}.{} s", ms % 1_000 / 100),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    };
    format!("{amount} {direction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(ahead_ms: &[(&str, i64)]) -> Comparison {
        let named = ahead_ms.iter().map(|(id, ahead)| (InstitutionId::new(id).unwrap(), *ahead));
        Comparison::of(named.collect())
    }

    fn about(comparison: &Comparison) -> Vec<String> {
        comparison.clock_alarms().into_iter().map(|alarm| alarm.about).collect()
    }

    #[test]
    fn the_one_that_differs_is_named_and_a_second_is_none() {
        assert!(about(&comparison(&[("a-b", 900), ("c-d", -400), ("e-f", 10)])).is_empty());
        let ahead = comparison(&[("a-b", 3_250), ("c-d", -40), ("e-f", 10)]);
        assert_eq!(about(&ahead), ["a-b"]);
        assert!(ahead.clock_alarms()[0].reason.contains("a-b's node is 3.2 s ahead of"), "{ahead:?}");
        // All the others agree, so it is this one.
        let own = comparison(&[("a-b", 3_600_000), ("c-d", 3_600_010), ("e-f", 3_600_020)]);
        assert_eq!(about(&own), ["this node"]);
        assert!(
            own.clock_alarms()[0].reason.contains("1 h 0 min behind the clocks of the others (3"),
            "{own:?}"
        );
        let two = comparison(&[("a-b", -70_000)]);
        assert_eq!(about(&two), ["a-b"]);
        assert!(
            two.clock_alarms()[0].reason.contains("1 min 10 s behind this machine's; with no third"),
            "{two:?}"
        );
    }

    #[test]
    fn liars_below_half_move_nothing() {
        let lied = comparison(&[("a-b", i64::MAX), ("c-d", 5), ("e-f", -5), ("g-h", i64::MIN)]);
        assert_eq!(about(&lied), ["a-b", "g-h"]);
        assert_eq!(lied.own_ahead_ms, 0);
    }

    #[test]
    fn a_clock_behind_the_ledger_is_told_without_a_peer() {
        let alone = Comparison::default();
        let now_ms = 1_790_000_000_000;
        assert_eq!(alone.ledger_alarm(now_ms, now_ms + 900), None);
        let alarm = alone.ledger_alarm(now_ms, now_ms + 3_560_000).unwrap();
        assert!(alarm.reason.contains("59 min 20 s behind the ledger's last block:"), "{alarm:?}");
        let agreeing = comparison(&[("a-b", 20), ("c-d", 10)]).ledger_alarm(now_ms, now_ms + 9_000).unwrap();
        assert!(agreeing.reason.contains("the others agree with it"), "{agreeing:?}");
        // Where the others' clocks say it already, it is not said twice.
        let own = comparison(&[("a-b", 9_000), ("c-d", 9_000)]);
        assert_eq!(own.ledger_alarm(now_ms, now_ms + 9_000), None);
    }
}
