//! What makes an expression well-formed: size, order, shapes, whole results (rules T-8 to T-11).
//!
//! Runs when terms are proposed. An expression that passes can only fail in evaluation through its data: a zero
//! divisor, a negative weight, a value beyond its bound.

use std::collections::BTreeSet;

use thiserror::Error;

use super::PartRole;
use super::expression::{Expression, Step, StepIndex, Tier};
use super::rational::{Ratio, Rational};
use super::terms::{Rounding, Terms};
use crate::base::id::{FigureName, MetricCode, ServiceCode};
use crate::base::limits;

/// Scalar or vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One value.
    Scalar,
    /// One value per party.
    Vector,
}

/// What is known about a step's value before any event arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepType {
    /// Scalar or vector.
    pub shape: Shape,
    /// Whether the value is a whole number whatever the events are.
    pub is_whole: bool,
}

/// Why an expression is not well-formed. Steps count from 0.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ExpressionError {
    /// Rule T-8: no steps, or too many.
    #[error("an expression has 1 to {} steps, this one {count}", limits::EXPRESSION_STEPS_MAX)]
    StepCount {
        /// Number of steps.
        count: usize,
    },
    /// Rule T-8: an operand is not an earlier step.
    #[error("step {step} reads step {operand}, which does not come before it")]
    OperandOrder {
        /// The step.
        step: usize,
        /// What it reads.
        operand: usize,
    },
    /// Rule T-8: a step that nothing reads, and that is neither a rounding point nor the result.
    #[error("no later step reads step {step}; remove it")]
    Unused {
        /// The step.
        step: usize,
    },
    /// Rule T-8: two rounding points of one name.
    #[error("the rounding point {figure} of step {step} has the name of an earlier one")]
    FigureRepeated {
        /// The step.
        step: usize,
        /// The name.
        figure: FigureName,
    },
    /// Rule T-9: an operand has the wrong shape.
    #[error("step {step} needs step {operand} to be a {expected:?}")]
    WrongShape {
        /// The step.
        step: usize,
        /// Its operand.
        operand: usize,
        /// The shape it needs.
        expected: Shape,
    },
    /// Rule T-9: the number of values is not the number of parties.
    #[error("step {step} has {count} values for {parties} parties")]
    PerPartyCount {
        /// The step.
        step: usize,
        /// Number of values.
        count: usize,
        /// Number of parties.
        parties: usize,
    },
    /// Rule T-10: something is allotted, or is the result, that may have a fraction.
    #[error("the value of step {step} may have a fraction; round it at a named rounding point")]
    NotWhole {
        /// The step.
        step: usize,
    },
    /// Rule T-9: the result is not one amount per party.
    #[error("the last step must give one amount per party, not a single one; place or allot it")]
    ResultNotPerParty,
    /// Rule T-7: a signed number with denominator zero.
    #[error("step {step} has a number with denominator zero")]
    ZeroDenominator {
        /// The step.
        step: usize,
    },
    /// Rule T-7: no tiers, too many, or not rising from above zero.
    #[error("step {step} needs 1 to {} tiers that rise from above zero", limits::TIERS_MAX)]
    Tiers {
        /// The step.
        step: usize,
    },
    /// Rule T-7: a party that the terms do not have.
    #[error("step {step} names a party beyond the {parties} of the terms")]
    UnknownParty {
        /// The step.
        step: usize,
        /// Number of parties.
        parties: usize,
    },
    /// Rule T-7: a service that the terms do not cover.
    #[error("step {step} reads service {service}, which the terms do not cover")]
    UnknownService {
        /// The step.
        step: usize,
        /// The service.
        service: ServiceCode,
    },
    /// Rule T-7: a part that no party plays.
    #[error("step {step} reads the part {role:?}, which no party plays")]
    UnknownPart {
        /// The step.
        step: usize,
        /// The part.
        role: PartRole,
    },
    /// Rule T-7: a metric that the terms do not use.
    #[error("step {step} reads metric {metric}, which the terms do not name")]
    UnknownMetric {
        /// The step.
        step: usize,
        /// The metric.
        metric: MetricCode,
    },
    /// Rule T-13: metrics are known at the end of a period, not at each event.
    #[error("step {step} reads a metric, but these terms round per event")]
    MetricPerEvent {
        /// The step.
        step: usize,
    },
    /// Rule T-11: evaluation would cost too much.
    #[error("evaluating costs {work} units of work of {limit}; use fewer steps, tiers or parties")]
    Work {
        /// Units of work, one per scalar operation.
        work: usize,
        /// The bound for these terms.
        limit: usize,
    },
}

/// Checks the expression of `terms` and returns the type of each step.
///
/// # Errors
/// The first rule of T-7 to T-11 that it breaks.
pub fn check(terms: &Terms) -> Result<Vec<StepType>, ExpressionError> {
    checked(terms).map(|checker| checker.types)
}

/// The scalar operations of the expression of `terms` that pass [`check`] (rule T-11).
pub fn work(terms: &Terms) -> usize {
    checked(terms).map_or(0, |checker| checker.work)
}

fn checked(terms: &Terms) -> Result<Checker<'_>, ExpressionError> {
    let Expression { steps } = &terms.expression;
    if steps.is_empty() || steps.len() > limits::EXPRESSION_STEPS_MAX {
        return Err(ExpressionError::StepCount { count: steps.len() });
    }
    let mut checker = Checker { terms, types: Vec::with_capacity(steps.len()), work: 0 };
    let mut figures = BTreeSet::new();
    // Rounding points show in the statement, so they need no reader.
    let mut unread: BTreeSet<usize> =
        (0..steps.len() - 1).filter(|index| steps[*index].figure().is_none()).collect();
    for (index, step) in steps.iter().enumerate() {
        for operand in step.operands().into_iter().map(|operand| usize::from(operand.0)) {
            if operand >= index {
                return Err(ExpressionError::OperandOrder { step: index, operand });
            }
            unread.remove(&operand);
        }
        if let Some(figure) = step.figure().filter(|figure| !figures.insert(*figure)) {
            return Err(ExpressionError::FigureRepeated { step: index, figure: figure.clone() });
        }
        let of_step = checker.type_of(index, step)?;
        checker.count_work(step, of_step);
        checker.types.push(of_step);
    }
    if let Some(step) = unread.first() {
        return Err(ExpressionError::Unused { step: *step });
    }
    checker.check_result()?;
    Ok(checker)
}

struct Checker<'a> {
    terms: &'a Terms,
    types: Vec<StepType>,
    work: usize,
}

impl Checker<'_> {
    fn type_of(&self, index: usize, step: &Step) -> Result<StepType, ExpressionError> {
        let scalar = |is_whole| StepType { shape: Shape::Scalar, is_whole };
        let vector = |is_whole| StepType { shape: Shape::Vector, is_whole };
        self.check_names(index, step)?;
        Ok(match step {
            Step::Constant { value } => scalar(is_whole(index, *value)?),
            Step::PerParty { values } => vector(self.per_party_is_whole(index, values)?),
            Step::Events { .. } | Step::Metric { .. } => scalar(true),
            Step::PartyEvents { .. } | Step::PartyMetric { .. } => vector(true),
            Step::Add { .. }
            | Step::Subtract { .. }
            | Step::Multiply { .. }
            | Step::Minimum { .. }
            | Step::Maximum { .. }
            | Step::Clamp { .. } => self.joined(&step.operands()),
            Step::Divide { .. } => StepType { is_whole: false, ..self.joined(&step.operands()) },
            Step::AtLeast { then, otherwise, .. } => {
                let is_whole = self.joined(&[*then, *otherwise]).is_whole;
                StepType { is_whole, ..self.joined(&step.operands()) }
            }
            Step::Tiers { value, tiers, beyond } => {
                let tiers_are_whole = tiers_are_whole(index, tiers, *beyond)?;
                let of_value = self.joined(&[*value]);
                StepType { is_whole: tiers_are_whole && of_value.is_whole, ..of_value }
            }
            Step::Place { value, .. } => vector(self.need(index, *value, Shape::Scalar)?.is_whole),
            Step::Sum { vector: operand } => scalar(self.need(index, *operand, Shape::Vector)?.is_whole),
            Step::Round { value, .. } => StepType { is_whole: true, ..self.joined(&[*value]) },
            Step::Allot { amount, weights, .. } => {
                self.need(index, *weights, Shape::Vector)?;
                if !self.need(index, *amount, Shape::Scalar)?.is_whole {
                    return Err(ExpressionError::NotWhole { step: usize::from(amount.0) });
                }
                vector(true)
            }
        })
    }

    /// The type of an arithmetic step: a vector if any operand is one, whole if all are.
    fn joined(&self, operands: &[StepIndex]) -> StepType {
        let types = || operands.iter().map(|operand| self.types[usize::from(operand.0)]);
        let any_vector = types().any(|of_operand| of_operand.shape == Shape::Vector);
        StepType {
            shape: if any_vector { Shape::Vector } else { Shape::Scalar },
            is_whole: types().all(|of_operand| of_operand.is_whole),
        }
    }

    fn need(&self, step: usize, operand: StepIndex, expected: Shape) -> Result<StepType, ExpressionError> {
        let operand = usize::from(operand.0);
        let found = self.types[operand];
        if found.shape == expected {
            Ok(found)
        } else {
            Err(ExpressionError::WrongShape { step, operand, expected })
        }
    }

    fn per_party_is_whole(&self, step: usize, values: &[Ratio]) -> Result<bool, ExpressionError> {
        let parties = self.terms.parties.len();
        if values.len() != parties {
            return Err(ExpressionError::PerPartyCount { step, count: values.len(), parties });
        }
        values.iter().try_fold(true, |all, value| Ok(is_whole(step, *value)? && all))
    }

    /// Services, parts, metrics and parties exist in the terms (rule T-7).
    fn check_names(&self, step: usize, of_step: &Step) -> Result<(), ExpressionError> {
        let terms = self.terms;
        if let Step::Events { service: Some(service), .. } | Step::PartyEvents { service: Some(service), .. } =
            of_step
            && !terms.services.contains(service)
        {
            return Err(ExpressionError::UnknownService { step, service: service.clone() });
        }
        match of_step {
            Step::PartyEvents { role, .. }
                if !terms.parties.iter().any(|party| party.roles.contains(role)) =>
            {
                Err(ExpressionError::UnknownPart { step, role: *role })
            }
            Step::Metric { .. } | Step::PartyMetric { .. } if terms.rounding == Rounding::PerEvent => {
                Err(ExpressionError::MetricPerEvent { step })
            }
            Step::Metric { metric, .. } | Step::PartyMetric { metric, .. }
                if !terms.metrics.contains(metric) =>
            {
                Err(ExpressionError::UnknownMetric { step, metric: metric.clone() })
            }
            Step::Place { party, .. } if party.position() >= terms.parties.len() => {
                Err(ExpressionError::UnknownParty { step, parties: terms.parties.len() })
            }
            Step::Constant { .. }
            | Step::PerParty { .. }
            | Step::Events { .. }
            | Step::PartyEvents { .. }
            | Step::Metric { .. }
            | Step::PartyMetric { .. }
            | Step::Add { .. }
            | Step::Subtract { .. }
            | Step::Multiply { .. }
            | Step::Divide { .. }
            | Step::Minimum { .. }
            | Step::Maximum { .. }
            | Step::Clamp { .. }
            | Step::AtLeast { .. }
            | Step::Tiers { .. }
            | Step::Place { .. }
            | Step::Sum { .. }
            | Step::Round { .. }
            | Step::Allot { .. } => Ok(()),
        }
    }

    /// One unit per scalar operation: a vector costs one per party, tiers cost four per tier, a sum and an allotment
    /// read a vector (rule T-11).
    fn count_work(&mut self, step: &Step, of_step: StepType) {
        let reads_vector = of_step.shape == Shape::Vector || matches!(step, Step::Sum { .. });
        let width = if reads_vector { self.terms.parties.len() } else { 1 };
        // Of each tier the value inside it is cut out, rated and added.
        let depth = if let Step::Tiers { tiers, .. } = step { 4 * (tiers.len() + 1) } else { 1 };
        self.work += width * depth;
    }

    fn check_result(&self) -> Result<(), ExpressionError> {
        let result = self.types[self.types.len() - 1];
        if result.shape != Shape::Vector {
            return Err(ExpressionError::ResultNotPerParty);
        }
        if !result.is_whole {
            return Err(ExpressionError::NotWhole { step: self.types.len() - 1 });
        }
        let limit = match self.terms.rounding {
            Rounding::PerEvent => limits::EXPRESSION_WORK_PER_EVENT_MAX,
            Rounding::PerPeriod => limits::EXPRESSION_WORK_MAX,
        };
        if self.work > limit {
            return Err(ExpressionError::Work { work: self.work, limit });
        }
        Ok(())
    }
}

/// Whether a signed number is whole.
fn is_whole(step: usize, ratio: Ratio) -> Result<bool, ExpressionError> {
    let value = Rational::from_ratio(ratio).map_err(|_| ExpressionError::ZeroDenominator { step })?;
    Ok(value.is_whole())
}

/// Whether tiers of a whole value are whole; checks that they rise from above zero (rule T-7).
fn tiers_are_whole(step: usize, tiers: &[Tier], beyond: Ratio) -> Result<bool, ExpressionError> {
    if tiers.is_empty() || tiers.len() > limits::TIERS_MAX {
        return Err(ExpressionError::Tiers { step });
    }
    let mut below = Rational::zero();
    let mut all_whole = is_whole(step, beyond)?;
    for tier in tiers {
        let ends_whole = is_whole(step, tier.up_to)?;
        let up_to =
            Rational::from_ratio(tier.up_to).map_err(|_| ExpressionError::ZeroDenominator { step })?;
        if up_to <= below {
            return Err(ExpressionError::Tiers { step });
        }
        below = up_to;
        all_whole &= ends_whole && is_whole(step, tier.rate)?;
    }
    Ok(all_whole)
}
