//! Properties over random events: shares sum, order does not matter, and a plain-integer oracle agrees.

use proptest::prelude::*;
use yilian_spec::base::codec;
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::period::{Accumulator, Direction, ServiceEvent};
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::statement::close;
use yilian_spec::settlement::templates::percentage_split_by_part;
use yilian_spec::settlement::terms::{Rounding, Terms};

use crate::support::*;

const WEIGHTS: [i128; 3] = [30, 55, 15];

/// Largest remainder of 30 / 55 / 15 in plain integers.
fn oracle(total: i128) -> [i64; 3] {
    let mut shares = WEIGHTS.map(|weight| total * weight / 100);
    let mut order = [0, 1, 2];
    order.sort_by_key(|party| std::cmp::Reverse(total * WEIGHTS[*party] % 100));
    let left = total - shares.iter().sum::<i128>();
    for party in order.into_iter().take(usize::try_from(left).unwrap()) {
        shares[party] += 1;
    }
    shares.map(|share| i64::try_from(share).unwrap())
}

/// Events and which of them are reversed later in the same period.
fn history() -> impl Strategy<Value = Vec<(i64, bool)>> {
    prop::collection::vec((0..=2_000_000i64, any::<bool>()), 0..24)
}

/// Records a history in the order of `keys`: each delivery at its key, its reversal at a later one.
fn play(terms: &Terms, history: &[(i64, bool)], keys: &[u32]) -> Accumulator {
    let mut steps: Vec<(u64, ServiceEvent, Direction)> = Vec::new();
    for ((gross, is_reversed), pair) in history.iter().zip(keys.chunks(2)) {
        let delivered_at = u64::from(pair[0]);
        steps.push((delivered_at, consultation(*gross), Direction::Delivered));
        if *is_reversed {
            steps.push((delivered_at + 1 + u64::from(pair[1]), consultation(*gross), Direction::Reversed));
        }
    }
    steps.sort_by_key(|(at, _, _)| *at);
    let mut accumulator = Accumulator::default();
    for (_, event, direction) in steps {
        accumulator.record(terms, &event, direction).unwrap();
    }
    accumulator
}

proptest! {
    #[test]
    fn a_period_follows_the_oracle_in_any_order(
        history in history(),
        keys in prop::collection::vec(any::<u32>(), 48),
        other_keys in prop::collection::vec(any::<u32>(), 48),
    ) {
        let kept: Vec<i128> = history.iter().filter(|(_, gone)| !gone).map(|(gross, _)| (*gross).into()).collect();
        let total: i128 = kept.iter().sum();
        for rounding in [Rounding::PerEvent, Rounding::PerPeriod] {
            let terms = split(rounding);
            let accumulator = play(&terms, &history, &keys);
            let again = play(&terms, &history, &other_keys);
            prop_assert_eq!(codec::encode(&accumulator), codec::encode(&again), "order");
            let (statement, _) = close(&terms, 0, accumulator).unwrap();
            let expected = match rounding {
                Rounding::PerPeriod => oracle(total),
                Rounding::PerEvent => kept.iter().map(|gross| oracle(*gross)).fold([0; 3], |sum, shares| {
                    [sum[0] + shares[0], sum[1] + shares[1], sum[2] + shares[2]]
                }),
            };
            prop_assert_eq!(&earned(&statement)[..3], &expected[..]);
            prop_assert_eq!(i128::from(statement.total().unwrap().0), total);
            prop_assert_eq!(positions(&statement, 4).iter().sum::<i64>(), 0);
        }
    }

    #[test]
    fn a_late_reversal_leaves_what_the_rest_would_have_earned(
        grosses in prop::collection::vec(0..=2_000_000i64, 1..12),
        which in any::<prop::sample::Index>(),
    ) {
        let late = which.index(grosses.len());
        for rounding in [Rounding::PerEvent, Rounding::PerPeriod] {
            let terms = split(rounding);
            let events: Vec<_> = grosses.iter().map(|gross| consultation(*gross)).collect();
            let (statement, mut settled) = close(&terms, 0, deliver(&terms, &events)).unwrap();
            let mut open = Accumulator::default();
            settled.record_late(&mut open, &terms, &events[late], Direction::Reversed).unwrap();
            let (next, _) = close(&terms, 1, open).unwrap();
            let mut sums = positions(&statement, 4);
            for (sum, change) in sums.iter_mut().zip(positions(&next, 4)) {
                *sum += change;
            }
            let mut rest = events.clone();
            rest.remove(late);
            let (without, _) = close(&terms, 0, deliver(&terms, &rest)).unwrap();
            prop_assert_eq!(sums, positions(&without, 4));
        }
    }

    #[test]
    fn shares_by_part_sum_to_the_gross_amount(
        plays in prop::collection::vec((0..=1_000_000i64, 0..3u8, 0..3u8), 1..16),
        weights in (1..1_000i64, 0..1_000i64),
    ) {
        let members = [institution("member-a"), institution("member-b"), institution("member-c")];
        let weights = [(PartRole::Primary, Ratio::whole(weights.0)), (PartRole::Expert, Ratio::new(weights.1, 7))];
        for rounding in [Rounding::PerEvent, Rounding::PerPeriod] {
            let terms = percentage_split_by_part(&frame(), &members, &weights, rounding).unwrap();
            let events: Vec<_> = plays.iter().map(|(gross, primary, expert)| {
                event("teleconsultation", *gross, &[(*primary, PartRole::Primary), (*expert, PartRole::Expert)])
            }).collect();
            let (statement, _) = close(&terms, 0, deliver(&terms, &events)).unwrap();
            prop_assert_eq!(statement.total().unwrap().0, plays.iter().map(|(gross, _, _)| gross).sum::<i64>());
            prop_assert!(earned(&statement).iter().all(|amount| *amount >= 0));
        }
    }
}
