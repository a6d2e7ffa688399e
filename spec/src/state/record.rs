//! The records that rows hold.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wincode::{SchemaRead, SchemaWrite};

use crate::id::{
    AgreementId, Commitment, ConsortiumId, GrantId, Hash, InstitutionId, ReferralId, ServiceCode, SubjectTag,
    TransactionId,
};
use crate::operation::access::{AccessScope, Decision};
use crate::operation::agreement::Schedule;
use crate::operation::referral::{Direction, OutcomeCode, ReferralReason, Urgency};
use crate::operation::service::DeliverService;
use crate::settlement::statement::Statement;
use crate::settlement::terms::Terms;
use crate::time::{LedgerTime, Window};

/// What institutions have between them. It is there for its parties alone (rule O-28).
pub trait HasParties {
    /// The institutions that it is between.
    fn parties(&self) -> impl Iterator<Item = &InstitutionId>;

    /// Whether it is there for this institution.
    fn has_party(&self, institution: &InstitutionId) -> bool {
        self.parties().any(|party| party == institution)
    }
}

/// How a grant ended before its window did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(rename_all = "snake_case")]
pub enum GrantEnd {
    /// The grantor revoked it.
    Revoked,
    /// The referral that gave it closed.
    ReferralClosed,
}

/// A grant of access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
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
    pub ended: Option<(LedgerTime, GrantEnd)>,
}

impl HasParties for Grant {
    fn parties(&self) -> impl Iterator<Item = &InstitutionId> {
        [&self.grantor, &self.grantee].into_iter()
    }
}

/// A disclosure, as long as somebody may refer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
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
    pub receipt_due: LedgerTime,
    /// When it did.
    pub received_at: Option<LedgerTime>,
}

impl HasParties for Disclosure {
    fn parties(&self) -> impl Iterator<Item = &InstitutionId> {
        [&self.source, &self.recipient].into_iter()
    }
}

/// Where a referral stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, SchemaRead, SchemaWrite,
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

/// A referral.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
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
    pub since: LedgerTime,
    /// By when it should leave this state; past that it is overdue. `None` in final states.
    pub due: Option<LedgerTime>,
    /// The grant that accepting it gave.
    pub grant: Option<GrantId>,
    /// Whether it holds a slot of the receiver's capacity.
    pub holds_slot: bool,
    /// The institution that the receiver proposes instead of itself, until the requester confirms it.
    pub redirect_to: Option<InstitutionId>,
    /// How often it was redirected.
    pub redirects: u8,
    /// Commitment to the package that was handed over.
    pub package: Option<Commitment>,
    /// What came of it.
    pub outcome: Option<(OutcomeCode, Commitment)>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// Slots published.
    pub slots: u32,
    /// Slots that accepted referrals hold.
    pub reserved: u32,
}

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

/// Where an agreement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
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
    pub period_began: LedgerTime,
}

impl HasParties for Agreement {
    fn parties(&self) -> impl Iterator<Item = &InstitutionId> {
        self.terms.parties.iter().map(|party| &party.institution)
    }
}

/// A closed period: never changes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(deny_unknown_fields)]
pub struct ClosedPeriod {
    /// When it began.
    pub began: LedgerTime,
    /// When it was closed.
    pub closed: LedgerTime,
    /// The number of events in it.
    pub events: u64,
    /// The cut-off: root of the period's stream.
    pub events_root: Hash,
    /// Hash of the statement.
    pub statement_hash: Hash,
}

/// The statement of a closed period, as its hash in [`ClosedPeriod`] commits to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(deny_unknown_fields)]
pub struct PeriodStatement {
    /// The agreement.
    pub agreement: AgreementId,
    /// The period, counted from 0.
    pub period: u32,
    /// When it began.
    pub began: LedgerTime,
    /// When it was closed.
    pub closed: LedgerTime,
    /// Who is owed what, and why.
    pub statement: Statement,
}
