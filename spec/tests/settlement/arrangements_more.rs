//! The worked examples of arrangements A7c to A12 and A17: no template yet, but the language says them all.

use yilian_spec::settlement::evaluate::FigureValue;
use yilian_spec::settlement::expression::Measure;
use yilian_spec::settlement::rational::Ratio;

use crate::support::*;

#[test]
fn a7c_cost_outliers_leave_the_base() {
    let mut w = Writer::default();
    let (cost, mean) = (w.quantity("cost"), w.denominator("cost"));
    let ratio = w.divide(cost, mean);
    let base = w.number(1_000_000, 1);
    let one = w.number(1, 1);
    let low = w.steps.multiply(base, ratio);
    let above_one = w.steps.subtract(ratio, one);
    let high = w.steps.multiply(base, above_one);
    let (half, twice) = (w.number(1, 2), w.number(2, 1));
    let up_to_twice = w.at_least(twice, ratio, base, high);
    let owed = w.at_least(ratio, half, up_to_twice, low);
    let owed = w.round(owed, "case");
    w.place(0, owed);
    let terms = w.terms(2);
    for (percent, expected) in
        [(40, 400_000), (260, 1_600_000), (98, 1_000_000), (50, 1_000_000), (200, 1_000_000)]
    {
        assert_eq!(amounts(&over(&terms, &[("cost", 0, percent, 100)])), [expected, 0], "{percent} %");
    }
}

#[test]
fn a8_scores_are_clamped_between_floor_and_target() {
    let mut w = Writer::default();
    let mut scores = Vec::new();
    for (code, floor, target, weight) in
        [("blood-pressure", (58, 100), (75, 100), (6, 10)), ("readmission", (12, 100), (8, 100), (4, 10))]
    {
        let (measured, of) = (w.quantity(code), w.denominator(code));
        let actual = w.divide(measured, of);
        let (floor, target) = (w.number(floor.0, floor.1), w.number(target.0, target.1));
        let reached = w.steps.subtract(actual, floor);
        let span = w.steps.subtract(target, floor);
        let part = w.divide(reached, span);
        let (zero, one) = (w.number(0, 1), w.number(1, 1));
        let part = w.clamp(part, zero, one);
        scores.push(w.times(part, weight.0, weight.1));
    }
    let score = w.steps.add(scores[0], scores[1]);
    let owed = w.times(score, 50_000_000, 1);
    let owed = w.round(owed, "bonus");
    w.place(0, owed);
    let reports = [("blood-pressure", 0, 720, 1_000), ("readmission", 0, 84, 1_000)];
    assert_eq!(amounts(&over(&w.terms(2), &reports)), [42_705_882, 0]);
}

#[test]
fn a8r_what_is_not_earned_goes_to_those_above_the_threshold() {
    let mut w = Writer::default();
    let pools = w.numbers_v(&[20_000_000, 15_000_000, 5_000_001, 0]);
    let percent = w.quantities_v("score");
    let scores = w.times(percent, 1, 100);
    let (threshold, zero) = (w.number(70, 100), w.number(0, 1));
    let earned = w.steps.multiply(pools, scores);
    let earned = w.at_least(scores, threshold, earned, zero);
    let earned = w.round(earned, "earned");
    let left = w.steps.subtract(pools, earned);
    let left = w.sum(left);
    let weights = w.at_least(scores, threshold, pools, zero);
    let redistributed = w.allot(left, weights, "redistributed");
    w.steps.add(earned, redistributed);
    let result = over(&w.terms(4), &[("score", 0, 92, 1), ("score", 1, 64, 1), ("score", 2, 81, 1)]);
    let values = |values: &[i64]| FigureValue::PerParty { values: values.to_vec() };
    assert_eq!(result.figures[0].value, values(&[18_400_000, 0, 4_050_001, 0]));
    assert_eq!(result.figures[1].value, values(&[14_039_999, 0, 3_510_001, 0]));
    assert_eq!(amounts(&result).iter().sum::<i64>(), 40_000_001);
}

#[test]
fn a8c_claw_back_keeps_the_guaranteed_part() {
    let mut w = Writer::default();
    let paid = w.quantity("paid");
    let kept = w.times(paid, 85, 100);
    let kept = w.round(kept, "kept");
    let back = w.steps.subtract(kept, paid);
    w.place(0, back);
    assert_eq!(amounts(&over(&w.terms(2), &[("paid", 0, 48_000_000, 1)])), [-7_200_000, 0]);
}

#[test]
fn a9_the_platform_earns_by_effect_up_to_a_cap() {
    let mut w = Writer::default();
    let sales = w.quantity("sales");
    let (controlled, of) = (w.quantity("controlled"), w.denominator("controlled"));
    let rate = w.divide(controlled, of);
    let target = w.number(58, 100);
    let above = w.steps.subtract(rate, target);
    let zero = w.number(0, 1);
    let above = w.maximum(above, zero);
    let basic = w.number(40, 100);
    let share = w.steps.add(basic, above);
    let cap = w.number(55, 100);
    let share = w.minimum(share, cap);
    let platform = w.steps.multiply(sales, share);
    let platform = w.round(platform, "platform");
    let company = w.steps.subtract(sales, platform);
    let (platform, company) = (w.place(0, platform), w.place(1, company));
    w.steps.add(platform, company);
    let terms = w.terms(3);
    let at =
        |percent| amounts(&over(&terms, &[("sales", 2, 123_456_789, 1), ("controlled", 0, percent, 100)]));
    assert_eq!(at(72), [66_666_666, 56_790_123, 0]);
    assert_eq!(at(99)[0], 67_901_234, "the cap of 55 %");
    assert_eq!(at(10)[0], 49_382_716, "never below 40 %");
}

#[test]
fn a10_the_platform_bears_part_of_the_rebate() {
    let mut w = Writer::default();
    let members = w.quantity("members-on-target");
    let rebate = w.times(members, 86_000, 1);
    let rebate = w.times(rebate, 10, 100);
    let rebate = w.round(rebate, "rebate");
    let platform = w.times(rebate, 30, 100);
    let platform = w.round(platform, "platform");
    let insurer = w.steps.subtract(rebate, platform);
    let (platform, insurer) = (w.place(0, platform), w.place(1, insurer));
    w.steps.add(platform, insurer);
    assert_eq!(amounts(&over(&w.terms(3), &[("members-on-target", 0, 1_284, 1)])), [3_312_720, 7_729_680, 0]);
}

#[test]
fn a10c_a_risk_corridor_pays_in_bands_of_the_target() {
    let mut w = Writer::default();
    let (allowable, target) = (w.quantity("allowable"), w.quantity("target"));
    let ratio = w.divide(allowable, target);
    let one = w.number(1, 1);
    let deviation = w.steps.subtract(ratio, one);
    // 3 % free, 5 % halved (2.5 % of target), the rest at 80 %; below target the same with the other sign.
    let bands = [(Ratio::percent(3), Ratio::whole(0)), (Ratio::percent(8), Ratio::new(1, 2))];
    let part = w.tiers(deviation, &bands, Ratio::new(4, 5));
    let owed = w.steps.multiply(part, target);
    let owed = w.round(owed, "corridor");
    w.place(0, owed);
    let terms = w.terms(2);
    let at = |allowable| {
        amounts(&over(&terms, &[("allowable", 0, allowable, 1), ("target", 0, 1_000_000_000, 1)]))[0]
    };
    assert_eq!(at(1_100_000_000), 41_000_000);
    assert_eq!(at(900_000_000), -41_000_000);
    assert_eq!((at(1_030_000_000), at(1_000_000_000), at(1_050_000_000)), (0, 0, 10_000_000));
}

#[test]
fn a12_a_visit_is_time_capped_travel_and_training() {
    let mut w = Writer::default();
    let half_days = w.quantity("half-days");
    let half_days = w.times(half_days, 40_000, 1);
    let travel = w.quantity("travel");
    let cap = w.number(100_000, 1);
    let travel = w.minimum(travel, cap);
    let hours = w.quantity("training-hours");
    let hours = w.times(hours, 15_000, 1);
    let owed = w.steps.add(half_days, travel);
    let owed = w.steps.add(owed, hours);
    w.place(0, owed);
    let reports = [("half-days", 0, 23, 1), ("travel", 0, 118_740, 1), ("training-hours", 0, 6, 1)];
    assert_eq!(amounts(&over(&w.terms(2), &reports)), [1_110_000, 0]);
}

#[test]
fn a17_an_advance_is_recouped_from_what_was_earned() {
    let mut w = Writer::default();
    let (earned, balance) = (w.quantity("earned"), w.quantity("balance"));
    let recouped = w.minimum(earned, balance);
    let recouped = w.round(recouped, "recouped");
    let left = w.steps.subtract(balance, recouped);
    w.round(left, "outstanding");
    let paid = w.steps.subtract(earned, recouped);
    w.place(0, paid);
    let result = over(&w.terms(2), &[("earned", 0, 628_845, 1), ("balance", 0, 56_545_500, 1)]);
    let figures: Vec<_> = result.figures.iter().map(|figure| figure.value.clone()).collect();
    assert_eq!(figures, [FigureValue::Single { value: 628_845 }, FigureValue::Single { value: 55_916_655 }]);
    assert_eq!(amounts(&result), [0, 0]);
}

#[test]
fn a_split_may_take_reversals_at_another_rate() {
    let mut w = Writer::default();
    let delivered = w.events(Measure::DeliveredCount);
    let reversed = w.events(Measure::ReversedCount);
    let owed = w.times(delivered, 100, 1);
    let penalty = w.times(reversed, 130, 1);
    let owed = w.steps.subtract(owed, penalty);
    w.place(0, owed);
    let terms = w.terms(2);
    let care = event("care", 5, &[]);
    let mut period = deliver(&terms, &vec![care.clone(); 10]);
    period.record(&terms, &care, yilian_spec::settlement::period::Direction::Reversed).unwrap();
    let value = yilian_spec::settlement::evaluate::evaluate(&terms, &period).unwrap();
    assert_eq!(amounts(&value), [870, 0]);
}
