//! Takes from each resource what the plan needs, and counts what cannot be used and why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use yilian_spec::limits::AMOUNT_MINOR_MAX;
use yilian_spec::money::{AmountMinor, Currency, parse_decimal_to_minor};
use yilian_spec::operation::access::Category;

use super::codes::{self, Service};
use super::document::{Digest, digest};
use super::fhir;
use super::instant::{self, Instant};
use super::limits;
use super::skip::{Reason, Skips};
use super::source::{self, Found, Place, SourceError};

/// An encounter.
#[derive(Debug, Clone)]
pub struct Encounter {
    /// The patient's id.
    pub patient: String,
    /// The organisation's id.
    pub organization: String,
    /// When it began.
    pub start: Instant,
    /// What kind of service it was.
    pub service: Service,
    /// The resource.
    pub digest: Digest,
    /// Where it stands.
    pub place: Place,
}

/// An amount as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// In minor units of the currency.
    pub minor: AmountMinor,
    /// The currency.
    pub currency: Currency,
    /// Whether rounding changed it.
    pub was_rounded: bool,
}

/// A claim.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The organisation's id, where the claim names one.
    pub organization: Option<String>,
    /// The encounter that it bills, where it names one.
    pub encounter: Option<String>,
    /// What the claim's own type says.
    pub service: Option<Service>,
    /// The label of the coverage.
    pub coverage: Option<String>,
    /// What is claimed.
    pub total: Amount,
    /// The resource.
    pub digest: Digest,
    /// Where it stands.
    pub place: Place,
}

/// An explanation of benefit: what a payer answered to a claim.
#[derive(Debug, Clone)]
pub struct Benefit {
    /// When it was made, where it says so.
    pub created: Option<Instant>,
    /// What is paid, where it says so.
    pub payment: Option<Amount>,
    /// The resource.
    pub digest: Digest,
    /// Where it stands.
    pub place: Place,
}

/// A clinical record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its category.
    pub category: Category,
    /// The resource.
    pub digest: Digest,
    /// Where it stands.
    pub place: Place,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Collected {
    /// Number of files.
    pub files: u64,
    /// Resources by type, also those that are not used.
    pub resources: BTreeMap<String, u64>,
    /// Names of organisations by id.
    pub organizations: BTreeMap<String, String>,
    /// Ids of patients.
    pub patients: BTreeSet<String>,
    /// Encounters by id.
    pub encounters: BTreeMap<String, Encounter>,
    /// Claims by id.
    pub claims: BTreeMap<String, Claim>,
    /// Explanations of benefit by the claim they answer: the latest of each.
    pub benefits: BTreeMap<String, Benefit>,
    /// Clinical records by the encounter they were made in, in the order of their ids.
    pub records: BTreeMap<String, BTreeMap<String, Record>>,
    /// What was left out.
    pub skips: Skips,
    /// Other addresses of resources: from what a reference says to the id.
    aliases: BTreeMap<String, String>,
    /// Type and id of every resource that was read.
    seen: BTreeSet<(String, String)>,
}

impl Collected {
    /// Reads a directory.
    ///
    /// # Errors
    /// [`SourceError`] when a file is not whole, or there is too much.
    pub fn read(directory: &Path, mut after_each: impl FnMut(u64)) -> Result<Self, SourceError> {
        let mut all = Self::default();
        for path in source::files(directory)? {
            source::read(&path, |place, found| all.take(place, found))?;
            all.files += 1;
            after_each(all.files);
        }
        all.resolve();
        Ok(all)
    }

    /// Takes one resource.
    fn take(&mut self, place: &Place, found: Found<'_>) -> Result<(), SourceError> {
        let head: fhir::Head = serde_json::from_str(found.json)
            .map_err(|error| SourceError::NotJson { place: place.clone(), reason: error.to_string() })?;
        *self.resources.entry(head.resource_type.clone()).or_default() += 1;
        if !is_used(&head.resource_type) {
            return Ok(());
        }
        let Some(id) = head.id.filter(|id| is_id(id)) else {
            self.skips.add(&head.resource_type, Reason::NoId, place);
            return Ok(());
        };
        if !self.seen.insert((head.resource_type.clone(), id.clone())) {
            self.skips.add(&head.resource_type, Reason::Repeated, place);
            return Ok(());
        }
        if self.seen.len() > limits::RESOURCES_MAX {
            return Err(SourceError::TooManyResources);
        }
        // A bundle may call a resource by another address than its id until a server has given it one.
        let uuid = found.full_url.and_then(|url| url.strip_prefix("urn:uuid:"));
        if let Some(uuid) = uuid.filter(|uuid| *uuid != id) {
            self.aliases.insert(uuid.to_owned(), id.clone());
        }
        if let Err(reason) = self.keep(&head.resource_type, id, place, found.json) {
            self.skips.add(&head.resource_type, reason, place);
        }
        Ok(())
    }

    fn keep(&mut self, resource_type: &str, id: String, place: &Place, json: &str) -> Result<(), Reason> {
        match resource_type {
            "Patient" => {
                self.patients.insert(id);
            }
            "Organization" => self.keep_organization(id, parsed(json)?),
            "Encounter" => {
                let encounter = encounter(parsed(json)?, digest(json), place)?;
                self.encounters.insert(id, encounter);
            }
            "Claim" => {
                let claim = claim(parsed(json)?, digest(json), place)?;
                self.claims.insert(id, claim);
            }
            "ExplanationOfBenefit" => self.keep_benefit(parsed(json)?, digest(json), place)?,
            other => self.keep_record(other, id, place, json)?,
        }
        Ok(())
    }

    fn keep_organization(&mut self, id: String, organization: fhir::Organization) {
        for fhir::Identifier { system, value } in organization.identifier {
            if let (Some(system), Some(value)) = (system, value) {
                self.aliases.insert(format!("Organization?identifier={system}|{value}"), id.clone());
            }
        }
        self.organizations.insert(id, organization.name.unwrap_or_default());
    }

    fn keep_benefit(
        &mut self,
        benefit: fhir::ExplanationOfBenefit,
        digest: Digest,
        place: &Place,
    ) -> Result<(), Reason> {
        check_claim(&benefit.status, &benefit.purpose)?;
        let claim = reference(&benefit.claim).ok_or(Reason::NoClaim)?;
        let payment =
            benefit.payment.and_then(|payment| payment.amount).map(|money| amount(&money)).transpose()?;
        let created = benefit.created.as_deref().and_then(instant::parse);
        let new = Benefit { created, payment, digest, place: place.clone() };
        let Some(old) = self.benefits.get_mut(&claim) else {
            self.benefits.insert(claim, new);
            return Ok(());
        };
        // Of several answers to one claim the latest counts; of those made at one moment, the one with the higher digest.
        let older = if (new.created, new.digest) > (old.created, old.digest) {
            std::mem::replace(old, new)
        } else {
            new
        };
        self.skips.add("ExplanationOfBenefit", Reason::Superseded, &older.place);
        Ok(())
    }

    fn keep_record(
        &mut self,
        resource_type: &str,
        id: String,
        place: &Place,
        json: &str,
    ) -> Result<(), Reason> {
        let mut category = codes::category(resource_type).ok_or(Reason::NotUsed)?;
        if matches!(resource_type, "DiagnosticReport" | "Observation") {
            let fhir::Categorised { category: concepts } = parsed(json)?;
            category = codes::refined(category, concepts.iter().flat_map(fhir::CodeableConcept::codes));
        }
        let clinical: fhir::Clinical = parsed(json)?;
        let encounter = clinical.encounter.as_ref().and_then(reference).ok_or(Reason::NoEncounter)?;
        let record = Record { category, digest: digest(json), place: place.clone() };
        self.records.entry(encounter).or_default().insert(format!("{resource_type}/{id}"), record);
        Ok(())
    }

    /// Once all is read: references by other addresses become ids.
    fn resolve(&mut self) {
        let aliases = std::mem::take(&mut self.aliases);
        self.seen.clear();
        if aliases.is_empty() {
            return;
        }
        let resolve = |text: &mut String| {
            if let Some(id) = aliases.get(text.as_str()) {
                text.clone_from(id);
            }
        };
        for encounter in self.encounters.values_mut() {
            resolve(&mut encounter.patient);
            resolve(&mut encounter.organization);
        }
        for claim in self.claims.values_mut() {
            claim.organization.iter_mut().for_each(resolve);
            claim.encounter.iter_mut().for_each(resolve);
        }
        let renamed = |key: String| aliases.get(&key).cloned().unwrap_or(key);
        self.benefits =
            std::mem::take(&mut self.benefits).into_iter().map(|(key, one)| (renamed(key), one)).collect();
        self.records =
            std::mem::take(&mut self.records).into_iter().map(|(key, many)| (renamed(key), many)).collect();
    }
}

/// Whether the import reads resources of this type.
fn is_used(resource_type: &str) -> bool {
    matches!(resource_type, "Patient" | "Organization" | "Encounter" | "Claim" | "ExplanationOfBenefit")
        || codes::category(resource_type).is_some()
}

/// Whether a text is a FHIR id: 1 to 64 letters, digits, `-` and `.`.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}

/// The typed form of a resource's JSON.
fn parsed<T: for<'de> Deserialize<'de>>(json: &str) -> Result<T, Reason> {
    serde_json::from_str(json).map_err(|_| Reason::OtherForm)
}

/// What a reference points to: the id behind `urn:uuid:`, or behind the type and before a version; a conditional
/// reference whole. `None` for contained resources and where there is only a name.
fn reference(reference: &fhir::Reference) -> Option<String> {
    let text = reference.reference.as_deref()?;
    if text.contains('?') {
        return Some(text.to_owned());
    }
    let text = text.split("/_history/").next().unwrap_or(text);
    let id = match text.strip_prefix("urn:uuid:") {
        Some(id) => id,
        None => text.rsplit('/').next().unwrap_or(text),
    };
    is_id(id).then(|| id.to_owned())
}

fn encounter(encounter: fhir::Encounter, digest: Digest, place: &Place) -> Result<Encounter, Reason> {
    match encounter.status.as_str() {
        "arrived" | "triaged" | "in-progress" | "onleave" | "finished" => {}
        _ => return Err(Reason::NotTakenPlace),
    }
    let start = encounter.period.start.as_deref().ok_or(Reason::NoStart)?;
    let kinds = encounter.kinds.iter().flat_map(fhir::CodeableConcept::codes);
    Ok(Encounter {
        patient: reference(&encounter.subject).ok_or(Reason::NoPatient)?,
        organization: reference(&encounter.service_provider).ok_or(Reason::NoOrganization)?,
        start: instant::parse(start).ok_or(Reason::NoStart)?,
        service: Service::of_encounter(encounter.class.code.as_deref().unwrap_or_default(), kinds),
        digest,
        place: place.clone(),
    })
}

/// Only active claims for something done; requests for an estimate or an approval move no money.
fn check_claim(status: &str, purpose: &str) -> Result<(), Reason> {
    if status != "active" {
        return Err(Reason::NotActive);
    }
    if purpose == "claim" { Ok(()) } else { Err(Reason::NotAClaim) }
}

fn claim(claim: fhir::Claim, digest: Digest, place: &Place) -> Result<Claim, Reason> {
    check_claim(&claim.status, &claim.purpose)?;
    let insurance = claim.insurance.iter().find(|insurance| insurance.focal).or(claim.insurance.first());
    let coverage = insurance.and_then(|insurance| insurance.coverage.display.clone());
    Ok(Claim {
        organization: reference(&claim.provider),
        encounter: claim.item.iter().flat_map(|item| &item.encounter).find_map(reference),
        service: Service::of_claim(claim.kind.codes()),
        coverage,
        total: amount(claim.total.as_ref().ok_or(Reason::NoAmount)?)?,
        digest,
        place: place.clone(),
    })
}

/// An amount from its decimal text, rounded half up on the magnitude to the currency's minor unit (rule T-3).
fn amount(money: &fhir::Money) -> Result<Amount, Reason> {
    let text = money.value.as_ref().ok_or(Reason::NoAmount)?;
    let currency: Currency =
        money.currency.as_deref().and_then(|code| code.parse().ok()).ok_or(Reason::NoCurrency)?;
    let parsed =
        parse_decimal_to_minor(text.get(), currency.decimals()).map_err(|_| Reason::AmountOutOfBounds)?;
    if !(0..=AMOUNT_MINOR_MAX).contains(&parsed.amount.0) {
        return Err(Reason::AmountOutOfBounds);
    }
    Ok(Amount { minor: parsed.amount, currency, was_rounded: parsed.was_rounded })
}
