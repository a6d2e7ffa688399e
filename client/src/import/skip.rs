//! What the import leaves out, and why.

use std::collections::BTreeMap;

use serde::Serialize;

use super::limits;
use super::source::Place;

/// Why a resource, or what would follow from it, is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The resource has no id, or one that FHIR does not allow.
    NoId,
    /// A resource of this type and id was read before.
    Repeated,
    /// A field has another form than FHIR R4 gives it.
    OtherForm,
    /// The type says nothing to the ledger.
    NotUsed,
    /// The encounter is planned, cancelled or entered in error.
    NotTakenPlace,
    /// The encounter has no patient.
    NoPatient,
    /// The encounter or claim names no organisation.
    NoOrganization,
    /// The encounter does not say when it began.
    NoStart,
    /// The record names no encounter.
    NoEncounter,
    /// The encounter that the record or claim names is not among those imported.
    UnknownEncounter,
    /// The claim is not active.
    NotActive,
    /// It asks for an estimate or an approval, and claims nothing.
    NotAClaim,
    /// There is no amount.
    NoAmount,
    /// The amount has no currency.
    NoCurrency,
    /// The amount is negative, larger than the ledger takes, or no decimal.
    AmountOutOfBounds,
    /// The explanation of benefit names no claim.
    NoClaim,
    /// The claim that it explains is not among those imported.
    UnknownClaim,
    /// A later explanation answers the same claim.
    Superseded,
    /// The mapping does not say which institution the organisation is.
    NotMapped,
}

impl Reason {
    /// The reason for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::NoId => "no id, or not one of FHIR's form",
            Self::Repeated => "read before, under the same id",
            Self::OtherForm => "a field is not of FHIR R4's form",
            Self::NotUsed => "not of a type that the import uses",
            Self::NotTakenPlace => "planned, cancelled or entered in error",
            Self::NoPatient => "names no patient",
            Self::NoOrganization => "names no organisation",
            Self::NoStart => "does not say when it began",
            Self::NoEncounter => "names no encounter",
            Self::UnknownEncounter => "its encounter is not among those imported",
            Self::NotActive => "not active",
            Self::NotAClaim => "an estimate or an approval, not a claim",
            Self::NoAmount => "has no amount",
            Self::NoCurrency => "has no currency",
            Self::AmountOutOfBounds => "the amount is negative, too large or no decimal",
            Self::NoClaim => "names no claim",
            Self::UnknownClaim => "its claim is not among those imported",
            Self::Superseded => "a later one answers the same claim",
            Self::NotMapped => "its organisation is not in the mapping",
        }
    }
}

/// How often one reason applied to one type of resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The type of the resource.
    pub resource: String,
    /// Why.
    pub reason: Reason,
    /// How many.
    pub count: u64,
    /// Where the first of them stand.
    pub examples: Vec<String>,
}

/// All that was left out.
#[derive(Debug, Clone, Default)]
pub struct Skips(BTreeMap<(String, Reason), (u64, Vec<String>)>);

impl Skips {
    /// Counts one.
    pub fn add(&mut self, resource: &str, reason: Reason, place: &Place) {
        let (count, examples) = self.0.entry((resource.to_owned(), reason)).or_default();
        *count += 1;
        if examples.len() < limits::EXAMPLES_PER_REASON_MAX {
            examples.push(place.to_string());
        }
    }

    /// The list, by type and reason.
    pub fn list(&self) -> Vec<Skipped> {
        let one = |((resource, reason), (count, examples)): (&(String, Reason), &(u64, Vec<String>))| {
            Skipped { resource: resource.clone(), reason: *reason, count: *count, examples: examples.clone() }
        };
        self.0.iter().map(one).collect()
    }
}
