//! A node's home: its configuration, keys, genesis and data, used by one process at a time.

mod network_key;
pub(crate) mod private;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use thiserror::Error;
use yilian_local::durable::{self, FileError};
use yilian_local::keyfile::{Key, KeyFileError};
use yilian_local::passphrase::{self, PassphraseError, PassphraseSource};
use yilian_spec::base::json;
use yilian_spec::base::limits::GENESIS_BYTES_MAX;
use yilian_spec::crypto::signature::{PublicKey, SecretKey};
use yilian_spec::domain::membership::Role;
use yilian_spec::ledger::genesis::{Genesis, GenesisError};

use crate::config::{Config, ConfigError};

/// The name of the file that a running node locks.
const LOCK: &str = "lock";
/// Bytes of a genesis as JSON: hexadecimal and names cost more than the canonical encoding.
const GENESIS_JSON_BYTES_MAX: u64 = 8 * GENESIS_BYTES_MAX as u64;

/// Why a home cannot be used.
#[derive(Debug, Error)]
pub enum HomeError {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process uses the home.
    #[error("{} is used by another node: stop that one, or give this one its own home", home.display())]
    InUse {
        /// The home.
        home: PathBuf,
    },
    /// The node runs, and what is to be done needs it stopped.
    #[error("the node in {} is running: stop it first", home.display())]
    Runs {
        /// The home.
        home: PathBuf,
    },
    /// The lock cannot be taken.
    #[error("cannot lock {}: {source}{}", path.display(), private::remedy(path, source))]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The network key cannot be used.
    #[error(
        "the network key: {0}. Restore its file from a copy; where there is none, move what is there away, and `yilian-node init` makes \
         another key, which an administrator has to register (`yilian key register`)"
    )]
    NetworkKey(#[from] KeyFileError),
    /// The network key was made for something else.
    #[error("{}: a key of role {role:?} is no network key: `yilian-node init` makes one, or `yilian key generate --role node`", path.display())]
    NotANodeKey {
        /// The file.
        path: PathBuf,
        /// What it was made for.
        role: Role,
    },
    /// The validator's key cannot be opened.
    #[error("the validator's key: {0}")]
    ValidatorKey(KeyFileError),
    /// There is no passphrase.
    #[error("a key of the node needs its passphrase: {0} (node.passphrase says where it comes from)")]
    Passphrase(#[from] PassphraseError),
    /// There is no genesis yet.
    #[error(
        "{} has no genesis: give it one with `yilian-node init --home {} --genesis FILE`",
        home.display(), home.display()
    )]
    NoGenesis {
        /// The home.
        home: PathBuf,
    },
    /// The genesis cannot be read.
    #[error("{} is not a genesis (JSON, as `yilian-node genesis make` writes it): {reason}", path.display())]
    GenesisForm {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        reason: String,
    },
    /// Others may read the home, and that cannot be changed.
    #[error("{} is open to others and cannot be closed to them ({source}): run the node as its owner, or `chmod -R go= {}`", path.display(), path.display())]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The ledger or what belongs to it cannot be read.
    #[error("{0}")]
    Ledger(String),
    /// The node that runs there did not hand out its ledger.
    #[error("the node that runs in {} does not hand out its ledger: {reason}", home.display())]
    Running {
        /// The home.
        home: PathBuf,
        /// Why.
        reason: String,
    },
    /// The genesis breaks a rule.
    #[error("the genesis {}: {source}", path.display())]
    Genesis {
        /// The file.
        path: PathBuf,
        /// The rule.
        source: GenesisError,
    },
}

/// A node's home.
#[derive(Debug, Clone)]
pub struct Home {
    /// The directory.
    pub path: PathBuf,
    /// Its configuration.
    pub config: Config,
}

/// As long as this lives, no other process can use the home.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

impl Home {
    /// Reads the configuration of a home.
    ///
    /// # Errors
    /// [`HomeError::Config`].
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        Ok(Self { path: path.to_owned(), config: Config::load(path)? })
    }

    /// Takes the home for this process.
    ///
    /// # Errors
    /// [`HomeError::InUse`] when another has it.
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        let path = self.path.join(LOCK);
        let failed = |source| HomeError::Lock { path: path.clone(), source };
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(HomeLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(HomeError::InUse { home: self.path.clone() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Takes the home of a stopped node for this process, which is no node.
    ///
    /// # Errors
    /// [`HomeError::Runs`] when the node runs.
    pub fn lock_stopped(&self) -> Result<HomeLock, HomeError> {
        match self.lock() {
            Err(HomeError::InUse { home }) => Err(HomeError::Runs { home }),
            taken => taken,
        }
    }

    /// Closes the home and its data to others than their owner; says so where they were open.
    ///
    /// # Errors
    /// [`HomeError::OpenToOthers`] when the system refuses.
    pub fn close_to_others(&self) -> Result<(), HomeError> {
        let key = self.network_key_file();
        if durable::open_to_others(&key).is_some() {
            tracing::warn!(
                "{} was open to others and is closed now: if they may have read it, replace it with `yilian-node key rotate \
                 network --home {}`",
                key.display(),
                self.path.display()
            );
        }
        // The data may lie elsewhere.
        for path in [self.path.clone(), self.path.join(&self.config.node.data)] {
            let closed = match private::close_to_others(&path) {
                Ok(closed) => closed,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
                Err(source) => return Err(HomeError::OpenToOthers { path, source }),
            };
            if closed > 0 {
                tracing::warn!(
                    closed,
                    "{} was open to others; from now on it is its owner's alone",
                    path.display()
                );
            }
        }
        Ok(())
    }

    /// Where the database is.
    pub fn ledger_directory(&self) -> PathBuf {
        self.path.join(&self.config.node.data).join("ledger")
    }

    /// The consensus engine's log of votes.
    pub fn vote_log(&self) -> PathBuf {
        self.path.join(&self.config.node.data).join("votes.wal")
    }

    /// What the peers' nodes and this one say of where they can be dialled.
    pub fn address_file(&self) -> PathBuf {
        self.path.join("addresses.bin")
    }

    /// The genesis, checked.
    ///
    /// # Errors
    /// When it cannot be read or breaks a rule.
    pub fn genesis(&self) -> Result<Genesis, HomeError> {
        match read_genesis(&self.path.join(&self.config.node.genesis)) {
            Err(HomeError::File(FileError::Absent { .. })) => {
                Err(HomeError::NoGenesis { home: self.path.clone() })
            }
            read => read,
        }
    }

    /// The key by which peers know this node.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn network_key(&self) -> Result<Key, HomeError> {
        self.read_node_key(&self.network_key_file())
    }

    /// Where the key lies by which peers know this node.
    pub fn network_key_file(&self) -> PathBuf {
        self.path.join(&self.config.node.network_key)
    }

    /// The key of a node in one of the home's files.
    ///
    /// # Errors
    /// When it cannot be read, or was made for something else.
    pub fn read_node_key(&self, path: &Path) -> Result<Key, HomeError> {
        let opened =
            Key::read::<HomeError>(path, || Ok(passphrase::passphrase(&self.passphrase_source(path)?)?))?;
        if let Some(warning) = opened.warning {
            tracing::warn!("{warning}");
        }
        if opened.key.role != Role::Node {
            return Err(HomeError::NotANodeKey { path: path.to_owned(), role: opened.key.role });
        }
        Ok(opened.key)
    }

    /// The key that signs votes; `None` on an observer.
    ///
    /// # Errors
    /// When the file does not open, or there is no passphrase.
    pub fn validator_key(&self) -> Result<Option<SecretKey>, HomeError> {
        if self.config.node.validator_key.as_os_str().is_empty() {
            return Ok(None);
        }
        let path = self.path.join(&self.config.node.validator_key);
        let source = self.passphrase_source(&path)?;
        let opened = Key::open(&path, &passphrase::passphrase(&source)?).map_err(HomeError::ValidatorKey)?;
        if let Some(warning) = opened.warning {
            tracing::warn!("{warning}");
        }
        Ok(Some(opened.key.secret))
    }

    /// The public half of the key that signs votes, for showing it: `None` where somebody would have to be asked for the
    /// passphrase, or the file does not open.
    pub fn shown_validator_key(&self) -> Option<PublicKey> {
        let source = self.passphrase_source(&self.path.join(&self.config.node.validator_key)).ok()?;
        let key = source.is_silent().then(|| self.validator_key().ok().flatten()).flatten()?;
        Some(key.public_key())
    }

    /// What to say of each of the home's keys that a genesis does not name: before anybody starts it can be corrected. A
    /// key that cannot be read is told elsewhere.
    pub fn unnamed_keys(&self, genesis: &Genesis) -> Vec<String> {
        let network = self.network_key().ok().map(|key| key.secret.public_key());
        let keys =
            [("node", Role::Node, network), ("validator", Role::Validator, self.shown_validator_key())];
        let unnamed = keys.into_iter().filter_map(|(name, role, key)| {
            let key = key.filter(|key| !genesis.names_key(key, role))?;
            Some(format!(
                "the genesis names no key {key} of role {name}: this node acts by it only once an administrator has \
                 registered it; where it was mistyped there, correct the genesis before anybody starts"
            ))
        });
        unnamed.collect()
    }

    fn passphrase_source(&self, key: &Path) -> Result<PassphraseSource, HomeError> {
        Ok(match self.config.node.passphrase.parse()? {
            PassphraseSource::File(file) => PassphraseSource::File(self.path.join(file)),
            source => source.asking(format!("Passphrase for {}", key.display()), false),
        })
    }
}

/// Reads a genesis from its JSON file and checks it.
///
/// # Errors
/// When it cannot be read or breaks a rule.
pub fn read_genesis(path: &Path) -> Result<Genesis, HomeError> {
    let bytes = durable::read(path, GENESIS_JSON_BYTES_MAX)?;
    let genesis: Genesis = json::read(&bytes)
        .map_err(|error| HomeError::GenesisForm { path: path.to_owned(), reason: error.to_string() })?;
    genesis.check().map_err(|source| HomeError::Genesis { path: path.to_owned(), source })?;
    Ok(genesis)
}
