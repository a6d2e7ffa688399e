//! From what was read to the operations that record it. Pure: the same input, mapping and secret give the same plan,
//! where no service was reversed in between.
//!
//! The rules stand at the head of [`crate::import`]; their names (I-1 to I-8) are cited below.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::time::Window;
use yilian_spec::domain::access::{Category, Purpose};
use yilian_spec::domain::membership::Tier;
use yilian_spec::domain::referral::Direction;

use super::codes::Service;
use super::collect::{Amount, Benefit, Claim, Collected, Encounter};
use super::document::{Digest, Key, Secret, chain};
use super::draft::{Draft, Item, SubjectIndex, Wave};
use super::instant::{self, Instant};
use super::mapping::{Mapping, Pays};
use super::order;
use super::skip::{Note, Notes, Reason, Skips};
use crate::subject::is_record_number;

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
    /// The gross amounts of the services that the input asks for.
    pub gross_minor: i128,
}

/// The operations of an import, and what they come from.
#[derive(Debug, Default)]
pub struct Plan {
    /// The subjects: who keeps the record, and its number in the link table, `<institution>/<patient id>`.
    pub subjects: Vec<(InstitutionId, String)>,
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
    /// What was left out, by the reading and by the plan.
    pub skips: Skips,
    /// What was noted, by the reading and by the plan.
    pub notes: Notes,
}

/// What a plan is made of.
pub struct Planning<'a> {
    /// What was read.
    pub collected: &'a Collected,
    /// Organisations onto institutions, coverages onto payers.
    pub mapping: &'a Mapping,
    /// The tiers of institutions.
    pub tiers: &'a BTreeMap<InstitutionId, Tier>,
    /// Which amount is the gross amount of a service.
    pub gross: Gross,
    /// What salts and keys come from.
    pub secret: &'a Secret,
}

/// The journal's key of a claim's service: the first, or the one after so many were reversed.
pub fn service_key(secret: &Secret, claim: &str, reversed: u32) -> Key {
    if reversed == 0 {
        secret.key("claim", &[claim])
    } else {
        secret.key("claim", &[claim, &reversed.to_string()])
    }
}

impl Planning<'_> {
    /// Makes the plan. `reversed` says how many services of a claim were recorded and reversed before.
    pub fn plan(&self, reversed: &dyn Fn(&str) -> u32) -> Plan {
        let Self { collected, mapping, tiers, gross, secret } = *self;
        let plan = Plan { skips: collected.skips.clone(), notes: collected.notes.clone(), ..Plan::default() };
        let mut planner =
            Planner { collected, mapping, tiers, gross, secret, reversed, plan, tags: BTreeMap::new() };
        planner.organizations();
        let billed = planner.billed();
        planner.encounters(&billed);
        planner.claims(&billed);
        planner.unused();
        planner.plan
    }
}

impl Plan {
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
    reversed: &'a dyn Fn(&str) -> u32,
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

/// The claims that become services: who delivered them, and who pays.
type Billed<'a> = BTreeMap<&'a str, (&'a InstitutionId, &'a InstitutionId)>;

impl<'a> Planner<'a> {
    fn push(&mut self, item: (Key, Wave, &Arc<str>), author: &InstitutionId, draft: Draft) -> Key {
        self.step(item, None, author, draft)
    }

    /// A step of a referral, which needs the step before.
    fn step(
        &mut self,
        (key, wave, source): (Key, Wave, &Arc<str>),
        after: Option<Key>,
        author: &InstitutionId,
        draft: Draft,
    ) -> Key {
        let source = Arc::clone(source);
        self.plan.items.push(Item { key, wave, source, author: author.clone(), draft, after });
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
        let name = subject_name(institution, patient);
        if let Some(index) = self.tags.get(&name) {
            return *index;
        }
        let index = SubjectIndex(self.plan.subjects.len());
        self.plan.subjects.push((institution.clone(), name.clone()));
        self.tags.insert(name, index);
        self.share(institution).patients += 1;
        index
    }

    /// The claims that become services; the others are left out with the reason. A claim of a person is one of the
    /// organisation that treated; nobody's claim is given to somebody else.
    fn billed(&mut self) -> Billed<'a> {
        let mut billed = BTreeMap::new();
        for (id, claim) in &self.collected.claims {
            match self.bill(claim) {
                Ok(parties) => _ = billed.insert(id.as_str(), parties),
                Err(reason) => self.plan.skips.add("Claim", reason, &claim.place),
            }
        }
        billed
    }

    fn bill(&self, claim: &'a Claim) -> Result<(&'a InstitutionId, &'a InstitutionId), Reason> {
        let treated = || Some(self.first_encounter(claim)?.1.organization.as_str());
        let organization = claim.organization.as_deref().or_else(treated).ok_or(Reason::NoOrganization)?;
        let provider = self.mapping.institution(self.collected, organization).ok_or(Reason::NotMapped)?;
        match self.mapping.pays(claim.coverage.as_ref()) {
            Pays::Member(payer) => Ok((provider, payer)),
            Pays::Nobody => Err(Reason::Uninsured),
            Pays::NotMapped => Err(Reason::PayerNotMapped),
        }
    }

    fn first_encounter(&self, claim: &'a Claim) -> Option<(&'a str, &'a Encounter)> {
        let known = |id: &'a String| Some((id.as_str(), self.collected.encounters.get(id)?));
        claim.encounters.iter().find_map(known)
    }

    /// All encounters, patient by patient in the order of their beginning.
    fn encounters(&mut self, billed: &Billed<'a>) {
        let payers = self.payers_of_encounters(billed);
        for (patient, mut visits) in self.visits() {
            visits.sort_by_key(|visit| (visit.encounter.start.sort_key(), visit.id));
            let mut granted = BTreeMap::new();
            for visit in &visits {
                self.share(visit.institution).encounters += 1;
                self.subject(visit.institution, patient);
                if !payers.contains_key(visit.id) {
                    self.plan.notes.add("Encounter", Note::NotBilled, &visit.encounter.place);
                }
                for payer in payers.get(visit.id).into_iter().flatten().copied() {
                    self.payment(patient, visit, payer, &mut granted);
                }
            }
            self.moves(patient, &visits);
        }
    }

    /// The encounters at members, by patient.
    fn visits(&mut self) -> BTreeMap<&'a str, Vec<Visit<'a>>> {
        let mut by_patient: BTreeMap<&str, Vec<Visit<'a>>> = BTreeMap::new();
        for (id, encounter) in &self.collected.encounters {
            let reason = match self.mapping.institution(self.collected, &encounter.organization) {
                Some(institution) if is_record_number(&subject_name(institution, &encounter.patient)) => {
                    by_patient.entry(&encounter.patient).or_default().push(Visit {
                        id,
                        encounter,
                        institution,
                    });
                    continue;
                }
                Some(_) => Reason::UnfitPatientId,
                None => Reason::NotMapped,
            };
            self.plan.skips.add("Encounter", reason, &encounter.place);
        }
        by_patient
    }

    /// Rule I-4: where a patient went on to another institution, and it is certain which visit came first.
    fn moves(&mut self, patient: &str, visits: &[Visit<'a>]) {
        let starts: Vec<Instant> = visits.iter().map(|visit| visit.encounter.start).collect();
        let begins = order::parts(&starts);
        let ends = begins.iter().skip(1).copied().chain([visits.len()]);
        let mut held: BTreeMap<&InstitutionId, Held> = BTreeMap::new();
        let mut before: Option<&[Visit<'_>]> = None;
        for part in begins.iter().zip(ends).map(|(begin, end)| &visits[*begin..end]) {
            let is_at_one = part.iter().all(|visit| visit.institution == part[0].institution);
            if !is_at_one {
                part.iter().for_each(|visit| {
                    self.plan.notes.add("Encounter", Note::OrderUnclear, &visit.encounter.place)
                });
            }
            if let Some(last) = before.and_then(<[Visit<'_>]>::last).filter(|_| is_at_one) {
                let next = &part[0];
                if last.institution != next.institution {
                    let records = held.get(last.institution).cloned().unwrap_or_default();
                    self.referral(patient, last, next, &records);
                }
            }
            self.count_within(before.and_then(<[Visit<'_>]>::last), part);
            for visit in part {
                self.hold(held.entry(visit.institution).or_default(), visit);
            }
            // Who was last in a part without an order is not known, so nobody referred from there.
            before = Some(part).filter(|_| is_at_one);
        }
    }

    /// Counts the changes of organisation that stay within one institution.
    fn count_within(&mut self, last: Option<&Visit<'_>>, part: &[Visit<'_>]) {
        let visits: Vec<&Visit<'_>> = last.into_iter().chain(part).collect();
        let is_within = |pair: &&[&Visit<'_>]| {
            pair[0].institution == pair[1].institution
                && pair[0].encounter.organization != pair[1].encounter.organization
        };
        self.plan.within_one_institution += visits.windows(2).filter(is_within).count() as u64;
    }

    /// Who pays for an encounter: the payers of the claims that bill it. Without a claim, nobody has a part in it.
    fn payers_of_encounters(&self, billed: &Billed<'a>) -> BTreeMap<&'a str, BTreeSet<&'a InstitutionId>> {
        let mut payers: BTreeMap<&str, BTreeSet<&InstitutionId>> = BTreeMap::new();
        for (id, (_, payer)) in billed {
            for encounter in self.collected.claims.get(*id).into_iter().flat_map(|claim| &claim.encounters) {
                payers.entry(encounter.as_str()).or_default().insert(payer);
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

    /// Rule I-3: the summary of an encounter goes to whoever pays a claim for it, under one grant per patient, custodian and payer.
    fn payment(
        &mut self,
        patient: &str,
        visit: &Visit<'_>,
        payer: &InstitutionId,
        granted: &mut BTreeMap<(InstitutionId, InstitutionId), Key>,
    ) {
        let (custodian, secret) = (visit.institution, self.secret);
        let source: Arc<str> = format!("Encounter {}", visit.id).into();
        let subject = self.subject(custodian, patient);
        let pair = (custodian.clone(), payer.clone());
        let grant = granted.get(&pair).copied().unwrap_or_else(|| {
            let parts = [custodian.as_str(), patient, payer.as_str()];
            let consent = secret.commit("consent", &parts, CONSENT.as_bytes());
            let draft = Draft::Grant { subject, grantee: payer.clone(), consent };
            let item = (secret.key("grant", &parts), Wave::Open, &source);
            let key = self.push(item, custodian, draft);
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
        let item = (secret.key("summary", &parts), Wave::Answer, &source);
        let disclosure = self.push(item, custodian, draft);
        let draft = Draft::Receive { disclosure, content };
        self.push((secret.key("summary-receipt", &parts), Wave::HandOver, &source), payer, draft);
    }

    /// Rules I-4 and I-5: a patient went on to another institution. All steps of the referral, and the disclosures
    /// under its grant.
    fn referral(&mut self, patient: &str, from: &Visit<'_>, to: &Visit<'_>, records: &Held) {
        let secret = self.secret;
        let parts = [from.id, to.id];
        let source: Arc<str> = format!("Encounter {} to {}", from.id, to.id).into();
        let source = &source;
        let (requester, receiver) = (from.institution, to.institution);
        let subject = self.subject(requester, patient);
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
        let referral = self.push((key("request"), Wave::Open, source), requester, request);
        let accept = self.push((key("accept"), Wave::Answer, source), receiver, Draft::Accept { referral });
        let draft = Draft::HandOver { referral, package };
        let item = (key("hand-over"), Wave::HandOver, source);
        let handed_over = self.step(item, Some(accept), requester, draft);
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
            let item = (secret.key("records", &parts), Wave::HandOver, source);
            let disclosure = self.push(item, requester, draft);
            let draft = Draft::Receive { disclosure, content };
            self.push((secret.key("records-receipt", &parts), Wave::Acknowledge, source), receiver, draft);
        }
        let draft = Draft::Acknowledge { referral, package };
        let item = (key("acknowledge"), Wave::Acknowledge, source);
        let step = self.step(item, Some(handed_over), receiver, draft);
        let draft = Draft::Report { referral, report: secret.commit("report", &parts, &to.encounter.digest) };
        let step = self.step((key("report"), Wave::Report, source), Some(step), receiver, draft);
        let draft = Draft::CloseClinically { referral };
        let item = (key("close-clinically"), Wave::CloseClinically, source);
        let step = self.step(item, Some(step), requester, draft);
        let draft = Draft::CloseAdministratively { referral };
        let item = (key("close-administratively"), Wave::CloseAdministratively, source);
        self.step(item, Some(step), receiver, draft);
    }

    /// Rule I-6: every claim that a member owes is a delivered service.
    fn claims(&mut self, billed: &Billed<'a>) {
        for (id, (provider, payer)) in billed {
            let Some(claim) = self.collected.claims.get(*id) else { continue };
            let encounter = self.first_encounter(claim);
            if encounter.is_none() && !claim.encounters.is_empty() {
                self.plan.notes.add("Claim", Note::EncounterMissing, &claim.place);
            }
            let of_encounter = encounter.map(|(_, encounter)| encounter.service);
            let service = claim.service.or(of_encounter).unwrap_or(Service::Other);
            let begun = encounter.map(|(_, encounter)| instant::days(encounter.start, encounter.start));
            self.service(id, claim, (provider, payer), service, claim.performed.or(begun));
        }
    }

    fn service(
        &mut self,
        id: &str,
        claim: &Claim,
        (provider, payer): (&InstitutionId, &InstitutionId),
        service: Service,
        performed: Option<Window>,
    ) {
        let benefit = self.collected.benefits.get(id);
        let gross = self.amounts(claim, benefit);
        // The evidence is the claim and the answer to it.
        let mut evidence = Digest::default();
        chain(&mut evidence, &claim.digest);
        if let Some(benefit) = benefit {
            chain(&mut evidence, &benefit.digest);
        }
        // Recorded anew after a reversal, it needs evidence that no service carries yet.
        let reversed = (self.reversed)(id);
        let number = reversed.to_string();
        let parts = [id, number.as_str()];
        let parts = if reversed == 0 { &parts[..1] } else { &parts[..] };
        let evidence = self.secret.commit("claim", parts, &evidence);
        let draft = Draft::Deliver { service, performed, payer: payer.clone(), gross, evidence };
        self.share(provider).services += 1;
        let source: Arc<str> = format!("Claim {id}").into();
        self.push((service_key(self.secret, id, reversed), Wave::HandOver, &source), provider, draft);
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
        if let (Some(benefit), None) = (benefit, payment)
            && (benefit.payment.is_some() || benefit.has_unfit_payment)
        {
            self.plan.notes.add("ExplanationOfBenefit", Note::PaymentUnfit, &benefit.place);
        }
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
                self.plan.skips.add("ExplanationOfBenefit", Reason::UnknownClaim, &benefit.place);
            }
        }
        for (encounter, records) in &self.collected.records {
            if !self.collected.encounters.contains_key(encounter) {
                for (name, record) in records {
                    let resource = name.split('/').next().unwrap_or(name);
                    self.plan.skips.add(resource, Reason::UnknownEncounter, &record.place);
                }
            }
        }
    }
}

/// What the link table calls a patient of an institution (rule I-2).
fn subject_name(institution: &InstitutionId, patient: &str) -> String {
    format!("{institution}/{patient}")
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
pub fn authors(items: &[Item]) -> BTreeMap<&InstitutionId, BTreeSet<yilian_spec::domain::membership::Role>> {
    let mut authors: BTreeMap<&InstitutionId, BTreeSet<_>> = BTreeMap::new();
    for item in items {
        authors.entry(&item.author).or_default().insert(item.draft.role());
    }
    authors
}
