//! The genesis: the first institutions, keys and validators, and the parameters. Its hash names the ledger.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use wincode::{SchemaRead, SchemaWrite};

use crate::codec::{self, Domain};
use crate::domain::membership::{Institution, Role};
use crate::id::{ChainId, InstitutionId};
use crate::limits;
use crate::signature::{KeyError, PublicKey};
use crate::time::{LedgerTime, Window};
use crate::validators::ValidatorSet;

/// A key that exists from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(deny_unknown_fields)]
pub struct GenesisInstitution {
    /// The institution.
    pub institution: Institution,
    /// Its keys.
    pub keys: Vec<GenesisKey>,
}

/// What the members may set, the same for all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Transactions in one block, at most [`limits::TRANSACTIONS_PER_BLOCK_MAX`].
    pub block_transactions_max: u32,
    /// Encoded size of one block in bytes, at most [`limits::BLOCK_BYTES_MAX`].
    pub block_bytes_max: u32,
    /// How long a recipient has to record the receipt of a disclosure.
    pub receipt_deadline_ms: u64,
    /// How long a referral may wait for an answer.
    pub referral_answer_deadline_ms: u64,
    /// How long an accepted referral may wait for the hand-over.
    pub referral_handover_deadline_ms: u64,
    /// How long a hand-over may wait for its acknowledgement.
    pub referral_acknowledge_deadline_ms: u64,
    /// How long a case may be in care before its outcome is reported.
    pub referral_outcome_deadline_ms: u64,
    /// How long either closure may take.
    pub referral_closure_deadline_ms: u64,
    /// How long the access that an accepted referral gives may last at most.
    pub referral_access_ms: u64,
}

const HOUR_MS: u64 = 60 * 60 * 1_000;
const DAY_MS: u64 = 24 * HOUR_MS;

impl Default for Parameters {
    fn default() -> Self {
        Self {
            block_transactions_max: 5_000,
            block_bytes_max: 2 << 20,
            receipt_deadline_ms: DAY_MS,
            referral_answer_deadline_ms: 3 * DAY_MS,
            referral_handover_deadline_ms: 7 * DAY_MS,
            referral_acknowledge_deadline_ms: DAY_MS,
            referral_outcome_deadline_ms: 30 * DAY_MS,
            referral_closure_deadline_ms: 14 * DAY_MS,
            referral_access_ms: 90 * DAY_MS,
        }
    }
}

/// The first state of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The ledger's name for people.
    pub network: String,
    /// Ledger time before the first block.
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
    /// Rule G-10.
    #[error(
        "a parameter is 0 or above its limit: blocks of at most {} transactions and {} bytes",
        limits::TRANSACTIONS_PER_BLOCK_MAX,
        limits::BLOCK_BYTES_MAX
    )]
    Parameters,
}

impl Genesis {
    /// The ledger's id.
    pub fn chain_id(&self) -> ChainId {
        ChainId(codec::hash(Domain::Genesis, self).0)
    }

    /// Checks rules G-1 to G-10.
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
        self.parameters.check()
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

impl Parameters {
    fn check(&self) -> Result<(), GenesisError> {
        let within = |value: u32, limit: usize| value > 0 && value as usize <= limit;
        let deadlines = [
            self.receipt_deadline_ms,
            self.referral_answer_deadline_ms,
            self.referral_handover_deadline_ms,
            self.referral_acknowledge_deadline_ms,
            self.referral_outcome_deadline_ms,
            self.referral_closure_deadline_ms,
            self.referral_access_ms,
        ];
        let bounded = deadlines.iter().all(|ms| (1..=limits::GRANT_LIFETIME_MS_MAX).contains(ms));
        let blocks = within(self.block_transactions_max, limits::TRANSACTIONS_PER_BLOCK_MAX)
            && within(self.block_bytes_max, limits::BLOCK_BYTES_MAX)
            && self.block_bytes_max as usize > limits::TRANSACTION_BYTES_MAX + limits::HEADER_BYTES_MAX;
        if bounded && blocks { Ok(()) } else { Err(GenesisError::Parameters) }
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
