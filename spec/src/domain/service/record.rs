//! What the state holds of services.

use serde::{Deserialize, Serialize};
use wincode::{SchemaRead, SchemaWrite};

use super::operation::DeliverService;
use crate::base::id::{AgreementId, InstitutionId, TransactionId};
use crate::base::time::LedgerTime;
use crate::domain::party::HasParties;

/// A delivered service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What was recorded.
    pub delivered: DeliverService,
    /// Who recorded it.
    pub recorder: InstitutionId,
    /// The transaction that recorded it.
    pub transaction_id: TransactionId,
    /// The agreements and periods that counted it.
    pub counted_in: Vec<(AgreementId, u32)>,
    /// When it was reversed.
    pub reversed_at: Option<LedgerTime>,
}

impl HasParties for Service {
    fn parties(&self) -> impl Iterator<Item = &InstitutionId> {
        let players = self.delivered.parts.iter().map(|part| &part.institution);
        players.chain([&self.recorder, &self.delivered.payer])
    }
}
