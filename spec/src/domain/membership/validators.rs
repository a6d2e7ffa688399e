//! The validators of a height, and what of their voting power decides.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::codec::{self, Domain};
use crate::base::id::{Hash, InstitutionId};
use crate::crypto::signature::PublicKey;

/// A member of the validator set.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema,
)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
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
            && self.0.len() <= crate::base::limits::VALIDATORS_MAX
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
