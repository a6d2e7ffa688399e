//! Why storage fails. None of these is passed over: whoever gets one stops, and says what to do.

use std::path::{Path, PathBuf};

use thiserror::Error;
use yilian_spec::base::id::ChainId;

use super::damage::Damage;

/// A failure of storage, with the remedy; that of [`Damage`] is said by who knows the node's home.
#[derive(Debug, Error)]
pub enum StorageError {
    /// A read or a write failed, and no file is damaged.
    #[error(
        "the ledger's database failed while {action}: {source}; check the disk (space, permissions, hardware), then start \
         the node again"
    )]
    Database {
        /// What was being done.
        action: &'static str,
        /// What the database said.
        source: rocksdb::Error,
    },
    /// What keeps the rows failed, and it is no database.
    #[error(
        "the ledger's disk failed while {action}: {source}; check the disk (space, permissions, hardware), then start the node again"
    )]
    Disk {
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database does not open, and no file is damaged.
    #[error(
        "the ledger's database in {} does not open: {source}; if another process holds it, stop that one; otherwise check \
         the disk (space, permissions, hardware)",
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
    /// There is no backup to restore.
    #[error("{}: give the directory that `yilian-node backup` was given", describe_no_backup(dir))]
    NoBackup {
        /// The directory.
        dir: PathBuf,
    },
    /// There is a ledger already.
    #[error("{} holds a ledger already: move it away first, or choose another directory", dir.display())]
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
    /// The ledger's files are damaged.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// Files of the newest backup are missing, or not as they were copied.
    #[error(
        "backup {number} in {} is damaged: {files}. Restore that directory from another copy; or move {}/meta/{number} away, \
         then the backup before it is the newest", dir.display(), dir.display()
    )]
    BackupDamaged {
        /// The backup's directory.
        dir: PathBuf,
        /// The backup.
        number: u32,
        /// Which files, and what is wrong with each.
        files: String,
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

impl StorageError {
    /// Why the database in `dir` does not open.
    pub(super) fn open(source: rocksdb::Error, dir: &Path) -> Self {
        match Damage::said_by(&source, dir, "opening it") {
            Some(damage) => damage.into(),
            None => Self::Open { dir: dir.to_owned(), source },
        }
    }

    /// Why the open database in `dir` fails.
    pub(super) fn database(source: rocksdb::Error, dir: &Path, action: &'static str) -> Self {
        match Damage::said_by(&source, dir, action) {
            Some(damage) => damage.into(),
            None => Self::Database { action, source },
        }
    }

    /// Rows contradict each other.
    pub(crate) fn contradiction(reason: impl Into<String>) -> Self {
        Damage::Contradiction { reason: reason.into() }.into()
    }

    /// Whether the ledger's files are damaged, rather than out of reach, of another kind, or on a disk that fails.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damage(_))
    }
}

fn describe_no_backup(dir: &Path) -> String {
    let lacks = if dir.is_dir() { "holds no backup" } else { "does not exist" };
    format!("{} {lacks}", dir.display())
}

impl From<StorageError> for yilian_spec::state::ViewError {
    fn from(error: StorageError) -> Self {
        Self(error.to_string())
    }
}
