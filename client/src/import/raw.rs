//! A resource as it was read: what the plan needs of it, with references that are not followed yet.

use serde::Deserialize;
use yilian_spec::base::limits::AMOUNT_MINOR_MAX;
use yilian_spec::base::money::{AmountMinor, Currency, parse_decimal_to_minor};
use yilian_spec::base::time::Window;
use yilian_spec::domain::access::Category;

use super::address::{Base, Context, Link, query};
use super::codes::{self, Service};
use super::document::{self, Digest};
use super::fhir;
use super::instant::{self, Instant};
use super::skip::Reason;
use super::source::Place;

/// A resource, what it is called and where it stands.
#[derive(Debug)]
pub struct Seen {
    /// Its type.
    pub kind: Box<str>,
    /// The server that its address names.
    pub base: Base,
    /// Its id.
    pub id: Box<str>,
    /// Another address that references to it use.
    pub address: Option<Box<str>>,
    /// The bundle that it stands in.
    pub scope: u32,
    /// Its content; of an organisation, only what is used of it.
    pub digest: Digest,
    /// When it was last changed, as its server says.
    pub updated: Option<Instant>,
    /// Where it stands.
    pub place: Place,
    /// What it says.
    pub content: Content,
}

/// What a resource says.
#[derive(Debug)]
pub enum Content {
    /// Who is treated.
    Patient {
        /// Searches that find it.
        queries: Vec<Box<str>>,
    },
    /// Who treats.
    Organization {
        /// Its name.
        name: String,
        /// Searches that find it.
        queries: Vec<Box<str>>,
    },
    /// A person who treats: no organisation.
    Practitioner,
    /// A person's part in an organisation.
    Role {
        /// The organisation.
        organization: Option<Link>,
    },
    /// An insurance.
    Coverage(Insurance),
    /// A visit.
    Encounter(Visit),
    /// What is claimed.
    Claim(Bill),
    /// What is granted.
    Benefit(Answer),
    /// A clinical record.
    Record {
        /// Its category.
        category: Category,
        /// The encounter it was made in.
        encounter: Link,
    },
    /// Nothing that counts.
    LeftOut(Reason),
}

/// An insurance.
#[derive(Debug, Clone, Default)]
pub struct Insurance {
    /// Who pays, and how it is called.
    pub payers: Vec<(Option<Link>, Option<String>)>,
    /// Whether patients pay themselves.
    pub is_self_paid: bool,
}

/// An encounter.
#[derive(Debug)]
pub struct Visit {
    /// The patient.
    pub patient: Link,
    /// The organisation.
    pub organization: Link,
    /// What it is called there.
    pub organization_name: Option<String>,
    /// When it began.
    pub start: Instant,
    /// What kind of service it was.
    pub service: Service,
}

/// A claim.
#[derive(Debug)]
pub struct Bill {
    /// Who claims.
    pub provider: Option<Link>,
    /// What the provider is called there.
    pub provider_name: Option<String>,
    /// The encounters that it bills.
    pub encounters: Vec<Link>,
    /// What the claim's own type says.
    pub service: Option<Service>,
    /// The days that it bills, where it says so.
    pub performed: Option<Window>,
    /// Who is asked to pay.
    pub coverage: Coverage,
    /// What is claimed.
    pub total: Amount,
}

/// Who a claim asks to pay, as it says.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// The insurance.
    pub link: Option<Link>,
    /// What it is called.
    pub label: Option<String>,
    /// The insurance, where the claim contains it.
    pub contained: Option<Insurance>,
    /// Whether there is a reference that cannot be followed.
    pub is_unreadable: bool,
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

/// An explanation of benefit.
#[derive(Debug)]
pub struct Answer {
    /// The claim.
    pub claim: Link,
    /// When it was made, where it says so.
    pub created: Option<Instant>,
    /// What is paid, where it says so and it can be counted.
    pub payment: Option<Amount>,
    /// Whether it says so, and it cannot.
    pub has_unfit_payment: bool,
}

/// Whether the import reads resources of this type.
pub fn is_used(kind: &str) -> bool {
    matches!(
        kind,
        "Patient"
            | "Organization"
            | "Practitioner"
            | "PractitionerRole"
            | "Coverage"
            | "Encounter"
            | "Claim"
            | "ExplanationOfBenefit"
    ) || codes::category(kind).is_some()
}

/// What a resource of a used type says, and the digest of it.
pub fn read(kind: &str, json: &str, context: &Context<'_>) -> (Content, Digest) {
    let content = content(kind, json, context).unwrap_or_else(Content::LeftOut);
    let digest = match &content {
        // Synthea writes organisations and people anew into each bundle, with other counts: what is used must agree.
        Content::Organization { name, queries } => {
            document::digest_of(std::iter::once(name.as_str()).chain(queries.iter().map(AsRef::as_ref)))
        }
        Content::Practitioner => document::digest_of(std::iter::empty()),
        Content::Patient { .. }
        | Content::Role { .. }
        | Content::Coverage(_)
        | Content::Encounter(_)
        | Content::Claim(_)
        | Content::Benefit(_)
        | Content::Record { .. }
        | Content::LeftOut(_) => document::digest(json),
    };
    (content, digest)
}

fn content(kind: &str, json: &str, context: &Context<'_>) -> Result<Content, Reason> {
    Ok(match kind {
        "Patient" => {
            let patient: fhir::Patient = parsed(json)?;
            Content::Patient { queries: queries(&patient.identifier) }
        }
        "Organization" => {
            let organization: fhir::Organization = parsed(json)?;
            let queries = queries(&organization.identifier);
            Content::Organization { name: organization.name.unwrap_or_default(), queries }
        }
        "Practitioner" => Content::Practitioner,
        "PractitionerRole" => {
            let role: fhir::PractitionerRole = parsed(json)?;
            Content::Role { organization: context.link(&role.organization, "Organization") }
        }
        "Coverage" => Content::Coverage(insurance(&parsed(json)?, context)),
        "Encounter" => Content::Encounter(visit(&parsed(json)?, context)?),
        "Claim" => Content::Claim(bill(&parsed(json)?, context)?),
        "ExplanationOfBenefit" => Content::Benefit(answer(&parsed(json)?, context)?),
        other => record(other, json, context)?,
    })
}

/// The typed form of a resource's JSON.
fn parsed<T: for<'de> Deserialize<'de>>(json: &str) -> Result<T, Reason> {
    serde_json::from_str(json).map_err(|_| Reason::OtherForm)
}

fn queries(identifiers: &[fhir::Identifier]) -> Vec<Box<str>> {
    identifiers.iter().filter_map(query).collect()
}

/// The link of a reference that must be there.
fn must(
    reference: &fhir::Reference,
    expected: &str,
    missing: Reason,
    context: &Context<'_>,
) -> Result<Link, Reason> {
    let is_unreadable = reference.reference.as_deref().is_some_and(|text| !text.starts_with('#'));
    let reason = if is_unreadable { Reason::BadReference } else { missing };
    context.link(reference, expected).ok_or(reason)
}

fn visit(encounter: &fhir::Encounter, context: &Context<'_>) -> Result<Visit, Reason> {
    match encounter.status.as_str() {
        "arrived" | "triaged" | "in-progress" | "onleave" | "finished" => {}
        _ => return Err(Reason::NotTakenPlace),
    }
    let start = encounter.period.start.as_deref().ok_or(Reason::NoStart)?;
    let kinds = encounter.kinds.iter().flat_map(fhir::CodeableConcept::codes);
    Ok(Visit {
        patient: must(&encounter.subject, "Patient", Reason::NoPatient, context)?,
        organization: must(&encounter.service_provider, "Organization", Reason::NoOrganization, context)?,
        organization_name: encounter.service_provider.display.clone(),
        start: instant::parse(start).ok_or(Reason::NoStart)?,
        service: Service::of_encounter(encounter.class.code.as_deref().unwrap_or_default(), kinds),
    })
}

/// Only active claims for something done; requests for an estimate or an approval move no money.
fn check_claim(status: &str, purpose: &str) -> Result<(), Reason> {
    if status != "active" {
        return Err(Reason::NotActive);
    }
    if purpose == "claim" { Ok(()) } else { Err(Reason::NotAClaim) }
}

fn bill(claim: &fhir::Claim, context: &Context<'_>) -> Result<Bill, Reason> {
    check_claim(&claim.status, &claim.purpose)?;
    let provider = match &claim.provider {
        fhir::Reference { reference: None, identifier: None, .. } => None,
        reference if is_contained_person(reference, context) => None,
        reference => Some(must(reference, "Organization", Reason::NoOrganization, context)?),
    };
    let mut encounters: Vec<Link> = Vec::new();
    for reference in claim.item.iter().flat_map(|item| &item.encounter) {
        let link = must(reference, "Encounter", Reason::BadReference, context)?;
        if !encounters.contains(&link) {
            encounters.push(link);
        }
    }
    let insurance = claim.insurance.iter().find(|insurance| insurance.focal).or(claim.insurance.first());
    Ok(Bill {
        provider,
        provider_name: claim.provider.display.clone(),
        encounters,
        service: Service::of_claim(claim.kind.codes()),
        performed: performed(&claim.billable_period),
        coverage: insurance.map(|insurance| coverage(&insurance.coverage, context)).unwrap_or_default(),
        total: amount(claim.total.as_ref().ok_or(Reason::NoAmount)?)?,
    })
}

/// The days of a period; the one on which it begins, where its end is not said.
fn performed(period: &fhir::Period) -> Option<Window> {
    let first = instant::parse(period.start.as_deref()?)?;
    let last = period.end.as_deref().and_then(instant::parse);
    Some(instant::days(first, last.unwrap_or(first)))
}

fn is_contained_person(reference: &fhir::Reference, context: &Context<'_>) -> bool {
    let inside = reference.reference.as_deref().and_then(|text| text.strip_prefix('#'));
    let contained = inside.and_then(|id| context.contained(id));
    contained.is_some_and(|one| matches!(one.resource_type.as_str(), "Practitioner" | "PractitionerRole"))
}

fn coverage(reference: &fhir::Reference, context: &Context<'_>) -> Coverage {
    let link = context.link(reference, "Coverage");
    let inside = reference.reference.as_deref().and_then(|text| text.strip_prefix('#'));
    let contained = inside.and_then(|id| context.contained(id)).and_then(fhir::Contained::coverage);
    let contained = contained.map(|coverage| insurance(&coverage, context));
    Coverage {
        is_unreadable: reference.reference.is_some() && link.is_none() && contained.is_none(),
        link,
        label: reference.display.clone(),
        contained,
    }
}

fn insurance(coverage: &fhir::Coverage, context: &Context<'_>) -> Insurance {
    let payer = |payer: &fhir::Reference| (context.link(payer, "Organization"), payer.display.clone());
    Insurance {
        payers: coverage.payor.iter().map(payer).collect(),
        is_self_paid: coverage.kind.codes().any(|code| code == "PAY"),
    }
}

fn answer(benefit: &fhir::ExplanationOfBenefit, context: &Context<'_>) -> Result<Answer, Reason> {
    check_claim(&benefit.status, &benefit.purpose)?;
    let said = benefit.payment.as_ref().and_then(|payment| payment.amount.as_ref());
    let payment = said.and_then(|said| amount(said).ok());
    Ok(Answer {
        claim: must(&benefit.claim, "Claim", Reason::NoClaim, context)?,
        created: benefit.created.as_deref().and_then(instant::parse),
        payment,
        has_unfit_payment: said.is_some() && payment.is_none(),
    })
}

fn record(kind: &str, json: &str, context: &Context<'_>) -> Result<Content, Reason> {
    let mut category = codes::category(kind).ok_or(Reason::NotUsed)?;
    if matches!(kind, "DiagnosticReport" | "Observation") {
        let fhir::Categorised { category: concepts } = parsed(json)?;
        category = codes::refined(category, concepts.iter().flat_map(fhir::CodeableConcept::codes));
    }
    let clinical: fhir::Clinical = parsed(json)?;
    let reference = clinical.encounter.ok_or(Reason::NoEncounter)?;
    let encounter = must(&reference, "Encounter", Reason::NoEncounter, context)?;
    Ok(Content::Record { category, encounter })
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
