//! What is refused, each by its named rule: terms that cannot be signed, events that do not fit, data without a value.

use std::collections::BTreeSet;

use yilian_spec::base::limits;
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::settlement::check::{ExpressionError, Shape};
use yilian_spec::settlement::evaluate::{EvaluateError, evaluate};
use yilian_spec::settlement::expression::{Measure, MetricSide, Step, StepIndex, Tier};
use yilian_spec::settlement::period::{Accumulator, Direction, SettlementError};
use yilian_spec::settlement::rational::{ArithmeticError, Ratio};
use yilian_spec::settlement::statement::close;
use yilian_spec::settlement::terms::{Party, Rounding, Terms, TermsError};
use yilian_spec::settlement::{PartRole, PartyIndex};

use crate::support::*;

fn number(value: i64) -> Step {
    Step::Constant { value: Ratio::whole(value) }
}

fn at(index: u16) -> StepIndex {
    StepIndex(index)
}

/// The error of the A2 terms (four parties, per period) with these steps.
fn refused(steps: Vec<Step>) -> ExpressionError {
    let mut terms = split(Rounding::PerPeriod);
    terms.expression = expression(steps);
    match terms.check() {
        Err(TermsError::Expression(error)) => error,
        other => panic!("expected a refused expression, got {other:?}"),
    }
}

#[test]
fn size_and_order_of_steps() {
    assert_eq!(refused(vec![]), ExpressionError::StepCount { count: 0 });
    let many = limits::EXPRESSION_STEPS_MAX + 1;
    assert_eq!(refused(vec![number(1); many]), ExpressionError::StepCount { count: many });
    let place = |value| Step::Place { party: PartyIndex(0), value };
    assert_eq!(refused(vec![place(at(0))]), ExpressionError::OperandOrder { step: 0, operand: 0 });
    assert_eq!(refused(vec![place(at(1)), number(1)]), ExpressionError::OperandOrder { step: 0, operand: 1 });
    assert_eq!(refused(vec![number(1), number(2), place(at(1))]), ExpressionError::Unused { step: 0 });
    let round = |value| Step::Round { value, figure: figure("twice") };
    assert_eq!(
        refused(vec![number(1), round(at(0)), round(at(1)), place(at(2))]),
        ExpressionError::FigureRepeated { step: 2, figure: figure("twice") }
    );
}

#[test]
fn shapes_and_whole_results() {
    let vector = Step::PerParty { values: vec![Ratio::whole(1); 4] };
    assert_eq!(refused(vec![number(1)]), ExpressionError::ResultNotPerParty);
    let half = Step::Constant { value: Ratio::new(1, 2) };
    let product = Step::Multiply { left: at(0), right: at(1) };
    assert_eq!(refused(vec![half.clone(), vector.clone(), product]), ExpressionError::NotWhole { step: 2 });
    let allot = |amount, weights| Step::Allot { amount, weights, figure: figure("shares") };
    assert_eq!(
        refused(vec![half.clone(), vector.clone(), allot(at(0), at(1))]),
        ExpressionError::NotWhole { step: 0 }
    );
    assert_eq!(
        refused(vec![vector.clone(), allot(at(0), at(0))]),
        ExpressionError::WrongShape { step: 1, operand: 0, expected: Shape::Scalar }
    );
    assert_eq!(
        refused(vec![number(1), Step::Sum { vector: at(0) }]),
        ExpressionError::WrongShape { step: 1, operand: 0, expected: Shape::Vector }
    );
    assert_eq!(
        refused(vec![Step::PerParty { values: vec![Ratio::whole(1); 3] }]),
        ExpressionError::PerPartyCount { step: 0, count: 3, parties: 4 }
    );
    let quotient = Step::Divide { left: at(0), right: at(0) };
    assert_eq!(
        refused(vec![vector, quotient]),
        ExpressionError::NotWhole { step: 1 },
        "4 / 2 is not known to be whole"
    );
}

#[test]
fn names_and_numbers_exist() {
    let zero = Ratio::new(1, 0);
    assert_eq!(refused(vec![Step::Constant { value: zero }]), ExpressionError::ZeroDenominator { step: 0 });
    let place = Step::Place { party: PartyIndex(4), value: at(0) };
    assert_eq!(refused(vec![number(1), place]), ExpressionError::UnknownParty { step: 1, parties: 4 });
    let other = Some(service("surgery"));
    assert_eq!(
        refused(vec![Step::Events { service: other, measure: Measure::NetCount }]),
        ExpressionError::UnknownService { step: 0, service: service("surgery") }
    );
    let reads = Step::PartyEvents { service: None, role: PartRole::Reader, measure: Measure::NetCount };
    assert_eq!(refused(vec![reads]), ExpressionError::UnknownPart { step: 0, role: PartRole::Reader });
    let days = Step::Metric { metric: metric("bed-days"), side: MetricSide::Numerator };
    assert_eq!(
        refused(vec![days.clone()]),
        ExpressionError::UnknownMetric { step: 0, metric: metric("bed-days") }
    );
    let mut terms = split(Rounding::PerEvent);
    terms.metrics.insert(metric("bed-days"));
    terms.expression = expression(vec![days]);
    let error = ExpressionError::MetricPerEvent { step: 0 };
    assert_eq!(terms.check(), Err(TermsError::Expression(error)));
}

#[test]
fn tiers_rise_from_above_zero() {
    let with = |ends: &[i64]| {
        let tiers =
            ends.iter().map(|end| Tier { up_to: Ratio::whole(*end), rate: Ratio::whole(1) }).collect();
        refused(vec![number(1), Step::Tiers { value: at(0), tiers, beyond: Ratio::whole(0) }])
    };
    let many: Vec<i64> = (1..=limits::TIERS_MAX as i64 + 1).collect();
    for ends in [&[][..], &[0], &[-5], &[5, 5], &[5, 4], &many] {
        assert_eq!(with(ends), ExpressionError::Tiers { step: 1 }, "{ends:?}");
    }
}

#[test]
fn evaluation_costs_no_more_than_the_bound() {
    let party = |index: usize| Party {
        institution: institution(&format!("party-{index}")),
        roles: BTreeSet::from([PartRole::Primary]),
    };
    let parties = 8;
    let mut terms = split(Rounding::PerPeriod);
    terms.parties = (0..parties).map(party).collect();
    terms.payer = PartyIndex(0);
    let tiers: Vec<Tier> = (1..=limits::TIERS_MAX)
        .map(|end| Tier { up_to: Ratio::whole(end as i64), rate: Ratio::whole(1) })
        .collect();
    let mut steps =
        vec![Step::PartyEvents { service: None, role: PartRole::Primary, measure: Measure::NetCount }];
    for index in 0..8 {
        steps.push(Step::Tiers { value: at(index), tiers: tiers.clone(), beyond: Ratio::whole(1) });
    }
    terms.expression = expression(steps);
    let work = parties * (1 + 8 * 4 * (limits::TIERS_MAX + 1));
    let error = ExpressionError::Work { work, limit: limits::EXPRESSION_WORK_MAX };
    assert_eq!(terms.check(), Err(TermsError::Expression(error)));
    terms.expression.steps.truncate(2);
    assert_eq!(terms.check(), Ok(()));
    terms.rounding = Rounding::PerEvent;
    let error = ExpressionError::Work {
        work: parties * (1 + 4 * (limits::TIERS_MAX + 1)),
        limit: limits::EXPRESSION_WORK_PER_EVENT_MAX,
    };
    assert_eq!(terms.check(), Err(TermsError::Expression(error)));
}

#[test]
fn terms_within_their_bounds() {
    let good = split(Rounding::PerPeriod);
    let changed = |change: &dyn Fn(&mut Terms)| {
        let mut terms = good.clone();
        change(&mut terms);
        terms.check().unwrap_err()
    };
    assert_eq!(changed(&|terms| terms.parties.truncate(1)), TermsError::PartyCount { count: 1 });
    assert_eq!(
        changed(&|terms| terms.parties[1] = terms.parties[0].clone()),
        TermsError::PartyRepeated { institution: institution("township-centre") }
    );
    assert_eq!(
        changed(&|terms| terms.payer = PartyIndex(4)),
        TermsError::UnknownPayer { payer: 4, parties: 4 }
    );
    assert_eq!(changed(&|terms| terms.services.clear()), TermsError::ServiceCount { count: 0 });
    let many = |count: usize| (0..count).map(|index| format!("code-{index}")).collect::<Vec<_>>();
    let services = limits::SERVICES_PER_TERMS_MAX + 1;
    assert_eq!(
        changed(&|terms| terms.services = many(services).iter().map(|code| service(code)).collect()),
        TermsError::ServiceCount { count: services }
    );
    let metrics = limits::METRICS_PER_TERMS_MAX + 1;
    assert_eq!(
        changed(&|terms| terms.metrics = many(metrics).iter().map(|code| metric(code)).collect()),
        TermsError::MetricCount { count: metrics }
    );
}

#[test]
fn events_that_do_not_fit_change_nothing() {
    let terms = split(Rounding::PerPeriod);
    let mut period = deliver(&terms, &[consultation(100)]);
    let before = period.clone();
    let cases = [
        (event("surgery", 1, &[]), SettlementError::ServiceNotCovered { service: service("surgery") }),
        (consultation(-1), SettlementError::GrossOutOfRange { gross: -1 }),
        (
            consultation(limits::AMOUNT_MINOR_MAX + 1),
            SettlementError::GrossOutOfRange { gross: limits::AMOUNT_MINOR_MAX + 1 },
        ),
        (
            event("teleconsultation", 1, &[(1, PartRole::Primary)]),
            SettlementError::PartNotAgreed { party: 1, role: PartRole::Primary },
        ),
        (
            event("teleconsultation", 1, &[(9, PartRole::Primary)]),
            SettlementError::PartNotAgreed { party: 9, role: PartRole::Primary },
        ),
        (
            event("teleconsultation", 1, &[(0, PartRole::Primary), (0, PartRole::Primary)]),
            SettlementError::PartRepeated { party: 0, role: PartRole::Primary },
        ),
        (
            event("teleconsultation", 1, &[(0, PartRole::Primary); limits::PARTS_PER_SERVICE_MAX + 1]),
            SettlementError::TooManyParts { count: limits::PARTS_PER_SERVICE_MAX + 1 },
        ),
    ];
    for (event, error) in cases {
        assert_eq!(period.record(&terms, &event, Direction::Delivered), Err(error));
        assert_eq!(period, before);
    }
    let error = SettlementError::ReversedMoreThanDelivered { service: service("teleconsultation") };
    assert_eq!(period.record(&terms, &consultation(101), Direction::Reversed), Err(error));
    assert_eq!(period, before);
}

#[test]
fn a_service_matches_terms_by_service_currency_payer_and_parts() {
    let terms = split(Rounding::PerPeriod);
    let (primary, expert) = (institution("township-centre"), institution("city-hospital"));
    let (stranger, fund) = (institution("stranger"), institution("county-fund"));
    let matched = |code: &str, currency, payer, parts: &[(PartRole, &_)]| {
        terms.event(&service(code), currency, payer, AmountMinor(10), parts.iter().copied())
    };
    let parts = [(PartRole::Primary, &primary), (PartRole::Expert, &expert)];
    let expected = Some(consultation(10));
    assert_eq!(matched("teleconsultation", Currency::CNY, &fund, &parts), expected);
    // A part that the terms do not know is left out.
    let with_test = [parts[0], parts[1], (PartRole::Laboratory, &stranger)];
    assert_eq!(matched("teleconsultation", Currency::CNY, &fund, &with_test), expected);
    // Somebody else played a part that the terms give away, in a role of its own or in another party's.
    let by_stranger = [(PartRole::Primary, &stranger), parts[1]];
    let swapped = [(PartRole::Primary, &expert)];
    assert_eq!(matched("teleconsultation", Currency::CNY, &fund, &by_stranger), None);
    assert_eq!(matched("teleconsultation", Currency::CNY, &fund, &swapped), None);
    assert_eq!(matched("teleconsultation", Currency::CNY, &fund, &with_test[2..]), None);
    assert_eq!(matched("surgery", Currency::CNY, &fund, &parts), None);
    assert_eq!(matched("teleconsultation", Currency::USD, &fund, &parts), None);
    assert_eq!(matched("teleconsultation", Currency::CNY, &primary, &parts), None);
}

#[test]
fn data_without_a_value_is_an_error_of_its_step() {
    let mut w = Writer::default();
    let (numerator, denominator) = (w.quantity("ratio"), w.denominator("ratio"));
    let ratio = w.divide(numerator, denominator);
    let owed = w.round(ratio, "owed");
    w.place(0, owed);
    let terms = w.terms(2);
    let error = EvaluateError::Arithmetic { step: 2, error: ArithmeticError::DivisionByZero };
    assert_eq!(evaluate(&terms, &Accumulator::default()), Err(error.clone()));
    assert_eq!(close(&terms, 0, Accumulator::default()).unwrap_err(), SettlementError::Evaluate(error));

    let mut w = Writer::default();
    let quantity = w.quantity("quantity");
    let square = w.steps.multiply(quantity, quantity);
    w.place(0, square);
    let terms = w.terms(2);
    let mut period = Accumulator::default();
    period.report_metric(&terms, &metric("quantity"), PartyIndex(0), i64::MAX, 1).unwrap();
    let error = EvaluateError::Arithmetic { step: 2, error: ArithmeticError::AmountOutOfRange };
    assert_eq!(evaluate(&terms, &period), Err(error));
    let sum = period.report_metric(&terms, &metric("quantity"), PartyIndex(0), 1, 1);
    assert!(matches!(sum, Err(SettlementError::Amount(_))), "{sum:?}");
    let unknown = period.report_metric(&terms, &metric("other"), PartyIndex(0), 1, 1);
    assert_eq!(unknown, Err(SettlementError::MetricNotAgreed { metric: metric("other") }));
    let nobody = period.report_metric(&terms, &metric("quantity"), PartyIndex(2), 1, 1);
    assert_eq!(nobody, Err(SettlementError::UnknownParty { party: 2 }));
}

#[test]
fn terms_that_were_not_checked_fail_without_a_panic() {
    let mut terms = split(Rounding::PerPeriod);
    for steps in [
        vec![],
        vec![Step::Sum { vector: at(0) }],
        vec![number(1), Step::Place { party: PartyIndex(200), value: at(0) }],
        vec![Step::PerParty { values: vec![] }, Step::Add { left: at(0), right: at(0) }],
        vec![number(1), Step::Allot { amount: at(0), weights: at(0), figure: figure("shares") }],
    ] {
        terms.expression = expression(steps);
        let error = evaluate(&terms, &Accumulator::default()).unwrap_err();
        assert!(matches!(error, EvaluateError::Malformed { .. }), "{error:?}");
    }
}
