//! The statement of a closed period: what an agreement's parties are owed, and under which terms.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CertifiedHeader, Checkpoint, ProofError, ProvenRow};
use crate::base::codec::{self, Domain};
use crate::domain::agreement::{Agreement, ClosedPeriod, PeriodStatement};
use crate::ledger::block::Header;
use crate::state::key::StateKey;

/// A statement with the two rows that make it binding: the closed period, and the agreement that names the parties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatementProof {
    /// The statement, with the agreement and the period it is for.
    pub statement: PeriodStatement,
    /// The row of the closed period.
    pub closed_period: ProvenRow,
    /// The row of the agreement.
    pub agreement_row: ProvenRow,
    /// The block after which the state held both.
    pub block: CertifiedHeader,
}

/// What a statement proof shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedStatement<'a> {
    /// The header at which the rows were read.
    pub header: &'a Header,
    /// The closed period.
    pub closed_period: ClosedPeriod,
    /// The agreement with its terms, in whose order the statement counts the parties.
    pub agreement: Agreement,
}

impl StatementProof {
    /// Verifies the statement against a checkpoint (rules P-2 to P-5, P-10 to P-12, P-16, P-17).
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<VerifiedStatement<'_>, ProofError> {
        const PERIOD: &str = "closed period";
        const AGREEMENT: &str = "agreement";
        let header = self.block.verify(checkpoint)?;
        self.closed_period.verify(header)?;
        let (id, period) = (self.statement.agreement, self.statement.period);
        self.closed_period.check_key(&StateKey::ClosedPeriod(id, period), PERIOD)?;
        let closed_period: ClosedPeriod = self.closed_period.require(PERIOD)?;
        if codec::hash(Domain::Statement, &self.statement) != closed_period.statement_hash {
            return Err(ProofError::StatementMismatch);
        }
        self.agreement_row.verify(header)?;
        self.agreement_row.check_key(&StateKey::Agreement(id), AGREEMENT)?;
        let agreement: Agreement = self.agreement_row.require(AGREEMENT)?;
        if codec::hash(Domain::Terms, &agreement.terms) != agreement.terms_hash {
            return Err(ProofError::TermsMismatch);
        }
        Ok(VerifiedStatement { header, closed_period, agreement })
    }
}
