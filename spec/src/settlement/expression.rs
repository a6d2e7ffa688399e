//! The language in which parties sign what is owed: a flat list of steps over exact values (rules T-7 to T-11).
//!
//! A step's operands are earlier steps, so an expression has no loops, evaluates front to back in bounded time and
//! always ends. The last step is the result: whole minor units per party. Values are exact; only [`Step::Round`] and
//! [`Step::Allot`] round, and each carries a name under which the statement shows its value.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use super::rational::Ratio;
use super::{PartRole, PartyIndex};
use crate::base::id::{FigureName, MetricCode, ServiceCode};

/// The position of a step in its expression, from 0.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    SchemaRead,
    SchemaWrite,
    ToSchema,
)]
#[serde(transparent)]
pub struct StepIndex(pub u16);

/// What is taken from the events of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Number of services delivered.
    DeliveredCount,
    /// Number of services reversed.
    ReversedCount,
    /// Delivered less reversed.
    NetCount,
    /// Gross amount delivered, in minor units.
    DeliveredGross,
    /// Gross amount reversed, in minor units.
    ReversedGross,
    /// Gross amount delivered less reversed, in minor units.
    NetGross,
}

/// Which side of a reported metric is meant. A quantity (member-months, bed days, cost) is a numerator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricSide {
    /// The sum of the numerators reported in the period.
    Numerator,
    /// The sum of the denominators reported in the period.
    Denominator,
}

/// One marginal tier: what lies above the tier before it, up to `up_to`, counts at `rate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PriceTier)]
pub struct Tier {
    /// The upper end of the tier, above zero and above the tier before it.
    pub up_to: Ratio,
    /// What one unit inside the tier is worth.
    pub rate: Ratio,
}

/// One step of an expression.
///
/// A value is a scalar or a vector with one entry per party in signed order. Arithmetic on a scalar and a vector
/// applies the scalar to every entry (rule T-9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// A signed number. Scalar.
    Constant {
        /// The number.
        value: Ratio,
    },
    /// A signed number per party. Vector.
    PerParty {
        /// One number per party, in signed order.
        values: Vec<Ratio>,
    },
    /// A measure over the events of the period. Scalar.
    Events {
        /// One service, or all services of the agreement.
        service: Option<ServiceCode>,
        /// What is taken from them.
        measure: Measure,
    },
    /// A measure over the events in which each party played `role`. Vector.
    PartyEvents {
        /// One service, or all services of the agreement.
        service: Option<ServiceCode>,
        /// The part that the party played.
        role: PartRole,
        /// What is taken from them.
        measure: Measure,
    },
    /// A metric of the period, summed over the parties. Scalar.
    Metric {
        /// The metric.
        metric: MetricCode,
        /// Its numerator or its denominator.
        side: MetricSide,
    },
    /// A metric of the period per party, zero where nothing was reported. Vector.
    PartyMetric {
        /// The metric.
        metric: MetricCode,
        /// Its numerator or its denominator.
        side: MetricSide,
    },
    /// `left + right`.
    Add {
        /// First operand.
        left: StepIndex,
        /// Second operand.
        right: StepIndex,
    },
    /// `left - right`.
    Subtract {
        /// What is reduced.
        left: StepIndex,
        /// What is taken away.
        right: StepIndex,
    },
    /// `left * right`.
    Multiply {
        /// First factor.
        left: StepIndex,
        /// Second factor.
        right: StepIndex,
    },
    /// `left / right`; a zero divisor is an error, so guard one that may be zero with a maximum.
    Divide {
        /// Dividend.
        left: StepIndex,
        /// Divisor.
        right: StepIndex,
    },
    /// The smaller of two.
    Minimum {
        /// First operand.
        left: StepIndex,
        /// Second operand.
        right: StepIndex,
    },
    /// The larger of two.
    Maximum {
        /// First operand.
        left: StepIndex,
        /// Second operand.
        right: StepIndex,
    },
    /// `min(max(value, low), high)`.
    Clamp {
        /// What is kept inside.
        value: StepIndex,
        /// The lower end.
        low: StepIndex,
        /// The upper end, which wins where the ends cross.
        high: StepIndex,
    },
    /// `then` where `value >= threshold`, else `otherwise`. Both are computed; an error in either is an error.
    AtLeast {
        /// What is compared.
        value: StepIndex,
        /// What it must reach.
        threshold: StepIndex,
        /// The value where it does.
        then: StepIndex,
        /// The value where it does not.
        otherwise: StepIndex,
    },
    /// Marginal tiers of the magnitude of a value, with its sign.
    Tiers {
        /// What is tiered.
        value: StepIndex,
        /// The tiers, rising.
        tiers: Vec<Tier>,
        /// The rate above the last tier.
        beyond: Ratio,
    },
    /// A scalar for one party, zero for the others. Vector.
    Place {
        /// The party.
        party: PartyIndex,
        /// The scalar.
        value: StepIndex,
    },
    /// The sum of a vector's entries. Scalar.
    Sum {
        /// The vector.
        vector: StepIndex,
    },
    /// Half up on the magnitude, at a named rounding point (rule T-5).
    Round {
        /// What is rounded.
        value: StepIndex,
        /// The name of the rounding point.
        figure: FigureName,
    },
    /// Shares of a whole scalar by largest remainder, at a named rounding point (rule T-6). Vector.
    Allot {
        /// What is shared, a whole scalar.
        amount: StepIndex,
        /// The weights, a vector.
        weights: StepIndex,
        /// The name of the rounding point.
        figure: FigureName,
    },
}

impl Step {
    /// The steps that this one reads.
    pub fn operands(&self) -> Vec<StepIndex> {
        match self {
            Self::Constant { .. }
            | Self::PerParty { .. }
            | Self::Events { .. }
            | Self::PartyEvents { .. }
            | Self::Metric { .. }
            | Self::PartyMetric { .. } => Vec::new(),
            Self::Add { left, right }
            | Self::Subtract { left, right }
            | Self::Multiply { left, right }
            | Self::Divide { left, right }
            | Self::Minimum { left, right }
            | Self::Maximum { left, right } => vec![*left, *right],
            Self::Clamp { value, low, high } => vec![*value, *low, *high],
            Self::AtLeast { value, threshold, then, otherwise } => {
                vec![*value, *threshold, *then, *otherwise]
            }
            Self::Tiers { value, .. } | Self::Place { value, .. } | Self::Round { value, .. } => vec![*value],
            Self::Sum { vector } => vec![*vector],
            Self::Allot { amount, weights, .. } => vec![*amount, *weights],
        }
    }

    /// The name of the rounding point, where the step is one.
    pub fn figure(&self) -> Option<&FigureName> {
        match self {
            Self::Round { figure, .. } | Self::Allot { figure, .. } => Some(figure),
            _ => None,
        }
    }
}

/// An expression: steps in order, the last of which is the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Expression {
    /// The steps; rules T-8 to T-11 say what makes them well-formed.
    pub steps: Vec<Step>,
}

/// Writes an expression step by step.
#[derive(Debug, Default)]
pub struct ExpressionBuilder {
    steps: Vec<Step>,
}

impl ExpressionBuilder {
    /// Appends a step and returns its position.
    pub fn push(&mut self, step: Step) -> StepIndex {
        // Positions beyond the type's range cannot be checked in: the checker refuses far shorter expressions.
        let index = StepIndex(u16::try_from(self.steps.len()).unwrap_or(u16::MAX));
        self.steps.push(step);
        index
    }

    /// Appends a constant.
    pub fn constant(&mut self, value: Ratio) -> StepIndex {
        self.push(Step::Constant { value })
    }

    /// Appends a sum.
    pub fn add(&mut self, left: StepIndex, right: StepIndex) -> StepIndex {
        self.push(Step::Add { left, right })
    }

    /// Appends a difference.
    pub fn subtract(&mut self, left: StepIndex, right: StepIndex) -> StepIndex {
        self.push(Step::Subtract { left, right })
    }

    /// Appends a product.
    pub fn multiply(&mut self, left: StepIndex, right: StepIndex) -> StepIndex {
        self.push(Step::Multiply { left, right })
    }

    /// The expression whose result is the last step appended.
    pub fn finish(self) -> Expression {
        Expression { steps: self.steps }
    }
}
