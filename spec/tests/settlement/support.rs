//! Terms and events that several tests use.

use std::collections::BTreeSet;

use yilian_spec::base::id::{FigureName, InstitutionId, MetricCode, ServiceCode};
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::settlement::evaluate::{Evaluation, evaluate};
use yilian_spec::settlement::expression::{
    Expression, ExpressionBuilder, Measure, MetricSide, Step, StepIndex, Tier,
};
use yilian_spec::settlement::period::{Accumulator, Direction, PartPlayed, ServiceEvent};
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::statement::{LineKind, Statement};
use yilian_spec::settlement::templates::{Frame, SplitShare, percentage_split};
use yilian_spec::settlement::terms::{Party, Rounding, Terms};
use yilian_spec::settlement::{PartRole, PartyIndex};

pub fn institution(name: &str) -> InstitutionId {
    InstitutionId::new(name).unwrap()
}

pub fn service(code: &str) -> ServiceCode {
    ServiceCode::new(code).unwrap()
}

pub fn metric(code: &str) -> MetricCode {
    MetricCode::new(code).unwrap()
}

pub fn figure(name: &str) -> FigureName {
    FigureName::new(name).unwrap()
}

pub fn frame() -> Frame {
    Frame {
        currency: Currency::CNY,
        services: BTreeSet::from([service("teleconsultation")]),
        payer: institution("county-fund"),
    }
}

/// Arrangement A2: 30 / 55 / 15 for primary, expert and platform.
pub fn split(rounding: Rounding) -> Terms {
    let share = |name: &str, role, weight| SplitShare {
        institution: institution(name),
        role,
        weight: Ratio::whole(weight),
    };
    let shares = [
        share("township-centre", PartRole::Primary, 30),
        share("city-hospital", PartRole::Expert, 55),
        share("platform", PartRole::Platform, 15),
    ];
    percentage_split(&frame(), &shares, rounding).unwrap()
}

/// A teleconsultation in which parties 0 and 1 are primary and expert.
pub fn consultation(gross: i64) -> ServiceEvent {
    event("teleconsultation", gross, &[(0, PartRole::Primary), (1, PartRole::Expert)])
}

pub fn event(code: &str, gross: i64, parts: &[(u8, PartRole)]) -> ServiceEvent {
    let parts = parts.iter().map(|(party, role)| PartPlayed { party: PartyIndex(*party), role: *role });
    ServiceEvent { service: service(code), gross_minor: AmountMinor(gross), parts: parts.collect() }
}

pub fn deliver(terms: &Terms, events: &[ServiceEvent]) -> Accumulator {
    let mut accumulator = Accumulator::default();
    for event in events {
        accumulator.record(terms, event, Direction::Delivered).unwrap();
    }
    accumulator
}

/// Amounts of the earned lines, in signed order.
pub fn earned(statement: &Statement) -> Vec<i64> {
    let lines = statement.lines.iter().filter(|line| line.kind == LineKind::Earned);
    lines.map(|line| line.share.amount_minor.0).collect()
}

pub fn positions(statement: &Statement, parties: usize) -> Vec<i64> {
    statement.positions(parties).unwrap().iter().map(|amount| amount.0).collect()
}

/// Writes an expression over reported quantities in few words. `v` stands for a vector of one value per party.
#[derive(Default)]
pub struct Writer {
    pub steps: ExpressionBuilder,
    metrics: BTreeSet<MetricCode>,
}

impl Writer {
    pub fn quantity(&mut self, code: &str) -> StepIndex {
        self.metrics.insert(metric(code));
        self.steps.push(Step::Metric { metric: metric(code), side: MetricSide::Numerator })
    }

    pub fn denominator(&mut self, code: &str) -> StepIndex {
        self.metrics.insert(metric(code));
        self.steps.push(Step::Metric { metric: metric(code), side: MetricSide::Denominator })
    }

    pub fn quantities_v(&mut self, code: &str) -> StepIndex {
        self.metrics.insert(metric(code));
        self.steps.push(Step::PartyMetric { metric: metric(code), side: MetricSide::Numerator })
    }

    pub fn number(&mut self, numerator: i64, denominator: u64) -> StepIndex {
        self.steps.constant(Ratio::new(numerator, denominator))
    }

    pub fn numbers_v(&mut self, values: &[i64]) -> StepIndex {
        self.steps.push(Step::PerParty { values: values.iter().map(|value| Ratio::whole(*value)).collect() })
    }

    pub fn times(&mut self, left: StepIndex, numerator: i64, denominator: u64) -> StepIndex {
        let right = self.number(numerator, denominator);
        self.steps.multiply(left, right)
    }

    pub fn divide(&mut self, left: StepIndex, right: StepIndex) -> StepIndex {
        self.steps.push(Step::Divide { left, right })
    }

    pub fn minimum(&mut self, left: StepIndex, right: StepIndex) -> StepIndex {
        self.steps.push(Step::Minimum { left, right })
    }

    pub fn maximum(&mut self, left: StepIndex, right: StepIndex) -> StepIndex {
        self.steps.push(Step::Maximum { left, right })
    }

    pub fn clamp(&mut self, value: StepIndex, low: StepIndex, high: StepIndex) -> StepIndex {
        self.steps.push(Step::Clamp { value, low, high })
    }

    pub fn at_least(
        &mut self,
        value: StepIndex,
        threshold: StepIndex,
        then: StepIndex,
        otherwise: StepIndex,
    ) -> StepIndex {
        self.steps.push(Step::AtLeast { value, threshold, then, otherwise })
    }

    pub fn tiers(&mut self, value: StepIndex, tiers: &[(Ratio, Ratio)], beyond: Ratio) -> StepIndex {
        let tiers = tiers.iter().map(|(up_to, rate)| Tier { up_to: *up_to, rate: *rate }).collect();
        self.steps.push(Step::Tiers { value, tiers, beyond })
    }

    pub fn round(&mut self, value: StepIndex, name: &str) -> StepIndex {
        self.steps.push(Step::Round { value, figure: figure(name) })
    }

    pub fn allot(&mut self, amount: StepIndex, weights: StepIndex, name: &str) -> StepIndex {
        self.steps.push(Step::Allot { amount, weights, figure: figure(name) })
    }

    pub fn sum(&mut self, vector: StepIndex) -> StepIndex {
        self.steps.push(Step::Sum { vector })
    }

    pub fn place(&mut self, party: u8, value: StepIndex) -> StepIndex {
        self.steps.push(Step::Place { party: PartyIndex(party), value })
    }

    pub fn events(&mut self, measure: Measure) -> StepIndex {
        self.steps.push(Step::Events { service: None, measure })
    }

    /// Terms of `parties` parties, the last of which pays, whose expression is what was written.
    pub fn terms(self, parties: u8) -> Terms {
        let party =
            |index| Party { institution: institution(&format!("party-{index}")), roles: BTreeSet::new() };
        let terms = Terms {
            currency: Currency::CNY,
            services: BTreeSet::from([service("care")]),
            metrics: self.metrics,
            parties: (0..parties).map(party).collect(),
            payer: PartyIndex(parties - 1),
            rounding: Rounding::PerPeriod,
            expression: self.steps.finish(),
        };
        terms.check().unwrap();
        terms
    }
}

/// What checked terms give over reported quantities: `(metric, party, numerator, denominator)`.
pub fn over(terms: &Terms, reports: &[(&str, u8, i64, i64)]) -> Evaluation {
    let mut accumulator = Accumulator::default();
    for (code, party, numerator, denominator) in reports {
        let party = PartyIndex(*party);
        accumulator.report_metric(terms, &metric(code), party, *numerator, *denominator).unwrap();
    }
    evaluate(terms, &accumulator).unwrap()
}

pub fn amounts(evaluation: &Evaluation) -> Vec<i64> {
    evaluation.amounts.iter().map(|amount| amount.0).collect()
}

pub fn expression(steps: Vec<Step>) -> Expression {
    Expression { steps }
}
