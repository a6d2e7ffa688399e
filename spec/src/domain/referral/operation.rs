//! Referrals: from the request to both closures, up, down and lateral, with the capacity they reserve.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::id::{Commitment, InstitutionId, ReferralId, ServiceCode, SubjectTag};
use crate::domain::access::operation::AccessScope;

/// Publishes how many cases of a service the author's institution can take at a time.
///
/// Needs: not fewer slots than are reserved now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishCapacity {
    /// The service.
    pub service: ServiceCode,
    /// The slots, at most [`crate::base::limits::CAPACITY_SLOTS_MAX`].
    pub slots: u32,
}

/// Where a referral goes, seen from the one who asks.
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
pub enum Direction {
    /// To a higher tier.
    Up,
    /// To a lower tier.
    Down,
    /// Between equals, or where tiers do not apply.
    Lateral,
}

/// How soon the case needs an answer; it selects the deadlines.
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
pub enum Urgency {
    /// Deadlines as the parameters say.
    Routine,
    /// A quarter of them.
    Urgent,
    /// A twenty-fourth of them.
    Emergency,
}

/// Asks another institution to take over a case.
///
/// By a referral gateway of the requester. Needs: a registered target that is not the requester, and a direction that
/// agrees with the tiers of both where both have one. Creates a referral in state `requested`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestReferral {
    /// The patient, by the requester's tag.
    pub subject: SubjectTag,
    /// Who is asked.
    pub receiver: InstitutionId,
    /// Where it goes.
    pub direction: Direction,
    /// The service that is asked for.
    pub service: ServiceCode,
    /// How soon.
    pub urgency: Urgency,
    /// Commitment to the reason.
    pub reason: Commitment,
    /// The access that the receiver will need; accepting grants it, closing ends it.
    pub access: AccessScope,
}

/// Takes the case. By the institution that was asked.
///
/// Needs: state `requested`, before the deadline, and a free slot where the institution has published capacity for the service. Reserves
/// the slot and grants the access that the request names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptReferral {
    /// The referral.
    pub referral: ReferralId,
}

/// Why a referral is declined, redirected or cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReferralReason {
    /// No capacity.
    NoCapacity,
    /// Another institution suits the case better.
    BetterElsewhere,
    /// The service is not offered.
    ServiceNotOffered,
    /// What was sent does not suffice.
    InsufficientInformation,
    /// The patient does not want it.
    PatientDeclined,
    /// The patient did not come.
    NoShow,
    /// It is no longer needed.
    NoLongerNeeded,
}

/// Does not take the case. By the institution that was asked. Needs: state `requested`. Ends the referral.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclineReferral {
    /// The referral.
    pub referral: ReferralId,
    /// Why.
    pub reason: ReferralReason,
}

/// Proposes another institution for the request. By the institution that was asked.
///
/// Needs: state `requested`, before the deadline; a target that is neither the requester nor the author; at most
/// [`crate::base::limits::REDIRECTS_MAX`] redirections. Nothing goes to the target before the requester confirms it, for the access
/// that accepting gives is the requester's to give. The answer deadline starts anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedirectReferral {
    /// The referral.
    pub referral: ReferralId,
    /// Who should be asked instead.
    pub proposed_receiver: InstitutionId,
    /// Why.
    pub reason: ReferralReason,
}

/// Asks the institution to which the request was redirected. By the requester.
///
/// Needs: state `redirected`, before the deadline; the institution that was proposed. The answer deadline starts anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRedirect {
    /// The referral.
    pub referral: ReferralId,
    /// Who is asked now.
    pub receiver: InstitutionId,
}

/// Takes the request back. By the requester. Needs: state `requested`, `redirected` or `accepted`. Frees the slot, ends the access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelReferral {
    /// The referral.
    pub referral: ReferralId,
    /// Why.
    pub reason: ReferralReason,
}

/// Hands the patient and the documents over. By the requester. Needs: state `accepted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// The referral.
    pub referral: ReferralId,
    /// Commitment to the package of documents.
    pub package: Commitment,
}

/// Confirms the hand-over. By the receiver. Needs: state `handed_over`, and the same commitment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcknowledgeHandover {
    /// The referral.
    pub referral: ReferralId,
    /// Commitment to the package that arrived.
    pub package: Commitment,
}

/// What came of the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeCode {
    /// Treated, and done.
    Completed,
    /// Treated, to be continued by the requester.
    ContinuingCare,
    /// Advice was given.
    AdviceGiven,
    /// The patient did not come.
    NoShow,
    /// Ended without treatment.
    NotTreated,
}

/// Reports what came of the case. By the receiver. Needs: state `in_care`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportOutcome {
    /// The referral.
    pub referral: ReferralId,
    /// What came of it.
    pub outcome: OutcomeCode,
    /// Commitment to the report.
    pub report: Commitment,
}

/// Corrects what came of the case, before the referral is closed; the requester has to read it again. By the receiver. Needs:
/// state `outcome_reported` or `closed_clinically`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmendOutcome {
    /// The referral.
    pub referral: ReferralId,
    /// What came of it after all.
    pub outcome: OutcomeCode,
    /// Commitment to the amended report.
    pub report: Commitment,
}

/// The requester has read the outcome and closes the case clinically. Needs: state `outcome_reported`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseClinically {
    /// The referral.
    pub referral: ReferralId,
}

/// The receiver closes the case administratively. Needs: state `closed_clinically`. Frees the slot, ends the access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseAdministratively {
    /// The referral.
    pub referral: ReferralId,
}

/// Returns the patient downward for continued care: a new referral, linked to the one it returns.
///
/// By the receiver of the first referral, to its requester. Needs: the first in state `outcome_reported`,
/// `closed_clinically` or `closed`; no earlier return of it. The new referral's subject is that of the first, so that no
/// tag of the returning institution's own is ever seen beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnDownward {
    /// The referral that is returned.
    pub returns: ReferralId,
    /// The service that is asked for.
    pub service: ServiceCode,
    /// How soon.
    pub urgency: Urgency,
    /// Commitment to the reason.
    pub reason: Commitment,
    /// The access that the other side will need.
    pub access: AccessScope,
}
