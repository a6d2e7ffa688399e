//! The genesis: the first institutions, keys and validators, and the parameters. Its hash names the ledger.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::codec::{self, Domain};
use crate::base::height::Height;
use crate::base::id::{ChainId, InstitutionId};
use crate::base::limits;
use crate::base::time::{DAY_MS, LedgerTime, Window};
use crate::base::version::UnknownVersion;
use crate::crypto::signature::{KeyError, PublicKey};
use crate::domain::membership::validators::ValidatorSet;
use crate::domain::membership::{Institution, Role};
use crate::domain::parameters::Parameters;

/// A key that exists from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GenesisKey {
    /// The key.
    pub key: PublicKey,
    /// What it may do.
    pub role: Role,
    /// When it may act.
    pub window: Window,
}

/// An institution that belongs to the ledger from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GenesisInstitution {
    /// The institution.
    pub institution: Institution,
    /// Its keys.
    pub keys: Vec<GenesisKey>,
}

/// The first state of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The ledger's name for people.
    pub network: String,
    /// Ledger time before the first block.
    #[serde(rename = "time_ms")]
    pub time: LedgerTime,
    /// The parameters.
    pub parameters: Parameters,
    /// The institutions, sorted by id.
    pub institutions: Vec<GenesisInstitution>,
    /// The validators.
    pub validators: ValidatorSet,
}

/// Why a genesis is refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum GenesisError {
    /// Rule G-1.
    #[error("the network's name needs 1 to {} bytes", limits::NAME_LENGTH_MAX)]
    NetworkName,
    /// Rule G-2.
    #[error("institutions must be 1 to {}, sorted by id, without repeats", limits::INSTITUTIONS_MAX)]
    Institutions,
    /// Rule G-3.
    #[error(
        "institution {0}: the id, the name or a consortium is malformed, or there are too many consortia"
    )]
    Institution(InstitutionId),
    /// Rule G-4.
    #[error(
        "institution {0}: at most {max} keys, of them at most {nodes} of role node",
        max = limits::GENESIS_KEYS_PER_INSTITUTION_MAX,
        nodes = limits::NODE_KEYS_PER_INSTITUTION_MAX
    )]
    TooManyKeys(InstitutionId),
    /// Rule G-5.
    #[error("key {key}: {reason}")]
    Key {
        /// The key.
        key: PublicKey,
        /// What is wrong with it.
        reason: KeyError,
    },
    /// Rule G-6.
    #[error("key {0} appears twice")]
    RepeatedKey(PublicKey),
    /// Rule G-7.
    #[error("key {0}: its window is empty or longer than {max} days", max = limits::KEY_LIFETIME_MS_MAX / DAY_MS)]
    KeyWindow(PublicKey),
    /// Rule G-8.
    #[error("the validators must be 1 to {}, sorted by key, with power above 0", limits::VALIDATORS_MAX)]
    Validators,
    /// Rule G-9.
    #[error("validator {0} has no validator key of its institution in the genesis")]
    ValidatorKey(PublicKey),
    /// Rule G-11.
    #[error(
        "the versions of the protocol must be 1 to {}, the first from block 1 on, blocks and numbers ascending",
        limits::VERSIONS_MAX
    )]
    Versions,
    /// Rule G-11.
    #[error(transparent)]
    FirstVersion(#[from] UnknownVersion),
    /// Rule G-10.
    #[error(
        "a parameter is 0 or above its limit: blocks of at most {} transactions and {} bytes",
        limits::TRANSACTIONS_PER_BLOCK_MAX,
        limits::BLOCK_BYTES_MAX
    )]
    Parameters,
}

impl Genesis {
    /// Whether it registers a key in this role.
    pub fn names_key(&self, key: &PublicKey, role: Role) -> bool {
        let mut keys = self.institutions.iter().flat_map(|one| &one.keys);
        keys.any(|named| named.key == *key && named.role == role)
    }

    /// The ledger's id.
    pub fn chain_id(&self) -> ChainId {
        ChainId(codec::hash(Domain::Genesis, self).0)
    }

    /// Checks rules G-1 to G-11.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), GenesisError> {
        if self.network.is_empty() || self.network.len() > limits::NAME_LENGTH_MAX {
            return Err(GenesisError::NetworkName);
        }
        let ids = || self.institutions.iter().map(|entry| &entry.institution.id);
        if !(1..=limits::INSTITUTIONS_MAX).contains(&self.institutions.len())
            || !ids().zip(ids().skip(1)).all(|(left, right)| left < right)
        {
            return Err(GenesisError::Institutions);
        }
        self.institutions.iter().try_for_each(check_institution)?;
        self.check_keys()?;
        if !self.validators.is_well_formed() {
            return Err(GenesisError::Validators);
        }
        self.check_validators()?;
        if !self.parameters.versions.is_well_formed() {
            return Err(GenesisError::Versions);
        }
        self.parameters.versions.at(Height(1))?;
        if self.parameters.are_within_bounds() { Ok(()) } else { Err(GenesisError::Parameters) }
    }

    fn keys(&self) -> impl Iterator<Item = (&InstitutionId, &GenesisKey)> {
        self.institutions
            .iter()
            .flat_map(|entry| entry.keys.iter().map(move |key| (&entry.institution.id, key)))
    }

    fn check_keys(&self) -> Result<(), GenesisError> {
        let mut seen = std::collections::BTreeSet::new();
        for (_, key) in self.keys() {
            key.key.check_registrable().map_err(|reason| GenesisError::Key { key: key.key, reason })?;
            if !seen.insert(key.key) {
                return Err(GenesisError::RepeatedKey(key.key));
            }
            let Window { starts, expires } = key.window;
            if !key.window.is_ordered() || expires.0 - starts.0 > limits::KEY_LIFETIME_MS_MAX {
                return Err(GenesisError::KeyWindow(key.key));
            }
        }
        Ok(())
    }

    fn check_validators(&self) -> Result<(), GenesisError> {
        for validator in self.validators.validators() {
            let known = self.keys().any(|(institution, key)| {
                *institution == validator.institution
                    && key.key == validator.key
                    && key.role == Role::Validator
            });
            if !known {
                return Err(GenesisError::ValidatorKey(validator.key));
            }
        }
        Ok(())
    }
}

fn check_institution(entry: &GenesisInstitution) -> Result<(), GenesisError> {
    let Institution { id, name, consortia, .. } = &entry.institution;
    let named = !name.is_empty() && name.len() <= limits::NAME_LENGTH_MAX;
    let consortia_fit = consortia.len() <= limits::CONSORTIA_PER_INSTITUTION_MAX
        && consortia.iter().all(|consortium| consortium.check().is_ok());
    if id.check().is_err() || !named || !consortia_fit {
        return Err(GenesisError::Institution(id.clone()));
    }
    let nodes = entry.keys.iter().filter(|key| key.role == Role::Node).count();
    if entry.keys.len() > limits::GENESIS_KEYS_PER_INSTITUTION_MAX
        || nodes > limits::NODE_KEYS_PER_INSTITUTION_MAX
    {
        return Err(GenesisError::TooManyKeys(id.clone()));
    }
    Ok(())
}
