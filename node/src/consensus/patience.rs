//! How long a node waits for a proposal: a few times as long as proposals took lately, within the ledger's bounds.
//!
//! A validator that misuses its turn costs everybody the time they wait for it. How long an honest proposal takes differs by
//! a hundred times between a machine room and a country, so each node measures it. The slowest validators that hold less than
//! a third of the power do not count: they may be late on purpose. Timeouts need not be the same on all nodes; they
//! still grow with each round, so that a wrong guess costs a round and never the height.
//!
//! Pure: time comes in as milliseconds of any clock.

use std::collections::{BTreeMap, VecDeque};

use yilian_spec::base::height::Height;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::parameters::ConsensusTimeouts;

use crate::application::ValidatorInfo;
use crate::base::limits::{PATIENCE_FACTOR, PATIENCE_ROUNDS_MAX, PATIENCE_SAMPLES};

/// What was measured.
#[derive(Debug, Default)]
pub struct Patience {
    height: Height,
    /// When the last rounds of the height started.
    rounds: VecDeque<(u32, u64)>,
    /// How long the last proposals of each validator took, in milliseconds.
    took_ms: BTreeMap<PublicKey, VecDeque<u64>>,
}

impl Patience {
    /// A round has started.
    pub fn round_started(&mut self, (height, round): (Height, u32), now_ms: u64) {
        if self.height != height {
            self.height = height;
            self.rounds.clear();
        }
        push(&mut self.rounds, (round, now_ms), PATIENCE_ROUNDS_MAX);
    }

    /// A valid proposal of a round was received and executed. It counts also when it came too late.
    pub fn proposal_came(&mut self, (height, round): (Height, u32), proposer: PublicKey, now_ms: u64) {
        let started = self.rounds.iter().find(|(started, _)| self.height == height && *started == round);
        let Some((_, started_ms)) = started else { return };
        let took_ms = now_ms.saturating_sub(*started_ms);
        push(self.took_ms.entry(proposer).or_default(), took_ms, PATIENCE_SAMPLES);
    }

    /// The waiting times of the next height: `bounds` as far as nothing better is known. `own` is this node's validator, if it
    /// is one.
    pub fn timeouts(
        &self,
        bounds: ConsensusTimeouts,
        validators: &[ValidatorInfo],
        own: Option<PublicKey>,
    ) -> ConsensusTimeouts {
        let Some(took_ms) = self.two_thirds_within_ms(validators, own) else { return bounds };
        let least_ms = bounds.propose_min_ms.min(bounds.propose_ms);
        let propose_ms = took_ms.saturating_mul(PATIENCE_FACTOR).clamp(least_ms, bounds.propose_ms);
        ConsensusTimeouts {
            propose_ms,
            prevote_ms: bounds.prevote_ms.min(propose_ms),
            // Whoever has seen two thirds of the precommits waits for a decision that is all but ruled out.
            precommit_ms: bounds.precommit_ms.min(propose_ms / PATIENCE_FACTOR),
            ..bounds
        }
    }

    /// Within how long the proposals came of validators with more than two thirds of the power; `None` if too few are known.
    fn two_thirds_within_ms(&self, validators: &[ValidatorInfo], own: Option<PublicKey>) -> Option<u64> {
        let longest = |validator: &ValidatorInfo| match own == Some(validator.public_key) {
            true => Some(0),
            false => self.took_ms.get(&validator.public_key)?.iter().max().copied(),
        };
        let known =
            validators.iter().filter_map(|validator| Some((longest(validator)?, validator.voting_power)));
        let mut by_time: Vec<(u64, u64)> = known.collect();
        by_time.sort_unstable();
        let total: u64 = validators.iter().map(|validator| validator.voting_power).sum();
        let mut power = 0;
        let reached = by_time.iter().find(|(_, of_one)| {
            power += of_one;
            3 * power > 2 * total
        });
        reached.map(|(took_ms, _)| *took_ms)
    }

    /// Forgets whoever is no validator any more.
    pub fn retain(&mut self, validators: &[ValidatorInfo]) {
        self.took_ms.retain(|key, _| validators.iter().any(|validator| validator.public_key == *key));
    }
}

fn push<T>(last: &mut VecDeque<T>, new: T, most: usize) {
    if last.len() == most {
        last.pop_front();
    }
    last.push_back(new);
}

#[cfg(test)]
mod tests {
    use yilian_spec::base::id::InstitutionId;

    use super::*;

    const BOUNDS: ConsensusTimeouts = ConsensusTimeouts {
        propose_ms: 1_000,
        propose_min_ms: 50,
        prevote_ms: 300,
        precommit_ms: 200,
        delta_ms: 100,
        rebroadcast_ms: 1_000,
        bound_ms: 20_000,
    };

    fn key(number: u8) -> PublicKey {
        PublicKey::Ed25519([number; 32])
    }

    fn validators(powers: &[u64]) -> Vec<ValidatorInfo> {
        let validator = |(number, power): (u8, &u64)| ValidatorInfo {
            public_key: key(number),
            institution: InstitutionId::new(&format!("member-{number}")).unwrap(),
            voting_power: *power,
        };
        (0..).zip(powers).map(validator).collect()
    }

    /// Everybody's proposal in a height of its own.
    fn after(took: &[(u8, u64)]) -> Patience {
        let mut patience = Patience::default();
        for (height, (proposer, took_ms)) in (1..).zip(took) {
            let at = (Height(height), 0);
            patience.round_started(at, 500);
            patience.proposal_came(at, key(*proposer), 500 + took_ms);
        }
        patience
    }

    fn propose_ms(patience: &Patience, own: Option<u8>) -> u64 {
        patience.timeouts(BOUNDS, &validators(&[1; 4]), own.map(key)).propose_ms
    }

    #[test]
    fn the_bounds_hold_until_two_thirds_are_known() {
        assert_eq!(Patience::default().timeouts(BOUNDS, &validators(&[1; 4]), None), BOUNDS);
        assert_eq!(propose_ms(&after(&[(1, 30)]), Some(0)), 1_000);
        assert_eq!(propose_ms(&after(&[(1, 30), (2, 40)]), None), 1_000);
        assert_eq!(propose_ms(&after(&[(1, 30), (2, 40)]), Some(0)), 120);
        assert_eq!(propose_ms(&after(&[(1, 30), (2, 40), (3, 20)]), None), 120);
    }

    #[test]
    fn the_slowest_that_hold_less_than_a_third_do_not_count() {
        assert_eq!(propose_ms(&after(&[(1, 30), (2, 40), (3, 900)]), Some(0)), 120);
        let heavy = after(&[(1, 30), (2, 40), (3, 90)]);
        // Without the last one, exactly two thirds: not more.
        assert_eq!(heavy.timeouts(BOUNDS, &validators(&[1, 2, 3, 3]), Some(key(0))).propose_ms, 270);
        assert_eq!(heavy.timeouts(BOUNDS, &validators(&[1, 2, 4, 3]), Some(key(0))).propose_ms, 120);
    }

    #[test]
    fn votes_are_waited_for_no_longer_than_proposals_and_nothing_is_beyond_the_bounds() {
        let quick = after(&[(1, 1), (2, 2)]).timeouts(BOUNDS, &validators(&[1; 4]), Some(key(0)));
        assert_eq!((quick.propose_ms, quick.prevote_ms, quick.precommit_ms), (50, 50, 16));
        assert_eq!((quick.delta_ms, quick.rebroadcast_ms, quick.bound_ms), (100, 1_000, 20_000));
        let slow =
            after(&[(1, u64::MAX / 2), (2, 5_000)]).timeouts(BOUNDS, &validators(&[1; 4]), Some(key(0)));
        assert_eq!(slow, BOUNDS);
        let middling = after(&[(1, 90), (2, 90)]).timeouts(BOUNDS, &validators(&[1; 4]), Some(key(0)));
        assert_eq!((middling.propose_ms, middling.prevote_ms, middling.precommit_ms), (270, 270, 90));
        let narrow = ConsensusTimeouts { propose_ms: 20, ..BOUNDS };
        assert_eq!(
            after(&[(1, 1), (2, 2)]).timeouts(narrow, &validators(&[1; 4]), Some(key(0))).propose_ms,
            20
        );
    }

    #[test]
    fn the_longest_of_the_last_proposals_counts() {
        let mut took = vec![(2, 20), (1, 200)];
        took.extend(vec![(1, 40); PATIENCE_SAMPLES - 1]);
        assert_eq!(propose_ms(&after(&took), Some(0)), 600);
        took.push((1, 40));
        assert_eq!(propose_ms(&after(&took), Some(0)), 120);
    }

    #[test]
    fn what_comes_after_its_round_counts_and_what_belongs_to_no_round_does_not() {
        let mut patience = after(&[(2, 20)]);
        let at = |round| (Height(9), round);
        patience.round_started(at(0), 0);
        patience.round_started(at(1), 100);
        patience.proposal_came((Height(8), 0), key(1), 100);
        patience.proposal_came(at(2), key(1), 100);
        assert_eq!(propose_ms(&patience, Some(0)), 1_000);
        patience.proposal_came(at(0), key(1), 170);
        assert_eq!(propose_ms(&patience, Some(0)), 510);
        patience.retain(&validators(&[1; 2]));
        assert_eq!(patience.took_ms.keys().collect::<Vec<_>>(), [&key(1)]);
    }
}
