//! Keys that expire: alarms 90, 30 and 7 days ahead, and after. They are for people; nothing that a node does depends on
//! them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use yilian_local::moment;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::membership::Role;

use super::{Members, WatchedKey};
use crate::base::clock::Clock;
use crate::base::limits::KEY_ALARMS_MAX;
use crate::health::alarm::{Alarm, AlarmKind, Severity};
use crate::metrics::{Reading, Value};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// How often expiries are looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(60);
/// An alarm stands in the log again after so long.
const REPEAT_MS: u64 = DAY_MS;

/// How near an expiry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// At most 90 days ahead.
    Days90,
    /// At most 30 days ahead.
    Days30,
    /// At most 7 days ahead.
    Days7,
    /// Over.
    Expired,
}

impl Stage {
    /// The stage of something that expires then; `None` while it is more than 90 days ahead.
    pub fn of(expires: LedgerTime, now_ms: u64) -> Option<Self> {
        match expires.0.checked_sub(now_ms).filter(|left| *left > 0) {
            None => Some(Self::Expired),
            Some(left) if left <= 7 * DAY_MS => Some(Self::Days7),
            Some(left) if left <= 30 * DAY_MS => Some(Self::Days30),
            Some(left) if left <= 90 * DAY_MS => Some(Self::Days90),
            Some(_) => None,
        }
    }
}

/// The alarms of all watched keys, the most urgent first. Of another institution's node, those of the last week: that is
/// when a call helps.
pub fn alarms(members: &Members, now_ms: u64) -> Vec<Alarm> {
    staged(members, now_ms)
        .map(|(key, stage)| alarm(members, key, stage, now_ms))
        .take(KEY_ALARMS_MAX)
        .collect()
}

fn staged(members: &Members, now_ms: u64) -> impl Iterator<Item = (&WatchedKey, Stage)> {
    members.keys().iter().filter_map(move |key| {
        let stage = Stage::of(key.expires, now_ms)?;
        let is_own = members.own() == Some(&key.institution);
        (is_own || stage >= Stage::Days7).then_some((key, stage))
    })
}

fn alarm(members: &Members, watched: &WatchedKey, stage: Stage, now_ms: u64) -> Alarm {
    let WatchedKey { expires, institution, role, key } = watched;
    let (role_name, when) = (role_name(*role), moment::show(*expires));
    let reason = if stage == Stage::Expired {
        format!("the {role_name} key {key} of {institution} expired on {when}")
    } else {
        let days = expires.0.saturating_sub(now_ms) / DAY_MS;
        format!("the {role_name} key {key} of {institution} expires in {days} days, on {when}")
    };
    let remedy = if members.own() == Some(institution) {
        own_remedy(*role, key)
    } else {
        format!("tell the operator of {institution}; its node stays admitted until the key is revoked")
    };
    let is_refused =
        stage == Stage::Expired && members.own() == Some(institution) && is_refused_expired(*role);
    let severity = if is_refused { Severity::Urgent } else { Severity::Warning };
    Alarm { kind: AlarmKind::KeyExpiry, about: institution.to_string(), severity, reason, remedy }
}

/// Whether what an expired key of this role signs is refused.
const fn is_refused_expired(role: Role) -> bool {
    match role {
        Role::Validator | Role::Node => false,
        Role::Administrator | Role::AccessGateway | Role::ReferralGateway | Role::Finance | Role::Auditor => {
            true
        }
    }
}

fn own_remedy(role: Role, key: &PublicKey) -> String {
    match role {
        Role::Node => {
            "run `yilian-node key rotate network`; the node goes on meanwhile, and peers still admit it"
                .to_owned()
        }
        Role::Validator => {
            "its votes count all the same; a validator's key changes by a ballot of the members".to_owned()
        }
        Role::Administrator => format!(
            "run `yilian key rotate NEW-FILE --old {key} --expires +365d`; it can do this also after it has expired, and \
             nothing else"
        ),
        Role::AccessGateway | Role::ReferralGateway | Role::Finance | Role::Auditor => format!(
            "have an administrator run `yilian key rotate NEW-FILE --old {key} --expires +365d`; what an expired key signs \
             is refused"
        ),
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Validator => "validator",
        Role::Node => "node",
        Role::Administrator => "administrator",
        Role::AccessGateway => "access gateway",
        Role::ReferralGateway => "referral gateway",
        Role::Finance => "finance",
        Role::Auditor => "auditor",
    }
}

/// A reading for each watched key: when it expires.
pub fn readings(members: &Members) -> Vec<Reading> {
    let reading = |watched: &WatchedKey| Reading {
        name: "key_expires_seconds",
        help: "When a key of this institution, or of a node of another, expires, since 1970",
        labels: vec![
            ("institution", watched.institution.to_string()),
            ("role", role_name(watched.role).replace(' ', "_")),
            ("key", watched.key.to_string()),
        ],
        value: Value::Gauge(watched.expires.0 as f64 / 1_000.0),
    };
    members.keys().iter().map(reading).collect()
}

/// Remembers what of the expiries stands in the log already.
#[derive(Debug, Default)]
struct Told(BTreeMap<PublicKey, (Stage, u64)>);

impl Told {
    /// The alarms to write now: those of a new stage, and the others once a day.
    fn due(&mut self, members: &Members, now_ms: u64) -> Vec<Alarm> {
        let staged: Vec<_> = staged(members, now_ms).take(KEY_ALARMS_MAX).collect();
        self.0.retain(|key, _| staged.iter().any(|(watched, _)| watched.key == *key));
        let mut due = Vec::new();
        for (watched, stage) in staged {
            let is_told = self
                .0
                .get(&watched.key)
                .is_some_and(|(told, at_ms)| *told == stage && now_ms.saturating_sub(*at_ms) < REPEAT_MS);
            if !is_told {
                self.0.insert(watched.key, (stage, now_ms));
                due.push(alarm(members, watched, stage, now_ms));
            }
        }
        due
    }
}

/// Writes the alarms to the log as they come due.
pub async fn watch(members: watch::Receiver<Arc<Members>>, clock: Arc<dyn Clock>) {
    let mut told = Told::default();
    loop {
        let known = Arc::clone(&members.borrow());
        for alarm in told.due(&known, clock.now_ms()) {
            tracing::warn!(institution = alarm.about, remedy = alarm.remedy, "{}", alarm.reason);
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use yilian_spec::base::id::InstitutionId;

    use super::*;

    const NOW_MS: u64 = 1_790_000_000_000;

    fn members(keys: &[(&str, Role, i64)]) -> Members {
        let key = |(number, (institution, role, days)): (usize, &(&str, Role, i64))| WatchedKey {
            expires: LedgerTime(NOW_MS.checked_add_signed(days * DAY_MS as i64).unwrap()),
            institution: InstitutionId::new(institution).unwrap(),
            role: *role,
            key: PublicKey::Ed25519([u8::try_from(number).unwrap(); 32]),
        };
        let mut keys: Vec<WatchedKey> = keys.iter().enumerate().map(key).collect();
        keys.sort();
        Members { own: Some(InstitutionId::new("ours").unwrap()), keys, ..Members::default() }
    }

    #[test]
    fn alarms_come_ahead_and_after_and_say_what_to_do() {
        let members = members(&[
            ("ours", Role::Node, 91),
            ("ours", Role::Finance, 89),
            ("ours", Role::Administrator, -1),
            ("theirs", Role::Node, 20),
            ("theirs", Role::Node, 6),
        ]);
        let alarms = alarms(&members, NOW_MS);
        let told: Vec<(&str, &str)> =
            alarms.iter().map(|alarm| (alarm.about.as_str(), alarm.reason.as_str())).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].1.contains("administrator") && told[0].1.contains("expired on"), "{told:?}");
        assert!(told[1].0 == "theirs" && told[1].1.contains("in 6 days"), "{told:?}");
        assert!(told[2].1.contains("in 89 days"), "{told:?}");
        assert!(alarms.iter().all(|alarm| !alarm.remedy.is_empty()));
        assert_eq!(readings(&members).len(), 5, "one for each key");
    }

    #[test]
    fn each_stage_is_told_once_and_then_daily() {
        let members = members(&[("ours", Role::Node, 90)]);
        let mut told = Told::default();
        let mut lines = Vec::new();
        for hour in 0..(95 * 24) {
            let now_ms = NOW_MS + hour * 3_600_000;
            lines.extend(told.due(&members, now_ms).iter().map(|_| hour));
        }
        assert_eq!(lines[..3], [0, 24, 48]);
        // 90, 30 and 7 days ahead fall on the daily lines; the expiry itself does too.
        assert_eq!(lines.len(), 95);
        assert_eq!(Stage::of(LedgerTime(NOW_MS), NOW_MS), Some(Stage::Expired));
        assert_eq!(Stage::of(LedgerTime(NOW_MS + 30 * DAY_MS), NOW_MS), Some(Stage::Days30));
    }
}
