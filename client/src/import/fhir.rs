//! The few fields of FHIR R4 resources that the import reads (<https://hl7.org/fhir/R4/>). Amounts stay text.

use serde::Deserialize;
use serde_json::value::RawValue;

/// What every resource begins with. What only some references need stays text until one does.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head<'a> {
    pub resource_type: String,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(borrow, default)]
    pub meta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub contained: Option<&'a RawValue>,
}

impl Head<'_> {
    /// When the server last changed the resource, as it says.
    pub fn last_updated(&self) -> Option<String> {
        serde_json::from_str::<Meta>(self.meta?.get()).ok()?.last_updated
    }

    /// The resources inside it, as far as they have the form that is expected of them.
    pub fn contained(&self) -> Vec<Contained> {
        let all = self.contained.and_then(|list| serde_json::from_str::<Vec<&RawValue>>(list.get()).ok());
        all.into_iter().flatten().filter_map(|one| serde_json::from_str(one.get()).ok()).collect()
    }
}

/// What a server says about a version of a resource.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    #[serde(default)]
    pub last_updated: Option<String>,
}

/// A resource inside another one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contained {
    #[serde(default)]
    pub resource_type: String,
    #[serde(default)]
    pub id: Option<String>,
    /// A list in most types, one in some.
    #[serde(default)]
    pub identifier: Option<OneOrMany<Identifier>>,
    #[serde(default)]
    pub payor: Vec<Reference>,
    #[serde(default, rename = "type")]
    pub kind: Option<Box<RawValue>>,
}

impl Contained {
    /// It as a coverage, where it is one.
    pub fn coverage(&self) -> Option<Coverage> {
        let kind =
            self.kind.as_ref().and_then(|kind| serde_json::from_str(kind.get()).ok()).unwrap_or_default();
        (self.resource_type == "Coverage").then(|| Coverage { kind, payor: self.payor.clone() })
    }

    /// Its identifiers.
    pub fn identifiers(&self) -> &[Identifier] {
        match &self.identifier {
            None => &[],
            Some(OneOrMany::One(one)) => std::slice::from_ref(one),
            Some(OneOrMany::Many(many)) => many,
        }
    }
}

/// A value, or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

/// A reference to another resource, or only its name.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Reference {
    #[serde(default)]
    pub reference: Option<String>,
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    #[serde(default)]
    pub identifier: Option<Identifier>,
    #[serde(default)]
    pub display: Option<String>,
}

/// A code of some system.
#[derive(Debug, Default, Deserialize)]
pub struct Coding {
    #[serde(default)]
    pub code: Option<String>,
}

/// A concept by its codes.
#[derive(Debug, Default, Deserialize)]
pub struct CodeableConcept {
    #[serde(default)]
    pub coding: Vec<Coding>,
}

impl CodeableConcept {
    /// The codes.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.coding.iter().filter_map(|coding| coding.code.as_deref())
    }
}

/// A stretch of time.
#[derive(Debug, Default, Deserialize)]
pub struct Period {
    #[serde(default)]
    pub start: Option<String>,
    #[serde(default)]
    pub end: Option<String>,
}

/// An amount, its value as the text that stands in the file.
#[derive(Debug, Deserialize)]
pub struct Money {
    #[serde(default)]
    pub value: Option<Box<RawValue>>,
    #[serde(default)]
    pub currency: Option<String>,
}

/// A business identifier.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Identifier {
    #[serde(default)]
    pub system: Option<String>,
    #[serde(default)]
    pub value: Option<String>,
}

/// <https://hl7.org/fhir/R4/organization.html>
#[derive(Debug, Deserialize)]
pub struct Organization {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub identifier: Vec<Identifier>,
}

/// <https://hl7.org/fhir/R4/patient.html>
#[derive(Debug, Deserialize)]
pub struct Patient {
    #[serde(default)]
    pub identifier: Vec<Identifier>,
}

/// <https://hl7.org/fhir/R4/practitionerrole.html>
#[derive(Debug, Deserialize)]
pub struct PractitionerRole {
    #[serde(default)]
    pub organization: Reference,
}

/// <https://hl7.org/fhir/R4/coverage.html>
#[derive(Debug, Deserialize)]
pub struct Coverage {
    #[serde(default, rename = "type")]
    pub kind: CodeableConcept,
    #[serde(default)]
    pub payor: Vec<Reference>,
}

/// <https://hl7.org/fhir/R4/encounter.html>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Encounter {
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub class: Coding,
    #[serde(default, rename = "type")]
    pub kinds: Vec<CodeableConcept>,
    #[serde(default)]
    pub subject: Reference,
    #[serde(default)]
    pub period: Period,
    #[serde(default)]
    pub service_provider: Reference,
}

/// <https://hl7.org/fhir/R4/claim.html>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    #[serde(default)]
    pub status: String,
    #[serde(default, rename = "use")]
    pub purpose: String,
    #[serde(default, rename = "type")]
    pub kind: CodeableConcept,
    #[serde(default)]
    pub provider: Reference,
    #[serde(default)]
    pub insurance: Vec<Insurance>,
    #[serde(default)]
    pub item: Vec<ClaimItem>,
    #[serde(default)]
    pub billable_period: Period,
    #[serde(default)]
    pub total: Option<Money>,
}

/// Who is asked to pay.
#[derive(Debug, Deserialize)]
pub struct Insurance {
    #[serde(default)]
    pub focal: bool,
    #[serde(default)]
    pub coverage: Reference,
}

/// A line of a claim.
#[derive(Debug, Deserialize)]
pub struct ClaimItem {
    #[serde(default)]
    pub encounter: Vec<Reference>,
}

/// <https://hl7.org/fhir/R4/explanationofbenefit.html>
#[derive(Debug, Deserialize)]
pub struct ExplanationOfBenefit {
    #[serde(default)]
    pub status: String,
    #[serde(default, rename = "use")]
    pub purpose: String,
    #[serde(default)]
    pub created: Option<String>,
    #[serde(default)]
    pub claim: Reference,
    #[serde(default)]
    pub payment: Option<Payment>,
}

/// What was paid.
#[derive(Debug, Deserialize)]
pub struct Payment {
    #[serde(default)]
    pub amount: Option<Money>,
}

/// What all clinical records have: the encounter they were made in. Some resources call it `context`.
#[derive(Debug, Deserialize)]
pub struct Clinical {
    #[serde(default, alias = "context")]
    pub encounter: Option<Reference>,
}

/// The categories of a report or an observation, which tell images and vital signs from laboratory results.
#[derive(Debug, Deserialize)]
pub struct Categorised {
    #[serde(default)]
    pub category: Vec<CodeableConcept>,
}
