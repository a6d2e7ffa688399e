//! Validators that keep missing their turns to propose, as the ledger itself shows (rule B-19): down, far away, or doing it on
//! purpose. Whoever withholds its block, is late or sends two looks like this.

use yilian_spec::domain::membership::rotation::Absence;
use yilian_spec::ledger::chain::Tip;

use crate::health::alarm::{Alarm, AlarmKind, Severity};

/// One missed turn is a restart or a hiccup.
const MISSES_TOLD_MIN: u8 = 2;

/// The alarms at a tip: of those who are passed over at the next height and not for the first time.
pub fn alarms(tip: &Tip) -> Vec<Alarm> {
    let next = tip.height.next();
    let is_told = |absence: &&Absence| absence.missed >= MISSES_TOLD_MIN && absence.until >= next;
    tip.attendance.absences().iter().filter(is_told).map(alarm).collect()
}

fn alarm(absence: &Absence) -> Alarm {
    let Absence { institution, until, missed, .. } = absence;
    Alarm {
        kind: AlarmKind::Absence,
        about: institution.to_string(),
        severity: Severity::Warning,
        reason: format!(
            "{institution}'s validator missed its turn to propose {missed} times or more, and is passed over up to block {until}"
        ),
        remedy: format!(
            "nothing while it is down or its line is slow; if it is up, call {institution}'s operator: it may withhold its \
             blocks, propose late, or send different ones"
        ),
    }
}

#[cfg(test)]
mod tests {
    use yilian_spec::base::height::Height;
    use yilian_spec::base::id::Hash;
    use yilian_spec::crypto::signature::PublicKey;
    use yilian_spec::domain::membership::rotation::ABSENCE_HEIGHTS;
    use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};

    use super::*;
    use crate::test_world::genesis;

    /// A tip at `height` after the validator of member 1 of four was expected `times` times, at the heights from 2 on.
    fn tip(times: u64, height: u64) -> Tip {
        let mut tip = Tip::genesis(&genesis(), Hash::default());
        let validators = tip.validators.clone();
        let alone = |validator: &Validator| ValidatorSet::new(vec![validator.clone()]);
        let absent = alone(&validators.validators()[1]);
        for missed in 0..times {
            let at = (Height(2 + missed), &PublicKey::Ed25519([9; 32]));
            tip.attendance = tip.attendance.after(at, &absent, &validators);
        }
        tip.height = Height(height);
        tip
    }

    #[test]
    fn who_misses_again_and_again_is_named_as_long_as_it_is_passed_over() {
        assert_eq!(alarms(&tip(0, 3)), []);
        assert_eq!(alarms(&tip(1, 3)), []);
        let last = 3 + 2 * ABSENCE_HEIGHTS;
        let told = alarms(&tip(2, last - 1));
        let who = tip(0, 3).validators.validators()[1].institution.clone();
        assert_eq!((told.len(), told[0].kind, told[0].about.as_str()), (1, AlarmKind::Absence, who.as_str()));
        assert!(told[0].reason.contains(&last.to_string()), "{told:?}");
        assert_eq!(alarms(&tip(2, last)), []);
    }
}
