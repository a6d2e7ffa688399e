//! Terms and events through the settlement arithmetic: whatever the parties sign, money is neither made nor lost.

use yilian_spec::base::limits;
use yilian_spec::settlement::period::{Accumulator, Direction, ServiceEvent};
use yilian_spec::settlement::statement::{Statement, close};
use yilian_spec::settlement::terms::Terms;

use super::encoded::decoded;

/// What an input decodes to: terms, and events with whether each is a reversal.
pub type Story = (Terms, Vec<(ServiceEvent, bool)>);

/// Records the events under the terms, closes the period, and lets the last event come again, late.
pub fn run(bytes: &[u8]) {
    let Some((terms, events)) = decoded::<Story>(bytes, limits::TRANSACTION_BYTES_MAX) else { return };
    if terms.check().is_err() {
        return;
    }
    let mut accumulator = Accumulator::default();
    for (event, is_reversal) in &events {
        let direction = if *is_reversal { Direction::Reversed } else { Direction::Delivered };
        let before = accumulator.clone();
        if accumulator.record(&terms, event, direction).is_err() {
            assert!(accumulator == before, "a refused event left something behind");
        }
    }
    let Ok((statement, mut settled)) = close(&terms, 0, accumulator.clone()) else { return };
    assert_balanced(&statement, terms.parties.len());
    assert!(
        close(&terms, 0, accumulator).is_ok_and(|(again, _)| again == statement),
        "closing twice differs"
    );
    let mut open = Accumulator::default();
    if let Some((event, _)) = events.last() {
        let before = open.clone();
        if settled.record_late(&mut open, &terms, event, Direction::Reversed).is_err() {
            assert!(open == before, "a refused late event left something behind");
        }
        if let Ok((statement, _)) = close(&terms, 1, open) {
            assert_balanced(&statement, terms.parties.len());
        }
    }
}

/// What some parties gain, others lose, summed here in wide integers.
///
/// # Panics
/// When it is not so.
pub fn assert_balanced(statement: &Statement, parties: usize) {
    let positions = statement.positions(parties).expect("closing checked that the positions can be computed");
    let sum: i128 = positions.iter().map(|position| i128::from(position.0)).sum();
    assert!(sum == 0, "the positions of a statement sum to {sum}");
    let lines: i128 = statement.lines.iter().map(|line| i128::from(line.share.amount_minor.0)).sum();
    let payer = statement.lines.iter().filter(|line| line.party == statement.payer);
    let own: i128 = payer.map(|line| i128::from(line.share.amount_minor.0)).sum();
    let paid = i128::from(positions[statement.payer.position()].0);
    assert!(paid == own - lines, "the payer's position is {paid}, the lines say {}", own - lines);
}
