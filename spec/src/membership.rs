//! Institutions, the roles of their keys, and the set of validators.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wincode::{SchemaRead, SchemaWrite};

use crate::codec::{self, Domain};
use crate::id::{ConsortiumId, Hash, InstitutionId};
use crate::signature::PublicKey;
use crate::time::{LedgerTime, Window};

/// What an institution is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, SchemaRead, SchemaWrite,
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
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, SchemaRead, SchemaWrite,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(deny_unknown_fields)]
pub struct Institution {
    /// Its identifier.
    pub id: InstitutionId,
    /// Its name for people, at most [`crate::limits::NAME_LENGTH_MAX`] bytes.
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
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, SchemaRead, SchemaWrite,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// The institution that owns it.
    pub institution: InstitutionId,
    /// What it may do.
    pub role: Role,
    /// When it may act.
    pub window: Window,
    /// Since when it may no longer act, if it was revoked or rotated away.
    pub revoked_at: Option<LedgerTime>,
}

/// A member of the validator set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(deny_unknown_fields)]
pub struct Validator {
    /// The key that signs its votes; also its address.
    pub key: PublicKey,
    /// The institution that runs it.
    pub institution: InstitutionId,
    /// Its voting power.
    pub power: u64,
}

/// The validators of a height, sorted by key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(transparent)]
pub struct ValidatorSet(Vec<Validator>);

impl ValidatorSet {
    /// Makes a set in canonical order.
    pub fn new(mut validators: Vec<Validator>) -> Self {
        validators.sort();
        Self(validators)
    }

    /// The validators, sorted by key.
    pub fn validators(&self) -> &[Validator] {
        &self.0
    }

    /// Whether the set is sorted by key, without repeats, not empty, within bounds, and every power counts (rule B-2).
    pub fn is_well_formed(&self) -> bool {
        !self.0.is_empty()
            && self.0.len() <= crate::limits::VALIDATORS_MAX
            && self.0.windows(2).all(|pair| pair[0].key < pair[1].key)
            && self.0.iter().all(|validator| validator.power > 0 && validator.power <= u64::from(u32::MAX))
    }

    /// The validator with this key.
    pub fn get(&self, key: &PublicKey) -> Option<&Validator> {
        self.0.iter().find(|validator| validator.key == *key)
    }

    /// The sum of all voting powers.
    pub fn total_power(&self) -> u64 {
        self.0.iter().map(|validator| validator.power).sum()
    }

    /// The hash that headers carry.
    pub fn hash(&self) -> Hash {
        codec::hash(Domain::Validators, self)
    }
}
