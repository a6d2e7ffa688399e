//! What the operations on the ledger that took effect have made: said again from chapter 5 of the protocol, with nothing
//! of the state machine. The oracles read it as it stands before an operation, then it takes the operation over.

mod take;

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};
use yilian_spec::base::id::{
    AgreementId, Commitment, DisclosureId, GrantId, InstitutionId, ReferralId, ServiceCode, ServiceId,
    SubjectTag, TransactionId,
};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{AccessScope, RecordDisclosure};
use yilian_spec::domain::agreement::AgreementState;
use yilian_spec::domain::agreement::ProposeAgreement;
use yilian_spec::domain::membership::{Institution, Role};
use yilian_spec::domain::parameters::Parameters;
use yilian_spec::domain::referral::ReferralState;
use yilian_spec::domain::referral::{Direction, Urgency};
use yilian_spec::domain::service::DeliverService;
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::terms::{Party, Terms};

use super::Finding;

/// One operation, and where it stands.
#[derive(Clone, Copy)]
pub struct Act<'a> {
    /// Who asks.
    pub institution: &'a InstitutionId,
    /// The block's time.
    pub time: LedgerTime,
    /// The transaction.
    pub transaction_id: TransactionId,
    /// The number of the operation in it.
    pub index: u16,
    /// What is asked.
    pub operation: &'a Operation,
}

impl Act<'_> {
    /// The id of what the operation creates.
    pub fn object(&self) -> [u8; 32] {
        self.operation.object_id(self.transaction_id, self.index)
    }
}

/// A registered key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Whose.
    pub institution: InstitutionId,
    /// What it may do.
    pub role: Role,
    /// When.
    pub window: Window,
    /// Whether it was revoked or rotated away.
    pub revoked: bool,
}

/// A grant.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Who gave it.
    pub grantor: InstitutionId,
    /// To whom.
    pub grantee: InstitutionId,
    /// About whom.
    pub subject: SubjectTag,
    /// What it covers.
    pub scope: AccessScope,
    /// When.
    pub window: Window,
    /// Whether it was revoked, or ended with its referral.
    pub ended: bool,
}

/// A disclosure, permitted or denied.
#[derive(Clone, Debug)]
pub struct Disclosure {
    /// Who decided.
    pub source: InstitutionId,
    /// What was recorded.
    pub recorded: RecordDisclosure,
    /// Whether the recipient has recorded the receipt.
    pub received: bool,
}

/// A referral.
#[derive(Clone, Debug)]
pub struct Referral {
    /// Who asked.
    pub requester: InstitutionId,
    /// Who is asked now.
    pub receiver: InstitutionId,
    /// The patient.
    pub subject: SubjectTag,
    /// Where it goes.
    pub direction: Direction,
    /// What for.
    pub service: ServiceCode,
    /// The access that accepting it gives.
    pub access: AccessScope,
    /// Where it stands.
    pub state: ReferralState,
    /// The grant that accepting it gave.
    pub grant: Option<GrantId>,
    /// Whether it holds a slot of the receiver's capacity.
    pub holds_slot: bool,
    /// By when its state must be left, while it waits for an answer.
    pub answer_due: LedgerTime,
    /// What decides how long it may wait.
    pub urgency: Urgency,
    /// Who should be asked instead, until the requester confirms it.
    pub redirect_to: Option<InstitutionId>,
    /// How often it was redirected.
    pub redirects: u8,
    /// What was handed over.
    pub package: Option<Commitment>,
    /// Whether another referral returns it.
    pub returned: bool,
}

/// A delivered service.
#[derive(Clone, Debug)]
pub struct Service {
    /// What was recorded.
    pub delivered: DeliverService,
    /// By whom.
    pub recorder: InstitutionId,
    /// In which transaction.
    pub transaction_id: TransactionId,
    /// The agreements and periods that counted it.
    pub counted_in: Vec<(AgreementId, u32)>,
    /// When it was reversed.
    pub reversed_at: Option<LedgerTime>,
}

/// An agreement.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// What was proposed.
    pub proposed: ProposeAgreement,
    /// Who has signed.
    pub signed: BTreeSet<InstitutionId>,
    /// Where it stands.
    pub state: AgreementState,
    /// The number of the open period.
    pub open_period: u32,
    /// When that began.
    pub period_began: LedgerTime,
}

/// A part of a service that the terms of an agreement know: the position of the party, and the part.
pub type Played = (usize, PartRole);

/// Everything that took effect.
#[derive(Clone)]
pub struct History {
    /// The members.
    pub institutions: BTreeMap<InstitutionId, Institution>,
    /// The parameters.
    pub parameters: Parameters,
    /// Keys.
    pub keys: BTreeMap<PublicKey, Key>,
    /// Grants.
    pub grants: BTreeMap<GrantId, Grant>,
    /// Disclosures.
    pub disclosures: BTreeMap<DisclosureId, Disclosure>,
    /// Slots published.
    pub slots: BTreeMap<(InstitutionId, ServiceCode), u32>,
    /// Referrals.
    pub referrals: BTreeMap<ReferralId, Referral>,
    /// Services.
    pub services: BTreeMap<ServiceId, Service>,
    /// Evidence that a service carries.
    pub evidence: BTreeSet<Commitment>,
    /// Agreements.
    pub agreements: BTreeMap<AgreementId, Agreement>,
    /// Agreements in the order in which the last party signed.
    pub activated: Vec<AgreementId>,
}

impl History {
    /// The ledger after its genesis.
    pub fn new(genesis: &Genesis) -> Self {
        let members = genesis.institutions.iter();
        let keys = members.clone().flat_map(|member| {
            let institution = &member.institution.id;
            member.keys.iter().map(|key| {
                let (role, window) = (key.role, key.window);
                (key.key, Key { institution: institution.clone(), role, window, revoked: false })
            })
        });
        let institutions = members.map(|member| (member.institution.id.clone(), member.institution.clone()));
        Self {
            keys: keys.collect(),
            institutions: institutions.collect(),
            parameters: genesis.parameters.clone(),
            grants: BTreeMap::new(),
            disclosures: BTreeMap::new(),
            slots: BTreeMap::new(),
            referrals: BTreeMap::new(),
            services: BTreeMap::new(),
            evidence: BTreeSet::new(),
            agreements: BTreeMap::new(),
            activated: Vec::new(),
        }
    }

    /// When a request of now lapses (rule O-10).
    pub fn answer_due(&self, now: LedgerTime, urgency: Urgency) -> LedgerTime {
        let parts = match urgency {
            Urgency::Routine => 1,
            Urgency::Urgent => 4,
            Urgency::Emergency => 24,
        };
        now.plus_ms(self.parameters.referral_answer_deadline_ms / parts)
    }

    /// Whether an institution may begin something under a subject's tag: it keeps it, as the tag's first half says.
    pub fn may_keep(subject: SubjectTag, institution: &InstitutionId) -> bool {
        let name = institution.as_str();
        let parts: [&[u8]; 4] =
            [&[19], b"yilian/custodian/v1", &(name.len() as u64).to_le_bytes(), name.as_bytes()];
        subject.0[..16] == Sha256::digest(parts.concat())[..16]
    }

    /// The grant of an id.
    pub fn grant(&self, id: GrantId) -> Result<&Grant, Finding> {
        self.grants.get(&id).ok_or(Finding::NeverMade { what: "grant", id: id.0 })
    }

    /// The disclosure of an id.
    pub fn disclosure(&self, id: DisclosureId) -> Result<&Disclosure, Finding> {
        self.disclosures.get(&id).ok_or(Finding::NeverMade { what: "disclosure", id: id.0 })
    }

    /// The referral of an id.
    pub fn referral(&self, id: ReferralId) -> Result<&Referral, Finding> {
        self.referrals.get(&id).ok_or(Finding::NeverMade { what: "referral", id: id.0 })
    }

    /// The service of an id.
    pub fn service(&self, id: ServiceId) -> Result<&Service, Finding> {
        self.services.get(&id).ok_or(Finding::NeverMade { what: "service", id: id.0 })
    }

    /// The agreement of an id.
    pub fn agreement(&self, id: AgreementId) -> Result<&Agreement, Finding> {
        self.agreements.get(&id).ok_or(Finding::NeverMade { what: "agreement", id: id.0 })
    }

    /// Slots of a service that open referrals hold at an institution.
    pub fn held(&self, receiver: &InstitutionId, service: &ServiceCode) -> u32 {
        let holds = |referral: &&Referral| {
            referral.holds_slot && referral.receiver == *receiver && referral.service == *service
        };
        u32::try_from(self.referrals.values().filter(holds).count()).unwrap_or(u32::MAX)
    }

    /// The open periods that count a service which is delivered now, with the parts that each knows (rule O-20).
    pub fn counting(&self, act: &Act<'_>, service: &DeliverService) -> Vec<(AgreementId, u32, Vec<Played>)> {
        let counted = |id: &AgreementId| {
            let agreement = self.agreements.get(id)?;
            let terms = &agreement.proposed.terms;
            let Window { starts, expires } = agreement.proposed.window;
            let lasts = starts <= act.time && act.time < expires;
            let plays = |author: &InstitutionId| {
                terms.parties.iter().any(|party| party.institution == *author && !party.roles.is_empty())
            };
            if agreement.state != AgreementState::Active || !lasts || !plays(act.institution) {
                return None;
            }
            Some((*id, agreement.open_period, played(terms, service)?))
        };
        self.activated.iter().filter_map(counted).collect()
    }
}

/// The parts of a service that the terms know; `None` where they do not cover it (rule T-14).
fn played(terms: &Terms, service: &DeliverService) -> Option<Vec<Played>> {
    let payer = terms.parties.get(terms.payer.position())?;
    if !terms.services.contains(&service.service)
        || terms.currency != service.currency
        || payer.institution != service.payer
    {
        return None;
    }
    let mut known = Vec::new();
    for part in &service.parts {
        if !terms.parties.iter().any(|party| party.roles.contains(&part.role)) {
            continue;
        }
        let may = |party: &Party| party.institution == part.institution && party.roles.contains(&part.role);
        known.push((terms.parties.iter().position(may)?, part.role));
    }
    if known.is_empty() { None } else { Some(known) }
}
