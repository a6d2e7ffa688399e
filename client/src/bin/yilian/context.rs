//! What a command works with: the profile, the keys it needs, and a client made from both.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use yilian_client::client::clock::ClockWatch;
use yilian_client::client::freshness::Freshness;
use yilian_client::client::{Client, Settings, Signers};
use yilian_client::config::{self, Config, Profile};
use yilian_client::error::ClientError;
use yilian_client::limits;
use yilian_client::session::Session;
use yilian_client::subject::SubjectTable;
use yilian_local::durable;
use yilian_local::keyfile::{self, Key};
use yilian_local::moment;
use yilian_local::passphrase::{self, PassphraseSource};
use yilian_spec::base::id::{InstitutionId, SubjectTag};
use yilian_spec::base::json;
use yilian_spec::domain::membership::Role;
use yilian_spec::proof::Checkpoint;

use crate::failure::Failure;
use crate::global::Global;

/// How long another process may hold the subject table.
const SUBJECT_TABLE_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

/// Options and profile, together.
pub struct Context {
    /// The options of all commands.
    pub global: Global,
    /// Where the configuration lies.
    pub config_path: PathBuf,
    /// The configuration.
    pub config: Config,
    /// The selected profile with the options over it; paths as they are to be opened.
    pub profile: Profile,
    /// Where what is remembered of nodes and ledgers lies; `None` where there is no place for it.
    pub memory: Option<PathBuf>,
    /// Notes that a node's clock differs from this machine's.
    pub clock: Arc<ClockWatch>,
}

impl Context {
    /// Reads the configuration and puts the options over the profile.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub fn new(global: Global) -> Result<Self, Failure> {
        let config_path = match &global.config {
            Some(path) => path.clone(),
            None => config::default_path().unwrap_or_default(),
        };
        let config =
            if config_path.as_os_str().is_empty() { Config::default() } else { Config::load(&config_path)? };
        let selected = config.select(global.profile.as_deref(), &config_path)?;
        let name = selected.map_or("", |(name, _)| name);
        let memory = Some(config::memory_directory(&config_path, name))
            .filter(|_| !config_path.as_os_str().is_empty());
        let mut profile = selected.map(|(_, profile)| profile.resolved(&config_path)).unwrap_or_default();
        if !global.nodes.is_empty() {
            profile.nodes.clone_from(&global.nodes);
        }
        if let Some(key) = &global.key {
            profile.key = Some(key.clone());
            profile.keys.clear();
        }
        profile.institution = global.institution.clone().or(profile.institution);
        profile.passphrase = global.passphrase.clone().or(profile.passphrase);
        profile.checkpoint = global.checkpoint.clone().or(profile.checkpoint);
        profile.chain_id = global.chain_id.or(profile.chain_id);
        if !global.compare.is_empty() {
            profile.compare.clone_from(&global.compare);
        }
        let memory = profile.memory.clone().or(memory);
        Ok(Self { global, config_path, config, profile, memory, clock: Arc::default() })
    }

    /// Whether output is for programs.
    pub fn json(&self) -> bool {
        self.global.json
    }

    /// How long to wait for finality.
    pub fn timeout_ms(&self) -> u64 {
        self.global.timeout.unwrap_or(limits::FINALITY_TIMEOUT_MS)
    }

    /// The institution that commands act for.
    ///
    /// # Errors
    /// When neither option nor profile names it.
    pub fn institution(&self) -> Result<InstitutionId, Failure> {
        self.profile.institution.clone().ok_or_else(|| {
            Failure::Local(
                "no institution: give --as INSTITUTION, or set `institution` in the profile".to_owned(),
            )
        })
    }

    /// Where passphrases come from; `what` is named when it is asked for.
    ///
    /// # Errors
    /// When the source is none.
    pub fn passphrase_source(&self, what: &str, confirm: bool) -> Result<PassphraseSource, Failure> {
        let text = self.profile.passphrase.as_deref().unwrap_or(passphrase::DEFAULT);
        Ok(text.parse::<PassphraseSource>()?.asking(format!("Passphrase for {what}"), confirm))
    }

    /// The key of a file: the one that `key unlock` left open, or opened with its passphrase.
    ///
    /// # Errors
    /// When it cannot be read or its passphrase is wrong.
    pub fn open_key(&self, path: &Path) -> Result<Key, Failure> {
        let content = keyfile::read_sealed(path)?;
        if let Some(key) = Session::found().and_then(|session| session.find(&content, moment::now().ok()?)) {
            return Ok(key);
        }
        let opened = Key::read::<Failure>(path, || {
            let source = self.passphrase_source(&path.display().to_string(), false)?;
            Ok(passphrase::passphrase(&source)?)
        })?;
        if let Some(warning) = opened.warning {
            crate::output::warn(&warning);
        }
        Ok(opened.key)
    }

    /// Opens a key file with its passphrase, and warns when others may read it.
    ///
    /// # Errors
    /// When its passphrase is wrong.
    pub fn unseal_key(&self, path: &Path, sealed: &[u8]) -> Result<Key, Failure> {
        let source = self.passphrase_source(&path.display().to_string(), false)?;
        let opened = Key::open_sealed(path, sealed, &passphrase::passphrase(&source)?)?;
        if let Some(warning) = opened.warning {
            crate::output::warn(&warning);
        }
        Ok(opened.key)
    }

    /// A client that signs with the key for `role`, or, without one, with any key that asking needs.
    ///
    /// # Errors
    /// When there is no such key, a file cannot be read, or the node cannot be asked for its chain.
    pub async fn client(&self, role: Option<Role>) -> Result<Client, Failure> {
        let by_role = role.and_then(|role| self.profile.keys.get(&role));
        let path = match role {
            Some(_) => by_role.or(self.profile.key.as_ref()),
            None => self.profile.key.as_ref().or_else(|| self.profile.keys.values().next()),
        };
        let Some(path) = path else {
            let purpose = role.map_or_else(|| "asking a node".to_owned(), |role| crate::output::name(&role));
            return Err(ClientError::NoKey { purpose }.into());
        };
        let client = self.client_with(self.open_key(path)?).await?;
        if !self.profile.compare.is_empty() {
            client.compare().await?;
        }
        Ok(client)
    }

    /// A client that signs with this key.
    ///
    /// # Errors
    /// When a file of the profile cannot be read, or the node cannot be asked for its chain.
    pub async fn client_with(&self, key: Key) -> Result<Client, Failure> {
        let institution = self.profile.institution.clone().unwrap_or_else(|| key.institution.clone());
        let settings = Settings {
            institution: Some(institution),
            signers: Signers::one(key.secret),
            ..self.keyless_settings()?
        };
        Ok(Client::connect(settings).await?)
    }

    /// A client for what needs no key: health, the tip, checkpoints.
    ///
    /// # Errors
    /// When the profile's files cannot be read, or the node cannot be asked for its chain.
    pub async fn keyless_client(&self) -> Result<Client, Failure> {
        Ok(Client::connect(self.keyless_settings()?).await?)
    }

    /// What a client without keys is made from.
    ///
    /// # Errors
    /// When a file of the profile cannot be read.
    pub fn keyless_settings(&self) -> Result<Settings, Failure> {
        let read = |path: &PathBuf| durable::read(path, limits::INPUT_BYTES_MAX);
        Ok(Settings {
            nodes: self.profile.nodes.clone(),
            institution: self.profile.institution.clone(),
            signers: Signers::default(),
            checkpoint: self.profile.checkpoint.as_deref().map(read_checkpoint).transpose()?,
            chain_id: self.profile.chain_id,
            ca_pem: self.profile.ca.as_ref().map(read).transpose()?,
            memory: self.memory.clone(),
            node_keys: self.profile.node_keys.clone(),
            witnesses: self.profile.compare.clone(),
            freshness: Freshness {
                lag_blocks_max: self.global.max_lag.unwrap_or(0),
                age_ms_max: self.global.max_age,
            },
            clock: Arc::clone(&self.clock),
        })
    }

    /// The profile's table of subject tags.
    ///
    /// # Errors
    /// When the profile names none.
    pub fn subjects_path(&self) -> Result<PathBuf, Failure> {
        self.profile.subjects.clone().ok_or_else(|| {
            Failure::Local(
                "no table of subject tags: `yilian profile add` names one with --subjects, or `subjects = \"FILE\"` in the \
                 profile"
                    .to_owned(),
            )
        })
    }

    /// Opens the table of subject tags.
    ///
    /// # Errors
    /// When there is none, it cannot be opened, or another process holds it for too long.
    pub fn subjects(&self) -> Result<SubjectTable, Failure> {
        let path = self.subjects_path()?;
        let source = self.passphrase_source(&path.display().to_string(), false)?;
        let passphrase = passphrase::passphrase(&source)?;
        let work = yilian_local::sealed::WorkFactor::PRODUCTION;
        Ok(SubjectTable::open(&path, &passphrase, work, SUBJECT_TABLE_WAIT)?)
    }
}

impl Context {
    /// The tag of a record number. A number that is not in the table is an error: a tag drawn for a mistyped one would
    /// stand for nobody, and prove that nobody looked.
    ///
    /// # Errors
    /// When the table cannot be opened, or has no such record number.
    pub fn tag_of(&self, record: &str) -> Result<SubjectTag, Failure> {
        self.subjects()?.tag_of(record).ok_or_else(|| {
            Failure::Local(format!(
                "the table of subject tags has no record number {record:?}: check it; for a new patient draw a tag with \
                 `yilian subject create {record}`"
            ))
        })
    }
}

/// Reads a checkpoint file.
///
/// # Errors
/// When it cannot be read or is none.
pub fn read_checkpoint(path: &Path) -> Result<Checkpoint, ClientError> {
    read_json(path, "a checkpoint")
}

/// Reads a file with the JSON of a value of the protocol, in its one form.
///
/// # Errors
/// When it cannot be read or is not what is expected.
pub fn read_json<T: serde::de::DeserializeOwned + serde::Serialize>(
    path: &Path,
    expected: &'static str,
) -> Result<T, ClientError> {
    parse_json(path, &durable::read(path, limits::INPUT_BYTES_MAX)?, expected)
}

/// Reads what stands in such a file.
///
/// # Errors
/// When it is not what is expected.
pub fn parse_json<T: serde::de::DeserializeOwned + serde::Serialize>(
    path: &Path,
    bytes: &[u8],
    expected: &'static str,
) -> Result<T, ClientError> {
    json::read(bytes).map_err(|error| ClientError::FileContent {
        path: path.to_owned(),
        expected,
        reason: error.to_string(),
    })
}
