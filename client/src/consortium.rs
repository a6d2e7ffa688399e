//! A file that describes a whole consortium to one operator: each institution with its node and its keys.
//!
//! Real institutions keep their keys to themselves; this file is for whoever acts for several of them, as an import,
//! a demonstration or a test does.
//!
//! [`EXAMPLE`] shows one.
//! Paths are relative to the file's directory. A field that is not known is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use yilian_spec::base::id::{ChainId, ConsortiumId, InstitutionId};
use yilian_spec::base::limits::INSTITUTIONS_MAX;
use yilian_spec::domain::membership::{InstitutionKind, Role, Tier};

use crate::client::{Client, Settings, Signers};
use crate::config::check_node;
use crate::error::ClientError;
use crate::limits;
use yilian_local::durable::{self, FileError};
use yilian_local::keyfile::Key;
use yilian_local::passphrase::{DEFAULT, PassphraseSource, passphrase};

/// A file to begin with.
pub const EXAMPLE: &str = r#"# passphrase of all key files: file:PATH, env:NAME, or prompt (the default)
passphrase = "file:passphrase"
# optional: what is read from the ledger is verified against it
checkpoint = "checkpoint.json"
# optional: the ledger's id (chain_id) and certificates to trust beside those
# of the system (ca = "authorities.pem")

[[institution]]
id = "renhe-hospital"
# kind, tier and consortia as on the ledger; tier is left out where it has none
kind = "hospital"
tier = "province"
consortia = ["renhe-group"]
# its node; left out where it uses the others'
api = "http://127.0.0.1:8600"

[institution.keys]
access_gateway = "keys/access.key"
referral_gateway = "keys/referral.key"
finance = "keys/finance.key"
"#;

/// Longest consortium file in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The whole file. Paths are as they are to be opened once [`Consortium::load`] has read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consortium {
    /// Where the key files' passphrase comes from: `file:PATH`, `env:NAME` or `prompt` (the default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
    /// The ledger; without it, what the checkpoint or a node says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<ChainId>,
    /// A checkpoint file that answers are verified against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<PathBuf>,
    /// A PEM file of certificate authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The institutions.
    #[serde(rename = "institution")]
    pub institutions: Vec<Member>,
}

/// One institution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its id on the ledger.
    pub id: InstitutionId,
    /// What it is.
    pub kind: InstitutionKind,
    /// Its level of care, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// The consortia it belongs to.
    #[serde(default)]
    pub consortia: BTreeSet<ConsortiumId>,
    /// Its node, `http://host:port` or `https://host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// Its key files by role.
    #[serde(default)]
    pub keys: BTreeMap<Role, PathBuf>,
}

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub enum ConsortiumError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not TOML, an unknown field, or a value of the wrong form.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
    /// One institution twice.
    #[error("{}: institution {institution} appears twice", path.display())]
    Repeated {
        /// The file.
        path: PathBuf,
        /// The institution.
        institution: InstitutionId,
    },
    /// Too few or too many.
    #[error("{}: a consortium has 1 to {INSTITUTIONS_MAX} institutions, this one {count}", path.display())]
    Count {
        /// The file.
        path: PathBuf,
        /// How many.
        count: usize,
    },
}

impl Consortium {
    /// Reads and checks the file; its paths become relative to nothing but the working directory.
    ///
    /// # Errors
    /// [`ConsortiumError`] names the file and what is wrong.
    pub fn load(path: &Path) -> Result<Self, ConsortiumError> {
        let bytes = durable::read(path, FILE_BYTES_MAX)?;
        let syntax = |reason: String| ConsortiumError::Syntax { path: path.to_owned(), reason };
        let text = std::str::from_utf8(&bytes).map_err(|error| syntax(error.to_string()))?;
        let mut consortium: Self = toml::from_str(text).map_err(|error| syntax(error.to_string()))?;
        let count = consortium.institutions.len();
        if !(1..=INSTITUTIONS_MAX).contains(&count) {
            return Err(ConsortiumError::Count { path: path.to_owned(), count });
        }
        let mut seen = BTreeSet::new();
        for member in &consortium.institutions {
            if !seen.insert(&member.id) {
                let institution = member.id.clone();
                return Err(ConsortiumError::Repeated { path: path.to_owned(), institution });
            }
            if let Some(api) = &member.api {
                check_node(api)
                    .map_err(|reason| syntax(format!("institution {}: api: {reason}", member.id)))?;
            }
        }
        if let Some(source) = &consortium.passphrase {
            source.parse::<PassphraseSource>().map_err(|error| syntax(format!("passphrase: {error}")))?;
        }
        consortium.resolve(durable::directory(path));
        Ok(consortium)
    }

    fn resolve(&mut self, base: &Path) {
        let paths = self.checkpoint.iter_mut().chain(&mut self.ca);
        let keys = self.institutions.iter_mut().flat_map(|member| member.keys.values_mut());
        for path in paths.chain(keys) {
            *path = base.join(&*path);
        }
        if let Some(path) = self.passphrase.as_ref().and_then(|source| source.strip_prefix("file:")) {
            self.passphrase = Some(format!("file:{}", base.join(path).display()));
        }
    }

    /// The institution with this id.
    pub fn member(&self, id: &InstitutionId) -> Option<&Member> {
        self.institutions.iter().find(|member| member.id == *id)
    }

    /// The passphrase of the key files.
    ///
    /// # Errors
    /// When its source gives none.
    pub fn passphrase(&self) -> Result<age::secrecy::SecretString, ClientError> {
        let source = self.passphrase.as_deref().unwrap_or(DEFAULT).parse::<PassphraseSource>()?;
        Ok(passphrase(&source.asking("Passphrase of the consortium's keys".to_owned(), false))?)
    }

    /// A client for each of the institutions named, with its keys for `roles`. Each asks its own node first, then the
    /// others'.
    ///
    /// # Errors
    /// [`ClientError`] when a file cannot be read, a key is missing or belongs to somebody else, or no node answers.
    pub async fn clients(
        &self,
        who: impl IntoIterator<Item = (&InstitutionId, &BTreeSet<Role>)>,
        passphrase: &age::secrecy::SecretString,
    ) -> Result<BTreeMap<InstitutionId, Client>, ClientError> {
        let checkpoint = self.checkpoint.as_deref().map(read_checkpoint).transpose()?;
        let ca_pem =
            self.ca.as_deref().map(|path| durable::read(path, limits::INPUT_BYTES_MAX)).transpose()?;
        let mut clients = BTreeMap::new();
        let mut chain_id = self.chain_id;
        for (id, roles) in who {
            let settings = Settings {
                nodes: self.nodes_of(id),
                institution: Some(id.clone()),
                signers: self.signers(id, roles, passphrase)?,
                checkpoint: checkpoint.clone(),
                chain_id,
                ca_pem: ca_pem.clone(),
                ..Settings::default()
            };
            let client = Client::connect(settings).await?;
            // All of them speak of one ledger, that of the first answer.
            chain_id = Some(client.chain_id());
            clients.insert(id.clone(), client);
        }
        Ok(clients)
    }

    /// The institution's own node, then those of the others.
    fn nodes_of(&self, id: &InstitutionId) -> Vec<String> {
        let (own, others): (Vec<&Member>, Vec<&Member>) =
            self.institutions.iter().partition(|member| member.id == *id);
        own.into_iter()
            .chain(others)
            .filter_map(|member| member.api.clone())
            .take(limits::NODES_MAX)
            .collect()
    }

    fn signers(
        &self,
        id: &InstitutionId,
        roles: &BTreeSet<Role>,
        passphrase: &age::secrecy::SecretString,
    ) -> Result<Signers, ClientError> {
        let mut signers = Signers::default();
        for role in roles {
            let path = self.member(id).and_then(|member| member.keys.get(role)).ok_or_else(|| {
                ClientError::NoKey { purpose: format!("{id} as {role:?}; the consortium file names none") }
            })?;
            let key = Key::open(path, passphrase)?.key;
            if key.institution != *id || key.role != *role {
                return Err(ClientError::FileContent {
                    path: path.clone(),
                    expected: "the key that the consortium file says",
                    reason: format!("it is a {:?} key of {}", key.role, key.institution),
                });
            }
            signers.by_role.insert(*role, key.secret);
        }
        Ok(signers)
    }
}

fn read_checkpoint(path: &Path) -> Result<yilian_spec::proof::Checkpoint, ClientError> {
    let bytes = durable::read(path, limits::INPUT_BYTES_MAX)?;
    yilian_spec::base::json::read(&bytes).map_err(|error| ClientError::FileContent {
        path: path.to_owned(),
        expected: "a checkpoint",
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Consortium, ConsortiumError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("consortium.toml");
        std::fs::write(&path, text).unwrap();
        Consortium::load(&path)
    }

    const TWO: &str = r#"
        passphrase = "file:secret"
        [[institution]]
        id = "renhe-hospital"
        kind = "hospital"
        tier = "province"
        consortia = ["renhe-group"]
        api = "http://127.0.0.1:8600"
        keys = { finance = "keys/finance.key" }
        [[institution]]
        id = "people-fund"
        kind = "insurer"
        api = "http://127.0.0.1:8601"
    "#;

    #[test]
    fn the_example_is_a_consortium() {
        let consortium = load(EXAMPLE).unwrap();
        assert_eq!(consortium.institutions[0].keys.len(), 3);
        assert!(consortium.checkpoint.unwrap().is_absolute());
    }

    #[test]
    fn a_file_is_read_and_its_own_node_comes_first() {
        let consortium = load(TWO).unwrap();
        let renhe = consortium.member(&"renhe-hospital".parse().unwrap()).unwrap();
        assert_eq!(renhe.tier, Some(Tier::Province));
        assert!(renhe.keys[&Role::Finance].is_absolute());
        assert!(consortium.passphrase.as_ref().unwrap().starts_with("file:/"));
        let nodes = consortium.nodes_of(&"people-fund".parse().unwrap());
        assert_eq!(nodes, ["http://127.0.0.1:8601", "http://127.0.0.1:8600"]);
    }

    #[test]
    fn what_is_written_reads_back() {
        let consortium = load(TWO).unwrap();
        assert_eq!(load(&toml::to_string(&consortium).unwrap()).unwrap(), consortium);
    }

    #[test]
    fn what_is_unknown_malformed_or_repeated_is_refused() {
        let member = "[[institution]]\nid = \"a-b\"\nkind = \"hospital\"\n";
        let cases = [
            ("institution = []".to_owned(), "1 to"),
            ("x = 1".to_owned(), "unknown field"),
            (format!("{member}port = 1"), "unknown field"),
            (format!("{member}tier = \"moon\""), "moon"),
            (format!("{member}api = \"localhost\""), "api"),
            (format!("{member}keys = {{ boss = \"x\" }}"), "boss"),
            (format!("passphrase = \"x\"\n{member}"), "passphrase"),
            (format!("{member}{member}"), "twice"),
        ];
        for (text, expected) in cases {
            let message = load(&text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
