//! What is damaged of a ledger's files.
//!
//! It says what is wrong and not what to do: who knows the node's home says that, once ([`crate::cli`]).

use std::path::{Path, PathBuf};

use rocksdb::ErrorKind;
use thiserror::Error;

/// Something of the ledger's files is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Damage {
    /// A row cannot be read as what its column holds.
    #[error("row {key} of {column} is damaged ({reason})")]
    Row {
        /// The column.
        column: &'static str,
        /// The row's key, as hexadecimal digits.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A row that must be there is not.
    #[error("row {key} of {column} is missing")]
    RowMissing {
        /// The column.
        column: &'static str,
        /// The row's key, as hexadecimal digits.
        key: String,
    },
    /// Rows contradict each other.
    #[error("the ledger's rows contradict each other: {reason}")]
    Contradiction {
        /// What does not fit.
        reason: String,
    },
    /// A log of the database was altered where RocksDB would take it for unfinished, or never come to its end.
    #[error("a record of {} was altered: its length or its type is wrong", path.display())]
    AlteredLog {
        /// The log.
        path: PathBuf,
    },
    /// The file that names the database's list of files is gone, and rows are there.
    #[error("the ledger's database in {} has lost its file CURRENT", dir.display())]
    NoCurrent {
        /// The directory.
        dir: PathBuf,
    },
    /// RocksDB found a file whose content is not what it wrote.
    #[error("a file of the ledger's database in {} is damaged, seen while {action}: {said}", dir.display())]
    File {
        /// The directory.
        dir: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What RocksDB said, or what that means.
        said: String,
    },
}

impl Damage {
    /// What `error` of the database in `dir` says of damage; `None` when it speaks of something else, such as a full disk.
    pub(super) fn said_by(error: &rocksdb::Error, dir: &Path, action: &'static str) -> Option<Self> {
        let text = error.to_string();
        is_corruption(error.kind(), &text).then(|| Self::File {
            dir: dir.to_owned(),
            action,
            said: meaning(text),
        })
    }
}

/// What RocksDB says of files whose content is not what it wrote. A name that was altered leads to a file that is not
/// there, and an option or a version that was altered to one that it does not know.
fn is_corruption(kind: ErrorKind, text: &str) -> bool {
    match kind {
        ErrorKind::Corruption
        | ErrorKind::InvalidArgument
        | ErrorKind::NotSupported
        | ErrorKind::NotFound => true,
        ErrorKind::MergeInProgress
        | ErrorKind::Incomplete
        | ErrorKind::ShutdownInProgress
        | ErrorKind::TimedOut
        | ErrorKind::Aborted
        | ErrorKind::Busy
        | ErrorKind::Expired
        | ErrorKind::TryAgain
        | ErrorKind::CompactionTooLarge
        | ErrorKind::ColumnFamilyDropped
        | ErrorKind::IOError
        | ErrorKind::Unknown => text.contains("No such file"),
    }
}

/// RocksDB's words in the operator's: of a block that was altered it tells two checksums, the stored one with "(context
/// removed)" (without the block's place, which it mixes in), and only then where the block lies.
fn meaning(text: String) -> String {
    let place = text.split_once("block checksum mismatch").and_then(|(_, rest)| {
        let (_, place) = rest.split_once("  in ")?;
        let (file, rest) = place.split_once(" offset ")?;
        let (offset, rest) = rest.split_once(" size ")?;
        let size = rest.split(',').next()?;
        Some((file.to_owned(), offset.to_owned(), size.to_owned()))
    });
    match place {
        Some((file, offset, size)) => {
            format!("the checksum of the {size} bytes from {offset} on of {file} does not fit them")
        }
        None => format!("RocksDB says {text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_altered_block_is_told_by_its_place_and_not_by_checksums() {
        let said = "Corruption: block checksum mismatch: stored(context removed) = 3115463423, computed = 2209124567, \
                    type = 4  in node/data/ledger/000012.sst offset 4096 size 812, block_type = Data";
        let expected =
            "the checksum of the 812 bytes from 4096 on of node/data/ledger/000012.sst does not fit them";
        assert_eq!(meaning(said.to_owned()), expected);
        let other = "Corruption: missing start of fragmented record(2)";
        assert_eq!(meaning(other.to_owned()), format!("RocksDB says {other:?}"));
    }

    #[test]
    fn a_disk_that_is_full_is_not_damaged() {
        assert!(!is_corruption(ErrorKind::IOError, "IO error: No space left on device"));
        assert!(is_corruption(ErrorKind::IOError, "IO error: No such file or directory"));
        assert!(is_corruption(ErrorKind::Corruption, ""));
    }
}
