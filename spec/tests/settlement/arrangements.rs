//! The worked examples of arrangements A1 to A7, A11 and A13, the first three from their templates.

use yilian_spec::base::money::AmountMinor;
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::evaluate::FigureValue;
use yilian_spec::settlement::expression::Tier;
use yilian_spec::settlement::period::{Accumulator, Direction};
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::statement::close;
use yilian_spec::settlement::templates::{ReadingFees, fixed_price, image_reading, percentage_split_by_part};
use yilian_spec::settlement::terms::Rounding;

use crate::support::*;

#[test]
fn a1_fixed_price_pays_completed_less_reversed() {
    let providers = [institution("city-hospital")];
    let terms = fixed_price(&frame(), &providers, PartRole::Expert, AmountMinor(18_000)).unwrap();
    let mut period = Accumulator::default();
    let visit = event("teleconsultation", 25_000, &[(0, PartRole::Expert)]);
    for _ in 0..137 {
        period.record(&terms, &visit, Direction::Delivered).unwrap();
    }
    for _ in 0..4 {
        period.record(&terms, &visit, Direction::Reversed).unwrap();
    }
    let (statement, _) = close(&terms, 0, period).unwrap();
    assert_eq!(earned(&statement), [2_394_000, 0]);
    assert_eq!(statement.lines[0].share.count, 133);
    assert_eq!(statement.lines[0].share.gross_minor, AmountMinor(133 * 25_000));
    assert_eq!(positions(&statement, 2), [2_394_000, -2_394_000]);
}

#[test]
fn a2_percentage_split_rounds_at_the_signed_level() {
    let cases = [
        (Rounding::PerEvent, 1, [3_000, 5_501, 1_500, 0]),
        (Rounding::PerPeriod, 1, [3_000, 5_501, 1_500, 0]),
        (Rounding::PerEvent, 3, [9_000, 16_503, 4_500, 0]),
        (Rounding::PerPeriod, 3, [9_001, 16_502, 4_500, 0]),
    ];
    for (rounding, events, expected) in cases {
        let terms = split(rounding);
        let (statement, _) = close(&terms, 0, deliver(&terms, &vec![consultation(10_001); events])).unwrap();
        assert_eq!(earned(&statement), expected, "{rounding:?}, {events} events");
        let total: i64 = expected.iter().sum();
        assert_eq!(positions(&statement, 4), [expected[0], expected[1], expected[2], -total]);
    }
}

#[test]
fn a2_by_part_follows_whoever_played_it() {
    let members = [institution("township-a"), institution("township-b"), institution("city-hospital")];
    let weights = [(PartRole::Primary, Ratio::whole(35)), (PartRole::Expert, Ratio::whole(65))];
    for (rounding, expected) in
        [(Rounding::PerEvent, [3_501, 3_500, 13_001, 0]), (Rounding::PerPeriod, [3_501, 3_500, 13_001, 0])]
    {
        let terms = percentage_split_by_part(&frame(), &members, &weights, rounding).unwrap();
        let by_a = event("teleconsultation", 10_002, &[(0, PartRole::Primary), (2, PartRole::Expert)]);
        let by_b = event("teleconsultation", 10_000, &[(1, PartRole::Primary), (2, PartRole::Expert)]);
        let (statement, _) = close(&terms, 0, deliver(&terms, &[by_a, by_b])).unwrap();
        assert_eq!(earned(&statement), expected, "{rounding:?}");
    }
    let terms = percentage_split_by_part(&frame(), &members, &weights, Rounding::PerEvent).unwrap();
    let both = event("teleconsultation", 10_001, &[(2, PartRole::Primary), (2, PartRole::Expert)]);
    let (statement, _) = close(&terms, 0, deliver(&terms, &[both])).unwrap();
    assert_eq!(earned(&statement), [0, 0, 10_001, 0], "one party plays all parts");
}

#[test]
fn a3_image_reading_tiers_the_total_and_shares_the_rest_by_reads() {
    let hospitals = [institution("hospital-a"), institution("hospital-b"), institution("hospital-c")];
    let tier = |up_to, rate| Tier { up_to: Ratio::whole(up_to), rate: Ratio::whole(rate) };
    let fees = ReadingFees {
        tiers: vec![tier(1_000, 2_500), tier(5_000, 2_000)],
        beyond: Ratio::whole(1_600),
        platform_share: Ratio::percent(12),
    };
    let terms = image_reading(&frame(), &hospitals, &institution("platform"), &fees).unwrap();
    let mut period = Accumulator::default();
    for (hospital, reads) in [(0, 3_120), (1, 1_999), (2, 1_115)] {
        for _ in 0..reads {
            let read = event("teleconsultation", 0, &[(hospital, PartRole::Reader)]);
            period.record(&terms, &read, Direction::Delivered).unwrap();
        }
    }
    let (statement, _) = close(&terms, 0, period).unwrap();
    assert_eq!(earned(&statement), [5_494_019, 3_520_046, 1_963_407, 1_496_928, 0]);
    assert_eq!(statement.total(), Ok(AmountMinor(12_474_400)));
    assert_eq!(statement.figures[0].name.as_str(), "gross");
    assert_eq!(statement.figures[0].value, FigureValue::Single { value: 12_474_400 });
    assert_eq!(statement.figures[1].value, FigureValue::Single { value: 1_496_928 });
    assert_eq!(positions(&statement, 5).iter().sum::<i64>(), 0);
}

#[test]
fn a3_without_reads_owes_nothing() {
    let fees = ReadingFees {
        tiers: vec![Tier { up_to: Ratio::whole(1_000), rate: Ratio::new(5, 2) }],
        beyond: Ratio::whole(2),
        platform_share: Ratio::percent(12),
    };
    let terms =
        image_reading(&frame(), &[institution("hospital-a")], &institution("platform"), &fees).unwrap();
    let (statement, _) = close(&terms, 0, Accumulator::default()).unwrap();
    assert_eq!(earned(&statement), [0, 0, 0]);
    assert_eq!(statement.journal(), Ok(vec![]));
}

#[test]
fn a4_capitation_withholds_five_percent() {
    let mut w = Writer::default();
    let children = w.quantity("children");
    let children = w.times(children, 3_850, 1);
    let adults = w.quantity("adults");
    let adults = w.times(adults, 5_200, 1);
    let elderly = w.quantity("elderly");
    let elderly = w.times(elderly, 11_875, 1);
    let sum = w.steps.add(children, adults);
    let sum = w.steps.add(sum, elderly);
    let capitation = w.round(sum, "capitation");
    let withheld = w.times(capitation, 5, 100);
    let withheld = w.round(withheld, "withheld");
    let paid = w.steps.subtract(capitation, withheld);
    w.place(0, paid);
    let terms = w.terms(2);
    let result =
        over(&terms, &[("children", 0, 3_102, 1), ("adults", 0, 15_876, 1), ("elderly", 0, 4_455, 1)]);
    assert_eq!(result.figures[0].value, FigureValue::Single { value: 147_401_025 });
    assert_eq!(result.figures[1].value, FigureValue::Single { value: 7_370_051 });
    assert_eq!(amounts(&result), [140_030_974, 0]);
}

#[test]
fn a4_part_of_a_month_counts_by_days() {
    let mut w = Writer::default();
    let (days, of_month) = (w.quantity("days"), w.denominator("days"));
    let part = w.divide(days, of_month);
    let part = w.times(part, 5_200, 1);
    let part = w.round(part, "part-month");
    w.place(0, part);
    assert_eq!(amounts(&over(&w.terms(2), &[("days", 0, 17, 31)])), [2_852, 0]);
}

#[test]
fn a5_overspend_is_shared_in_bands_of_the_budget() {
    let budget = 8_600_000_000;
    let mut w = Writer::default();
    let actual = w.quantity("actual");
    let limit = w.number(budget, 1);
    let over_budget = w.steps.subtract(actual, limit);
    let zero = w.number(0, 1);
    let overspend = w.maximum(over_budget, zero);
    let ratio = w.divide(overspend, limit);
    let bands = [(Ratio::percent(5), Ratio::new(1, 2)), (Ratio::percent(10), Ratio::new(1, 4))];
    let borne = w.tiers(ratio, &bands, Ratio::whole(0));
    let borne = w.steps.multiply(borne, limit);
    let fund = w.round(borne, "fund");
    let hospital = w.steps.subtract(overspend, fund);
    w.round(hospital, "hospital");
    w.place(0, fund);
    let terms = w.terms(2);
    let result = over(&terms, &[("actual", 0, 9_123_745_033, 1)]);
    assert_eq!(amounts(&result), [238_436_258, 0]);
    assert_eq!(result.figures[1].value, FigureValue::Single { value: 285_308_775 });
    assert_eq!(amounts(&over(&terms, &[("actual", 0, 8_000_000_000, 1)])), [0, 0]);
    // Beyond the second band the fund bears no more: 5 % halved and 5 % quartered of the budget.
    assert_eq!(amounts(&over(&terms, &[("actual", 0, 99_000_000_000, 1)])), [322_500_000, 0]);
}

#[test]
fn a5_surplus_is_kept_by_quality() {
    let mut w = Writer::default();
    let surplus = w.quantity("surplus");
    let (quality, of) = (w.quantity("quality"), w.denominator("quality"));
    let quality = w.divide(quality, of);
    let kept = w.times(surplus, 60, 100);
    let kept = w.steps.multiply(kept, quality);
    let kept = w.round(kept, "kept");
    let returned = w.steps.subtract(surplus, kept);
    w.round(returned, "returned");
    w.place(0, kept);
    let result = over(&w.terms(2), &[("surplus", 0, 548_799_001, 1), ("quality", 0, 92, 100)]);
    assert_eq!(amounts(&result), [302_937_049, 0]);
    assert_eq!(result.figures[1].value, FigureValue::Single { value: 245_861_952 });
}

#[test]
fn a6_service_units_are_capped_by_admissions() {
    let mut w = Writer::default();
    let days = w.quantity("bed-days");
    let admissions = w.quantity("admissions");
    let cap = w.times(admissions, 9, 1);
    let units = w.minimum(days, cap);
    let owed = w.times(units, 64_000, 1);
    w.place(0, owed);
    let result = over(&w.terms(2), &[("bed-days", 0, 3_211, 1), ("admissions", 0, 341, 1)]);
    assert_eq!(amounts(&result), [196_416_000, 0]);
}

#[test]
fn a7_points_share_the_fund_less_what_was_prepaid() {
    let mut w = Writer::default();
    let fund = w.number(1_000_000_000, 1);
    let points = w.quantities_v("milli-points");
    let due = w.allot(fund, points, "due");
    let prepaid = w.quantities_v("prepaid");
    w.steps.subtract(due, prepaid);
    let terms = w.terms(4);
    let result = over(
        &terms,
        &[
            ("milli-points", 0, 412_345_600, 1),
            ("milli-points", 1, 287_654_300, 1),
            ("milli-points", 2, 199_999_950, 1),
            ("prepaid", 0, 390_000_000, 1),
            ("prepaid", 1, 330_000_000, 1),
            ("prepaid", 2, 220_000_000, 1),
        ],
    );
    assert_eq!(amounts(&result), [68_161_854, -10_384_058, 2_222_204, 0]);
    let due = FigureValue::PerParty { values: vec![458_161_854, 319_615_942, 222_222_204, 0] };
    assert_eq!(result.figures[0].value, due);
}

#[test]
fn a11_of_a_deficit_the_fund_bears_sixty_percent_first() {
    let mut w = Writer::default();
    let balance = w.quantity("balance");
    let zero = w.number(0, 1);
    let deficit = w.minimum(balance, zero);
    let borne = w.times(deficit, 60, 100);
    let fund = w.round(borne, "fund");
    let members = w.steps.subtract(balance, fund);
    let weights = w.numbers_v(&[6, 3, 1, 0]);
    w.allot(members, weights, "members");
    let terms = w.terms(4);
    let surplus = over(&terms, &[("balance", 3, 321_745_678, 1)]);
    assert_eq!(amounts(&surplus), [193_047_407, 96_523_703, 32_174_568, 0]);
    let deficit = over(&terms, &[("balance", 3, -98_765_433, 1)]);
    assert_eq!(deficit.figures[0].value, FigureValue::Single { value: -59_259_260 });
    assert_eq!(amounts(&deficit), [-23_703_704, -11_851_852, -3_950_617, 0]);
}

#[test]
fn a13_the_order_of_share_sequestration_and_cap_is_part_of_the_terms() {
    let (benchmark, savings) = (10_000_000_000, 1_500_000_000);
    let mut share_first = Writer::default();
    let w = &mut share_first;
    let gross = w.quantity("savings");
    let earned = w.times(gross, 80, 100);
    let earned = w.times(earned, 98, 100);
    let earned = w.round(earned, "after-sequestration");
    let of_benchmark = w.quantity("benchmark");
    let cap = w.times(of_benchmark, 5, 100);
    let cap = w.round(cap, "cap");
    let paid = w.minimum(earned, cap);
    w.place(0, paid);

    let mut cap_first = Writer::default();
    let w = &mut cap_first;
    let gross = w.quantity("savings");
    let of_benchmark = w.quantity("benchmark");
    let cap = w.times(of_benchmark, 5, 100);
    let capped = w.minimum(gross, cap);
    let earned = w.times(capped, 80, 100);
    let earned = w.times(earned, 98, 100);
    let paid = w.round(earned, "after-sequestration");
    w.place(0, paid);

    let reports = [("savings", 0, savings, 1), ("benchmark", 0, benchmark, 1)];
    assert_eq!(amounts(&over(&share_first.terms(2), &reports)), [500_000_000, 0]);
    assert_eq!(amounts(&over(&cap_first.terms(2), &reports)), [392_000_000, 0]);
}
