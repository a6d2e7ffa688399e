//! The configuration: one TOML file with profiles, `yilian/config.toml` in `$XDG_CONFIG_HOME` or `~/.config`.
//!
//! ```toml
//! default_profile = "renhe"
//!
//! [profiles.renhe]
//! nodes = ["https://ledger.renhe.example:8600", "https://ledger.other.example:8600"]
//! institution = "renhe-hospital"
//! key = "keys/gateway.key"             # for everything that `keys` does not name
//! passphrase = "file:keys/passphrase"  # or env:NAME, or prompt
//! checkpoint = "checkpoint.json"       # what answers are verified against
//! chain_id = "…64 hexadecimal digits…"
//! ca = "consortium-ca.pem"             # certificates to trust beside those of the system
//! subjects = "subjects.age"            # the link table of subject tags
//! compare = ["https://ledger.anping.example:8600"] # optional; every command sees that none of these is ahead
//! memory = "memory/renhe"              # what is remembered of nodes and ledger; this is the default
//!
//! [profiles.renhe.keys]
//! finance = "keys/finance.key"
//!
//! [profiles.renhe.node_keys]           # optional; else the first key that a node names is remembered
//! "https://ledger.renhe.example:8600" = "…64 hexadecimal digits…"
//! ```
//!
//! Paths are relative to the file's directory. A field that is not known is an error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use yilian_spec::base::id::{ChainId, InstitutionId};
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::membership::Role;

use crate::limits;
use yilian_local::durable::{self, FileError};
use yilian_local::passphrase::PassphraseSource;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The profile that is used unless another is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_profile: Option<String>,
    /// The profiles by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub profiles: BTreeMap<String, Profile>,
}

/// For whom, with which keys, and over which nodes a command speaks to which ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Addresses of nodes, `http://host:port` or `https://host:port`; the first that answers is used.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// The institution that the commands act for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub institution: Option<InstitutionId>,
    /// The key file for every role that `keys` does not name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Where the key files' passphrase comes from: `file:PATH`, `env:NAME`, `prompt` or `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
    /// A checkpoint file; with one, answers are verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<PathBuf>,
    /// The ledger; without it, what the checkpoint or the node says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<ChainId>,
    /// A PEM file of certificate authorities that nodes' certificates may come from, beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The encrypted link table from record numbers to subject tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<PathBuf>,
    /// The directory in which commands keep what they remember: the keys of nodes, and the highest block verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<PathBuf>,
    /// Nodes of others that every command compares its nodes with: none may be ahead of the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compare: Vec<String>,
    /// The keys that nodes must have, by address; of others the first one that they name is remembered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_keys: BTreeMap<String, PublicKey>,
    /// Key files by role, such as `access_gateway`, `referral_gateway`, `finance`, `administrator`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<Role, PathBuf>,
}

/// Why the configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The directory cannot be made.
    #[error("cannot create the directory {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// There is no place for it.
    #[error("neither XDG_CONFIG_HOME nor HOME is set: give --config FILE")]
    NoHome,
    /// Not TOML, an unknown field, or a value of the wrong form.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
    /// A profile that does not exist.
    #[error(
        "there is no profile {name:?}{}: `yilian profile list` shows them, `yilian profile add` makes one",
        whereabouts(path)
    )]
    NoSuchProfile {
        /// The name.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// A profile with a value that cannot be.
    #[error("profile {profile}: {field}: {reason}")]
    Field {
        /// The profile.
        profile: String,
        /// The field.
        field: &'static str,
        /// What is wrong, and what is expected.
        reason: String,
    },
}

/// Where the configuration lies when nobody says otherwise.
///
/// # Errors
/// [`ConfigError::NoHome`].
pub fn default_path() -> Result<PathBuf, ConfigError> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .ok_or(ConfigError::NoHome)?;
    Ok(base.join("yilian").join("config.toml"))
}

impl Config {
    /// Reads the file; an empty configuration where there is none.
    ///
    /// # Errors
    /// [`ConfigError`] when it cannot be read, or anything in it is not as it should be.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = match durable::read(path, limits::CONFIG_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(FileError::Absent { .. }) => return Ok(Self::default()),
            Err(other) => return Err(other.into()),
        };
        let syntax = |reason: String| ConfigError::Syntax { path: path.to_owned(), reason };
        let text = std::str::from_utf8(&bytes).map_err(|error| syntax(error.to_string()))?;
        let config: Self = toml::from_str(text).map_err(|error| syntax(error.to_string()))?;
        for (name, profile) in &config.profiles {
            profile.check(name)?;
        }
        if let Some(name) =
            config.default_profile.as_ref().filter(|name| !config.profiles.contains_key(*name))
        {
            return Err(ConfigError::NoSuchProfile { name: name.clone(), path: path.to_owned() });
        }
        Ok(config)
    }

    /// Writes the file durably, and its directory where there is none.
    ///
    /// # Errors
    /// [`ConfigError::File`] and [`ConfigError::Directory`].
    pub fn save(&self, path: &Path) -> Result<(), ConfigError> {
        let text = toml::to_string(self).expect("texts and lists of texts are TOML");
        let directory = durable::directory(path);
        std::fs::create_dir_all(directory)
            .map_err(|source| ConfigError::Directory { path: directory.to_owned(), source })?;
        Ok(durable::replace(path, text.as_bytes())?)
    }

    /// The profile of this name, or the default one, or the only one; `None` where none is named and there is none.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchProfile`] when the named one does not exist.
    pub fn select(&self, name: Option<&str>, path: &Path) -> Result<Option<(&str, &Profile)>, ConfigError> {
        let only = || self.profiles.keys().next().filter(|_| self.profiles.len() == 1).map(String::as_str);
        let Some(name) = name.or(self.default_profile.as_deref()).or_else(only) else { return Ok(None) };
        let found = self.profiles.get_key_value(name).map(|(name, profile)| (name.as_str(), profile));
        found
            .map(Some)
            .ok_or_else(|| ConfigError::NoSuchProfile { name: name.to_owned(), path: path.to_owned() })
    }
}

/// Where profiles were looked for.
fn whereabouts(path: &Path) -> String {
    let file = path.display();
    if path.exists() {
        format!(" in {file}")
    } else {
        format!(", for there is no file {file} (--config, YILIAN_CONFIG)")
    }
}

impl Profile {
    /// Checks what can be checked without opening another file.
    ///
    /// # Errors
    /// [`ConfigError::Field`] names the field and what it expects.
    pub fn check(&self, profile: &str) -> Result<(), ConfigError> {
        let wrong = |field, reason: String| ConfigError::Field { profile: profile.to_owned(), field, reason };
        if self.nodes.len() > limits::NODES_MAX {
            return Err(wrong("nodes", format!("{} are more than {}", self.nodes.len(), limits::NODES_MAX)));
        }
        for node in &self.nodes {
            check_node(node).map_err(|reason| wrong("nodes", reason))?;
        }
        for node in &self.compare {
            check_node(node).map_err(|reason| wrong("compare", reason))?;
        }
        for node in self.node_keys.keys() {
            check_node(node).map_err(|reason| wrong("node_keys", reason))?;
        }
        if let Some(source) = &self.passphrase {
            source.parse::<PassphraseSource>().map_err(|error| wrong("passphrase", error.to_string()))?;
        }
        Ok(())
    }

    /// The profile with its relative paths taken from the directory of the configuration file.
    pub fn resolved(&self, config: &Path) -> Self {
        let base = durable::directory(config);
        let join = |path: &PathBuf| base.join(path);
        let passphrase = self.passphrase.as_ref().map(|source| match source.strip_prefix("file:") {
            Some(path) => format!("file:{}", base.join(path).display()),
            None => source.clone(),
        });
        Self {
            key: self.key.as_ref().map(join),
            checkpoint: self.checkpoint.as_ref().map(join),
            ca: self.ca.as_ref().map(join),
            subjects: self.subjects.as_ref().map(join),
            memory: self.memory.as_ref().map(join),
            keys: self.keys.iter().map(|(role, path)| (*role, base.join(path))).collect(),
            passphrase,
            ..self.clone()
        }
    }
}

/// Where a profile's memory lies unless it says otherwise: beside the configuration, under the profile's name.
pub fn memory_directory(config: &Path, profile: &str) -> PathBuf {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    // Any text can be a profile's name; only a plain one becomes a name of a directory as it is.
    let name = if !profile.is_empty() && profile.bytes().all(is_plain) {
        profile.to_owned()
    } else {
        format!("={}", hex::encode(profile))
    };
    durable::directory(config).join("memory").join(name)
}

/// Checks the form of a node's address.
///
/// # Errors
/// A sentence that says what is expected.
pub fn check_node(text: &str) -> Result<(), String> {
    let expected = |why: &str| format!("{text:?} {why}: write http://127.0.0.1:8600 or https://host:8600");
    let url: reqwest::Url = text.parse().map_err(|_| expected("is no address"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(expected("is no address"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(expected("has more than scheme, host and port"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path)
    }

    #[test]
    fn a_full_file_survives_saving_and_its_paths_are_relative_to_it() {
        let text = r#"
            default_profile = "b"
            [profiles.a]
            nodes = ["http://127.0.0.1:8600"]
            [profiles.b]
            nodes = ["https://node.example:8600/", "http://[::1]:1"]
            institution = "renhe-hospital"
            key = "keys/gateway.key"
            passphrase = "file:keys/passphrase"
            checkpoint = "/etc/checkpoint.json"
            chain_id = "00000000000000000000000000000000000000000000000000000000000000ff"
            [profiles.b.keys]
            finance = "keys/finance.key"
        "#;
        let config = load(text).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/config.toml");
        config.save(&path).unwrap();
        assert_eq!(Config::load(&path).unwrap(), config);
        let (name, profile) = config.select(None, &path).unwrap().unwrap();
        let profile = profile.resolved(&path);
        let base = directory.path().join("deep/er");
        assert_eq!(name, "b");
        assert_eq!(profile.key, Some(base.join("keys/gateway.key")));
        assert_eq!(profile.checkpoint, Some("/etc/checkpoint.json".into()));
        assert_eq!(profile.passphrase, Some(format!("file:{}", base.join("keys/passphrase").display())));
        assert_eq!(profile.keys[&Role::Finance], base.join("keys/finance.key"));
    }

    #[test]
    fn what_is_unknown_or_malformed_is_refused_by_name() {
        let cases = [
            ("profile = 1", "unknown field"),
            ("[profiles.a]\nnode = []", "unknown field"),
            ("[profiles.a]\nnodes = [\"ftp://x\"]", "nodes"),
            ("[profiles.a]\nnodes = [\"http://x/v1\"]", "nodes"),
            ("[profiles.a]\nnodes = [\"x:80\"]", "nodes"),
            ("[profiles.a]\nnode_keys = { \"x:80\" = \"00\" }", "node_keys"),
            ("[profiles.a]\npassphrase = \"secret\"", "passphrase"),
            ("[profiles.a]\ninstitution = \"Not A Slug\"", "institution"),
            ("[profiles.a.keys]\nboss = \"x\"", "boss"),
            ("[profiles.a]\nchain_id = \"00\"", "chain_id"),
            ("default_profile = \"a\"", "no profile"),
            ("[profiles", "TOML"),
        ];
        for (text, expected) in cases {
            let message = load(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn the_profile_is_the_named_one_the_default_or_the_only_one() {
        let path = Path::new("config.toml");
        let none = Config::default();
        assert_eq!(none.select(None, path).unwrap(), None);
        assert!(matches!(none.select(Some("a"), path), Err(ConfigError::NoSuchProfile { .. })));
        let one = load("[profiles.a]\n").unwrap();
        assert_eq!(one.select(None, path).unwrap().unwrap().0, "a");
        let two = load("[profiles.a]\n[profiles.b]\n").unwrap();
        assert_eq!(two.select(None, path).unwrap(), None);
        assert_eq!(two.select(Some("b"), path).unwrap().unwrap().0, "b");
    }

    #[test]
    fn without_a_file_there_are_no_profiles() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Config::load(&directory.path().join("none.toml")).unwrap(), Config::default());
    }
}
