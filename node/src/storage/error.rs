//! Why storage fails. None of these is passed over: whoever gets one stops, and says what to do.

use std::path::PathBuf;

use thiserror::Error;
use yilian_spec::id::ChainId;

/// A failure of storage, with the remedy.
#[derive(Debug, Error)]
pub enum StorageError {
    /// A read or a write failed.
    #[error("the ledger's database failed while {action}: {source}; {}", database_remedy(source))]
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
    /// The database does not open.
    #[error(
        "the ledger's database in {} does not open: {source}; if another process holds it, stop that one; \
         if a file is damaged, run `yilian-node repair`: it sets the ledger aside and the node rebuilds it from its peers",
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
    /// A row cannot be read as what its column holds.
    #[error(
        "row {key} of {column} is damaged ({reason}); run `yilian-node repair`: it sets the ledger aside and the node \
         rebuilds it from its peers"
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
        "row {key} of {column} is missing; run `yilian-node repair`: it sets the ledger aside and the node rebuilds it \
         from its peers"
    )]
    Missing {
        /// The column.
        column: &'static str,
        /// The row's key, as hexadecimal digits.
        key: String,
    },
    /// Rows contradict each other.
    #[error(
        "the ledger's rows contradict each other: {reason}; run `yilian-node repair`: it sets the ledger aside and the \
         node rebuilds it from its peers"
    )]
    Inconsistent {
        /// What does not fit.
        reason: String,
    },
    /// A log of the database was altered where RocksDB would take it for unfinished, or never come to its end.
    #[error(
        "a record of {} was altered: its length or its type is wrong; run `yilian-node repair`: it sets the \
         ledger aside and the node rebuilds it from its peers",
        path.display()
    )]
    AlteredLog {
        /// The log.
        path: PathBuf,
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
    /// Whether the ledger's files are damaged, rather than out of reach, of another kind, or on a disk that fails.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. }
            | Self::Missing { .. }
            | Self::Inconsistent { .. }
            | Self::AlteredLog { .. } => true,
            Self::Database { source, .. } | Self::Open { source, .. } => is_corruption(source),
            Self::Disk { .. }
            | Self::Directory { .. }
            | Self::NoLedger { .. }
            | Self::NoBackup { .. }
            | Self::NotEmpty { .. }
            | Self::OtherFormat { .. }
            | Self::OtherChain { .. }
            | Self::Backup { .. } => false,
        }
    }
}

/// What RocksDB says of files whose content is not what it wrote. A name that was altered leads to a file that is not
/// there, and an option or a version that was altered to one that it does not know.
fn is_corruption(error: &rocksdb::Error) -> bool {
    use rocksdb::ErrorKind;
    match error.kind() {
        ErrorKind::Corruption
        | ErrorKind::InvalidArgument
        | ErrorKind::NotSupported
        | ErrorKind::NotFound => true,
        _ => error.to_string().contains("No such file"),
    }
}

fn describe_no_backup(dir: &std::path::Path) -> String {
    let lacks = if dir.is_dir() { "holds no backup" } else { "does not exist" };
    format!("{} {lacks}", dir.display())
}

fn database_remedy(error: &rocksdb::Error) -> &'static str {
    if is_corruption(error) {
        "a file is damaged: run `yilian-node repair`, which sets the ledger aside, and the node rebuilds it from its peers"
    } else {
        "check the disk (space, permissions, hardware), then start the node again"
    }
}

impl From<StorageError> for yilian_spec::state::ViewError {
    fn from(error: StorageError) -> Self {
        Self(error.to_string())
    }
}
