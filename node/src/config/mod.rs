//! The node's configuration: one strict TOML file, every field documented, ranges and relations checked at load.
//!
//! [`COMMENTED_DEFAULT`] is what `yilian-node init` writes; a test keeps it in step with [`Config`]. Paths are relative to
//! the node's home.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use yilian_local::passphrase::{self, PassphraseError, PassphraseSource};

use crate::consensus::{ConsensusConfig, ConsensusConfigError};
use crate::home::private;
use crate::network::NetworkConfig;
use crate::network::limits::ADDRESSES_MAX;

/// The file that `yilian-node init` writes.
pub const COMMENTED_DEFAULT: &str = include_str!("default.toml");

/// The name of the file in the node's home.
pub const FILE_NAME: &str = "config.toml";

const MIB: u64 = 1 << 20;

/// The whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Files of the node.
    pub node: NodeConfig,
    /// Peers.
    pub network: NetworkConfig,
    /// Consensus.
    pub consensus: ConsensusConfig,
    /// Transactions that wait.
    pub mempool: MempoolConfig,
    /// The database.
    pub storage: StorageConfig,
    /// The HTTP API.
    pub api: ApiConfig,
    /// The log.
    pub log: LogConfig,
}

/// Files of the node, relative to its home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// The ledger's genesis.
    pub genesis: PathBuf,
    /// Where the ledger and the log of votes are kept.
    pub data: PathBuf,
    /// The key by which peers know this node.
    pub network_key: PathBuf,
    /// The key that signs votes, sealed under a passphrase; empty on an observer.
    pub validator_key: PathBuf,
    /// Where the passphrase comes from: `file:PATH`, `env:NAME`, `prompt` or `default`.
    pub passphrase: String,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            genesis: "genesis.json".into(),
            data: "data".into(),
            network_key: "network.key".into(),
            validator_key: PathBuf::new(),
            passphrase: passphrase::DEFAULT.to_owned(),
        }
    }
}

/// Transactions that wait for a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MempoolConfig {
    /// All of them.
    pub transactions_max: usize,
    /// Their encoded size in MiB.
    pub size_mib_max: usize,
    /// Those of one institution.
    pub institution_transactions_max: usize,
    /// Their encoded size in MiB.
    pub institution_size_mib_max: usize,
    /// Threads that verify signatures.
    pub verify_threads: usize,
}

impl Default for MempoolConfig {
    fn default() -> Self {
        Self {
            transactions_max: 50_000,
            size_mib_max: 64,
            institution_transactions_max: 20_000,
            institution_size_mib_max: 24,
            verify_threads: 1,
        }
    }
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    /// Memory for blocks of the database that were read, in MiB.
    pub cache_mib: usize,
    /// Memory for rows not yet sorted into files, in MiB.
    pub write_buffer_mib: usize,
    /// Free space below which no transactions are accepted, in MiB.
    pub disk_free_mib_min: u64,
    /// How often free space is measured, in milliseconds.
    pub disk_check_interval_ms: u64,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self { cache_mib: 64, write_buffer_mib: 64, disk_free_mib_min: 1_024, disk_check_interval_ms: 10_000 }
    }
}

/// The HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// The address; port 0 picks a free one.
    #[serde(deserialize_with = "crate::network::listen_address")]
    pub listen: SocketAddr,
    /// Certificate chain, PEM; empty speaks plain HTTP.
    pub tls_certificate: PathBuf,
    /// The certificate's key, PEM.
    pub tls_key: PathBuf,
    /// Allows plain HTTP on an address that is not loopback.
    pub insecure: bool,
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections at a time from one address.
    pub connections_per_address_max: usize,
    /// Bytes of a request's body, in KiB.
    pub body_kib_max: usize,
    /// How long a request's headers may take, in milliseconds.
    pub header_timeout_ms: u64,
    /// How long a request may take beside the time it asked to wait, in milliseconds.
    pub request_timeout_ms: u64,
    /// Requests that may wait for finality at a time.
    pub waiters_max: usize,
    /// Event streams that may be open at a time.
    pub event_streams_max: usize,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8_600),
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            insecure: false,
            connections_max: 1_024,
            connections_per_address_max: 512,
            body_kib_max: 8_192,
            header_timeout_ms: 10_000,
            request_timeout_ms: 15_000,
            waiters_max: 4_096,
            event_streams_max: 64,
        }
    }
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The log, on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// How it is written.
    pub format: LogFormat,
    /// What is written: a level, or directives such as `info,yilian_node::mempool=debug`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

impl LogConfig {
    /// Whether the level is one. The filter takes any other word for the name of a module, and shows nothing else.
    fn is_level(&self) -> bool {
        let is_directive = |text: &str| {
            text.contains(['=', '[']) || text.parse::<tracing_subscriber::filter::LevelFilter>().is_ok()
        };
        self.level.parse::<tracing_subscriber::filter::EnvFilter>().is_ok()
            && self.level.split(',').all(|text| !text.is_empty() && is_directive(text))
    }
}

/// Why a configuration is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// There is no configuration.
    #[error(
        "{0} is no node's home, it has no {FILE_NAME}: check --home, or make one with `yilian-node init --home {0}`",
        home.display()
    )]
    NoHome {
        /// The directory that should be a home.
        home: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {source}{}", path.display(), private::remedy(path, source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not the TOML that is expected.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value is refused.
    #[error("{}: {source}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Which value, and why.
        source: Box<ConfigError>,
    },
    /// A value is out of its range.
    #[error("{field} is {given}: set it to {min} to {max}")]
    Range {
        /// The field.
        field: &'static str,
        /// Its value.
        given: u64,
        /// The least value.
        min: u64,
        /// The greatest value.
        max: u64,
    },
    /// A list is too long.
    #[error("{field} has {given} entries: leave {max} at most")]
    TooMany {
        /// The field.
        field: &'static str,
        /// How many it has.
        given: usize,
        /// How many it may have.
        max: usize,
    },
    /// A part is larger than the whole.
    #[error(
        "{part} is {part_value}, more than {whole}, which is {whole_value}: lower the first or raise the second"
    )]
    PartAboveWhole {
        /// The field that must not be larger.
        part: &'static str,
        /// Its value.
        part_value: u64,
        /// The field that bounds it.
        whole: &'static str,
        /// Its value.
        whole_value: u64,
    },
    /// Plain HTTP would leave the machine.
    #[error(
        "api.listen is {listen}, which others can reach, and there is no TLS: set api.tls_certificate and api.tls_key, \
         or listen on 127.0.0.1, or set api.insecure = true where another program speaks TLS in front"
    )]
    TlsRequired {
        /// The address.
        listen: SocketAddr,
    },
    /// One of certificate and key is missing.
    #[error("api.tls_certificate and api.tls_key belong together: set both or none")]
    TlsHalf,
    /// A path is missing.
    #[error("{field} is empty: give a path")]
    EmptyPath {
        /// The field.
        field: &'static str,
    },
    /// The passphrase's source is malformed.
    #[error("node.passphrase: {0}")]
    Passphrase(#[from] PassphraseError),
    /// The level is malformed.
    #[error(
        "log.level is `{level}`: give error, warn, info, debug or trace, or directives such as info,yilian_node=debug"
    )]
    LogLevel {
        /// The level.
        level: String,
    },
    /// Consensus refuses its settings.
    #[error("consensus.{0}")]
    Consensus(#[from] ConsensusConfigError),
}

impl Config {
    /// Reads and checks the configuration in a node's home.
    ///
    /// # Errors
    /// The first thing that is wrong, with the field, its bound and the remedy.
    pub fn load(home: &Path) -> Result<Self, ConfigError> {
        let path = home.join(FILE_NAME);
        let text = std::fs::read_to_string(&path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => ConfigError::NoHome { home: home.to_owned() },
            _ => ConfigError::Read { path: path.clone(), source },
        })?;
        let config = Self::parse(&text)
            .map_err(|source| ConfigError::Parse { path: path.clone(), source: Box::new(source) })?;
        config.check().map_err(|source| ConfigError::Value { path, source: Box::new(source) })?;
        Ok(config)
    }

    /// Reads a configuration without checking its values.
    ///
    /// # Errors
    /// When the text is not TOML, or has an unknown field or a value of another type.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Checks ranges and relations.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_ranges()?;
        self.check_mempool()?;
        self.consensus.check()?;
        let (given, max) = (self.network.advertise.as_ref().map_or(0, Vec::len), ADDRESSES_MAX);
        if given > max {
            return Err(ConfigError::TooMany { field: "network.advertise", given, max });
        }
        for (field, path) in [
            ("node.genesis", &self.node.genesis),
            ("node.data", &self.node.data),
            ("node.network_key", &self.node.network_key),
        ] {
            if path.as_os_str().is_empty() {
                return Err(ConfigError::EmptyPath { field });
            }
        }
        self.node.passphrase.parse::<PassphraseSource>()?;
        if !self.log.is_level() {
            return Err(ConfigError::LogLevel { level: self.log.level.clone() });
        }
        self.api.check()
    }

    fn check_ranges(&self) -> Result<(), ConfigError> {
        let (mempool, storage, api) = (&self.mempool, &self.storage, &self.api);
        let ranges = [
            ("mempool.transactions_max", mempool.transactions_max as u64, 100, 1_000_000),
            ("mempool.size_mib_max", mempool.size_mib_max as u64, 1, 4_096),
            (
                "mempool.institution_transactions_max",
                mempool.institution_transactions_max as u64,
                10,
                1_000_000,
            ),
            ("mempool.institution_size_mib_max", mempool.institution_size_mib_max as u64, 1, 4_096),
            ("mempool.verify_threads", mempool.verify_threads as u64, 1, 64),
            ("storage.cache_mib", storage.cache_mib as u64, 8, 65_536),
            ("storage.write_buffer_mib", storage.write_buffer_mib as u64, 8, 4_096),
            ("storage.disk_free_mib_min", storage.disk_free_mib_min, 64, 1 << 30),
            ("storage.disk_check_interval_ms", storage.disk_check_interval_ms, 1_000, 600_000),
            ("api.connections_max", api.connections_max as u64, 8, 65_536),
            ("api.connections_per_address_max", api.connections_per_address_max as u64, 4, 65_536),
            ("api.body_kib_max", api.body_kib_max as u64, 256, 131_072),
            ("api.header_timeout_ms", api.header_timeout_ms, 500, 120_000),
            ("api.request_timeout_ms", api.request_timeout_ms, 1_000, 120_000),
            ("api.waiters_max", api.waiters_max as u64, 1, crate::base::limits::WAITERS_MAX as u64),
            ("api.event_streams_max", api.event_streams_max as u64, 1, 10_000),
        ];
        for (field, given, min, max) in ranges {
            if !(min..=max).contains(&given) {
                return Err(ConfigError::Range { field, given, min, max });
            }
        }
        Ok(())
    }

    fn check_mempool(&self) -> Result<(), ConfigError> {
        let mempool = &self.mempool;
        let pairs = [
            (
                ("mempool.institution_transactions_max", mempool.institution_transactions_max),
                ("mempool.transactions_max", mempool.transactions_max),
            ),
            (
                ("mempool.institution_size_mib_max", mempool.institution_size_mib_max),
                ("mempool.size_mib_max", mempool.size_mib_max),
            ),
            (
                ("api.event_streams_max", self.api.event_streams_max),
                ("api.connections_max", self.api.connections_max),
            ),
        ];
        for ((part, part_value), (whole, whole_value)) in pairs {
            if part_value > whole_value {
                let (part_value, whole_value) = (part_value as u64, whole_value as u64);
                return Err(ConfigError::PartAboveWhole { part, part_value, whole, whole_value });
            }
        }
        Ok(())
    }

    /// Free space below which no transactions are accepted, in bytes.
    pub fn disk_free_bytes_min(&self) -> u64 {
        self.storage.disk_free_mib_min * MIB
    }
}

impl ApiConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let has = |path: &Path| !path.as_os_str().is_empty();
        if has(&self.tls_certificate) != has(&self.tls_key) {
            return Err(ConfigError::TlsHalf);
        }
        if !self.listen.ip().is_loopback() && !has(&self.tls_certificate) && !self.insecure {
            return Err(ConfigError::TlsRequired { listen: self.listen });
        }
        Ok(())
    }

    /// Certificate and key under a node's home, where TLS is spoken.
    pub fn tls(&self, home: &Path) -> Option<(PathBuf, PathBuf)> {
        let has = !self.tls_certificate.as_os_str().is_empty();
        has.then(|| (home.join(&self.tls_certificate), home.join(&self.tls_key)))
    }
}

#[cfg(test)]
mod tests;
