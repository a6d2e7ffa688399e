//! What the import leaves out, and why; and what it notes about what it takes.

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
    /// The same resource was read before.
    Repeated,
    /// Two resources of this base, type and id differ, and neither says that it is the later one.
    Contradicted,
    /// An entry of a bundle without a resource, such as an answer.
    NoResource,
    /// An entry of a bundle that asks for a deletion; the import follows none.
    Deletion,
    /// A reference in it has none of the forms that FHIR knows.
    BadReference,
    /// A reference in it points to a resource of a type that does not belong there.
    OtherKind,
    /// A reference in it could mean several resources of one type and id, at different bases or in different bundles.
    Ambiguous,
    /// What the patient is called by cannot be a record number of the link table.
    UnfitPatientId,
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
    /// The amount has no currency, or one that nobody pays with.
    NoCurrency,
    /// The amount is negative, larger than the ledger takes, or no decimal.
    AmountOutOfBounds,
    /// The explanation of benefit names no claim.
    NoClaim,
    /// The claim that it explains is not among those imported.
    UnknownClaim,
    /// A later explanation answers the same claim, or a later version of the resource was read.
    Superseded,
    /// The mapping does not say which institution the organisation is.
    NotMapped,
    /// The mapping does not say who pays under the coverage.
    PayerNotMapped,
    /// Nobody insures the patient: the claim is no member's debt.
    Uninsured,
}

impl Reason {
    /// The reason for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::NoId => "no id, or not one of FHIR's form",
            Self::Repeated => "read before, and the same",
            Self::Contradicted => "read twice with different content, neither of a later date: none counts",
            Self::NoResource => "an entry without a resource",
            Self::Deletion => "a request to delete, which the import does not follow",
            Self::BadReference => "a reference that FHIR does not know",
            Self::OtherKind => "refers to a resource of another type than belongs there",
            Self::Ambiguous => "refers to an id that several resources have",
            Self::UnfitPatientId => "what calls the patient is too long for the link table, or no plain text",
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
            Self::NoCurrency => "has no currency, or one that nobody pays with",
            Self::AmountOutOfBounds => "the amount is negative, too large or no decimal",
            Self::NoClaim => "names no claim",
            Self::UnknownClaim => "its claim is not among those imported",
            Self::Superseded => "a later one counts",
            Self::NotMapped => "its organisation is not in the mapping",
            Self::PayerNotMapped => "its coverage is not in the mapping",
            Self::Uninsured => "nobody insures the patient: no member owes it",
        }
    }
}

/// What is worth knowing about something that counts all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// The order of visits to several institutions is not certain: no referral between them.
    OrderUnclear,
    /// Two explanations answer a claim and neither is certainly the later one.
    LatestUnclear,
    /// What an answer pays is in another currency than its claim, or out of bounds.
    PaymentUnfit,
    /// The encounter that a claim bills is not among those imported.
    EncounterMissing,
    /// No claim that a member pays bills the encounter: no payer is told of it.
    NotBilled,
}

impl Note {
    /// The note for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::OrderUnclear => "next to a visit elsewhere, and which came first is not clear: no referral",
            Self::LatestUnclear => "another answers the same claim, and which is the later one is not clear",
            Self::PaymentUnfit => {
                "what it pays is in another currency than its claim, or no amount: not counted as paid"
            }
            Self::NotBilled => "no claim that a member pays bills it: no payer is told of it",
            Self::EncounterMissing => "a service without its encounter, which is not among those imported",
        }
    }
}

/// How often one reason applied to one type of resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted<R> {
    /// The type of the resource.
    pub resource: String,
    /// Why.
    pub reason: R,
    /// How many.
    pub count: u64,
    /// Where some of them stand.
    pub examples: Vec<String>,
}

/// What was left out for one reason.
pub type Skipped = Counted<Reason>;
/// What was noted.
pub type Noted = Counted<Note>;

/// Counts by type of resource and reason.
#[derive(Debug, Clone)]
pub struct Tallies<R>(BTreeMap<(String, R), (u64, Vec<String>)>);

/// All that was left out.
pub type Skips = Tallies<Reason>;
/// All that was noted.
pub type Notes = Tallies<Note>;

impl<R> Default for Tallies<R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<R: Copy + Ord> Tallies<R> {
    /// Counts one.
    pub fn add(&mut self, resource: &str, reason: R, place: &Place) {
        let (count, examples) = self.0.entry((resource.to_owned(), reason)).or_default();
        *count += 1;
        if examples.len() < limits::EXAMPLES_PER_REASON_MAX {
            examples.push(place.to_string());
        }
    }

    /// The list, by type and reason.
    pub fn list(&self) -> Vec<Counted<R>> {
        let one = |((resource, reason), (count, examples)): (&(String, R), &(u64, Vec<String>))| Counted {
            resource: resource.clone(),
            reason: *reason,
            count: *count,
            examples: examples.clone(),
        };
        self.0.iter().map(one).collect()
    }

    /// How many of a type.
    pub fn of(&self, resource: &str) -> u64 {
        self.0.iter().filter(|((of, _), _)| of == resource).map(|(_, (count, _))| count).sum()
    }
}
