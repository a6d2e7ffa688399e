//! The import's memory: which operations it has signed, in which transactions, and what became of them.
//!
//! A file of JSON lines that only grows. A transaction is written and synced before it is submitted, so that after a
//! crash the same bytes can be submitted again; what became of it is written once it is final. Operations are named
//! by keys that say nothing without the local secret ([`super::document`]). A last line that was cut off by a crash
//! was never acted upon, and is removed.
//!
//! ```json
//! {"format":"yilian-import-journal/v1","chain_id":"…"}
//! {"signed":{"transaction":"<canonical bytes>","keys":["…",…]}}
//! {"applied":"<transaction id>"}
//! {"refused":{"transaction":"<transaction id>","operation":3,"reason":"evidence_repeated"}}
//! {"void":"<transaction id>"}
//! ```

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use yilian_spec::codec;
use yilian_spec::id::{ChainId, TransactionId, object_id};
use yilian_spec::limits::TRANSACTION_BYTES_MAX;
use yilian_spec::receipt::Outcome;
use yilian_spec::refusal::Refusal;
use yilian_spec::transaction::Transaction;

use super::document::Key;
use super::limits;

const FORMAT: &str = "yilian-import-journal/v1";

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
    Signed { transaction: String, keys: Vec<String> },
    Applied(TransactionId),
    Refused { transaction: TransactionId, operation: u16, reason: Refusal },
    Void(TransactionId),
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
    /// It took effect, as this operation of this transaction.
    Applied {
        /// The transaction.
        transaction: TransactionId,
        /// Its place in the transaction.
        operation: u16,
    },
    /// The rules of the ledger refused it.
    Refused(Refusal),
}

/// The open, locked journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    fates: BTreeMap<Key, Fate>,
    /// Signed transactions of which nothing more is known, with the keys of their operations.
    open: BTreeMap<TransactionId, (Transaction, Vec<Key>)>,
}

impl Journal {
    /// Opens the journal of a ledger, or begins one.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path, chain_id: ChainId) -> Result<Self, JournalError> {
        let io = |action| move |source| JournalError::Io { action, path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(io("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io("lock")(source)),
        }
        let mut journal = Self { path: path.to_owned(), file, fates: BTreeMap::new(), open: BTreeMap::new() };
        let whole = journal.replay(chain_id)?;
        let length = journal.file.metadata().map_err(io("read"))?.len();
        if whole < length {
            journal.file.set_len(whole).map_err(io("cut"))?;
        }
        if whole == 0 {
            let header = Header { format: FORMAT.to_owned(), chain_id };
            journal.write(&[serde_json::to_string(&header).expect("two texts are JSON")])?;
            let directory = crate::durable::directory(path);
            File::open(directory).and_then(|handle| handle.sync_all()).map_err(io("sync"))?;
        }
        Ok(journal)
    }

    /// Reads all whole lines; how many bytes they are.
    fn replay(&mut self, chain_id: ChainId) -> Result<u64, JournalError> {
        let path = self.path.clone();
        let io = |source| JournalError::Io { action: "read", path: path.clone(), source };
        let mut file = self.file.try_clone().map_err(io)?;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        let mut reader = BufReader::new(file);
        let (mut line, mut whole) = (Vec::new(), 0);
        for number in 1.. {
            line.clear();
            let mut bounded = reader.by_ref().take(limits::JOURNAL_LINE_BYTES_MAX);
            let length = bounded.read_until(b'\n', &mut line).map_err(io)?;
            let wrong = |reason: String| JournalError::Line { path: path.clone(), line: number, reason };
            if length as u64 == limits::JOURNAL_LINE_BYTES_MAX {
                return Err(wrong("too long".to_owned()));
            }
            let Some(text) = line.strip_suffix(b"\n") else { break };
            if number == 1 {
                let header: Header =
                    serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
                if header.format != FORMAT {
                    return Err(wrong(format!("the format is {:?}, not {FORMAT:?}", header.format)));
                }
                if header.chain_id != chain_id {
                    let found = header.chain_id;
                    return Err(JournalError::OtherChain { path: path.clone(), found, expected: chain_id });
                }
            } else {
                let entry = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
                self.apply(entry).map_err(wrong)?;
            }
            whole += length as u64;
        }
        Ok(whole)
    }

    fn apply(&mut self, entry: Entry) -> Result<(), String> {
        match entry {
            Entry::Signed { transaction, keys } => {
                let bytes = hex::decode(&transaction).map_err(|error| error.to_string())?;
                let transaction: Transaction =
                    codec::decode(&bytes, TRANSACTION_BYTES_MAX).map_err(|error| error.to_string())?;
                let keys = keys.iter().map(|key| read_key(key)).collect::<Result<Vec<_>, _>>()?;
                if keys.len() != transaction.body.operations.len() {
                    return Err("not one key for each operation".to_owned());
                }
                self.open.insert(transaction.id(), (transaction, keys));
            }
            Entry::Applied(id) => self.close(id, Some(Outcome::Applied))?,
            Entry::Refused { transaction, operation, reason } => {
                self.close(transaction, Some(Outcome::Refused { operation, reason }))?;
            }
            Entry::Void(id) => self.close(id, None)?,
        }
        Ok(())
    }

    /// Notes what became of a transaction. The operations of a refused one are free to be signed again, but for the
    /// one that was refused.
    fn close(&mut self, id: TransactionId, outcome: Option<Outcome>) -> Result<(), String> {
        let (_, keys) = self.open.remove(&id).ok_or("it speaks of a transaction that is not open")?;
        match outcome {
            Some(Outcome::Applied) => {
                for (key, operation) in keys.into_iter().zip(0..) {
                    self.fates.insert(key, Fate::Applied { transaction: id, operation });
                }
            }
            Some(Outcome::Refused { operation, reason }) => {
                let key =
                    keys.get(usize::from(operation)).ok_or("it refuses an operation that is not there")?;
                self.fates.insert(*key, Fate::Refused(reason));
            }
            None => {}
        }
        Ok(())
    }

    /// Appends lines and syncs them.
    fn write(&mut self, lines: &[String]) -> Result<(), JournalError> {
        let mut bytes = lines.join("\n").into_bytes();
        bytes.push(b'\n');
        let io = |action| {
            let path = self.path.clone();
            move |source| JournalError::Io { action, path, source }
        };
        self.file.write_all(&bytes).map_err(io("write"))?;
        self.file.sync_data().map_err(io("sync"))
    }

    /// Writes transactions down before they are submitted, each with the keys of its operations.
    ///
    /// # Errors
    /// [`JournalError::Io`]; then none of them may be submitted.
    pub fn sign(&mut self, transactions: Vec<(Transaction, Vec<Key>)>) -> Result<(), JournalError> {
        let line = |(transaction, keys): &(Transaction, Vec<Key>)| {
            json(&Entry::Signed {
                transaction: hex::encode(codec::encode(transaction)),
                keys: keys.iter().map(|key| hex::encode(key.0)).collect(),
            })
        };
        self.write(&transactions.iter().map(line).collect::<Vec<_>>())?;
        self.open.extend(transactions.into_iter().map(|one| (one.0.id(), one)));
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
            self.close(*id, *outcome).expect("only transactions that were signed here are finished");
        }
        Ok(())
    }

    /// What became of an operation; `None` when it is not on the ledger.
    pub fn fate(&self, key: &Key) -> Option<Fate> {
        self.fates.get(key).copied()
    }

    /// The object that an operation created, when it took effect.
    pub fn object(&self, key: &Key) -> Option<[u8; 32]> {
        match self.fates.get(key)? {
            Fate::Applied { transaction, operation } => Some(object_id(*transaction, *operation)),
            Fate::Refused(_) => None,
        }
    }

    /// Signed transactions of which nothing more is known.
    pub fn unfinished(&self) -> Vec<Transaction> {
        self.open.values().map(|(transaction, _)| transaction.clone()).collect()
    }
}

fn json(entry: &Entry) -> String {
    serde_json::to_string(entry).expect("texts and numbers are JSON")
}

fn read_key(text: &str) -> Result<Key, String> {
    let mut key = [0; 32];
    hex::decode_to_slice(text, &mut key).map_err(|error| error.to_string())?;
    Ok(Key(key))
}

#[cfg(test)]
mod tests;
