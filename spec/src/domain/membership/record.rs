//! What the state holds of members: institutions, and keys with their roles.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::id::{ConsortiumId, InstitutionId};
use crate::base::time::{LedgerTime, Window};

/// What an institution is.
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
pub enum InstitutionKind {
    /// A hospital with beds.
    Hospital,
    /// A township health centre, a village clinic, a general practice.
    PrimaryCare,
    /// Reads images for others.
    ImagingCentre,
    /// Runs tests for others.
    Laboratory,
    /// Pays for care: a public fund or a private insurer.
    Insurer,
    /// Makes or distributes medicines.
    PharmaceuticalCompany,
    /// Runs software or logistics between the others.
    Platform,
    /// Oversees: reads everything, decides nothing.
    Regulator,
}

/// The level of care an institution belongs to, where it belongs to one.
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
pub enum Tier {
    /// Village clinic.
    Village,
    /// Township health centre.
    Township,
    /// County hospital.
    County,
    /// City hospital.
    City,
    /// Provincial or teaching hospital.
    Province,
}

/// An institution as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Institution {
    /// Its identifier.
    pub id: InstitutionId,
    /// Its name for people, at most [`crate::base::limits::NAME_LENGTH_MAX`] bytes.
    pub name: String,
    /// What it is.
    pub kind: InstitutionKind,
    /// Its level of care; `None` for payers, platforms and regulators.
    pub tier: Option<Tier>,
    /// The consortia it belongs to.
    pub consortia: BTreeSet<ConsortiumId>,
}

/// What a key may do.
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
pub enum Role {
    /// Votes on blocks.
    Validator,
    /// Identifies a node of the institution to its peers; peers without one get nothing through.
    Node,
    /// Registers, rotates and revokes keys of its institution.
    Administrator,
    /// Records grants, disclosures and receipts.
    AccessGateway,
    /// Moves referrals and publishes capacity.
    ReferralGateway,
    /// Records services, signs agreements, closes periods.
    Finance,
    /// Reads; submits nothing.
    Auditor,
}

impl Role {
    /// All roles, in their order.
    pub const ALL: [Self; 7] = [
        Self::Validator,
        Self::Node,
        Self::Administrator,
        Self::AccessGateway,
        Self::ReferralGateway,
        Self::Finance,
        Self::Auditor,
    ];
}

/// A registered key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// The institution that owns it.
    pub institution: InstitutionId,
    /// What it may do.
    pub role: Role,
    /// When it may act.
    pub window: Window,
    /// Since when it may no longer act, if it was revoked or rotated away.
    #[serde(rename = "revoked_at_ms")]
    pub revoked_at: Option<LedgerTime>,
}
