//! What the state holds of agreements and their periods.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use super::operation::Schedule;
use crate::base::id::{AgreementId, ConsortiumId, Hash, InstitutionId};
use crate::base::time::{LedgerTime, Window};
use crate::domain::party::HasParties;
use crate::settlement::statement::Statement;
use crate::settlement::terms::Terms;

/// Where an agreement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgreementState {
    /// Waits for signatures.
    Proposed,
    /// Counts services.
    Active,
    /// Counts no more.
    Terminated,
}

/// An agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// The consortium it is made in.
    pub consortium: ConsortiumId,
    /// What is agreed.
    pub terms: Terms,
    /// The hash of the terms, which every party signs.
    pub terms_hash: Hash,
    /// When services count.
    pub window: Window,
    /// When periods end.
    pub schedule: Schedule,
    /// Where it stands.
    pub state: AgreementState,
    /// Who has signed.
    pub signed: BTreeSet<InstitutionId>,
    /// The number of the open period.
    pub open_period: u32,
    /// When the open period began.
    #[serde(rename = "period_began_ms")]
    pub period_began: LedgerTime,
}

impl HasParties for Agreement {
    fn parties(&self) -> impl Iterator<Item = &InstitutionId> {
        self.terms.parties.iter().map(|party| &party.institution)
    }
}

/// A closed period: never changes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClosedPeriod {
    /// When it began.
    #[serde(rename = "began_ms")]
    pub began: LedgerTime,
    /// When it was closed.
    #[serde(rename = "closed_ms")]
    pub closed: LedgerTime,
    /// The number of events in it.
    pub events: u64,
    /// The cut-off: root of the period's stream.
    pub events_root: Hash,
    /// Hash of the statement.
    pub statement_hash: Hash,
}

/// The statement of a closed period, as its hash in [`ClosedPeriod`] commits to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PeriodStatement {
    /// The agreement.
    pub agreement: AgreementId,
    /// The period, counted from 0.
    pub period: u32,
    /// When it began.
    #[serde(rename = "began_ms")]
    pub began: LedgerTime,
    /// When it was closed.
    #[serde(rename = "closed_ms")]
    pub closed: LedgerTime,
    /// Who is owed what, and why.
    pub statement: Statement,
}
