//! What a client remembers of a ledger between commands: the key that each node named first, and the highest header
//! that it has verified.
//!
//! Both protect against a node that lies with genuine things: one that answers in another's place, and one that proves
//! what was true once. The memory of a ledger is one JSON file, `<chain id>.json` in the profile's directory, replaced in
//! one step under a lock, so that commands that run at the same time neither lose nor lower anything.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use yilian_spec::base::id::ChainId;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::proof::CertifiedHeader;

use crate::error::{ClientError, HighestVerified};
use crate::limits;
use yilian_local::durable::{self, FileError};

const FORMAT: &str = "yilian-memory/v1";
const CONFLICT_FORMAT: &str = "yilian-conflict/v1";

/// The memory of one ledger.
#[derive(Debug)]
pub struct Memory {
    /// Where it is kept; `None` keeps it for the life of the process.
    directory: Option<PathBuf>,
    chain_id: ChainId,
    /// Keys that the configuration names; they are never learnt.
    given: BTreeMap<String, PublicKey>,
    held: Mutex<Remembered>,
}

/// What is in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    format: String,
    chain_id: ChainId,
    /// The key that each address named first.
    nodes: BTreeMap<String, PublicKey>,
    /// The highest header that was verified, with what made it final.
    highest: Option<CertifiedHeader>,
}

/// Two headers of one height that are both final: proof that a third of the validators signed twice.
#[derive(Serialize)]
struct Conflict<'a> {
    format: &'static str,
    headers: [&'a CertifiedHeader; 2],
}

impl Memory {
    /// The memory of a ledger in a directory, which is made where there is none; without a directory it lasts as long
    /// as the process. `given` are keys of nodes that the configuration names.
    ///
    /// # Errors
    /// When the directory or the file cannot be used.
    pub fn open(
        directory: Option<&Path>,
        chain_id: ChainId,
        given: BTreeMap<String, PublicKey>,
    ) -> Result<Self, ClientError> {
        let empty = Remembered { format: FORMAT.to_owned(), chain_id, nodes: BTreeMap::new(), highest: None };
        let memory =
            Self { directory: directory.map(Path::to_owned), chain_id, given, held: Mutex::new(empty) };
        if let Some(directory) = directory {
            make_private_directory(directory)?;
            memory.read()?;
        }
        Ok(memory)
    }

    /// The ledger.
    pub fn chain_id(&self) -> ChainId {
        self.chain_id
    }

    /// Where it is kept.
    pub fn file(&self) -> Option<PathBuf> {
        Some(self.directory.as_ref()?.join(format!("{}.json", self.chain_id)))
    }

    /// The key of the node at an address, if one is known.
    pub fn node_key(&self, address: &str) -> Option<PublicKey> {
        self.given.get(address).or(self.held().nodes.get(address)).copied()
    }

    /// Remembers the key that the node at an address names, the first time.
    ///
    /// # Errors
    /// [`ClientError::NodeChanged`] when it named another one before, or when the file cannot be written.
    pub fn learn_node_key(&self, address: &str, found: PublicKey) -> Result<(), ClientError> {
        let changed = |known| ClientError::NodeChanged { node: address.to_owned(), known, found };
        if let Some(known) = self.given.get(address).filter(|known| **known != found) {
            return Err(changed(*known));
        }
        self.update(|held| match held.nodes.get(address) {
            Some(known) if *known != found => Err(changed(*known)),
            Some(_) => Ok(false),
            None => {
                held.nodes.insert(address.to_owned(), found);
                Ok(true)
            }
        })
    }

    /// Takes this key for the node at an address from now on, whatever it named before.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn trust_node_key(&self, address: &str, key: PublicKey) -> Result<(), ClientError> {
        self.update(|held| Ok(held.nodes.insert(address.to_owned(), key) != Some(key)))
    }

    /// The highest header that was verified.
    pub fn highest_verified(&self) -> Option<HighestVerified> {
        let held = self.held();
        let header = &held.highest.as_ref()?.header;
        Some(HighestVerified { height: header.height, time: header.time })
    }

    /// Remembers a header that was verified, where it is the highest so far.
    ///
    /// # Errors
    /// [`ClientError::Conflict`] when another one of its height was verified before, or when the file cannot be written.
    pub fn saw(&self, certified: &CertifiedHeader) -> Result<(), ClientError> {
        let height = certified.header.height;
        if self.highest_verified().is_some_and(|highest| highest.height > height) {
            return Ok(());
        }
        self.update(|held| match &held.highest {
            Some(highest) if highest.header.height > height => Ok(false),
            Some(highest) if highest.header.height == height => {
                self.compare(highest, certified).map(|()| false)
            }
            Some(_) | None => {
                held.highest = Some(certified.clone());
                Ok(true)
            }
        })
    }

    /// Demands that two verified headers of one height are the same; else keeps both as evidence.
    ///
    /// # Errors
    /// [`ClientError::Conflict`], which names the file, or why it could not be written.
    pub fn compare(&self, one: &CertifiedHeader, other: &CertifiedHeader) -> Result<(), ClientError> {
        let ids = [one.header.id(), other.header.id()];
        if ids[0] == ids[1] {
            return Ok(());
        }
        let height = one.header.height;
        let conflict = Conflict { format: CONFLICT_FORMAT, headers: [one, other] };
        let mut json = serde_json::to_vec_pretty(&conflict).expect("headers hold nothing that JSON cannot");
        json.push(b'\n');
        let name = format!("conflict-{height}-{:.8}-{:.8}.json", ids[0].to_string(), ids[1].to_string());
        // Without a directory of its own the evidence goes where the program runs: it must not be lost.
        let path = self.directory.clone().unwrap_or_default().join(name);
        match durable::replace(&path, &json) {
            Ok(()) => Err(ClientError::Conflict { height, ids, evidence: path }),
            Err(error) => Err(error.into()),
        }
    }

    fn held(&self) -> MutexGuard<'_, Remembered> {
        // Nothing is done under the lock that can leave it half changed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is remembered, on the disk before here, on top of what other processes have written meanwhile.
    /// `change` says whether anything is to be written.
    fn update(
        &self,
        change: impl FnOnce(&mut Remembered) -> Result<bool, ClientError>,
    ) -> Result<(), ClientError> {
        let _lock = self.lock()?;
        let mut next = self.read()?;
        if change(&mut next)?
            && let Some(file) = self.file()
        {
            let mut json = serde_json::to_vec_pretty(&next).expect("headers hold nothing that JSON cannot");
            json.push(b'\n');
            durable::replace(&file, &json)?;
        }
        *self.held() = next;
        Ok(())
    }

    /// What is in the file now, or what is held where there is none.
    fn read(&self) -> Result<Remembered, ClientError> {
        let held = self.held().clone();
        let Some(file) = self.file() else { return Ok(held) };
        let bytes = match durable::read(&file, limits::INPUT_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(FileError::Absent { .. }) => return Ok(held),
            Err(other) => return Err(other.into()),
        };
        let wrong = |reason: String| ClientError::FileContent {
            path: file.clone(),
            expected: "the memory of this ledger (restore it, or remove it to begin anew)",
            reason,
        };
        let found: Remembered = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if found.format != FORMAT || found.chain_id != self.chain_id {
            return Err(wrong("it is of another format or ledger".to_owned()));
        }
        *self.held() = found.clone();
        Ok(found)
    }

    /// Waits for the lock beside the file; it is held for the time of one small write.
    fn lock(&self) -> Result<Option<File>, ClientError> {
        let Some(file) = self.file() else { return Ok(None) };
        let path = file.with_extension("lock");
        let failed = |source| FileError::Io { action: "lock", path: path.clone(), source };
        let mut options = OpenOptions::new();
        let lock =
            options.write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Some(lock))
    }
}

/// Makes a directory that only its owner may enter.
///
/// # Errors
/// What the system says.
pub fn make_private_directory(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| FileError::Io {
        action: "create",
        path: path.to_owned(),
        source,
    })
}
