//! The import's memory: which operations it has signed, in which transactions, and what became of them.
//!
//! A file of JSON lines that only grows. A transaction is written and synced before it is submitted, so that after a
//! crash the same bytes can be submitted again; what became of it is written once it is final. Operations are named
//! by keys that say nothing without the local secret ([`super::document`]); beside each stands the digest of what the input
//! asked for, so that a source that changed afterwards is found. A last line that was cut off by a crash was never acted
//! upon, and is removed.
//!
//! ```json
//! {"format":"yilian-import-journal/v2","chain_id":"…"}
//! {"signed":{"transaction":"<canonical bytes>","keys":["…",…],"sources":["…",…]}}
//! {"applied":"<transaction id>"}
//! {"refused":{"transaction":"<transaction id>","operation":3,"reason":"evidence_repeated"}}
//! {"void":"<transaction id>"}
//! {"reversed":"<service id>"}
//! {"reversed_by_others":"<service id>"}
//! {"replaced":"<key>"}
//! {"known":{"key":"…","source":"…"}}
//! {"seen":{"institution":"…","entries":120}}
//! {"began":7}
//! {"untold":"<canonical bytes>"}
//! ```
//!
//! `reversed` notes a service that somebody else's command reversed and whose source changed since, so that it is recorded
//! anew; `reversed_by_others` one whose source did not; `replaced` one that was recorded, reversed and recorded
//! anew without this copy's knowing when; `known` that a change, or without a source a withdrawal, was looked at, and that
//! what is recorded stays; `seen` how much of an author's stream needs no look any more; `began` the height of the ledger
//! before the import signed anything; `untold` a transaction of this import that a withdrawal found on the ledger without
//! knowing what it stood for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{ChainId, GrantId, InstitutionId, ServiceId, TransactionId};
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::Transaction;

use super::agreement::Pair;
use super::document::{Digest, Key};
use replay::replay;

mod replay;

const FORMAT: &str = "yilian-import-journal/v2";
/// It says who treated whom to whoever has the input and the secret beside it.
const MODE: u32 = 0o600;

/// Why the journal cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Another import is running.
    #[error("another import is using {}: wait until it is done", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// It is gone, and what it knew of is not.
    #[error(
        "the journal {} is gone or empty, but {} beside it says that an import began here: restore it from a backup; \
         without it everything would be recorded twice. Where no import with this directory has ever recorded anything, \
         give a new --state directory", path.display(), beside.display()
    )]
    Lost {
        /// The journal.
        path: PathBuf,
        /// The file that an import makes after its journal.
        beside: PathBuf,
    },
    /// There is none.
    #[error(
        "nothing was recorded from here, for there is no journal {}: give the --state directory of the import to take back",
        path.display()
    )]
    None {
        /// Where it would be.
        path: PathBuf,
    },
    /// It belongs to another ledger.
    #[error("{} was made for chain {found}, not {expected}: give another --state directory", path.display())]
    OtherChain {
        /// The file.
        path: PathBuf,
        /// The chain in it.
        found: ChainId,
        /// The chain of the nodes.
        expected: ChainId,
    },
    /// A line is not of this format.
    #[error("{} line {line}: {reason}: restore the file from a backup", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Entry {
    Signed {
        transaction: String,
        keys: Vec<String>,
        sources: Vec<String>,
    },
    Applied(TransactionId),
    Refused {
        transaction: TransactionId,
        operation: u16,
        reason: Refusal,
    },
    Void(TransactionId),
    Reversed(ServiceId),
    Replaced(String),
    ReversedByOthers(ServiceId),
    Seen {
        institution: InstitutionId,
        entries: u64,
    },
    Began(Height),
    Untold(String),
    Known {
        key: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
    },
}

impl Entry {
    fn seen((institution, entries): &(InstitutionId, u64)) -> Self {
        Self::Seen { institution: institution.clone(), entries: *entries }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    chain_id: ChainId,
}

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It took effect.
    Applied {
        /// The id of what it created, if it creates something.
        object: [u8; 32],
    },
    /// The rules of the ledger refused it.
    Refused(Refusal),
}

/// An operation whose fate is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What became of it.
    pub fate: Fate,
    /// The digest of what the input asked for; `None` where its withdrawal is known.
    pub source: Option<Digest>,
    /// What it was.
    pub what: What,
}

/// What an operation did, as far as a later run needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Recorded a service.
    Service(Recorded),
    /// Gave a grant.
    Grant {
        /// Who gave it.
        grantor: InstitutionId,
    },
    /// Something that follows from sources and stays as it is.
    Stays {
        /// The name of the operation.
        name: &'static str,
    },
    /// Something that follows from no source: agreements, periods, corrections.
    Own,
}

/// A service on the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Who recorded it.
    pub recorder: InstitutionId,
    /// Who pays.
    pub payer: InstitutionId,
    /// The gross amount.
    pub gross_minor: AmountMinor,
    /// Its currency.
    pub currency: Currency,
}

impl Recorded {
    /// Who owes whom.
    pub fn pair(&self) -> Pair {
        Pair { provider: self.recorder.clone(), payer: self.payer.clone(), currency: self.currency }
    }
}

/// What an import signs: a transaction, with key and source of each operation.
pub type Signed = (Transaction, Vec<(Key, Digest)>);

/// The open, locked journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    contents: Contents,
}

/// What the lines say.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    settled: BTreeMap<Key, Settled>,
    /// Signed transactions of which nothing more is known, with the keys of their operations.
    open: BTreeMap<TransactionId, Signed>,
    reversed: BTreeSet<ServiceId>,
    /// Grants that the import revoked.
    revoked: BTreeSet<GrantId>,
    /// The nonce of the first transaction that was ever signed.
    first_nonce: Option<[u8; 16]>,
    /// Services that somebody else reversed, and of which the input asks for nothing new.
    reversed_by_others: BTreeSet<ServiceId>,
    /// Services that are known by what replaced them alone.
    replaced: BTreeSet<Key>,
    /// All transactions that were ever signed.
    transactions: BTreeSet<TransactionId>,
    /// The objects that operations created.
    objects: BTreeSet<[u8; 32]>,
    /// How much of an author's stream was looked at.
    seen: BTreeMap<InstitutionId, u64>,
    /// The height of the ledger before anything was signed.
    began: Height,
    /// Transactions that took effect, of which it is not known what their operations stand for.
    untold: BTreeMap<TransactionId, Transaction>,
}

impl Journal {
    /// Opens the journal of a ledger, or begins one. Where there is a file `beside` that an import makes after its journal,
    /// there was one.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path, chain_id: ChainId, beside: Option<&Path>) -> Result<Self, JournalError> {
        let io = |action| move |source| JournalError::Io { action, path: path.to_owned(), source };
        let lost = |beside: &Path| JournalError::Lost { path: path.to_owned(), beside: beside.to_owned() };
        if let Some(beside) = beside.filter(|_| !path.exists()) {
            return Err(lost(beside));
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).mode(MODE).open(path).map_err(io("open"))?;
        // One that an earlier version made may be open to others.
        file.set_permissions(Permissions::from_mode(MODE)).map_err(io("close to others"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io("lock")(source)),
        }
        let (contents, whole) = replay(path, &file, Some(chain_id))?;
        // Its first line is on the disk before there is a secret.
        if let Some(beside) = beside.filter(|_| whole == 0) {
            return Err(lost(beside));
        }
        let length = file.metadata().map_err(io("read"))?.len();
        if whole < length {
            file.set_len(whole).map_err(io("cut"))?;
        }
        let mut journal = Self { path: path.to_owned(), file, contents };
        if whole == 0 {
            let header = Header { format: FORMAT.to_owned(), chain_id };
            journal.write(&[serde_json::to_string(&header).expect("two texts are JSON")])?;
            let directory = yilian_local::durable::directory(path);
            File::open(directory).and_then(|handle| handle.sync_all()).map_err(io("sync"))?;
        }
        Ok(journal)
    }

    /// What the journal of an import says, for a look; nothing is locked or changed. `None` where there is none.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn look(path: &Path) -> Result<Option<Contents>, JournalError> {
        let io = |source| JournalError::Io { action: "open", path: path.to_owned(), source };
        match File::open(path) {
            Ok(file) => replay(path, &file, None).map(|(contents, _)| Some(contents)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io(error)),
        }
    }

    /// Appends lines and syncs them.
    fn write(&mut self, lines: &[String]) -> Result<(), JournalError> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut bytes = lines.join("\n").into_bytes();
        bytes.push(b'\n');
        let io = |action| {
            let path = self.path.clone();
            move |source| JournalError::Io { action, path, source }
        };
        self.file.write_all(&bytes).map_err(io("write"))?;
        self.file.sync_data().map_err(io("sync"))
    }

    /// Writes transactions down before they are submitted.
    ///
    /// # Errors
    /// [`JournalError::Io`]; then none of them may be submitted.
    pub fn sign(&mut self, transactions: Vec<Signed>) -> Result<(), JournalError> {
        let line = |(transaction, operations): &Signed| {
            json(&Entry::Signed {
                transaction: hex::encode(codec::encode(transaction)),
                keys: operations.iter().map(|(key, _)| hex::encode(key.0)).collect(),
                sources: operations.iter().map(|(_, source)| hex::encode(source)).collect(),
            })
        };
        self.write(&transactions.iter().map(line).collect::<Vec<_>>())?;
        for (transaction, operations) in transactions {
            self.contents.open(transaction, operations);
        }
        Ok(())
    }

    /// Writes down what became of transactions: `None` for one that had no effect, so that all its operations are free.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn finish(&mut self, outcomes: &[(TransactionId, Option<Outcome>)]) -> Result<(), JournalError> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let line = |(id, outcome): &(TransactionId, Option<Outcome>)| {
            json(&match *outcome {
                Some(Outcome::Applied) => Entry::Applied(*id),
                Some(Outcome::Refused { operation, reason }) => {
                    Entry::Refused { transaction: *id, operation, reason }
                }
                None => Entry::Void(*id),
            })
        };
        self.write(&outcomes.iter().map(line).collect::<Vec<_>>())?;
        for (id, outcome) in outcomes {
            self.contents.close(*id, *outcome).expect("only transactions that were signed here are finished");
        }
        Ok(())
    }

    /// Notes services that somebody else reversed.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn note_reversed(&mut self, services: &[ServiceId]) -> Result<(), JournalError> {
        self.note(services.iter().map(|service| Entry::Reversed(*service)).collect())
    }

    /// Notes services that somebody else reversed; they stay so until their source changes.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn note_reversed_by_others(&mut self, services: &[ServiceId]) -> Result<(), JournalError> {
        self.note(services.iter().map(|service| Entry::ReversedByOthers(*service)).collect())
    }

    /// Notes services that were recorded and replaced, of which nothing else is known.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn note_replaced(&mut self, keys: &[Key]) -> Result<(), JournalError> {
        self.note(keys.iter().map(|key| Entry::Replaced(hex::encode(key.0))).collect())
    }

    /// Notes that the changes of some sources are known, and that what is recorded stays; without a digest, that the
    /// source is gone.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn note_known(&mut self, known: &[(Key, Option<Digest>)]) -> Result<(), JournalError> {
        let entry = |(key, source): &(Key, Option<Digest>)| Entry::Known {
            key: hex::encode(key.0),
            source: source.map(hex::encode),
        };
        self.note(known.iter().map(entry).collect())
    }

    /// Notes how much of the authors' streams was looked at, or needs no look.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn note_seen(&mut self, lengths: &[(InstitutionId, u64)]) -> Result<(), JournalError> {
        let is_new = |(institution, entries): &&(InstitutionId, u64)| {
            self.contents.seen.get(institution) != Some(entries)
        };
        self.note(lengths.iter().filter(is_new).map(Entry::seen).collect())
    }

    /// Notes how far the ledger and the authors' streams have come before anything is signed.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn note_beginning(
        &mut self,
        height: Height,
        lengths: &[(InstitutionId, u64)],
    ) -> Result<(), JournalError> {
        self.note(lengths.iter().map(Entry::seen).chain([Entry::Began(height)]).collect())
    }

    /// Notes transactions of this import that took effect, where nobody knows what their operations stand for.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn note_untold(&mut self, transactions: &[Transaction]) -> Result<(), JournalError> {
        self.note(transactions.iter().map(|one| Entry::Untold(hex::encode(codec::encode(one)))).collect())
    }

    fn note(&mut self, entries: Vec<Entry>) -> Result<(), JournalError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.write(&entries.iter().map(json).collect::<Vec<_>>())?;
        for entry in entries {
            self.contents.apply(entry).expect("what is noted is of operations that the journal knows");
        }
        Ok(())
    }

    /// What the lines say.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// What became of an operation; `None` when it is not on the ledger, or a grant that the import has revoked.
    pub fn fate(&self, key: &Key) -> Option<Fate> {
        Some(self.contents.settled.get(key)?.fate).filter(|_| !self.contents.is_revoked(key))
    }

    /// The object that an operation created, when it took effect and was not revoked.
    pub fn object(&self, key: &Key) -> Option<[u8; 32]> {
        self.contents.object(key).filter(|_| !self.contents.is_revoked(key))
    }

    /// Signed transactions of which nothing more is known.
    pub fn unfinished(&self) -> Vec<Transaction> {
        self.contents.open.values().map(|(transaction, _)| transaction.clone()).collect()
    }
}

fn json(entry: &Entry) -> String {
    serde_json::to_string(entry).expect("texts and numbers are JSON")
}

#[cfg(test)]
mod tests;
