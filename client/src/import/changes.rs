//! What the journal knows to be on the ledger against what the input asks for now (rule I-9).
//!
//! A service whose claim changed or was withdrawn can be corrected: reversed, and recorded as it is now. So can a grant
//! that nothing asks for any more. Disclosures and referrals have happened; they stay, and their change is said.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use yilian_spec::base::codec;
use yilian_spec::base::id::{GrantId, InstitutionId, ServiceId, SubjectTag};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::domain::service::ReversalReason;

use super::collect::Collected;
use super::document::{Digest, Key, Secret};
use super::draft::{Draft, Item, Resolver, Wave};
use super::journal::{Contents, Fate, Recorded, Settled, What};
use super::limits;
use super::plan::{Plan, service_key};

/// The name of the operation that is taken back by a revocation.
const GRANT: &str = "grant_access";

/// The digests of what a plan asks for.
#[derive(Debug, Default)]
pub struct Sources {
    /// What stands for the tags of the plan's subjects.
    subjects: Vec<SubjectTag>,
}

impl Sources {
    /// For the subjects of a plan.
    pub fn new(secret: &Secret, subjects: &[(InstitutionId, String)]) -> Self {
        let tag = |(_, name): &(InstitutionId, String)| SubjectTag(secret.key("subject", &[name]).0);
        Self { subjects: subjects.iter().map(tag).collect() }
    }

    /// The digest of what an item asks for: its author and its operation, with journal keys in the place of objects.
    pub fn of(&self, item: &Item) -> Digest {
        let object = |key: &Key| Some(key.0);
        let resolver = Resolver { tags: &self.subjects, object: &object, now: LedgerTime(0) };
        let operation =
            item.draft.operation(&item.author, &resolver).map(|operation| codec::encode(&operation));
        let author = item.author.as_str();
        let mut hasher = Sha256::new();
        hasher.update((author.len() as u64).to_le_bytes());
        hasher.update(author);
        hasher.update(operation.unwrap_or_default());
        hasher.finalize().into()
    }
}

/// A service on the ledger that the input asks for no more, or otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedService {
    /// The claim, where the input still has it.
    pub claim: Option<String>,
    /// The service.
    pub service: ServiceId,
    /// Who recorded it.
    pub recorder: InstitutionId,
    /// Who pays it.
    pub payer: InstitutionId,
    /// The currency.
    pub currency: String,
    /// What is on the ledger.
    pub recorded_minor: i64,
    /// What the input asks for; `None` where it asks for nothing any more.
    pub now: Option<Asked>,
}

impl ChangedService {
    /// A service that is to be recorded anew as it is.
    pub fn unchanged(service: ServiceId, recorded: &Recorded) -> Self {
        let Recorded { recorder, payer, gross_minor, currency } = recorded.clone();
        let now = Asked {
            provider: recorder.clone(),
            payer: payer.clone(),
            currency: currency.to_string(),
            gross_minor: gross_minor.0,
        };
        Self {
            claim: None,
            service,
            recorder,
            payer,
            currency: currency.to_string(),
            recorded_minor: gross_minor.0,
            now: Some(now),
        }
    }
}

/// What the input asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Who delivered.
    pub provider: InstitutionId,
    /// Who pays.
    pub payer: InstitutionId,
    /// The currency.
    pub currency: String,
    /// The gross amount.
    pub gross_minor: i64,
}

/// How many operations of one name are no longer what the input says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Others {
    /// Their source changed.
    pub changed: u64,
    /// Their source is gone.
    pub withdrawn: u64,
    /// Some of the sources that changed.
    pub examples: Vec<String>,
}

/// What changed after it was recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Services.
    pub services: Vec<ChangedService>,
    /// Everything else, by the name of the operation.
    pub others: BTreeMap<String, Others>,
    /// Grants that nothing asks for, with their journal keys.
    #[serde(skip)]
    grants: Vec<(Key, GrantId, InstitutionId)>,
    /// What stays as it is: journal keys, with what the input says now.
    #[serde(skip)]
    staying: Vec<(Key, Option<Digest>)>,
}

/// The services and grants of one currency that an import's journal knows on the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OnLedger {
    /// Services that are not reversed.
    pub services: u64,
    /// Their gross amounts, in minor units.
    pub gross_minor: i128,
}

/// The sums of the services on the ledger, by currency.
pub fn on_ledger(contents: &Contents) -> BTreeMap<String, OnLedger> {
    let mut sums: BTreeMap<String, OnLedger> = BTreeMap::new();
    for (_, recorded) in contents.standing() {
        let sum = sums.entry(recorded.currency.to_string()).or_default();
        sum.services += 1;
        sum.gross_minor += i128::from(recorded.gross_minor.0);
    }
    sums
}

/// How many services of a claim were recorded and reversed.
pub fn reversals(contents: &Contents, secret: &Secret, claim: &str) -> u32 {
    let is_reversed = |number: &u32| {
        let key = service_key(secret, claim, *number);
        let service = contents.object(&key).map(ServiceId);
        service.is_some_and(|service| contents.is_reversed(service)) || contents.is_replaced(&key)
    };
    (0..).take_while(is_reversed).last().map_or(0, |last| last + 1)
}

impl Changes {
    /// Compares a plan with the journal. Of a partial input, what is not in it was not withdrawn.
    pub fn find(
        plan: &Plan,
        collected: &Collected,
        contents: &Contents,
        secret: &Secret,
        is_partial: bool,
    ) -> Self {
        let sources = Sources::new(secret, &plan.subjects);
        let mut changes = Self::default();
        let mut asked = BTreeSet::new();
        for item in &plan.items {
            asked.insert(item.key);
            if let Some(settled) = contents.get(&item.key).filter(|_| !contents.is_revoked(&item.key)) {
                let now = sources.of(item);
                if matches!(settled.fate, Fate::Applied { .. }) && settled.source != Some(now) {
                    changes.add_changed(item, settled, contents, now);
                }
            }
        }
        let names = names(collected, contents, secret);
        for (key, settled) in contents.settled().filter(|(key, _)| !asked.contains(key)) {
            let is_here = names.contains_key(key);
            if settled.source.is_some() && (is_here || !is_partial) {
                changes.add_withdrawn(*key, settled, contents, names.get(key));
            }
        }
        changes
    }

    fn add_changed(&mut self, item: &Item, settled: &Settled, contents: &Contents, now: Digest) {
        match (&settled.what, &item.draft) {
            (What::Service(_), Draft::Deliver { payer, gross, .. }) => {
                let asked = Asked {
                    provider: item.author.clone(),
                    payer: payer.clone(),
                    currency: gross.currency.to_string(),
                    gross_minor: gross.minor.0,
                };
                self.add_service(item.key, settled, contents, Some(item.source.to_string()), Some(asked));
            }
            (What::Own, _) => {}
            _ => {
                let others = self.others.entry(item.draft.name().to_owned()).or_default();
                others.changed += 1;
                if others.examples.len() < limits::EXAMPLES_PER_REASON_MAX {
                    others.examples.push(item.source.to_string());
                }
                self.staying.push((item.key, Some(now)));
            }
        }
    }

    fn add_withdrawn(&mut self, key: Key, settled: &Settled, contents: &Contents, name: Option<&String>) {
        let Some(object) = contents.object(&key) else { return };
        let name_of_operation = match &settled.what {
            What::Service(_) if contents.is_reversed_by_others(ServiceId(object)) => return,
            What::Service(_) => return self.add_service(key, settled, contents, name.cloned(), None),
            What::Grant { .. } if contents.is_revoked(&key) => return,
            What::Grant { grantor } => {
                self.grants.push((key, GrantId(object), grantor.clone()));
                GRANT
            }
            What::Stays { name } => {
                self.staying.push((key, None));
                name
            }
            What::Own => return,
        };
        self.others.entry(name_of_operation.to_owned()).or_default().withdrawn += 1;
    }

    fn add_service(
        &mut self,
        key: Key,
        settled: &Settled,
        contents: &Contents,
        claim: Option<String>,
        now: Option<Asked>,
    ) {
        let (What::Service(recorded), Some(object)) = (&settled.what, contents.object(&key)) else { return };
        let service = ServiceId(object);
        if contents.is_reversed(service) {
            return;
        }
        self.services.push(ChangedService {
            claim,
            service,
            recorder: recorded.recorder.clone(),
            payer: recorded.payer.clone(),
            currency: recorded.currency.to_string(),
            recorded_minor: recorded.gross_minor.0,
            now,
        });
    }

    /// Adds services that are to be recorded anew.
    pub fn add(&mut self, services: impl Iterator<Item = ChangedService>) {
        let known: BTreeSet<ServiceId> = self.services.iter().map(|changed| changed.service).collect();
        self.services.extend(services.filter(|changed| !known.contains(&changed.service)));
    }

    /// Whether everything is as it was recorded.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.others.is_empty()
    }

    /// The operations that correct what can be: reversals, and revocations. `withdrawn` is why services are reversed that the
    /// input asks for no more.
    pub fn corrections(&self, secret: &Secret, withdrawn: ReversalReason) -> Vec<Item> {
        let item = |kind, id: String, source: &Option<String>, author: &InstitutionId, draft| Item {
            key: secret.key(kind, &[&id]),
            wave: Wave::Correct,
            source: source.clone().unwrap_or_default().into(),
            author: author.clone(),
            draft,
            after: None,
        };
        let reverse = |changed: &ChangedService| {
            let reason = if changed.now.is_some() { ReversalReason::Mistake } else { withdrawn };
            let draft = Draft::Reverse { service: changed.service, reason };
            item("reverse", changed.service.to_string(), &changed.claim, &changed.recorder, draft)
        };
        let revoke = |(_, grant, grantor): &(Key, GrantId, InstitutionId)| {
            item("revoke", grant.to_string(), &None, grantor, Draft::Revoke { grant: *grant })
        };
        self.services.iter().map(reverse).chain(self.grants.iter().map(revoke)).collect()
    }

    /// What stays on the ledger as it is: for the journal, once it has been said.
    pub fn staying(&self) -> Vec<(Key, Option<Digest>)> {
        self.staying.iter().copied().chain(self.grants.iter().map(|(key, _, _)| (*key, None))).collect()
    }

    /// How many operations whose source is gone happened and stay, by their names.
    pub fn staying_by_name(&self) -> BTreeMap<String, u64> {
        let staying = self.others.iter().filter(|(name, _)| *name != GRANT);
        staying.map(|(name, others)| (name.clone(), others.withdrawn)).collect()
    }

    /// Who must act for the corrections.
    pub fn authors(&self) -> impl Iterator<Item = &InstitutionId> {
        self.services.iter().map(|changed| &changed.recorder)
    }

    /// The grants that nothing asks for, with their journal keys and who gave them.
    pub fn grants(&self) -> &[(Key, GrantId, InstitutionId)] {
        &self.grants
    }

    /// Who gave the grants that nothing asks for.
    pub fn grantors(&self) -> impl Iterator<Item = &InstitutionId> {
        self.grants.iter().map(|(_, _, grantor)| grantor)
    }
}

/// The claims of the input that the journal knows, by the keys of their services.
fn names(collected: &Collected, contents: &Contents, secret: &Secret) -> BTreeMap<Key, String> {
    let claims = collected.claims.keys().chain(collected.claims_left_out.keys());
    claims
        .flat_map(|id| {
            let keys = (0..).map(move |number| service_key(secret, id, number));
            let is_known = |key: &Key| contents.get(key).is_some() || contents.is_replaced(key);
            let known = keys.take_while(is_known);
            known.map(move |key| (key, format!("Claim {id}")))
        })
        .collect()
}
