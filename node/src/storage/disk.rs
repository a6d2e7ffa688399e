//! Bytes on disk, as the tables above see them: columns of rows, atomic batches that are synced, snapshots. A node keeps
//! them in RocksDB ([`super::database`]); the simulator in memory, where it can fail on purpose.

use std::path::Path;

use super::database::Database;
use super::error::StorageError;

/// A kind of rows. Each is a column family of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// Format, genesis, tip.
    Meta,
    /// Height → header.
    Header,
    /// Height → commit certificate.
    Certificate,
    /// Height and index → transaction. May be pruned; everything else stays.
    Transaction,
    /// Height and index → receipt.
    Receipt,
    /// Transaction id → height and index.
    TransactionIndex,
    /// Block id → height.
    BlockIndex,
    /// State key → row.
    StateRow,
    /// Bucket of the state tree → its leaves and inner hashes.
    StateBucket,
    /// Level and index → hash of a complete subtree of the ledger's log.
    LogNode,
    /// Height, round and block id → a block that is not decided.
    Undecided,
}

impl Column {
    /// All columns.
    pub const ALL: [Self; 11] = [
        Self::Meta,
        Self::Header,
        Self::Certificate,
        Self::Transaction,
        Self::Receipt,
        Self::TransactionIndex,
        Self::BlockIndex,
        Self::StateRow,
        Self::StateBucket,
        Self::LogNode,
        Self::Undecided,
    ];

    /// The column's name on disk and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Header => "header",
            Self::Certificate => "certificate",
            Self::Transaction => "transaction",
            Self::Receipt => "receipt",
            Self::TransactionIndex => "transaction_index",
            Self::BlockIndex => "block_index",
            Self::StateRow => "state_row",
            Self::StateBucket => "state_bucket",
            Self::LogNode => "log_node",
            Self::Undecided => "undecided",
        }
    }
}

/// A key and its value.
pub type Pair = (Box<[u8]>, Box<[u8]>);

/// Reads bytes: the database as it is now, or a snapshot of it.
pub trait ReadBytes {
    /// The value under a key.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;

    /// Hands the value under a key to `read`, in place.
    ///
    /// # Errors
    /// When the database cannot be read; `read` is not called then.
    fn with(
        &self,
        column: Column,
        key: &[u8],
        read: &mut dyn FnMut(Option<&[u8]>),
    ) -> Result<(), StorageError>;

    /// All rows from `start` on, in the order of their keys.
    fn scan<'a>(
        &'a self,
        column: Column,
        start: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Pair, StorageError>> + 'a>;
}

/// Where rows are kept.
pub trait Disk: ReadBytes + Send + Sync {
    /// An empty batch.
    fn batch(&self) -> Batch<'_>;

    /// The rows as they are now, while writes go on.
    fn snapshot(&self) -> DiskSnapshot<'_>;

    /// Where it is.
    fn dir(&self) -> &Path;

    /// Bytes it takes, without what was written ahead of them.
    ///
    /// # Errors
    /// When it cannot tell.
    fn bytes(&self) -> Result<u64, StorageError>;

    /// The database, where it is one: what copies its files needs it.
    fn database(&self) -> Option<&Database>;
}

/// The rows at one moment.
pub type DiskSnapshot<'a> = Box<dyn ReadBytes + Send + Sync + 'a>;

/// Collects writes for one disk.
pub trait WriteBytes {
    /// Writes a row.
    fn put(&mut self, column: Column, key: &[u8], value: &[u8]);

    /// Deletes a row.
    fn delete(&mut self, column: Column, key: &[u8]);

    /// Carries the writes out; when this returns, they have reached the disk.
    ///
    /// # Errors
    /// When they have not; what the disk then holds is only known after opening it again.
    fn write_synced(self: Box<Self>) -> Result<(), StorageError>;
}

/// Writes that take effect together or not at all.
#[must_use = "a batch changes nothing until it is written"]
pub struct Batch<'a>(Box<dyn WriteBytes + 'a>);

impl<'a> Batch<'a> {
    /// A batch of one disk.
    pub fn new(writes: impl WriteBytes + 'a) -> Self {
        Self(Box::new(writes))
    }

    /// Writes a row.
    pub fn put(&mut self, column: Column, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.0.put(column, key.as_ref(), value.as_ref());
    }

    /// Deletes a row.
    pub fn delete(&mut self, column: Column, key: impl AsRef<[u8]>) {
        self.0.delete(column, key.as_ref());
    }

    /// Writes the batch; when this returns, it has reached the disk.
    ///
    /// # Errors
    /// When it has not; what the disk then holds is only known after opening it again.
    pub fn write_synced(self) -> Result<(), StorageError> {
        self.0.write_synced()
    }
}
