//! RocksDB below the tables: bounded memory, one column family per kind of row, synced atomic batches, snapshots.

use std::path::{Path, PathBuf};

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB,
    DBCompressionType, DBRecoveryMode, Direction, IteratorMode, Options, ReadOptions, Snapshot, WriteBatch,
    WriteOptions,
};

use super::damage::Damage;
use super::disk::{Batch, Column, Disk, DiskSnapshot, Pair, ReadBytes, WriteBytes};
use super::error::StorageError;
use super::log_tail;
use crate::base::limits;

/// How much memory the database may use; the defaults suit a small machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageOptions {
    /// For blocks that were read, in bytes.
    pub block_cache_bytes: usize,
    /// For rows not yet sorted into files, in bytes.
    pub write_buffers_bytes: usize,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: limits::BLOCK_CACHE_BYTES,
            write_buffers_bytes: limits::WRITE_BUFFERS_BYTES,
        }
    }
}

/// An open database.
pub struct Database {
    db: DB,
    dir: PathBuf,
}

/// The database at one moment, while writes go on.
struct DatabaseSnapshot<'a> {
    database: &'a Database,
    snapshot: Snapshot<'a>,
}

/// A batch of RocksDB's own.
struct DatabaseBatch<'a> {
    database: &'a Database,
    writes: WriteBatch,
}

impl Database {
    /// Opens the database in `dir`; makes it when `create` allows and there is none.
    ///
    /// # Errors
    /// [`StorageError::NoLedger`] when there is none and it may not be made; [`StorageError::Damage`] or
    /// [`StorageError::Open`] otherwise.
    pub fn open(dir: &Path, create: bool, options: StorageOptions) -> Result<Self, StorageError> {
        require_database(dir, create)?;
        let mut database = database_options(options);
        database.create_if_missing(create);
        database.create_missing_column_families(create);
        let db = DB::open_cf_descriptors(&database, dir, columns(options))
            .map_err(|source| StorageError::open(source, dir))?;
        Ok(Self { db, dir: dir.to_owned() })
    }

    /// Opens the database in `dir` for reading alone; its files stay as they are, and a node may go on using them.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open_read_only(dir: &Path, options: StorageOptions) -> Result<Self, StorageError> {
        require_database(dir, false)?;
        let db = DB::open_cf_descriptors_read_only(&database_options(options), dir, columns(options), false)
            .map_err(|source| StorageError::open(source, dir))?;
        Ok(Self { db, dir: dir.to_owned() })
    }

    /// RocksDB's handle, for backups.
    pub(super) fn rocksdb(&self) -> &DB {
        &self.db
    }

    fn handle(&self, column: Column) -> &ColumnFamily {
        self.db.cf_handle(column.name()).expect("every column was opened with the database")
    }
}

impl Disk for Database {
    fn batch(&self) -> Batch<'_> {
        Batch::new(DatabaseBatch { database: self, writes: WriteBatch::default() })
    }

    fn snapshot(&self) -> DiskSnapshot<'_> {
        Box::new(DatabaseSnapshot { database: self, snapshot: self.db.snapshot() })
    }

    fn dir(&self) -> &Path {
        &self.dir
    }

    fn bytes(&self) -> Result<u64, StorageError> {
        let total =
            |column| self.db.property_int_value_cf(self.handle(column), "rocksdb.live-sst-files-size");
        Column::ALL
            .into_iter()
            .map(|column| total(column).map(Option::unwrap_or_default))
            .sum::<Result<u64, _>>()
            .map_err(|source| StorageError::database(source, &self.dir, "measuring the files"))
    }

    fn database(&self) -> Option<&Database> {
        Some(self)
    }
}

impl WriteBytes for DatabaseBatch<'_> {
    fn put(&mut self, column: Column, key: &[u8], value: &[u8]) {
        self.writes.put_cf(self.database.handle(column), key, value);
    }

    fn delete(&mut self, column: Column, key: &[u8]) {
        self.writes.delete_cf(self.database.handle(column), key);
    }

    fn write_synced(self: Box<Self>) -> Result<(), StorageError> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.database
            .db
            .write_opt(self.writes, &options)
            .map_err(|source| StorageError::database(source, &self.database.dir, "writing a batch"))
    }
}

impl ReadBytes for Database {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.db
            .get_cf(self.handle(column), key)
            .map_err(|source| StorageError::database(source, &self.dir, "reading a row"))
    }

    fn with(
        &self,
        column: Column,
        key: &[u8],
        read: &mut dyn FnMut(Option<&[u8]>),
    ) -> Result<(), StorageError> {
        let row = self.db.get_pinned_cf(self.handle(column), key);
        let row = row.map_err(|source| StorageError::database(source, &self.dir, "reading a row"))?;
        read(row.as_deref());
        Ok(())
    }

    fn scan<'a>(
        &'a self,
        column: Column,
        start: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Pair, StorageError>> + 'a> {
        let from = IteratorMode::From(start, Direction::Forward);
        let rows = self.db.iterator_cf_opt(self.handle(column), ReadOptions::default(), from);
        Box::new(rows.map(|row| scanned(row, &self.dir)))
    }
}

impl ReadBytes for DatabaseSnapshot<'_> {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.snapshot
            .get_cf(self.database.handle(column), key)
            .map_err(|source| StorageError::database(source, &self.database.dir, "reading a row"))
    }

    fn with(
        &self,
        column: Column,
        key: &[u8],
        read: &mut dyn FnMut(Option<&[u8]>),
    ) -> Result<(), StorageError> {
        let row = self.snapshot.get_pinned_cf(self.database.handle(column), key);
        let row =
            row.map_err(|source| StorageError::database(source, &self.database.dir, "reading a row"))?;
        read(row.as_deref());
        Ok(())
    }

    fn scan<'a>(
        &'a self,
        column: Column,
        start: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Pair, StorageError>> + 'a> {
        let from = IteratorMode::From(start, Direction::Forward);
        let rows = self.snapshot.iterator_cf_opt(self.database.handle(column), ReadOptions::default(), from);
        Box::new(rows.map(|row| scanned(row, &self.database.dir)))
    }
}

fn scanned(row: Result<Pair, rocksdb::Error>, dir: &Path) -> Result<Pair, StorageError> {
    row.map_err(|source| StorageError::database(source, dir, "listing rows"))
}

/// A database has a file `CURRENT`; without it a directory that was mistyped would silently become an empty ledger. Its
/// logs are looked at before RocksDB drops an end that it takes for an unfinished write.
fn require_database(dir: &Path, create: bool) -> Result<(), StorageError> {
    if dir.join("CURRENT").is_file() {
        return log_tail::check(dir);
    }
    // RocksDB would make a new database here and delete what is left of the old one.
    if log_tail::is_rest_of_database(dir) {
        return Err(Damage::NoCurrent { dir: dir.to_owned() }.into());
    }
    if !create {
        return Err(StorageError::NoLedger { dir: dir.to_owned() });
    }
    std::fs::create_dir_all(dir).map_err(|source| StorageError::Directory { dir: dir.to_owned(), source })
}

fn database_options(sizes: StorageOptions) -> Options {
    let mut options = Options::default();
    options.set_db_write_buffer_size(sizes.write_buffers_bytes);
    options.set_max_total_wal_size(limits::DATABASE_LOG_BYTES_MAX);
    options.set_max_open_files(limits::DATABASE_FILES_MAX);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(1 << 20);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(1 << 20);
    options.set_paranoid_checks(true);
    // Every batch is synced, so only the last record of a log can be incomplete, and only if nobody was told of it.
    // Damage anywhere else must not silently cut off what follows.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // A log that the manifest knows must be there, and as long as it was when it was synced.
    options.set_track_and_verify_wals_in_manifest(true);
    options
}

fn columns(sizes: StorageOptions) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(sizes.block_cache_bytes);
    let column = |column: Column| {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&cache);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        // Filters and indexes in pieces: the cache is divided into parts of a megabyte, in which the filter of a whole
        // file would push out everything else, and then itself.
        table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        table.set_partition_filters(true);
        table.set_metadata_block_size(4 << 10);
        // From 6 on a file's footer has a checksum, and each block's covers the file and the place it belongs to.
        table.set_format_version(6);
        table.set_block_size(if column == Column::StateBucket { 4 << 10 } else { 8 << 10 });
        if has_misses(column) {
            table.set_bloom_filter(10.0, false);
        }
        let mut options = Options::default();
        options.set_block_based_table_factory(&table);
        let compression =
            if is_incompressible(column) { DBCompressionType::None } else { DBCompressionType::Lz4 };
        options.set_compression_type(compression);
        // A bucket that is asked for exists: its filter saves the levels above the one that holds it, not the last.
        options.set_optimize_filters_for_hits(column == Column::StateBucket);
        // Buckets are written again and again: the more of them meet in memory, the fewer reach the files.
        let share = if column == Column::StateBucket { 2 } else { 8 };
        options.set_write_buffer_size(sizes.write_buffers_bytes / share);
        options.set_level_compaction_dynamic_level_bytes(true);
        ColumnFamilyDescriptor::new(column.name(), options)
    };
    Column::ALL.into_iter().map(column).collect()
}

/// Whether a column's values are mostly hashes, which no compression makes shorter.
const fn is_incompressible(column: Column) -> bool {
    matches!(column, Column::TransactionIndex | Column::StateBucket | Column::LogNode | Column::BlockIndex)
}

/// Whether rows are often asked for that do not exist.
const fn has_misses(column: Column) -> bool {
    matches!(column, Column::TransactionIndex | Column::StateRow | Column::StateBucket | Column::BlockIndex)
}
