//! Whatever the ledger takes fits into a proof (rule P-1): the transactions and the statement whose JSON is longest.

use yilian_spec::base::codec;
use yilian_spec::base::id::{FigureName, ServiceCode};
use yilian_spec::base::limits::{
    ADJUSTED_PERIODS_MAX, CERTIFICATE_BYTES_MAX, EXPRESSION_STEPS_MAX, INTEGER_MAX,
    OPERATIONS_PER_TRANSACTION_MAX, PARTIES_MAX, PROOF_BYTES_MAX, SERVICES_PER_TERMS_MAX, SLUG_LENGTH_MAX,
    TRANSACTION_BYTES_MAX,
};
use yilian_spec::base::money::AmountMinor;
use yilian_spec::domain::Operation;
use yilian_spec::domain::agreement::{ProposeAgreement, Schedule};
use yilian_spec::proof::ProofDocument;
use yilian_spec::settlement::evaluate::{Figure, FigureValue};
use yilian_spec::settlement::expression::{Measure, MetricSide, Step, StepIndex, Tier};
use yilian_spec::settlement::period::{Tally, Volume};
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::statement::{Line, LineKind, Share};
use yilian_spec::settlement::{PartRole, PartyIndex};

use crate::ledger::Day;

/// More than the certificate of as many validators as there may be, as JSON, and the paths.
const AROUND: usize = 3 * CERTIFICATE_BYTES_MAX;

/// Each kind of step with the fewest bytes and the longest names.
fn steps() -> Vec<Step> {
    let (one, at) = (Ratio::new(1, 1), StepIndex(0));
    let (left, right, value, measure) = (at, at, at, Measure::DeliveredGross);
    let (role, party) = (PartRole::Laboratory, PartyIndex(0));
    let metric = || "aa".parse().unwrap();
    let figure = FigureName::new("aa").unwrap();
    vec![
        Step::Constant { value: one },
        Step::PerParty { values: vec![] },
        Step::PerParty { values: vec![one; 2] },
        Step::Events { service: None, measure },
        Step::PartyEvents { service: None, role, measure },
        Step::Metric { metric: metric(), side: MetricSide::Denominator },
        Step::PartyMetric { metric: metric(), side: MetricSide::Denominator },
        Step::Add { left, right },
        Step::Subtract { left, right },
        Step::Multiply { left, right },
        Step::Divide { left, right },
        Step::Minimum { left, right },
        Step::Maximum { left, right },
        Step::Clamp { value, low: at, high: at },
        Step::AtLeast { value, threshold: at, then: at, otherwise: at },
        Step::Tiers { value, tiers: vec![], beyond: one },
        Step::Tiers { value, tiers: vec![Tier { up_to: one, rate: one }; 16], beyond: one },
        Step::Place { party, value },
        Step::Sum { vector: at },
        Step::Round { value, figure },
    ]
}

#[test]
fn the_longest_transactions_fit_into_a_proof() {
    let day = Day::play();
    let mut proof = day.ledger.transaction_proof(3, 1);
    let agreed = day.ledger.statement_proof(day.agreement, 0);
    let agreement = agreed.verify(&day.ledger.checkpoint()).unwrap().agreement;
    let mut longest = 0;
    for step in steps() {
        let mut terms = agreement.terms.clone();
        terms.expression.steps = vec![step.clone(); EXPRESSION_STEPS_MAX];
        let (consortium, window) = (agreement.consortium.clone(), agreement.window);
        let proposal = ProposeAgreement { consortium, terms, window, schedule: Schedule::OnDemand };
        let operation = Operation::ProposeAgreement(proposal);
        let count =
            (TRANSACTION_BYTES_MAX / codec::encode(&operation).len()).min(OPERATIONS_PER_TRANSACTION_MAX);
        proof.transaction.body.operations = vec![operation; count];
        let bytes = codec::encode(&proof.transaction).len();
        assert!(bytes > TRANSACTION_BYTES_MAX / 2, "{step:?}: {bytes} bytes are not many");
        let length = ProofDocument::from(proof.clone()).to_json().len();
        assert!(length + AROUND < PROOF_BYTES_MAX, "{step:?}: {length}");
        longest = longest.max(length);
    }
    assert!(longest > PROOF_BYTES_MAX / 2, "the longest of these has {longest} bytes: they test nothing");
}

#[test]
fn the_longest_statement_fits_into_a_proof() {
    let day = Day::play();
    let mut proof = day.ledger.statement_proof(day.agreement, 0);
    let lowest = -INTEGER_MAX.cast_signed();
    let share = Share { count: lowest, gross_minor: AmountMinor(lowest), amount_minor: AmountMinor(lowest) };
    let name = |number: usize| format!("{}{number:03}", "s".repeat(SLUG_LENGTH_MAX - 3));
    let tally = Tally { count: INTEGER_MAX, gross_minor: AmountMinor(INTEGER_MAX.cast_signed()) };
    let statement = &mut proof.statement.statement;
    statement.services = (0..SERVICES_PER_TERMS_MAX)
        .map(|number| {
            (ServiceCode::new(&name(number)).unwrap(), Volume { delivered: tally, reversed: tally })
        })
        .collect();
    let figure = |number| Figure {
        name: FigureName::new(&name(number)).unwrap(),
        value: FigureValue::PerParty { values: vec![lowest; PARTIES_MAX] },
    };
    statement.figures = (0..EXPRESSION_STEPS_MAX).map(figure).collect();
    let line = |_| Line { party: PartyIndex(31), kind: LineKind::Adjustment { period: u32::MAX }, share };
    statement.lines = (0..PARTIES_MAX * (1 + ADJUSTED_PERIODS_MAX)).map(line).collect();
    // The row of the agreement has its terms, which came in one transaction.
    proof.agreement_row.value = Some(vec![0xff; TRANSACTION_BYTES_MAX]);
    let length = ProofDocument::from(proof).to_json().len();
    assert!(length + AROUND < PROOF_BYTES_MAX && length > PROOF_BYTES_MAX / 2, "{length}");
}
