//! What comes after a period closed is posted to the open one as recomputed less settled (A14, rules T-18, T-19).

use yilian_spec::base::limits;
use yilian_spec::base::money::AmountMinor;
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::period::{Accumulator, Direction, SettlementError};
use yilian_spec::settlement::statement::{Line, LineKind, SettledPeriod, Statement, close};
use yilian_spec::settlement::terms::{Rounding, Terms};

use crate::support::*;

fn closed(terms: &Terms, period: u32, events: &[i64]) -> (Statement, SettledPeriod) {
    let events: Vec<_> = events.iter().map(|gross| consultation(*gross)).collect();
    close(terms, period, deliver(terms, &events)).unwrap()
}

fn adjustments(statement: &Statement) -> Vec<(u32, u8, i64)> {
    let of_line = |line: &Line| match line.kind {
        LineKind::Adjustment { period } => Some((period, line.party.0, line.share.amount_minor.0)),
        LineKind::Earned => None,
    };
    statement.lines.iter().filter_map(of_line).collect()
}

#[test]
fn a14_a_late_reversal_is_not_the_mirror_of_one_event() {
    for (rounding, expected) in
        [(Rounding::PerPeriod, [-3_001, -5_500, -1_500]), (Rounding::PerEvent, [-3_000, -5_501, -1_500])]
    {
        let terms = split(rounding);
        let (statement, mut settled) = closed(&terms, 0, &[10_001, 10_001]);
        let before = statement.clone();
        let mut open = Accumulator::default();
        settled.record_late(&mut open, &terms, &consultation(10_001), Direction::Reversed).unwrap();
        assert_eq!(statement, before, "a closed statement stays");

        let (next, _) = close(&terms, 1, open).unwrap();
        assert_eq!(earned(&next), [0, 0, 0, 0]);
        let lines: Vec<_> = (0..).zip(expected).map(|(party, amount)| (0, party, amount)).collect();
        assert_eq!(adjustments(&next), lines, "{rounding:?}");
        assert_eq!(positions(&next, 4), [expected[0], expected[1], expected[2], 10_001]);
        let primary = next.lines.iter().find(|line| line.kind != LineKind::Earned).unwrap();
        assert_eq!((primary.share.count, primary.share.gross_minor), (-1, AmountMinor(-10_001)));
    }
}

#[test]
fn adjustments_add_up_to_the_statement_that_all_events_together_would_have_given() {
    let terms = split(Rounding::PerPeriod);
    let (first, mut settled) = closed(&terms, 7, &[10_001, 333, 4_567, 89]);
    let mut open = deliver(&terms, &[consultation(50_000)]);
    settled.record_late(&mut open, &terms, &consultation(333), Direction::Reversed).unwrap();
    settled.record_late(&mut open, &terms, &consultation(777), Direction::Delivered).unwrap();
    let (second, _) = close(&terms, 8, open).unwrap();
    let mut later = Accumulator::default();
    settled.record_late(&mut later, &terms, &consultation(10_001), Direction::Reversed).unwrap();
    let (third, _) = close(&terms, 9, later).unwrap();

    let mut sums = earned(&first);
    for (period, party, amount) in adjustments(&second).into_iter().chain(adjustments(&third)) {
        assert_eq!(period, 7);
        sums[usize::from(party)] += amount;
    }
    let (whole, _) = closed(&terms, 7, &[4_567, 89, 777]);
    assert_eq!(sums, earned(&whole));
    assert_eq!(earned(&second), [15_000, 27_500, 7_500, 0]);
}

#[test]
fn a_late_event_and_its_reversal_leave_no_line() {
    let terms = split(Rounding::PerPeriod);
    let (_, mut settled) = closed(&terms, 0, &[10_001]);
    let mut open = Accumulator::default();
    settled.record_late(&mut open, &terms, &consultation(5), Direction::Delivered).unwrap();
    settled.record_late(&mut open, &terms, &consultation(5), Direction::Reversed).unwrap();
    assert_eq!(adjustments(&close(&terms, 1, open).unwrap().0), []);
}

#[test]
fn more_than_was_delivered_cannot_be_reversed_late_and_nothing_changes() {
    let terms = split(Rounding::PerEvent);
    let (_, mut settled) = closed(&terms, 0, &[10_001]);
    let (mut open, before) = (Accumulator::default(), settled.clone());
    let refused = settled.record_late(&mut open, &terms, &consultation(10_002), Direction::Reversed);
    let service = service("teleconsultation");
    assert_eq!(refused, Err(SettlementError::ReversedMoreThanDelivered { service }));
    assert_eq!((settled, open), (before, Accumulator::default()));
}

#[test]
fn late_events_adjust_a_bounded_number_of_periods() {
    let terms = split(Rounding::PerPeriod);
    let mut open = Accumulator::default();
    let late = event("teleconsultation", 10, &[(0, PartRole::Primary)]);
    for period in 0..=u32::try_from(limits::ADJUSTED_PERIODS_MAX).unwrap() {
        let (_, mut settled) = closed(&terms, period, &[]);
        let result = settled.record_late(&mut open, &terms, &late, Direction::Delivered);
        let is_full = usize::try_from(period).unwrap() == limits::ADJUSTED_PERIODS_MAX;
        let expected = if is_full { Err(SettlementError::TooManyAdjustedPeriods) } else { Ok(()) };
        assert_eq!(result, expected);
    }
}
