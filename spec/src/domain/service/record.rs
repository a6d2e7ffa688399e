//! What the state holds of services.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use super::operation::DeliverService;
use crate::base::id::{AgreementId, InstitutionId, TransactionId};
use crate::base::time::LedgerTime;
use crate::domain::party::HasParties;

/// An agreement and a period of it that counted a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CountedIn {
    /// The agreement.
    pub agreement: AgreementId,
    /// The period, from 0.
    pub period: u32,
}

/// A delivered service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What was recorded.
    pub delivered: DeliverService,
    /// Who recorded it.
    pub recorder: InstitutionId,
    /// The transaction that recorded it.
    pub transaction_id: TransactionId,
    /// The agreements and periods that counted it.
    pub counted_in: Vec<CountedIn>,
    /// When it was reversed.
    #[serde(rename = "reversed_at_ms")]
    pub reversed_at: Option<LedgerTime>,
}

impl HasParties for Service {
    fn parties(&self) -> impl Iterator<Item = &InstitutionId> {
        let players = self.delivered.parts.iter().map(|part| &part.institution);
        players.chain([&self.recorder, &self.delivered.payer])
    }
}
