//! What operations on an agreement cost (rule X-5). It depends on the terms; it is computed once, when they are proposed, and
//! kept in a row of its own, so that asking for the work of an operation reads a few short rows.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::codec;
use crate::domain::work::STREAMS_PER_UNIT;
use crate::settlement::check;
use crate::settlement::expression::Step;
use crate::settlement::terms::{Rounding, Terms};

/// Scalar operations of an expression (rule T-11) in one unit.
const EXPRESSION_PER_UNIT: u64 = 2;
/// Rows of a period's sums that are searched in one unit.
const SEARCHED_ROWS_PER_UNIT: u64 = 8_192;
/// Rows of a period's sums that are read and written in one unit.
const COUNTED_ROWS_PER_UNIT: u64 = 128;
/// Bytes of terms that are read and written in one unit.
const TERMS_BYTES_PER_UNIT: u64 = 4_096;
/// Rows that say which agreements count a service, changed in one unit.
const COVERAGE_ROWS_PER_UNIT: u64 = 2;

/// What the operations on an agreement cost, by its terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgreementWork {
    /// To count a service, or to take one back in the period that counted it.
    pub event: u32,
    /// To evaluate the terms over a period.
    pub close: u32,
    /// To propose, sign or terminate it.
    pub change: u32,
}

impl AgreementWork {
    /// The work of an agreement of these terms.
    pub fn of(terms: &Terms) -> Self {
        let parties = terms.parties.len() as u64;
        let parts: u64 = terms.parties.iter().map(|party| party.roles.len() as u64).sum();
        let services = terms.services.len() as u64;
        // Sums of a period: by service, and by service, party and part.
        let rows = services * (1 + parts);
        let searched = terms.expression.steps.iter().map(|step| match step {
            Step::PartyEvents { .. } => parties * rows,
            Step::Events { .. } => services,
            Step::Constant { .. }
            | Step::PerParty { .. }
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
            | Step::Allot { .. } => 0,
        });
        let expression =
            check::work(terms) as u64 / EXPRESSION_PER_UNIT + searched.sum::<u64>() / SEARCHED_ROWS_PER_UNIT;
        let (each_event, each_period) = match terms.rounding {
            Rounding::PerEvent => (expression, 0),
            Rounding::PerPeriod => (0, expression),
        };
        let players = terms.parties.iter().filter(|party| !party.roles.is_empty()).count() as u64;
        let bytes = codec::encode(terms).len() as u64 / TERMS_BYTES_PER_UNIT;
        let streams = parties / STREAMS_PER_UNIT;
        let sums = rows / COUNTED_ROWS_PER_UNIT;
        Self {
            event: units(1 + sums + bytes + each_event),
            close: units(1 + sums + bytes + each_period + streams),
            change: units(1 + bytes + streams + players * services / COVERAGE_ROWS_PER_UNIT),
        }
    }

    /// To take a service back whose period is closed, which is settled anew (rule T-19).
    pub fn late_reversal(self) -> u64 {
        u64::from(self.event) + u64::from(self.close)
    }
}

fn units(work: u64) -> u32 {
    u32::try_from(work).unwrap_or(u32::MAX)
}
