//! Rules B-18 and B-19: whose turn it is, and what a missed one costs.

use std::collections::BTreeMap;

use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::limits::BLOCK_WORK_MAX;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::rotation::{
    ABSENCE_HEIGHTS, Absence, Attendance, MISSES_MAX, TURNS_PER_MISS,
};
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::ledger::chain::{self, Made};
use yilian_spec::state::key::StateKey;

use crate::support::{CATCHING_UP, build, travelling, validate};
use crate::world::{COUNTY, TEACHING, World, secret};

fn key(number: u8) -> PublicKey {
    PublicKey::Ed25519([number; 32])
}

fn member(number: u8) -> InstitutionId {
    InstitutionId::new(&format!("member-{number}")).unwrap()
}

/// Validators 1, 2, … of these powers.
fn set(powers: &[u64]) -> ValidatorSet {
    let validator = |(number, power): (u8, &u64)| Validator {
        key: key(number),
        institution: member(number),
        power: *power,
    };
    ValidatorSet::new((1..).zip(powers).map(validator).collect())
}

fn rotation(attendance: &Attendance, validators: &ValidatorSet, height: u64) -> Vec<u8> {
    attendance
        .rotation(validators, Height(height))
        .into_iter()
        .map(|validator| validator.key.ed25519_bytes()[0])
        .collect()
}

fn turn(attendance: &Attendance, validators: &ValidatorSet, height: u64) -> u8 {
    attendance.turn(validators, Height(height)).key.ed25519_bytes()[0]
}

fn after(attendance: &Attendance, validators: &ValidatorSet, height: u64, proposer: u8) -> Attendance {
    attendance.after((Height(height), &key(proposer)), validators, validators)
}

/// What comes of these heights if those of `absent` never propose, and the next one in the set always does instead.
fn run(
    mut attendance: Attendance,
    validators: &ValidatorSet,
    heights: std::ops::RangeInclusive<u64>,
    absent: &[u8],
) -> (Attendance, Vec<u64>) {
    let mut missed = Vec::new();
    for height in heights {
        let turn = turn(&attendance, validators, height);
        let came = if absent.contains(&turn) {
            missed.push(height);
            (1..).find(|other| !absent.contains(other)).unwrap()
        } else {
            turn
        };
        attendance = after(&attendance, validators, height, came);
    }
    (attendance, missed)
}

#[test]
fn all_take_turns_in_the_order_of_the_set_and_nothing_is_written() {
    let validators = set(&[1; 4]);
    let (attendance, missed) = run(Attendance::default(), &validators, 1..=9, &[]);
    assert_eq!((attendance.absences(), missed.len()), (&[][..], 0));
    let turns: Vec<u8> = (1..=5).map(|height| turn(&attendance, &validators, height)).collect();
    assert_eq!(turns, [2, 3, 4, 1, 2]);
}

#[test]
fn who_misses_a_turn_is_passed_over_for_twice_as_long_each_time() {
    let validators = set(&[1; 4]);
    let (attendance, missed) = run(Attendance::default(), &validators, 1..=20_000, &[3]);
    let pauses: Vec<u64> = missed.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let doubled = |times: u32| ABSENCE_HEIGHTS << times;
    for (times, pause) in (0..).zip(&pauses) {
        let absence = doubled(times.min(u32::from(MISSES_MAX) - 1));
        // Its turn is one of the four heights after that.
        assert!((absence + 1..=absence + 4).contains(pause), "{pauses:?}");
    }
    assert_eq!(pauses.len(), 9, "{pauses:?}");
    let last = *missed.last().unwrap();
    let absence = Absence {
        institution: member(3),
        until: Height(last + doubled(u32::from(MISSES_MAX) - 1)),
        missed: MISSES_MAX,
        used: 0,
    };
    assert_eq!(attendance.absences(), [absence]);
    assert_eq!(rotation(&attendance, &validators, last + 1), [1, 2, 4]);
}

#[test]
fn an_absence_ends_with_its_last_height() {
    let validators = set(&[1; 4]);
    let attendance = after(&Attendance::default(), &validators, 2, 4);
    assert_eq!(attendance.absences()[0].institution, member(3));
    assert_eq!(rotation(&attendance, &validators, 2 + ABSENCE_HEIGHTS), [1, 2, 4]);
    assert_eq!(rotation(&attendance, &validators, 3 + ABSENCE_HEIGHTS), [1, 2, 3, 4]);
}

#[test]
fn turns_that_are_used_wear_misses_off() {
    let validators = set(&[1; 4]);
    let (twice, missed) = run(Attendance::default(), &validators, 1..=3 * ABSENCE_HEIGHTS, &[3]);
    assert_eq!((missed.len(), twice.absences()[0].missed), (2, 2));
    let back = twice.absences()[0].until.0 + 1;
    let mut attendance = twice;
    let mut used = 0;
    for height in back.. {
        let came = turn(&attendance, &validators, height);
        attendance = after(&attendance, &validators, height, came);
        if came == 3 {
            used += 1;
            let left = attendance.absences().first().map_or((0, 0), |absence| (absence.missed, absence.used));
            let per_miss = u32::from(TURNS_PER_MISS);
            let expected = match 2 - used / per_miss {
                0 => (0, 0),
                missed => (missed as u8, (used % per_miss) as u8),
            };
            assert_eq!(left, expected, "after {used} turns");
        }
        if attendance == Attendance::default() {
            break;
        }
    }
    assert_eq!(used, 2 * u32::from(TURNS_PER_MISS));
}

#[test]
fn more_than_a_third_of_the_power_takes_turns_whatever_was_missed() {
    let validators = set(&[1; 4]);
    let mut attendance = Attendance::default();
    // 2 and 3 and 4 miss their turns, which 1 takes.
    for height in 1..=3 {
        attendance = after(&attendance, &validators, height, 1);
    }
    // 2 is back first; one of four is no more than a third.
    assert_eq!(rotation(&attendance, &validators, 5), [1, 2]);
    // A third is not more than a third.
    let heavy = set(&[2, 1, 1, 2]);
    assert_eq!(rotation(&attendance, &heavy, 5), [1, 2]);
    let light = set(&[3, 1, 1, 2]);
    assert_eq!(rotation(&attendance, &light, 5), [1]);
    // A single validator that missed its turn is all there is.
    let alone = set(&[7]);
    let attendance = after(&Attendance::default(), &alone, 1, 9);
    assert_eq!(rotation(&attendance, &alone, 2), [1]);
}

#[test]
fn an_institution_does_not_shake_off_its_absence_with_a_new_key_and_leaves_it_when_it_leaves() {
    let old = set(&[1; 4]);
    let mut renewed = old.validators().to_vec();
    renewed[2].key = key(9);
    let renewed = ValidatorSet::new(renewed);
    let attendance = after(&Attendance::default(), &old, 2, 1).after((Height(3), &key(1)), &old, &renewed);
    assert_eq!(rotation(&attendance, &renewed, 4), [1, 2, 4]);
    let without =
        ValidatorSet::new(old.validators().iter().filter(|one| one.key != key(3)).cloned().collect());
    let attendance = attendance.after((Height(4), &key(2)), &renewed, &without);
    assert_eq!(attendance, Attendance::default());
}

#[test]
fn all_validators_of_an_institution_share_its_turns() {
    let mut validators = set(&[1; 4]).validators().to_vec();
    validators[3].institution = member(3);
    let validators = ValidatorSet::new(validators);
    assert_eq!(turn(&Attendance::default(), &validators, 2), 3);
    assert_eq!(after(&Attendance::default(), &validators, 2, 4), Attendance::default());
    let attendance = after(&Attendance::default(), &validators, 2, 1);
    assert_eq!(rotation(&attendance, &validators, 3), [1, 2]);
}

/// The rules once more, in other words: absences by institution as (until, missed, used).
#[derive(Default)]
struct Oracle(BTreeMap<u8, (u64, u32, u32)>);

impl Oracle {
    fn rotation(&self, powers: &[u64], height: u64) -> Vec<u8> {
        let numbers = || 1..=powers.len() as u8;
        let until = |number: &u8| self.0.get(number).map_or(0, |absence| absence.0);
        let mut taking: Vec<u8> = numbers().filter(|number| until(number) < height).collect();
        let mut absent: Vec<u8> = numbers().filter(|number| until(number) >= height).collect();
        absent.sort_by_key(|number| (until(number), *number));
        let power = |of: &[u8]| of.iter().map(|number| powers[usize::from(*number) - 1]).sum::<u64>();
        for number in absent {
            if 3 * power(&taking) > powers.iter().sum() {
                break;
            }
            taking.push(number);
        }
        taking.sort_unstable();
        taking
    }

    fn decided(&mut self, turn: u8, proposer: u8, height: u64) {
        let (until, missed, used) = self.0.get(&turn).copied().unwrap_or_default();
        let new = if turn != proposer {
            let missed = (missed + 1).min(5);
            (height + [0, 200, 400, 800, 1_600, 3_200][missed as usize], missed, 0)
        } else if used == 31 {
            (until, missed.saturating_sub(1), 0)
        } else {
            (until, missed, used + 1)
        };
        if new.1 > 0 {
            self.0.insert(turn, new);
        } else {
            self.0.remove(&turn);
        }
    }
}

#[test]
fn an_oracle_in_other_words_comes_to_the_same_turns() {
    for powers in [&[1, 1, 1, 1][..], &[5, 1, 3, 1, 2, 2, 9], &[1]] {
        let (validators, mut attendance, mut oracle) =
            (set(powers), Attendance::default(), Oracle::default());
        // A generator of the form x * a + c: enough to miss turns without a pattern.
        let mut state = 7u64;
        for height in 1..=12_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let expected = oracle.rotation(powers, height);
            assert_eq!(rotation(&attendance, &validators, height), expected, "{powers:?} at {height}");
            let turn = expected[height as usize % expected.len()];
            // Member 1 misses most of its turns, the others one in a few hundred.
            let misses = (state >> 40).is_multiple_of(if turn == 1 { 2 } else { 300 });
            let proposer = if misses { powers.len() as u8 + 1 } else { turn };
            attendance = after(&attendance, &validators, height, proposer);
            oracle.decided(turn, proposer, height);
        }
    }
}

#[test]
fn a_missed_turn_is_a_proven_row_and_the_next_turn_follows_from_it() {
    let world = World::new();
    let before = world.tip.turn();
    let executed = build(&world, vec![]);
    let missed = executed.header.proposer != before;
    let row = executed.writes.get(&StateKey::Attendance.bytes());
    assert_eq!(row.is_some(), missed);
    let other = [COUNTY, TEACHING]
        .map(|number| secret(number, Role::Validator).public_key())
        .into_iter()
        .find(|validator| *validator != before)
        .unwrap();
    let made = Made { time: world.time().plus_ms(1_000), proposer: other };
    let root_of = |writes: &_| world.rows.root_after(writes);
    let executed = chain::execute(&world.tip, &world.rows, made, vec![], BLOCK_WORK_MAX, root_of).unwrap();
    let row = executed.writes.get(&StateKey::Attendance.bytes()).unwrap().clone().unwrap();
    let attendance: Attendance = codec::decode(&row, 1 << 10).unwrap();
    assert_eq!(attendance, executed.tip.attendance);
    let whose = world.tip.validators.get(&before).unwrap().institution.clone();
    let absence = Absence { institution: whose, until: Height(1 + ABSENCE_HEIGHTS), missed: 1, used: 0 };
    assert_eq!(attendance.absences(), [absence]);
    assert!(StateKey::is_proven(&StateKey::Attendance.bytes()));
    assert_ne!(executed.header.state_root, world.tip.state_root);
    let validated = validate(&world, travelling(&executed), CATCHING_UP).unwrap();
    assert_eq!(validated.tip, executed.tip);
    assert!(!executed.tip.rotation().iter().any(|validator| validator.key == before));
}
