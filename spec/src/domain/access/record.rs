//! What the state holds of access: grants and disclosures.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use super::operation::{AccessScope, Decision};
use crate::base::id::{Commitment, InstitutionId, ReferralId, SubjectTag, TransactionId};
use crate::base::time::{LedgerTime, Window};
use crate::domain::party::HasParties;

/// How a grant ended before its window did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantEnd {
    /// The grantor revoked it.
    Revoked,
    /// The referral that gave it closed.
    ReferralClosed,
}

/// When and how a grant ended before its window did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyEnd {
    /// When.
    #[serde(rename = "at_ms")]
    pub at: LedgerTime,
    /// How.
    pub how: GrantEnd,
}

/// A grant of access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The custodian of the records.
    pub grantor: InstitutionId,
    /// Who may see them.
    pub grantee: InstitutionId,
    /// Whose records.
    pub subject: SubjectTag,
    /// What the grant covers.
    pub scope: AccessScope,
    /// When.
    pub window: Window,
    /// Commitment to the consent, or to the reason of the referral that gave it.
    pub consent: Commitment,
    /// The referral that gave it, if one did.
    pub referral: Option<ReferralId>,
    /// When and how it ended early.
    pub ended: Option<EarlyEnd>,
}

impl HasParties for Grant {
    fn parties(&self) -> impl Iterator<Item = &InstitutionId> {
        [&self.grantor, &self.grantee].into_iter()
    }
}

/// A disclosure, as long as somebody may refer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
    /// Who disclosed.
    pub source: InstitutionId,
    /// To whom.
    pub recipient: InstitutionId,
    /// Whose records.
    pub subject: SubjectTag,
    /// Commitment to what was disclosed.
    pub content: Commitment,
    /// What the source decided.
    pub decision: Decision,
    /// The transaction that recorded it.
    pub transaction_id: TransactionId,
    /// Until when the recipient should record the receipt.
    #[serde(rename = "receipt_due_ms")]
    pub receipt_due: LedgerTime,
    /// When it did.
    #[serde(rename = "received_at_ms")]
    pub received_at: Option<LedgerTime>,
}

impl HasParties for Disclosure {
    fn parties(&self) -> impl Iterator<Item = &InstitutionId> {
        [&self.source, &self.recipient].into_iter()
    }
}
