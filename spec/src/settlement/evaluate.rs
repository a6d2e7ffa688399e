//! What an expression means: its value over the accumulated events of a period, step by step (rules T-7 to T-10).

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use super::expression::{Step, StepIndex, Tier};
use super::period::Accumulator;
use super::rational::{ArithmeticError, Ratio, Rational};
use super::rounding::{allot, round_half_up};
use super::terms::Terms;
use crate::base::id::FigureName;
use crate::base::money::AmountMinor;

/// Why an expression has no value over these events.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum EvaluateError {
    /// The arithmetic of a step failed.
    #[error("step {step}: {error}")]
    Arithmetic {
        /// The step, from 0.
        step: usize,
        /// What failed.
        error: ArithmeticError,
    },
    /// The expression was not checked: an operand is missing or has the wrong shape.
    #[error("step {step} is not well-formed; check the terms before evaluating them")]
    Malformed {
        /// The step, from 0.
        step: usize,
    },
}

/// The value of a rounding point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FigureValue {
    /// One whole number, usually minor units.
    Single {
        /// The number.
        value: i64,
    },
    /// One whole number per party.
    PerParty {
        /// The numbers in signed order.
        values: Vec<i64>,
    },
}

/// A named intermediate result that a statement shows: the answer to "why this amount".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The name of the rounding point.
    pub name: FigureName,
    /// Its value.
    pub value: FigureValue,
}

/// The value of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// The amount of each party, in signed order.
    pub amounts: Vec<AmountMinor>,
    /// The rounding points on the way, in the order of their steps.
    pub figures: Vec<Figure>,
}

/// Evaluates the expression of checked `terms` over `events`.
///
/// # Errors
/// [`EvaluateError::Arithmetic`] when the data makes a step fail; [`EvaluateError::Malformed`] when the terms were
/// not checked.
pub fn evaluate(terms: &Terms, events: &Accumulator) -> Result<Evaluation, EvaluateError> {
    let mut evaluator = Evaluator { events, parties: terms.parties.len(), values: Vec::new() };
    let mut figures = Vec::new();
    for (index, step) in terms.expression.steps.iter().enumerate() {
        let value = evaluator.step(index, step)?;
        if let Some(name) = step.figure() {
            let value = value.figure().map_err(|error| EvaluateError::Arithmetic { step: index, error })?;
            figures.push(Figure { name: name.clone(), value });
        }
        evaluator.values.push(value);
    }
    let last = evaluator.values.len().saturating_sub(1);
    match evaluator.values.pop() {
        Some(Value::Vector(entries)) => {
            let amounts: Result<Vec<AmountMinor>, ArithmeticError> =
                entries.iter().map(Rational::to_amount).collect();
            let amounts = amounts.map_err(|error| EvaluateError::Arithmetic { step: last, error })?;
            Ok(Evaluation { amounts, figures })
        }
        _ => Err(EvaluateError::Malformed { step: last }),
    }
}

/// The value of a step.
#[derive(Debug, Clone)]
enum Value {
    Scalar(Rational),
    Vector(Vec<Rational>),
}

impl Value {
    /// The entry of a party; a scalar is the same for all.
    fn of(&self, party: usize) -> Option<&Rational> {
        match self {
            Self::Scalar(value) => Some(value),
            Self::Vector(entries) => entries.get(party),
        }
    }

    fn figure(&self) -> Result<FigureValue, ArithmeticError> {
        Ok(match self {
            Self::Scalar(value) => FigureValue::Single { value: value.to_i64()? },
            Self::Vector(entries) => FigureValue::PerParty {
                values: entries.iter().map(Rational::to_i64).collect::<Result<_, _>>()?,
            },
        })
    }
}

/// A failed step: the arithmetic, or (`None`) a step that is not well-formed.
type StepError = Option<ArithmeticError>;

struct Evaluator<'a> {
    events: &'a Accumulator,
    parties: usize,
    values: Vec<Value>,
}

impl Evaluator<'_> {
    fn step(&self, index: usize, step: &Step) -> Result<Value, EvaluateError> {
        self.value_of(step).map_err(|error| match error {
            Some(error) => EvaluateError::Arithmetic { step: index, error },
            None => EvaluateError::Malformed { step: index },
        })
    }

    fn value_of(&self, step: &Step) -> Result<Value, StepError> {
        let per_party = |entry: &dyn Fn(usize) -> i128| {
            Value::Vector((0..self.parties).map(|party| Rational::from_i128(entry(party))).collect())
        };
        match step {
            Step::Constant { value } => Ok(Value::Scalar(Rational::from_ratio(*value)?)),
            Step::PerParty { values } => Ok(Value::Vector(constants(values)?)),
            Step::Events { service, measure } => {
                Ok(Value::Scalar(Rational::from_i128(self.events.measure(service.as_ref(), *measure))))
            }
            Step::PartyEvents { service, role, measure } => {
                Ok(per_party(&|party| self.events.party_measure(service.as_ref(), party, *role, *measure)))
            }
            Step::Metric { metric, side } => Ok(Value::Scalar(Rational::from_i128(
                (0..self.parties).map(|party| self.events.metric(metric, party, *side)).sum(),
            ))),
            Step::PartyMetric { metric, side } => {
                Ok(per_party(&|party| self.events.metric(metric, party, *side)))
            }
            Step::Add { .. }
            | Step::Subtract { .. }
            | Step::Multiply { .. }
            | Step::Divide { .. }
            | Step::Minimum { .. }
            | Step::Maximum { .. }
            | Step::Clamp { .. }
            | Step::AtLeast { .. }
            | Step::Tiers { .. }
            | Step::Round { .. } => self.entrywise(step),
            Step::Place { .. } | Step::Sum { .. } | Step::Allot { .. } => self.between_shapes(step),
        }
    }

    fn operand(&self, index: StepIndex) -> Result<&Value, StepError> {
        self.values.get(usize::from(index.0)).ok_or(None)
    }

    fn scalar(&self, index: StepIndex) -> Result<&Rational, StepError> {
        match self.operand(index)? {
            Value::Scalar(value) => Ok(value),
            Value::Vector(_) => Err(None),
        }
    }

    fn vector(&self, index: StepIndex) -> Result<&[Rational], StepError> {
        match self.operand(index)? {
            Value::Vector(entries) => Ok(entries),
            Value::Scalar(_) => Err(None),
        }
    }

    /// A step that works on each party's entries alone; on scalars it works once (rule T-9).
    fn entrywise(&self, step: &Step) -> Result<Value, StepError> {
        let operands: Vec<&Value> =
            step.operands().into_iter().map(|index| self.operand(index)).collect::<Result<_, _>>()?;
        let entry = |party: usize| {
            let entries: Vec<&Rational> =
                operands.iter().map(|operand| operand.of(party)).collect::<Option<_>>().ok_or(None)?;
            apply(step, &entries)
        };
        if operands.iter().any(|operand| matches!(operand, Value::Vector(_))) {
            Ok(Value::Vector((0..self.parties).map(entry).collect::<Result<_, _>>()?))
        } else {
            entry(0).map(Value::Scalar)
        }
    }

    /// A step that turns scalars into vectors or vectors into scalars.
    fn between_shapes(&self, step: &Step) -> Result<Value, StepError> {
        match step {
            Step::Place { party, value } => {
                let mut entries = vec![Rational::zero(); self.parties];
                *entries.get_mut(party.position()).ok_or(None)? = self.scalar(*value)?.clone();
                Ok(Value::Vector(entries))
            }
            Step::Sum { vector } => {
                let sum =
                    self.vector(*vector)?.iter().try_fold(Rational::zero(), |sum, entry| sum.plus(entry))?;
                Ok(Value::Scalar(sum))
            }
            Step::Allot { amount, weights, .. } => {
                Ok(Value::Vector(allot(self.scalar(*amount)?, self.vector(*weights)?)?))
            }
            _ => Err(None),
        }
    }
}

/// One entry of an entrywise step, its operands in the order of [`Step::operands`].
fn apply(step: &Step, operands: &[&Rational]) -> Result<Rational, StepError> {
    let result = match (step, operands) {
        (Step::Add { .. }, [left, right]) => left.plus(right),
        (Step::Subtract { .. }, [left, right]) => left.minus(right),
        (Step::Multiply { .. }, [left, right]) => left.times(right),
        (Step::Divide { .. }, [left, right]) => left.divided_by(right),
        (Step::Minimum { .. }, [left, right]) => Ok((*left).min(right).clone()),
        (Step::Maximum { .. }, [left, right]) => Ok((*left).max(right).clone()),
        (Step::Clamp { .. }, [value, low, high]) => Ok((*value).max(low).min(high).clone()),
        (Step::AtLeast { .. }, [value, threshold, then, otherwise]) => {
            Ok(if value >= threshold { then } else { otherwise }).map(|chosen| (*chosen).clone())
        }
        (Step::Tiers { tiers, beyond, .. }, [value]) => marginal(value, tiers, *beyond),
        (Step::Round { .. }, [value]) => round_half_up(value),
        _ => return Err(None),
    };
    result.map_err(Some)
}

fn constants(values: &[Ratio]) -> Result<Vec<Rational>, ArithmeticError> {
    values.iter().map(|value| Rational::from_ratio(*value)).collect()
}

/// Marginal tiers of the magnitude of `value`, with its sign (rule T-7).
fn marginal(value: &Rational, tiers: &[Tier], beyond: Ratio) -> Result<Rational, ArithmeticError> {
    let magnitude = value.magnitude();
    let mut below = Rational::zero();
    let mut total = Rational::zero();
    for tier in tiers {
        let up_to = Rational::from_ratio(tier.up_to)?;
        let inside = (&magnitude).min(&up_to).minus(&below)?;
        if inside.is_negative() {
            break;
        }
        total = total.plus(&inside.times(&Rational::from_ratio(tier.rate)?)?)?;
        below = up_to;
    }
    let above = magnitude.minus(&below)?;
    if !above.is_negative() {
        total = total.plus(&above.times(&Rational::from_ratio(beyond)?)?)?;
    }
    Ok(if value.is_negative() { total.negated() } else { total })
}
