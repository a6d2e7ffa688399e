//! From FHIR's codes to the ledger's coarse ones. What a patient had or got cannot be read off them.

use std::collections::BTreeSet;

use yilian_spec::base::id::ServiceCode;
use yilian_spec::domain::access::Category;
use yilian_spec::domain::referral::Urgency;
use yilian_spec::settlement::PartRole;

/// A kind of service, as the ledger is told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// A visit.
    Ambulatory,
    /// A check-up.
    Wellness,
    /// An outpatient procedure.
    Outpatient,
    /// Urgent care.
    UrgentCare,
    /// An emergency.
    Emergency,
    /// A stay.
    Inpatient,
    /// A stay of a day.
    ShortStay,
    /// Observation before a decision.
    Observation,
    /// A visit at home.
    Home,
    /// A visit by telephone or video.
    Virtual,
    /// Care outside any building.
    Field,
    /// Medicines, prescribed or dispensed.
    Pharmacy,
    /// Dental care.
    Dental,
    /// Eye care and glasses.
    Vision,
    /// Anything else.
    Other,
}

impl Service {
    /// All of them; the agreements that the import proposes cover all.
    pub const ALL: [Self; 15] = [
        Self::Ambulatory,
        Self::Wellness,
        Self::Outpatient,
        Self::UrgentCare,
        Self::Emergency,
        Self::Inpatient,
        Self::ShortStay,
        Self::Observation,
        Self::Home,
        Self::Virtual,
        Self::Field,
        Self::Pharmacy,
        Self::Dental,
        Self::Vision,
        Self::Other,
    ];

    /// The code on the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ambulatory => "ambulatory",
            Self::Wellness => "wellness",
            Self::Outpatient => "outpatient",
            Self::UrgentCare => "urgent-care",
            Self::Emergency => "emergency",
            Self::Inpatient => "inpatient",
            Self::ShortStay => "short-stay",
            Self::Observation => "observation",
            Self::Home => "home",
            Self::Virtual => "virtual",
            Self::Field => "field",
            Self::Pharmacy => "pharmacy",
            Self::Dental => "dental",
            Self::Vision => "vision",
            Self::Other => "other",
        }
    }

    /// The code on the ledger.
    pub fn code(self) -> ServiceCode {
        ServiceCode::new(self.name()).expect("the names above are slugs")
    }

    /// All codes.
    pub fn codes() -> BTreeSet<ServiceCode> {
        Self::ALL.into_iter().map(Self::code).collect()
    }

    /// The part that a provider plays in it.
    pub fn part(self) -> PartRole {
        if self == Self::Pharmacy { PartRole::Pharmacy } else { PartRole::Primary }
    }

    /// How soon a referral to it needs an answer.
    pub fn urgency(self) -> Urgency {
        match self {
            Self::Emergency => Urgency::Emergency,
            Self::UrgentCare => Urgency::Urgent,
            _ => Urgency::Routine,
        }
    }

    /// From an encounter's class (HL7 v3 ActEncounterCode) and the SNOMED CT codes of its type, which tell check-ups,
    /// outpatient procedures and urgent care from other ambulatory visits.
    pub fn of_encounter<'a>(class: &str, kinds: impl IntoIterator<Item = &'a str>) -> Self {
        match class {
            "EMER" => Self::Emergency,
            "IMP" | "ACUTE" | "NONAC" | "inpatient" => Self::Inpatient,
            "SS" => Self::ShortStay,
            "OBSENC" => Self::Observation,
            "HH" => Self::Home,
            "VR" => Self::Virtual,
            "FLD" => Self::Field,
            "AMB" | "outpatient" => {
                let known = |kind: &str| match kind {
                    "185349003" | "162673000" | "410620009" | "390906007" => Some(Self::Wellness),
                    "371883000" => Some(Self::Outpatient),
                    "702927004" => Some(Self::UrgentCare),
                    _ => None,
                };
                kinds.into_iter().find_map(known).unwrap_or(Self::Ambulatory)
            }
            _ => Self::Other,
        }
    }

    /// From a claim's type (<http://hl7.org/fhir/R4/valueset-claim-type.html>), where it says more than the encounter.
    pub fn of_claim<'a>(kinds: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        kinds.into_iter().find_map(|kind| match kind {
            "pharmacy" => Some(Self::Pharmacy),
            "oral" => Some(Self::Dental),
            "vision" => Some(Self::Vision),
            _ => None,
        })
    }
}

/// The category of a clinical resource by its type; `None` for what is no record of a patient.
pub fn category(resource_type: &str) -> Option<Category> {
    Some(match resource_type {
        "Condition" => Category::ProblemList,
        "DiagnosticReport" => Category::Laboratory,
        "Observation" => Category::VitalSigns,
        "ImagingStudy" | "Media" => Category::Imaging,
        "MedicationRequest" | "MedicationAdministration" | "MedicationStatement" | "MedicationDispense" => {
            Category::Medication
        }
        "Procedure" => Category::Procedure,
        "Immunization" => Category::Immunization,
        "AllergyIntolerance" => Category::Allergy,
        "CarePlan" | "CareTeam" | "Goal" => Category::CarePlan,
        _ => return None,
    })
}

/// The category of a report or an observation by its own categories (HL7 v2-0074, observation-category).
pub fn refined<'a>(category: Category, codes: impl IntoIterator<Item = &'a str>) -> Category {
    codes
        .into_iter()
        .find_map(|code| match code {
            "RAD" | "IMG" | "imaging" | "RUS" | "CT" | "NMR" => Some(Category::Imaging),
            "LAB" | "laboratory" => Some(Category::Laboratory),
            "vital-signs" => Some(Category::VitalSigns),
            "GE" => Some(Category::Genomic),
            _ => None,
        })
        .unwrap_or(category)
}

const _: () = assert!(Service::ALL.len() <= yilian_spec::base::limits::SERVICES_PER_TERMS_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_its_own_code() {
        assert_eq!(Service::codes().len(), Service::ALL.len());
    }

    #[test]
    fn encounters_are_told_apart_by_class_then_type() {
        let of = |class, kinds: &[&'static str]| Service::of_encounter(class, kinds.iter().copied());
        assert_eq!(of("AMB", &["185349003"]), Service::Wellness);
        assert_eq!(of("AMB", &["1", "371883000"]), Service::Outpatient);
        assert_eq!(of("AMB", &[]), Service::Ambulatory);
        assert_eq!(of("EMER", &["185349003"]), Service::Emergency);
        assert_eq!(of("", &[]), Service::Other);
    }

    #[test]
    fn reports_are_told_apart_by_their_category() {
        assert_eq!(refined(Category::Laboratory, ["RAD"]), Category::Imaging);
        assert_eq!(refined(Category::VitalSigns, ["survey", "laboratory"]), Category::Laboratory);
        assert_eq!(refined(Category::VitalSigns, ["survey"]), Category::VitalSigns);
    }
}
