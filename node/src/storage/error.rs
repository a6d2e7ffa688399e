//! Why storage fails. None of these is passed over: whoever gets one stops, and says what to do.

use std::path::PathBuf;

use thiserror::Error;
use yilian_spec::id::ChainId;

/// A failure of storage, with the remedy.
#[derive(Debug, Error)]
pub enum StorageError {
    /// A read or a write failed.
    #[error(
        "the ledger's database failed while {action}: {source}; check the disk (space, permissions, hardware), \
         then start the node again"
    )]
    Database {
        /// What was being done.
        action: &'static str,
        /// What the database said.
        source: rocksdb::Error,
    },
    /// The database does not open.
    #[error(
        "the ledger's database in {} does not open: {source}; if another process holds it, stop that one; \
         if a file is damaged, restore a backup or remove the directory and let the node catch up",
        dir.display()
    )]
    Open {
        /// The directory.
        dir: PathBuf,
        /// What the database said.
        source: rocksdb::Error,
    },
    /// A directory cannot be made or read.
    #[error("{} cannot be used: {source}; check the path and its permissions", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is nothing to open.
    #[error("{} holds no ledger; give the node's data directory, or start from a genesis", dir.display())]
    NoLedger {
        /// The directory.
        dir: PathBuf,
    },
    /// There is a ledger already.
    #[error("{} holds a ledger already; choose another directory, or remove it first", dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// The rows were written by another version of the program.
    #[error(
        "{} has storage format {found}, this program reads {supported}; use the program that wrote it, \
         or let a new directory catch up",
        dir.display()
    )]
    OtherFormat {
        /// The directory.
        dir: PathBuf,
        /// The format it has.
        found: u32,
        /// The format this program reads.
        supported: u32,
    },
    /// The directory belongs to another ledger.
    #[error(
        "{} holds the ledger {found}, the genesis is that of {expected}; check which genesis file the node was given",
        dir.display()
    )]
    OtherChain {
        /// The directory.
        dir: PathBuf,
        /// The chain it holds.
        found: ChainId,
        /// The chain that was asked for.
        expected: ChainId,
    },
    /// A row cannot be read as what its column holds.
    #[error(
        "row {key} of {column} is damaged ({reason}); restore a backup, or remove the directory and let the node \
         catch up"
    )]
    Damaged {
        /// The column.
        column: &'static str,
        /// The row's key, as hexadecimal digits.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A row that must be there is not.
    #[error(
        "row {key} of {column} is missing; restore a backup, or remove the directory and let the node catch up"
    )]
    Missing {
        /// The column.
        column: &'static str,
        /// The row's key, as hexadecimal digits.
        key: String,
    },
    /// Rows contradict each other.
    #[error(
        "the ledger's rows contradict each other: {reason}; restore a backup, or remove the directory and let the \
         node catch up"
    )]
    Inconsistent {
        /// What does not fit.
        reason: String,
    },
    /// A backup cannot be made or read.
    #[error("the backup in {} failed while {action}: {source}", dir.display())]
    Backup {
        /// The backup's directory.
        dir: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the database said.
        source: rocksdb::Error,
    },
}

impl From<StorageError> for yilian_spec::state::ViewError {
    fn from(error: StorageError) -> Self {
        Self(error.to_string())
    }
}
