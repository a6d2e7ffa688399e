//! Delivered services: what was done, who did which part, who pays.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::id::{Commitment, InstitutionId, ServiceCode, ServiceId};
use crate::base::money::{AmountMinor, Currency};
use crate::base::time::Window;
use crate::settlement::PartRole;

/// A part of a service, and who played it.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema,
)]
#[serde(deny_unknown_fields)]
pub struct PlayedPart {
    /// The part.
    pub role: PartRole,
    /// Who played it.
    pub institution: InstitutionId,
}

/// Records a delivered service. Creates a service.
///
/// By a finance key of an institution that played a part. Needs: 1 to [`crate::base::limits::PARTS_PER_SERVICE_MAX`] parts,
/// ascending by role, one of each; 1 to [`crate::base::limits::SERVICE_DAYS_MAX`]
/// whole days, the last begun (rule O-20 allows a day for time zones); a registered payer; a gross amount from 0 to
/// [`crate::base::limits::AMOUNT_MINOR_MAX`]; evidence that no other service carries (an event settles once). Every active agreement that covers it counts it in its open period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliverService {
    /// What was done.
    pub service: ServiceCode,
    /// The days on which it was performed, from midnight to midnight UTC: not when it was recorded, which the block says.
    pub performed: Window,
    /// Who did which part.
    pub parts: Vec<PlayedPart>,
    /// Who pays.
    pub payer: InstitutionId,
    /// The gross amount in minor units of `currency`.
    pub gross_minor: AmountMinor,
    /// The currency.
    pub currency: Currency,
    /// Commitment to the evidence (claim, report). What referral the service belongs to stands there and nowhere on the
    /// ledger: a payer knows its patient, and would learn the tag that the referral names.
    pub evidence: Commitment,
}

/// Why a service is reversed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReversalReason {
    /// Recorded by mistake.
    Mistake,
    /// Recorded twice.
    Duplicate,
    /// Not delivered after all.
    NotDelivered,
    /// The payer rejected the claim.
    ClaimRejected,
}

/// Reverses a delivered service. By the institution that recorded it. Needs: a service that is not reversed yet.
///
/// What a closed period has settled stays; the difference is posted to the next open period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReverseService {
    /// The service.
    pub service: ServiceId,
    /// Why.
    pub reason: ReversalReason,
}
