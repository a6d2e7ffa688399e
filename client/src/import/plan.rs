//! From what was read to the operations that record it. Pure: the same input, mapping and secret give the same plan.
//!
//! The rules stand at the head of [`crate::import`]; their names (I-1 to I-8) are cited below.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use yilian_spec::id::InstitutionId;
use yilian_spec::membership::Tier;
use yilian_spec::operation::access::{Category, Purpose};
use yilian_spec::operation::referral::Direction;

use super::codes::Service;
use super::collect::{Amount, Benefit, Claim, Collected, Encounter};
use super::document::{Digest, Key, Secret, chain};
use super::draft::{Draft, Item, SubjectIndex, Wave};
use super::mapping::Mapping;
use super::skip::{Reason, Skips};

/// Which amount of a claim is the gross amount of its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gross {
    /// What the provider claims (`Claim.total`).
    #[default]
    Claimed,
    /// What the payer grants (`ExplanationOfBenefit.payment.amount`) where there is an answer with an amount in the same
    /// currency, else what is claimed.
    Paid,
}

/// What the input says about institutions and money, beside the operations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Organisations of the input that are this institution.
    pub organizations: u64,
    /// Patients that it has a tag for.
    pub patients: u64,
    /// Encounters at it.
    pub encounters: u64,
    /// Services that it delivered.
    pub services: u64,
}

/// Sums of one currency, in minor units.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Claims that become services.
    pub claims: u64,
    /// What they claim.
    pub claimed_minor: i128,
    /// How many of these amounts were rounded.
    pub claimed_rounded: u64,
    /// Explanations of benefit with a payment, for these claims.
    pub payments: u64,
    /// What they pay.
    pub paid_minor: i128,
    /// How many of these amounts were rounded.
    pub paid_rounded: u64,
    /// The gross amounts of the services, as they go to the ledger.
    pub gross_minor: i128,
}

/// The operations of an import, and what they come from.
#[derive(Debug, Default)]
pub struct Plan {
    /// The names of the subjects in the link table: `<institution>/<patient id>`.
    pub subjects: Vec<String>,
    /// The operations.
    pub items: Vec<Item>,
    /// By institution.
    pub shares: BTreeMap<InstitutionId, Share>,
    /// By currency.
    pub sums: BTreeMap<String, Sums>,
    /// Consecutive encounters at two organisations that are one institution: no referral.
    pub within_one_institution: u64,
    /// Clinical records that entered a category which a referral disclosed or could have.
    pub records: u64,
}

impl Plan {
    /// Makes the plan; what cannot be used is added to `skips`.
    pub fn make(
        collected: &Collected,
        mapping: &Mapping,
        tiers: &BTreeMap<InstitutionId, Tier>,
        gross: Gross,
        secret: &Secret,
        skips: &mut Skips,
    ) -> Self {
        let mut planner = Planner {
            collected,
            mapping,
            tiers,
            gross,
            secret,
            skips,
            plan: Self::default(),
            tags: BTreeMap::new(),
        };
        planner.organizations();
        planner.encounters();
        planner.claims();
        planner.unused();
        planner.plan
    }

    /// Operations by name.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for item in &self.items {
            *counts.entry(item.draft.name()).or_default() += 1;
        }
        counts
    }
}

struct Planner<'a> {
    collected: &'a Collected,
    mapping: &'a Mapping,
    tiers: &'a BTreeMap<InstitutionId, Tier>,
    gross: Gross,
    secret: &'a Secret,
    skips: &'a mut Skips,
    plan: Plan,
    /// Places of the subjects by their names.
    tags: BTreeMap<String, SubjectIndex>,
}

/// An encounter at a member.
struct Visit<'a> {
    id: &'a str,
    encounter: &'a Encounter,
    institution: &'a InstitutionId,
}

/// The records of one patient that one institution has so far: by category, the digest of all of them.
type Held = BTreeMap<Category, Digest>;

impl<'a> Planner<'a> {
    fn push(&mut self, key: Key, wave: Wave, author: &InstitutionId, draft: Draft) -> Key {
        self.plan.items.push(Item { key, wave, author: author.clone(), draft, after: None });
        key
    }

    /// A step of a referral, which needs the step before.
    fn step(&mut self, key: Key, after: Key, wave: Wave, author: &InstitutionId, draft: Draft) -> Key {
        self.plan.items.push(Item { key, wave, author: author.clone(), draft, after: Some(after) });
        key
    }

    fn share(&mut self, institution: &InstitutionId) -> &mut Share {
        self.plan.shares.entry(institution.clone()).or_default()
    }

    /// Rule I-1.
    fn organizations(&mut self) {
        for organization in self.collected.organizations.keys() {
            if let Some(institution) = self.mapping.institution(self.collected, organization) {
                self.share(&institution.clone()).organizations += 1;
            }
        }
    }

    /// Rule I-2: each custodian has its own tag for a patient.
    fn subject(&mut self, institution: &InstitutionId, patient: &str) -> SubjectIndex {
        let name = format!("{institution}/{patient}");
        if let Some(index) = self.tags.get(&name) {
            return *index;
        }
        let index = SubjectIndex(self.plan.subjects.len());
        self.plan.subjects.push(name.clone());
        self.tags.insert(name, index);
        self.share(institution).patients += 1;
        index
    }

    /// All encounters, patient by patient in the order of their beginning.
    fn encounters(&mut self) {
        let mut by_patient: BTreeMap<&str, Vec<Visit<'a>>> = BTreeMap::new();
        for (id, encounter) in &self.collected.encounters {
            match self.mapping.institution(self.collected, &encounter.organization) {
                Some(institution) => {
                    let visit = Visit { id, encounter, institution };
                    by_patient.entry(&encounter.patient).or_default().push(visit);
                }
                None => self.skips.add("Encounter", Reason::NotMapped, &encounter.place),
            }
        }
        let payers = self.payers_of_encounters();
        for (patient, mut visits) in by_patient {
            visits.sort_by_key(|visit| (visit.encounter.start, visit.id));
            let mut held: BTreeMap<&InstitutionId, Held> = BTreeMap::new();
            let mut granted = BTreeMap::new();
            let mut before: Option<&Visit<'_>> = None;
            for visit in &visits {
                self.share(visit.institution).encounters += 1;
                let payer = payers.get(visit.id).copied().unwrap_or(&self.mapping.payer);
                self.payment(patient, visit, payer, &mut granted);
                if let Some(before) = before.filter(|before| before.institution != visit.institution) {
                    let records = held.get(before.institution).cloned().unwrap_or_default();
                    self.referral(patient, before, visit, &records);
                } else if before
                    .is_some_and(|before| before.encounter.organization != visit.encounter.organization)
                {
                    self.plan.within_one_institution += 1;
                }
                self.hold(held.entry(visit.institution).or_default(), visit);
                before = Some(visit);
            }
        }
    }

    /// Who pays for an encounter: the payer of the first claim that bills it.
    fn payers_of_encounters(&self) -> BTreeMap<&'a str, &'a InstitutionId> {
        let mut payers = BTreeMap::new();
        for claim in self.collected.claims.values() {
            if let Some(encounter) = &claim.encounter {
                payers.entry(encounter.as_str()).or_insert(self.mapping.payer(claim.coverage.as_deref()));
            }
        }
        payers
    }

    /// Adds what an encounter left at its institution.
    fn hold(&mut self, held: &mut Held, visit: &Visit<'_>) {
        chain(held.entry(Category::EncounterSummary).or_default(), &visit.encounter.digest);
        for record in self.collected.records.get(visit.id).into_iter().flat_map(BTreeMap::values) {
            chain(held.entry(record.category).or_default(), &record.digest);
            self.plan.records += 1;
        }
    }

    /// Rule I-3: the summary of every encounter goes to its payer, under one grant per patient, custodian and payer.
    fn payment(
        &mut self,
        patient: &str,
        visit: &Visit<'_>,
        payer: &InstitutionId,
        granted: &mut BTreeMap<(InstitutionId, InstitutionId), Key>,
    ) {
        let (custodian, secret) = (visit.institution, self.secret);
        let subject = self.subject(custodian, patient);
        let pair = (custodian.clone(), payer.clone());
        let grant = granted.get(&pair).copied().unwrap_or_else(|| {
            let parts = [custodian.as_str(), patient, payer.as_str()];
            let consent = secret.commit("consent", &parts, CONSENT.as_bytes());
            let draft = Draft::Grant { subject, grantee: payer.clone(), consent };
            let key = self.push(secret.key("grant", &parts), Wave::Open, custodian, draft);
            granted.insert(pair, key);
            key
        });
        let parts = [visit.id, payer.as_str()];
        let content = secret.commit("summary", &parts, &visit.encounter.digest);
        let draft = Draft::Disclose {
            subject,
            recipient: payer.clone(),
            category: Category::EncounterSummary,
            purpose: Purpose::Hpaymt,
            content,
            grant,
        };
        let disclosure = self.push(secret.key("summary", &parts), Wave::Answer, custodian, draft);
        let draft = Draft::Receive { disclosure, content };
        self.push(secret.key("summary-receipt", &parts), Wave::HandOver, payer, draft);
    }

    /// Rules I-4 and I-5: a patient went on to another institution. All steps of the referral, and the disclosures
    /// under its grant.
    fn referral(&mut self, patient: &str, from: &Visit<'_>, to: &Visit<'_>, records: &Held) {
        let secret = self.secret;
        let parts = [from.id, to.id];
        let (requester, receiver) = (from.institution, to.institution);
        let subject = self.subject(requester, patient);
        // The receiver is a custodian from now on.
        self.subject(receiver, patient);
        let key = |step: &str| secret.key(step, &parts);
        let mut package = Digest::default();
        records.values().for_each(|digest| chain(&mut package, digest));
        let package = secret.commit("package", &parts, &package);
        let request = Draft::Request {
            subject,
            to: receiver.clone(),
            direction: direction(self.tiers.get(requester), self.tiers.get(receiver)),
            service: to.encounter.service,
            reason: secret.commit("reason", &parts, &from.encounter.digest),
            categories: records.keys().copied().collect(),
        };
        let referral = self.push(key("request"), Wave::Open, requester, request);
        let accept = self.push(key("accept"), Wave::Answer, receiver, Draft::Accept { referral });
        let draft = Draft::HandOver { referral, package };
        let handed_over = self.step(key("hand-over"), accept, Wave::HandOver, requester, draft);
        for (category, digest) in records {
            let category_name = format!("{category:?}");
            let parts = [from.id, to.id, &category_name];
            let content = secret.commit("records", &parts, digest);
            let draft = Draft::Disclose {
                subject,
                recipient: receiver.clone(),
                category: *category,
                purpose: Purpose::Treat,
                content,
                grant: accept,
            };
            let disclosure = self.push(secret.key("records", &parts), Wave::HandOver, requester, draft);
            let draft = Draft::Receive { disclosure, content };
            self.push(secret.key("records-receipt", &parts), Wave::Acknowledge, receiver, draft);
        }
        let draft = Draft::Acknowledge { referral, package };
        let step = self.step(key("acknowledge"), handed_over, Wave::Acknowledge, receiver, draft);
        let draft = Draft::Report { referral, report: secret.commit("report", &parts, &to.encounter.digest) };
        let step = self.step(key("report"), step, Wave::Report, receiver, draft);
        let draft = Draft::CloseClinically { referral };
        let step = self.step(key("close-clinically"), step, Wave::CloseClinically, requester, draft);
        let draft = Draft::CloseAdministratively { referral };
        self.step(key("close-administratively"), step, Wave::CloseAdministratively, receiver, draft);
    }

    /// Rule I-6: every claim is a delivered service.
    fn claims(&mut self) {
        let collected = self.collected;
        for (id, claim) in &collected.claims {
            let encounter = claim.encounter.as_ref().and_then(|id| collected.encounters.get(id));
            let named = claim.organization.as_deref();
            let organization = named
                .filter(|organization| self.mapping.institution(collected, organization).is_some())
                .or(encounter.map(|encounter| encounter.organization.as_str()))
                .or(named);
            let Some(organization) = organization else {
                self.skips.add("Claim", Reason::NoOrganization, &claim.place);
                continue;
            };
            let Some(provider) = self.mapping.institution(collected, organization) else {
                self.skips.add("Claim", Reason::NotMapped, &claim.place);
                continue;
            };
            let service =
                claim.service.or(encounter.map(|encounter| encounter.service)).unwrap_or(Service::Other);
            self.service(id, claim, provider, service);
        }
    }

    fn service(&mut self, id: &str, claim: &Claim, provider: &InstitutionId, service: Service) {
        let benefit = self.collected.benefits.get(id);
        let gross = self.amounts(claim, benefit);
        // The evidence is the claim and the answer to it.
        let mut evidence = Digest::default();
        chain(&mut evidence, &claim.digest);
        if let Some(benefit) = benefit {
            chain(&mut evidence, &benefit.digest);
        }
        let draft = Draft::Deliver {
            service,
            payer: self.mapping.payer(claim.coverage.as_deref()).clone(),
            gross,
            evidence: self.secret.commit("claim", &[id], &evidence),
        };
        self.share(provider).services += 1;
        self.push(self.secret.key("claim", &[id]), Wave::HandOver, provider, draft);
    }

    /// Rule I-7: adds the amounts up, and says which is the gross amount.
    fn amounts(&mut self, claim: &Claim, benefit: Option<&Benefit>) -> Amount {
        let sums = self.plan.sums.entry(claim.total.currency.to_string()).or_default();
        sums.claims += 1;
        sums.claimed_minor += i128::from(claim.total.minor.0);
        sums.claimed_rounded += u64::from(claim.total.was_rounded);
        let payment = benefit
            .and_then(|benefit| benefit.payment)
            .filter(|payment| payment.currency == claim.total.currency);
        if let Some(payment) = payment {
            sums.payments += 1;
            sums.paid_minor += i128::from(payment.minor.0);
            sums.paid_rounded += u64::from(payment.was_rounded);
        }
        let gross = match self.gross {
            Gross::Claimed => claim.total,
            Gross::Paid => payment.unwrap_or(claim.total),
        };
        sums.gross_minor += i128::from(gross.minor.0);
        gross
    }

    /// What was read and referred to something that was not.
    fn unused(&mut self) {
        for (claim, benefit) in &self.collected.benefits {
            if !self.collected.claims.contains_key(claim) {
                self.skips.add("ExplanationOfBenefit", Reason::UnknownClaim, &benefit.place);
            }
        }
        for (encounter, records) in &self.collected.records {
            if !self.collected.encounters.contains_key(encounter) {
                for (name, record) in records {
                    let resource = name.split('/').next().unwrap_or(name);
                    self.skips.add(resource, Reason::UnknownEncounter, &record.place);
                }
            }
        }
    }
}

/// What stands for the consent behind a payer's grant: FHIR as Synthea writes it has no consent document.
const CONSENT: &str = "the coverage under which the patient was treated";

/// Rule I-4: by the tiers of both; lateral where they are equal or a side has none.
fn direction(from: Option<&Tier>, to: Option<&Tier>) -> Direction {
    match (from, to) {
        (Some(from), Some(to)) if to > from => Direction::Up,
        (Some(from), Some(to)) if to < from => Direction::Down,
        _ => Direction::Lateral,
    }
}

/// The institutions that an import acts for, each with the roles whose keys it needs.
pub fn authors(items: &[Item]) -> BTreeMap<&InstitutionId, BTreeSet<yilian_spec::membership::Role>> {
    let mut authors: BTreeMap<&InstitutionId, BTreeSet<_>> = BTreeMap::new();
    for item in items {
        authors.entry(&item.author).or_default().insert(item.draft.role());
    }
    authors
}
