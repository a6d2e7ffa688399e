//! Operations before they can be signed: what they refer to is named by journal keys, and becomes identifiers of the
//! ledger once the operations that create those are final.

use std::collections::BTreeSet;
use std::sync::Arc;

use yilian_spec::base::id::{
    AgreementId, Commitment, ConsortiumId, DisclosureId, GrantId, Hash, InstitutionId, ReferralId, ServiceId,
    SubjectTag,
};
use yilian_spec::base::money::Currency;
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{
    AccessScope, Category, Decision, GrantAccess, GrantRevocationReason, Purpose, RecordDisclosure,
    RecordReceipt, RevokeGrant, Sensitivity,
};
use yilian_spec::domain::agreement::{ClosePeriod, ProposeAgreement, Schedule, SignAgreement};
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::referral::{
    AcceptReferral, AcknowledgeHandover, CloseAdministratively, CloseClinically, Direction, HandOver,
    OutcomeCode, ReportOutcome, RequestReferral,
};
use yilian_spec::domain::service::{DeliverService, PlayedPart, ReversalReason, ReverseService};
use yilian_spec::settlement::terms::Terms;

use super::codes::Service;
use super::collect::Amount;
use super::document::Key;
use super::limits;

/// The place of a subject in the plan's list of subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubjectIndex(pub usize);

/// An operation of the import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Names it in the journal.
    pub key: Key,
    /// The resource that it comes from, for people.
    pub source: Arc<str>,
    /// The wave in which it is submitted; what it refers to is of an earlier wave.
    pub wave: Wave,
    /// Whose gateway signs it.
    pub author: InstitutionId,
    /// What it will be.
    pub draft: Draft,
    /// The item that must have taken effect before, where the draft itself does not refer to it.
    pub after: Option<Key>,
}

/// Operations of one wave are independent of each other; the next wave begins when all of them are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wave {
    /// Grants, requests, agreements proposed.
    Open,
    /// Disclosures to payers, acceptances, agreements signed.
    Answer,
    /// Receipts of payers, hand-overs with their disclosures, services.
    HandOver,
    /// Acknowledgements and the receipts of what was handed over.
    Acknowledge,
    /// Outcomes.
    Report,
    /// Clinical closures.
    CloseClinically,
    /// Administrative closures.
    CloseAdministratively,
    /// Ends of periods.
    ClosePeriods,
    /// What an earlier run recorded and the input no longer says; before everything else.
    Correct,
}

impl Wave {
    /// All waves of a plan, in order; periods are closed after them.
    pub const PLANNED: [Self; 7] = [
        Self::Open,
        Self::Answer,
        Self::HandOver,
        Self::Acknowledge,
        Self::Report,
        Self::CloseClinically,
        Self::CloseAdministratively,
    ];

    /// The wave for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "grants and requests",
            Self::Answer => "disclosures and acceptances",
            Self::HandOver => "receipts, hand-overs, services",
            Self::Acknowledge => "acknowledgements",
            Self::Report => "outcomes",
            Self::CloseClinically => "clinical closures",
            Self::CloseAdministratively => "administrative closures",
            Self::ClosePeriods => "ends of periods",
            Self::Correct => "corrections",
        }
    }
}

/// What an operation will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Draft {
    /// A payer may see summaries of encounters.
    Grant {
        /// The patient, by the author's tag.
        subject: SubjectIndex,
        /// The payer.
        grantee: InstitutionId,
        /// Commitment to the basis.
        consent: Commitment,
    },
    /// Records go to a recipient under the grant that the item `grant` created.
    Disclose {
        /// The patient, by the author's tag.
        subject: SubjectIndex,
        /// Who gets them.
        recipient: InstitutionId,
        /// Their category.
        category: Category,
        /// What for.
        purpose: Purpose,
        /// Commitment to them.
        content: Commitment,
        /// What gave the grant.
        grant: Key,
    },
    /// The recipient has them.
    Receive {
        /// What disclosed them.
        disclosure: Key,
        /// Commitment to them.
        content: Commitment,
    },
    /// A patient went on to another institution.
    Request {
        /// The patient, by the author's tag.
        subject: SubjectIndex,
        /// Where.
        to: InstitutionId,
        /// Up, down or lateral.
        direction: Direction,
        /// The service.
        service: Service,
        /// Commitment to the encounter before.
        reason: Commitment,
        /// The categories of records that go along.
        categories: BTreeSet<Category>,
    },
    /// The other institution took the case.
    Accept {
        /// What requested it.
        referral: Key,
    },
    /// The records went with the patient.
    HandOver {
        /// What requested it.
        referral: Key,
        /// Commitment to the records.
        package: Commitment,
    },
    /// They arrived.
    Acknowledge {
        /// What requested it.
        referral: Key,
        /// Commitment to the records.
        package: Commitment,
    },
    /// What came of it.
    Report {
        /// What requested it.
        referral: Key,
        /// Commitment to the encounter.
        report: Commitment,
    },
    /// The requester closes.
    CloseClinically {
        /// What requested it.
        referral: Key,
    },
    /// The receiver closes.
    CloseAdministratively {
        /// What requested it.
        referral: Key,
    },
    /// A claim: a service was delivered.
    Deliver {
        /// The service.
        service: Service,
        /// The days on which it was performed; unknown, it counts as performed today.
        performed: Option<Window>,
        /// Who pays.
        payer: InstitutionId,
        /// The gross amount.
        gross: Amount,
        /// Commitment to the claim and its answer.
        evidence: Commitment,
    },
    /// A service that the input no longer says was delivered so.
    Reverse {
        /// The service.
        service: ServiceId,
        /// Why.
        reason: ReversalReason,
    },
    /// A grant that nothing in the input asks for any more.
    Revoke {
        /// The grant.
        grant: GrantId,
    },
    /// What payer and provider agree on.
    Propose {
        /// The consortium of both.
        consortium: ConsortiumId,
        /// What is agreed.
        terms: Box<Terms>,
    },
    /// The payer signs it.
    Sign {
        /// The agreement.
        agreement: Key,
        /// The hash of what is agreed.
        terms_hash: Hash,
    },
    /// A period ends.
    ClosePeriod {
        /// The agreement.
        agreement: AgreementId,
        /// Its open period.
        period: u32,
    },
}

/// What turns drafts into operations.
pub struct Resolver<'a> {
    /// Tags of the plan's subjects.
    pub tags: &'a [SubjectTag],
    /// The object that the item under a key created, where it is final.
    pub object: &'a dyn Fn(&Key) -> Option<[u8; 32]>,
    /// The ledger's time, from which windows begin.
    pub now: LedgerTime,
}

/// The purposes of a referral's access.
fn treatment(categories: BTreeSet<Category>) -> AccessScope {
    AccessScope {
        categories,
        highest_sensitivity: Sensitivity::N,
        purposes: BTreeSet::from([Purpose::Treat]),
    }
}

impl Draft {
    /// The name of the operation.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Grant { .. } => "grant_access",
            Self::Disclose { .. } => "record_disclosure",
            Self::Receive { .. } => "record_receipt",
            Self::Request { .. } => "request_referral",
            Self::Accept { .. } => "accept_referral",
            Self::HandOver { .. } => "hand_over",
            Self::Acknowledge { .. } => "acknowledge_handover",
            Self::Report { .. } => "report_outcome",
            Self::CloseClinically { .. } => "close_clinically",
            Self::CloseAdministratively { .. } => "close_administratively",
            Self::Deliver { .. } => "deliver_service",
            Self::Reverse { .. } => "reverse_service",
            Self::Revoke { .. } => "revoke_grant",
            Self::Propose { .. } => "propose_agreement",
            Self::Sign { .. } => "sign_agreement",
            Self::ClosePeriod { .. } => "close_period",
        }
    }

    /// The operation by `author`; `None` when something that it refers to is not on the ledger.
    pub fn operation(&self, author: &InstitutionId, with: &Resolver<'_>) -> Option<Operation> {
        let referral = |key: &Key| (with.object)(key).map(ReferralId);
        Some(match self.clone() {
            Self::Grant { subject, grantee, consent } => Operation::GrantAccess(GrantAccess {
                subject: with.tags[subject.0],
                grantee,
                scope: AccessScope {
                    categories: BTreeSet::from([Category::EncounterSummary]),
                    highest_sensitivity: Sensitivity::N,
                    purposes: BTreeSet::from([Purpose::Hpaymt]),
                },
                window: window(with.now, limits::GRANT_LIFETIME_MS),
                consent,
            }),
            Self::Disclose { subject, recipient, category, purpose, content, grant } => {
                Operation::RecordDisclosure(RecordDisclosure {
                    subject: with.tags[subject.0],
                    recipient,
                    category,
                    sensitivity: Sensitivity::N,
                    purpose,
                    content,
                    decision: Decision::Permit { grant: GrantId((with.object)(&grant)?) },
                    acting_person: None,
                    origin: None,
                })
            }
            Self::Receive { disclosure, content } => Operation::RecordReceipt(RecordReceipt {
                disclosure: DisclosureId((with.object)(&disclosure)?),
                content,
                acting_person: None,
            }),
            Self::Request { subject, to, direction, service, reason, categories } => {
                Operation::RequestReferral(RequestReferral {
                    subject: with.tags[subject.0],
                    receiver: to,
                    direction,
                    service: service.code(),
                    urgency: service.urgency(),
                    reason,
                    access: treatment(categories),
                })
            }
            Self::Accept { referral: key } => {
                Operation::AcceptReferral(AcceptReferral { referral: referral(&key)? })
            }
            Self::HandOver { referral: key, package } => {
                Operation::HandOver(HandOver { referral: referral(&key)?, package })
            }
            Self::Acknowledge { referral: key, package } => {
                Operation::AcknowledgeHandover(AcknowledgeHandover { referral: referral(&key)?, package })
            }
            Self::Report { referral: key, report } => Operation::ReportOutcome(ReportOutcome {
                referral: referral(&key)?,
                outcome: OutcomeCode::Completed,
                report,
            }),
            Self::CloseClinically { referral: key } => {
                Operation::CloseClinically(CloseClinically { referral: referral(&key)? })
            }
            Self::CloseAdministratively { referral: key } => {
                Operation::CloseAdministratively(CloseAdministratively { referral: referral(&key)? })
            }
            Self::Deliver { service, performed, payer, gross, evidence } => {
                Operation::DeliverService(DeliverService {
                    performed: performed.unwrap_or_else(|| Window::day_of(with.now)),
                    service: service.code(),
                    parts: vec![PlayedPart { role: service.part(), institution: author.clone() }],
                    payer,
                    gross_minor: gross.minor,
                    currency: gross.currency,
                    evidence,
                })
            }
            Self::Reverse { service, reason } => {
                Operation::ReverseService(ReverseService { service, reason })
            }
            Self::Revoke { grant } => {
                Operation::RevokeGrant(RevokeGrant { grant, reason: GrantRevocationReason::Mistake })
            }
            Self::Propose { consortium, terms } => Operation::ProposeAgreement(ProposeAgreement {
                consortium,
                terms: *terms,
                window: window(with.now, limits::AGREEMENT_LIFETIME_MS),
                schedule: Schedule::OnDemand,
            }),
            Self::Sign { agreement, terms_hash } => Operation::SignAgreement(SignAgreement {
                agreement: AgreementId((with.object)(&agreement)?),
                terms_hash,
            }),
            Self::ClosePeriod { agreement, period } => {
                Operation::ClosePeriod(ClosePeriod { agreement, period })
            }
        })
    }

    /// The role whose key signs it.
    pub fn role(&self) -> Role {
        match self {
            Self::Grant { .. } | Self::Disclose { .. } | Self::Receive { .. } | Self::Revoke { .. } => {
                Role::AccessGateway
            }
            Self::Request { .. }
            | Self::Accept { .. }
            | Self::HandOver { .. }
            | Self::Acknowledge { .. }
            | Self::Report { .. }
            | Self::CloseClinically { .. }
            | Self::CloseAdministratively { .. } => Role::ReferralGateway,
            Self::Deliver { .. }
            | Self::Reverse { .. }
            | Self::Propose { .. }
            | Self::Sign { .. }
            | Self::ClosePeriod { .. } => Role::Finance,
        }
    }

    /// The currency and the payer of a service.
    pub fn debt(&self) -> Option<(&InstitutionId, Currency)> {
        match self {
            Self::Deliver { payer, gross, .. } => Some((payer, gross.currency)),
            _ => None,
        }
    }
}

fn window(now: LedgerTime, length_ms: u64) -> Window {
    Window { starts: now, expires: now.plus_ms(length_ms) }
}
