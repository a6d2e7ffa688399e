//! Whose turn it is to propose: validators by turns, without those that lately missed theirs (rules B-18 and B-19).
//!
//! A validator that misses its turn, or misuses it so that nothing comes of it, costs everybody a round's timeouts. The
//! chain shows it: the header names who proposed, and when that is not the one whose turn round 0 was, that one missed
//! it. What was missed is a row of the state, so whoever has the state knows whose turn is next, and can prove it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::height::Height;
use crate::base::id::InstitutionId;
use crate::crypto::signature::PublicKey;
use crate::domain::membership::validators::{Validator, ValidatorSet};

/// Heights for which an institution is passed over when it misses a turn for the first time; twice as many each time again.
pub const ABSENCE_HEIGHTS: u64 = 200;
/// Misses that count: the longest absence is [`ABSENCE_HEIGHTS`] doubled one time less.
pub const MISSES_MAX: u8 = 5;
/// Turns that an institution must use for one miss to be forgotten.
pub const TURNS_PER_MISS: u8 = 32;

/// What an institution's validators have missed and not made up for yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Absence {
    /// Whose. Not a key's: a new key must not wipe out what the old one missed.
    pub institution: InstitutionId,
    /// The last height at which it is passed over.
    pub until: Height,
    /// Misses that count, from 1 to [`MISSES_MAX`].
    pub missed: u8,
    /// Turns used since the last miss that counts was forgotten or added; below [`TURNS_PER_MISS`].
    pub used: u8,
}

/// All absences, sorted by institution; row `05`. A state without the row has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(transparent)]
pub struct Attendance(Vec<Absence>);

impl Attendance {
    /// The absences, sorted by institution.
    pub fn absences(&self) -> &[Absence] {
        &self.0
    }

    fn of(&self, institution: &InstitutionId) -> Option<&Absence> {
        self.0.iter().find(|absence| absence.institution == *institution)
    }

    /// The validators that propose at `height`, by turns, in the order of the set (rule B-18). Those who are passed over
    /// come back early, the one first whose absence ends first, until more than a third of the voting power takes turns:
    /// fewer could all be liars and would alone decide what comes first.
    pub fn rotation<'a>(&self, validators: &'a ValidatorSet, height: Height) -> Vec<&'a Validator> {
        let until = |validator: &Validator| {
            self.of(&validator.institution).map_or(Height(0), |absence| absence.until)
        };
        let mut by_return: Vec<&Validator> = validators.validators().iter().collect();
        by_return.sort_by_key(|validator| until(validator));
        let total = validators.total_power();
        let mut power = 0;
        by_return.retain(|validator| {
            let takes_turns = until(validator) < height || 3 * power <= total;
            power += if takes_turns { validator.power } else { 0 };
            takes_turns
        });
        by_return.sort();
        by_return
    }

    /// Whose turn round 0 of `height` is (rule B-18).
    pub fn turn<'a>(&self, validators: &'a ValidatorSet, height: Height) -> &'a Validator {
        let rotation = self.rotation(validators, height);
        rotation[(height.0 % rotation.len() as u64) as usize]
    }

    /// The attendance after the block of `height` (rule B-19), which `proposer` made: of `validators`, the set of that
    /// height, those count on that are in `next`, the set after it.
    pub fn after(
        &self,
        (height, proposer): (Height, &PublicKey),
        validators: &ValidatorSet,
        next: &ValidatorSet,
    ) -> Self {
        let turn = &self.turn(validators, height).institution;
        let came = validators.get(proposer).is_some_and(|validator| validator.institution == *turn);
        let mut after = self.clone();
        if came {
            after.used(turn);
        } else {
            after.missed(turn, height);
        }
        let remains = |absence: &Absence| {
            next.validators().iter().any(|validator| validator.institution == absence.institution)
        };
        after.0.retain(remains);
        after
    }

    fn missed(&mut self, institution: &InstitutionId, height: Height) {
        let missed = self.of(institution).map_or(0, |absence| absence.missed);
        let missed = (missed + 1).min(MISSES_MAX);
        let until = Height(height.0.saturating_add(ABSENCE_HEIGHTS << (missed - 1)));
        self.0.retain(|absence| absence.institution != *institution);
        self.0.push(Absence { institution: institution.clone(), until, missed, used: 0 });
        self.0.sort_by(|one, other| one.institution.cmp(&other.institution));
    }

    fn used(&mut self, institution: &InstitutionId) {
        for absence in self.0.iter_mut().filter(|absence| absence.institution == *institution) {
            absence.used += 1;
            if absence.used == TURNS_PER_MISS {
                absence.used = 0;
                absence.missed -= 1;
            }
        }
        self.0.retain(|absence| absence.missed > 0);
    }
}
