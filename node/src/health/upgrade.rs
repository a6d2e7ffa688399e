//! A version of the protocol that the ledger goes on under one day and this program does not know: an alarm until then, so
//! that nobody learns of it when the node stops.

use yilian_spec::base::version::{ProtocolVersion, VersionStart};
use yilian_spec::ledger::chain::Tip;

use crate::health::alarm::{Alarm, AlarmKind, Severity};

/// The alarms at a tip: at most one.
pub fn alarms(tip: &Tip) -> Vec<Alarm> {
    let next = tip.height.next();
    let unknown = tip.parameters.versions.first_unknown();
    unknown
        .map(|VersionStart { height, version }| {
            let ahead = height.0.saturating_sub(next.0);
            Alarm {
                kind: AlarmKind::Version,
                about: "protocol".to_owned(),
                severity: if ahead == 0 { Severity::Urgent } else { Severity::Warning },
                reason: format!(
                    "from block {height} on, {ahead} blocks after the next one, the ledger goes on under version {version} of \
                     the protocol; this program knows versions 1 to {} and stops there",
                    ProtocolVersion::LATEST
                ),
                remedy: "install a version of this program that knows it, and start the node again, before that block"
                    .to_owned(),
            }
        })
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use yilian_spec::base::height::Height;
    use yilian_spec::base::id::Hash;

    use super::*;
    use crate::test_world::genesis;

    #[test]
    fn a_version_that_is_unknown_is_told_as_long_as_it_is_ahead_and_when_it_is_there() {
        let mut tip = Tip::genesis(&genesis(), Hash::default());
        assert_eq!(alarms(&tip), []);
        tip.parameters.versions =
            serde_json::from_str(r#"[{"height":1,"version":2},{"height":9,"version":900}]"#).unwrap();
        let mut told = |height| {
            tip.height = Height(height);
            let [alarm] = &alarms(&tip)[..] else { panic!("one alarm") };
            (alarm.severity, alarm.reason.clone())
        };
        let (severity, reason) = told(5);
        assert_eq!(severity, Severity::Warning);
        assert!(reason.contains("block 9 on, 3 blocks after") && reason.contains("version 900"), "{reason}");
        assert_eq!(told(7).0, Severity::Warning);
        assert_eq!(told(8).0, Severity::Urgent, "the next block cannot be executed");
    }
}
