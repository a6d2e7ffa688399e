//! Periods of agreements and their statements.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::height::Height;
use crate::base::id::AgreementId;
use crate::domain::agreement::{ClosedPeriod, PeriodStatement};
use crate::settlement::period::Accumulator;

/// Whether a period still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeriodState {
    /// It counts.
    Open,
    /// It is settled.
    Closed,
}

/// A period of an agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Period {
    /// The agreement.
    pub agreement: AgreementId,
    /// The period, from 0.
    pub period: u32,
    /// The height that was read.
    pub height: Height,
    /// Whether it still counts.
    pub state: PeriodState,
    /// How it was closed; null while it is open.
    pub record: Option<ClosedPeriod>,
    /// What the open period has counted so far; null once it is closed.
    pub accumulator: Option<Accumulator>,
}

/// The statement of a closed period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = StatementAnswer)]
pub struct Statement {
    /// The agreement.
    pub agreement: AgreementId,
    /// The period, from 0.
    pub period: u32,
    /// The height that was read.
    pub height: Height,
    /// The statement; its hash stands in the closed period.
    pub record: PeriodStatement,
}
