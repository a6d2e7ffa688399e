//! Access to records: grants, their revocation, disclosures by the source, receipts by the recipient.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::id::{Commitment, DisclosureId, GrantId, InstitutionId, SubjectTag};
use crate::base::time::Window;

/// A coarse category of records. No diagnosis, no free text.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    SchemaRead,
    SchemaWrite,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Summary of a stay or a visit.
    EncounterSummary,
    /// Problems and diagnoses.
    ProblemList,
    /// Laboratory results.
    Laboratory,
    /// Images and their reports.
    Imaging,
    /// Medication.
    Medication,
    /// Procedures and operations.
    Procedure,
    /// Immunisations.
    Immunization,
    /// Allergies and intolerances.
    Allergy,
    /// Vital signs and measurements.
    VitalSigns,
    /// Care plans and goals.
    CarePlan,
    /// Claims and bills.
    Billing,
    /// Genetic data.
    Genomic,
    /// Mental health.
    MentalHealth,
}

/// HL7 Confidentiality (`http://terminology.hl7.org/CodeSystem/v3-Confidentiality`), in ascending order.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    SchemaRead,
    SchemaWrite,
    ToSchema,
)]
pub enum Sensitivity {
    /// Unrestricted.
    U,
    /// Low.
    L,
    /// Moderate.
    M,
    /// Normal.
    N,
    /// Restricted.
    R,
    /// Very restricted.
    V,
}

/// HL7 PurposeOfUse (`http://terminology.hl7.org/CodeSystem/v3-ActReason`).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    SchemaRead,
    SchemaWrite,
    ToSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Purpose {
    /// Treatment.
    Treat,
    /// Emergency treatment.
    Etreat,
    /// Payment.
    Hpaymt,
    /// Operations.
    Hoperat,
    /// Research.
    Hresch,
    /// Public health.
    Pubhlth,
    /// The patient's own request.
    Patrqt,
    /// Coordination of care.
    Coc,
    /// Legal.
    Hlegal,
}

/// Allows another institution to see records of one subject.
///
/// By an access gateway of the custodian (the grantor). Needs: a registered grantee that is not the grantor itself, at
/// least one category and one purpose, and a window not longer than [`crate::base::limits::GRANT_LIFETIME_MS_MAX`]. Creates
/// a grant; its id is [`super::Operation::object_id`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantAccess {
    /// Whose records.
    pub subject: SubjectTag,
    /// Who may see them.
    pub grantee: InstitutionId,
    /// What may be seen, how sensitive, and what for.
    pub scope: AccessScope,
    /// When.
    pub window: Window,
    /// Commitment to the consent document.
    pub consent: Commitment,
}

/// What a grant covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessScope {
    /// The categories that may be seen.
    pub categories: BTreeSet<Category>,
    /// The highest sensitivity that may be seen.
    pub highest_sensitivity: Sensitivity,
    /// The purposes that are allowed.
    pub purposes: BTreeSet<Purpose>,
}

/// Why a grant is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantRevocationReason {
    /// The subject withdrew the consent.
    ConsentWithdrawn,
    /// The treatment it served has ended.
    TreatmentEnded,
    /// It was given by mistake.
    Mistake,
}

/// Ends a grant at once. By the grantor. Needs: a grant that is neither revoked nor ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeGrant {
    /// The grant.
    pub grant: GrantId,
    /// Why.
    pub reason: GrantRevocationReason,
}

/// Why the source did not disclose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DenialReason {
    /// There is no grant for the recipient.
    NoGrant,
    /// The grant does not cover what was asked for.
    OutsideGrant,
    /// The person who asked has no business with the patient.
    NoTreatmentRelation,
    /// The source holds no such records.
    NoRecords,
}

/// What the source decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The records were disclosed under this grant.
    Permit {
        /// The grant that allows it.
        grant: GrantId,
    },
    /// The records were not disclosed.
    Deny {
        /// Why.
        reason: DenialReason,
    },
}

/// Records that the source disclosed, or refused to disclose, records to a recipient.
///
/// By an access gateway of the source. A permit needs a grant by the source to the recipient for this subject, in its
/// window, not revoked, that covers category, sensitivity and purpose. A permit that the grant does not cover is
/// refused, and the refused attempt stays in the subject's stream with its reason. Creates a disclosure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordDisclosure {
    /// Whose records.
    pub subject: SubjectTag,
    /// Who asked for them.
    pub recipient: InstitutionId,
    /// The category.
    pub category: Category,
    /// How sensitive they are.
    pub sensitivity: Sensitivity,
    /// What for.
    pub purpose: Purpose,
    /// Commitment to what was disclosed or asked for.
    pub content: Commitment,
    /// What the source decided.
    pub decision: Decision,
    /// Commitment to the natural person who acted for the source, where it is to be shown later. The law may ask for it: (EU)
    /// 2025/327, Annex II 3.2.
    pub acting_person: Option<Commitment>,
    /// Commitment to where the records come from, where it is to be shown later.
    pub origin: Option<Commitment>,
}

/// Records that the recipient received what was disclosed.
///
/// By an access gateway of the recipient. Needs: a permitted disclosure to it that has no receipt yet, and the same
/// commitment. A disclosure without receipt past its deadline is a visible exception.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordReceipt {
    /// The disclosure.
    pub disclosure: DisclosureId,
    /// Commitment to what was received.
    pub content: Commitment,
    /// Commitment to the natural person who received it for the recipient, where it is to be shown later.
    pub acting_person: Option<Commitment>,
}
