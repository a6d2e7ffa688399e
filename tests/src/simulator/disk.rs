//! The disk of a simulated node: sorted maps in memory, or a real RocksDB, and in front of either the faults that a disk
//! can have. It outlives the node's power.

use std::collections::BTreeSet;
use std::io::{Error as IoError, ErrorKind};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;
use yilian_node::storage::database::{Database, StorageOptions};
use yilian_node::storage::disk::{Batch, Column, Disk, DiskSnapshot, Pair, ReadBytes, WriteBytes};
use yilian_node::storage::error::StorageError;

use super::host::Stopped;
use super::memory::{Memory, Row, Write};

/// On what the nodes of a run keep their ledgers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backing {
    /// Sorted maps.
    #[default]
    Memory,
    /// RocksDB, in a temporary directory.
    RocksDb,
}

/// What is about to go wrong, or has, on one disk.
#[derive(Debug, Default)]
struct Faults {
    /// Batches until one is torn: the power goes in the middle of it.
    torn_after: Option<u64>,
    torn: bool,
    full: bool,
    delay_ms_per_write: u64,
    delay_ms: u64,
    /// Whether a full disk refused a write.
    refused: bool,
    /// Rows with a bit that turned over: their block's checksum does not fit.
    damaged: BTreeSet<Place>,
    /// Whether one of those was read.
    noticed: bool,
}

/// A row's place.
type Place = (Column, Vec<u8>);

fn failed(action: &'static str, kind: ErrorKind) -> StorageError {
    StorageError::Disk { action, source: IoError::from(kind) }
}

impl Faults {
    /// A write reaches the disk, after a while, or does not.
    fn write(&mut self) -> Result<(), StorageError> {
        if self.full {
            self.refused = true;
            return Err(failed("writing", ErrorKind::StorageFull));
        }
        self.delay_ms += self.delay_ms_per_write;
        Ok(())
    }

    /// A row is read.
    fn read(&mut self, column: Column, key: &[u8]) -> Result<(), StorageError> {
        if !self.damaged.is_empty() && self.damaged.contains(&(column, key.to_vec())) {
            self.noticed = true;
            return Err(failed("reading a row under its checksum", ErrorKind::InvalidData));
        }
        Ok(())
    }
}

/// A node's disk. Copies are the same disk.
#[derive(Clone)]
pub struct NodeDisk {
    backing: Backing,
    memory: Arc<Mutex<Memory>>,
    directory: Option<Arc<TempDir>>,
    faults: Arc<Mutex<Faults>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory for a database: in memory where the system offers that, since what is tested here is what is written in
/// which order, not the device.
fn directory() -> Result<TempDir, Stopped> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("yilian-simulator-");
    let in_memory = PathBuf::from("/dev/shm");
    let made = if in_memory.is_dir() { builder.tempdir_in(in_memory) } else { builder.tempdir() };
    made.or_else(|_| builder.tempdir())
        .map_err(|error| Stopped(format!("no directory for a node's ledger: {error}")))
}

impl NodeDisk {
    /// An empty disk.
    ///
    /// # Errors
    /// When there is no place for its files.
    pub fn new(backing: Backing) -> Result<Self, Stopped> {
        let directory = match backing {
            Backing::Memory => None,
            Backing::RocksDb => Some(Arc::new(directory()?)),
        };
        Ok(Self { backing, memory: Arc::default(), directory, faults: Arc::default() })
    }

    /// Opens it, as a node does when it starts.
    ///
    /// # Errors
    /// When the database does not open.
    pub fn open(&self) -> Result<Box<dyn Disk>, StorageError> {
        let disk: Box<dyn Disk> = match &self.directory {
            None => Box::new(MemoryDisk(Arc::clone(&self.memory))),
            Some(directory) => {
                // A run has a few hundred rows; five nodes of them share one process.
                let memory = StorageOptions { block_cache_bytes: 1 << 20, write_buffers_bytes: 4 << 20 };
                Box::new(Database::open(directory.path(), true, memory)?)
            }
        };
        Ok(Box::new(Faulty { rows: disk, faults: Arc::clone(&self.faults) }))
    }

    /// Everything on it is gone: a new disk, without faults.
    ///
    /// # Errors
    /// When there is no place for its files.
    pub fn wipe(&mut self) -> Result<(), Stopped> {
        *self = Self::new(self.backing)?;
        Ok(())
    }

    /// What it holds now, for [`Self::forget`]; `None` of a real database.
    pub fn remember(&self) -> Option<Memory> {
        self.directory.is_none().then(|| lock(&self.memory).clone())
    }

    /// It holds again what it held, whatever it said it had kept since.
    pub fn forget(&self, held: Memory) {
        *lock(&self.memory) = held;
    }

    /// Turns a bit of some row over. Nothing happens on a real database, whose rows are not at hand.
    pub fn flip(&self, position: u64) {
        let place = lock(&self.memory).place(position);
        lock(&self.faults).damaged.extend(place);
    }

    /// Whether a bit is turned over that no later write has replaced.
    pub fn is_damaged(&self) -> bool {
        !lock(&self.faults).damaged.is_empty()
    }

    /// Whether such a row was read since [`Self::take_noticed`] was last asked.
    pub fn has_noticed(&self) -> bool {
        lock(&self.faults).noticed
    }

    /// Whether such a row was read since this was last asked.
    pub fn take_noticed(&self) -> bool {
        std::mem::take(&mut lock(&self.faults).noticed)
    }

    /// A write beside the ledger: the log of votes.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn write(&self) -> Result<(), StorageError> {
        lock(&self.faults).write()
    }

    /// The power goes in the middle of the batch after so many more; `None`: it does not.
    pub fn tear_after(&self, batches: Option<u64>) {
        lock(&self.faults).torn_after = batches;
    }

    /// Whether the power went in the middle of a batch since this was last asked.
    pub fn take_torn(&self) -> bool {
        let mut faults = lock(&self.faults);
        faults.torn_after = None;
        std::mem::take(&mut faults.torn)
    }

    /// From now on it refuses writes, or takes them again.
    pub fn set_full(&self, full: bool) {
        lock(&self.faults).full = full;
    }

    /// From now on a write takes so long.
    pub fn set_delay(&self, ms_per_write: u64) {
        lock(&self.faults).delay_ms_per_write = ms_per_write;
    }

    /// How long the writes took since this was last asked.
    pub fn take_delay_ms(&self) -> u64 {
        std::mem::take(&mut lock(&self.faults).delay_ms)
    }

    /// Whether it refused a write since this was last asked.
    pub fn take_refused(&self) -> bool {
        std::mem::take(&mut lock(&self.faults).refused)
    }
}

/// Rows in memory.
struct MemoryDisk(Arc<Mutex<Memory>>);

struct MemoryBatch<'a> {
    disk: &'a MemoryDisk,
    writes: Vec<Write>,
}

impl ReadBytes for MemoryDisk {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        lock(&self.0).get(column, key)
    }

    fn with(
        &self,
        column: Column,
        key: &[u8],
        read: &mut dyn FnMut(Option<&[u8]>),
    ) -> Result<(), StorageError> {
        let row = lock(&self.0).row(column, key);
        read(row.as_deref());
        Ok(())
    }

    fn scan<'a>(
        &'a self,
        column: Column,
        start: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Pair, StorageError>> + 'a> {
        let rows = lock(&self.0).clone();
        Box::new(rows.rows_from(column, start))
    }
}

impl Disk for MemoryDisk {
    fn batch(&self) -> Batch<'_> {
        Batch::new(MemoryBatch { disk: self, writes: Vec::new() })
    }

    fn snapshot(&self) -> DiskSnapshot<'_> {
        Box::new(lock(&self.0).clone())
    }

    fn dir(&self) -> &Path {
        Path::new("memory")
    }

    fn bytes(&self) -> Result<u64, StorageError> {
        Ok(lock(&self.0).bytes())
    }

    fn database(&self) -> Option<&Database> {
        None
    }
}

impl WriteBytes for MemoryBatch<'_> {
    fn put(&mut self, column: Column, key: &[u8], value: &[u8]) {
        self.writes.push((column, key.to_vec(), Some(Row::from(value))));
    }

    fn delete(&mut self, column: Column, key: &[u8]) {
        self.writes.push((column, key.to_vec(), None));
    }

    fn write_synced(self: Box<Self>) -> Result<(), StorageError> {
        lock(&self.disk.0).apply(self.writes);
        Ok(())
    }
}

/// Rows with faults in front of them: of a disk, or of a disk at one moment.
struct Faulty<R> {
    rows: R,
    faults: Arc<Mutex<Faults>>,
}

type FaultyDisk = Faulty<Box<dyn Disk>>;

struct FaultyBatch<'a> {
    disk: &'a FaultyDisk,
    batch: Batch<'a>,
    places: Vec<Place>,
}

impl<R> ReadBytes for Faulty<R>
where
    R: Deref<Target: ReadBytes>,
{
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        lock(&self.faults).read(column, key)?;
        self.rows.get(column, key)
    }

    fn with(
        &self,
        column: Column,
        key: &[u8],
        read: &mut dyn FnMut(Option<&[u8]>),
    ) -> Result<(), StorageError> {
        lock(&self.faults).read(column, key)?;
        self.rows.with(column, key, read)
    }

    fn scan<'a>(
        &'a self,
        column: Column,
        start: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Pair, StorageError>> + 'a> {
        Box::new(self.rows.scan(column, start).map(move |pair| {
            let pair = pair?;
            lock(&self.faults).read(column, &pair.0)?;
            Ok(pair)
        }))
    }
}

impl Disk for FaultyDisk {
    fn batch(&self) -> Batch<'_> {
        Batch::new(FaultyBatch { disk: self, batch: self.rows.batch(), places: Vec::new() })
    }

    fn snapshot(&self) -> DiskSnapshot<'_> {
        Box::new(Faulty { rows: self.rows.snapshot(), faults: Arc::clone(&self.faults) })
    }

    fn dir(&self) -> &Path {
        self.rows.dir()
    }

    fn bytes(&self) -> Result<u64, StorageError> {
        self.rows.bytes()
    }

    fn database(&self) -> Option<&Database> {
        self.rows.database()
    }
}

impl WriteBytes for FaultyBatch<'_> {
    fn put(&mut self, column: Column, key: &[u8], value: &[u8]) {
        self.places.push((column, key.to_vec()));
        self.batch.put(column, key, value);
    }

    fn delete(&mut self, column: Column, key: &[u8]) {
        self.places.push((column, key.to_vec()));
        self.batch.delete(column, key);
    }

    fn write_synced(self: Box<Self>) -> Result<(), StorageError> {
        let mut faults = lock(&self.disk.faults);
        match &mut faults.torn_after {
            Some(0) => {
                // A batch is whole or not there: its record's checksum does not fit when the database opens again.
                faults.torn = true;
                return Err(failed("writing a batch", ErrorKind::Interrupted));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        faults.write()?;
        // A row that is written anew is read from where it was written.
        if !faults.damaged.is_empty() {
            self.places.iter().for_each(|place| {
                faults.damaged.remove(place);
            });
        }
        drop(faults);
        self.batch.write_synced()
    }
}
