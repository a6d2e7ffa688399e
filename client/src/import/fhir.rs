//! The few fields of FHIR R4 resources that the import reads (<https://hl7.org/fhir/R4/>). Amounts stay text.

use serde::Deserialize;
use serde_json::value::RawValue;

/// What every resource begins with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    pub resource_type: String,
    #[serde(default)]
    pub id: Option<String>,
}

/// A reference to another resource, or only its name.
#[derive(Debug, Default, Deserialize)]
pub struct Reference {
    #[serde(default)]
    pub reference: Option<String>,
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

/// A stretch of time; only its beginning is read.
#[derive(Debug, Default, Deserialize)]
pub struct Period {
    #[serde(default)]
    pub start: Option<String>,
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
#[derive(Debug, Default, Deserialize)]
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
