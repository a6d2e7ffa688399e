//! What the state holds of referrals: where each stands, and the capacity for them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use super::operation::{Direction, OutcomeCode, ReferralReason, Urgency};
use crate::base::id::{Commitment, GrantId, InstitutionId, ReferralId, ServiceCode, SubjectTag};
use crate::base::time::LedgerTime;
use crate::domain::access::operation::AccessScope;
use crate::domain::party::HasParties;

/// Where a referral stands.
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
#[serde(rename_all = "snake_case")]
pub enum ReferralState {
    /// Waits for an answer.
    Requested,
    /// Waits for the requester to confirm another receiver.
    Redirected,
    /// Waits for the hand-over.
    Accepted,
    /// Waits for the acknowledgement.
    HandedOver,
    /// Waits for the outcome.
    InCare,
    /// Waits for the clinical closure.
    OutcomeReported,
    /// Waits for the administrative closure.
    ClosedClinically,
    /// Done.
    Closed,
    /// Ended by the receiver's refusal.
    Declined,
    /// Ended by the requester.
    Cancelled,
}

impl ReferralState {
    /// Whether nothing can follow.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Closed | Self::Declined | Self::Cancelled)
    }
}

/// What came of a case, as the receiver reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportedOutcome {
    /// In a word.
    pub outcome: OutcomeCode,
    /// Commitment to the report.
    pub report: Commitment,
}

/// A referral.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Referral {
    /// Who asked.
    pub requester: InstitutionId,
    /// Who is asked, or has accepted.
    pub receiver: InstitutionId,
    /// The patient, by the requester's tag.
    pub subject: SubjectTag,
    /// Where it goes.
    pub direction: Direction,
    /// The service asked for.
    pub service: ServiceCode,
    /// How soon.
    pub urgency: Urgency,
    /// Commitment to the reason.
    pub reason: Commitment,
    /// The access the receiver needs.
    pub access: AccessScope,
    /// Where it stands.
    pub state: ReferralState,
    /// When it got there.
    #[serde(rename = "since_ms")]
    pub since: LedgerTime,
    /// By when it should leave this state; past that it is overdue. `None` in final states.
    #[serde(rename = "due_ms")]
    pub due: Option<LedgerTime>,
    /// The grant that accepting it gave.
    pub grant: Option<GrantId>,
    /// Whether it holds a slot of the receiver's capacity.
    pub holds_slot: bool,
    /// The institution that the receiver proposes instead of itself, until the requester confirms it.
    pub proposed_receiver: Option<InstitutionId>,
    /// How often it was redirected.
    pub redirects: u8,
    /// Commitment to the package that was handed over.
    pub package: Option<Commitment>,
    /// What came of it.
    pub outcome: Option<ReportedOutcome>,
    /// Why it was declined or cancelled.
    pub ended_because: Option<ReferralReason>,
    /// The referral that this one returns.
    pub returns: Option<ReferralId>,
    /// The referral that returns this one.
    pub returned_by: Option<ReferralId>,
}

/// Not the institution that a redirection proposes: the requester must confirm it first.
impl HasParties for Referral {
    fn parties(&self) -> impl Iterator<Item = &InstitutionId> {
        [&self.requester, &self.receiver].into_iter()
    }
}

/// An institution's capacity for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// Slots published.
    pub slots: u32,
    /// Slots that accepted referrals hold.
    pub reserved: u32,
}
