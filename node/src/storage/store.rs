//! A ledger in storage: made from a genesis, opened again, checked for format, chain and a tip that fits its rows.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId, Hash};
use yilian_spec::crypto::merkle::log::Frontier;
use yilian_spec::crypto::merkle::state_tree::{BucketId, StateTree};
use yilian_spec::domain::membership::validators::ValidatorSet;
use yilian_spec::ledger::chain::{self, Tip};
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::state::key::StateKey;

use super::commit::{put_state, put_tip};
use super::damage::Damage;
use super::database::{Database, StorageOptions};
use super::disk::{Batch, Column, Disk, DiskSnapshot};
use super::error::StorageError;
use super::tables::{
    FORMAT_KEY, GENESIS_KEY, Tables, TipRow, UndecidedRow, damaged, decode_row, undecided_key,
};
use crate::storage::state_root::{proven_changes, tree_error};

/// The format of the rows that this program writes. Each that there has been:
///
/// 1. One column per kind of row; transactions and receipts each in a row; the state tree in buckets of 32.
pub const FORMAT_VERSION: u32 = 1;

/// A ledger in storage. Shared by the one writer and all readers.
pub struct Store {
    disk: Box<dyn Disk>,
    genesis: Genesis,
    chain_id: ChainId,
    /// The height whose undecided blocks were counted last, and how many of them have arrived.
    arrivals: Mutex<Option<(Height, u64)>>,
}

/// What the writer keeps in memory beside the rows.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The ledger's end.
    pub tip: Tip,
    /// The upper levels of the state tree.
    pub tree: StateTree,
}

impl Store {
    /// Makes a ledger in an empty or absent directory. The caller has checked the genesis.
    ///
    /// # Errors
    /// [`StorageError::NotEmpty`] when there is one already; or storage fails.
    pub fn create(dir: &Path, genesis: &Genesis, options: StorageOptions) -> Result<Self, StorageError> {
        Self::create_on(Box::new(Database::open(dir, true, options)?), genesis)
    }

    fn create_on(disk: Box<dyn Disk>, genesis: &Genesis) -> Result<Self, StorageError> {
        let tables = Tables(&*disk);
        if tables.format()?.is_some() {
            return Err(StorageError::NotEmpty { dir: disk.dir().to_owned() });
        }
        let chain_id = genesis.chain_id();
        let writes = chain::genesis_writes(genesis);
        let update = StateTree::new().prepare(&tables, &proven_changes(&writes)).map_err(tree_error)?;
        let mut batch = disk.batch();
        batch.put(Column::Meta, FORMAT_KEY, codec::encode(&FORMAT_VERSION));
        batch.put(Column::Meta, GENESIS_KEY, codec::encode(genesis));
        put_state(&mut batch, &writes, update.rows());
        let root = Hash(update.root());
        put_tip(&mut batch, &(Height(0), BlockId(chain_id.0), Frontier::default(), root));
        batch.write_synced()?;
        Ok(Self { disk, genesis: genesis.clone(), chain_id, arrivals: Mutex::default() })
    }

    /// Opens a ledger to write to it.
    ///
    /// # Errors
    /// When there is none, it has another format, or its meta rows cannot be read.
    pub fn open(dir: &Path, options: StorageOptions) -> Result<Self, StorageError> {
        Self::from_disk(Box::new(Database::open(dir, false, options)?))
    }

    /// Opens a ledger for reading alone, also while a node writes to it; later blocks do not show.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_read_only(dir: &Path, options: StorageOptions) -> Result<Self, StorageError> {
        Self::from_disk(Box::new(Database::open_read_only(dir, options)?))
    }

    /// Opens the ledger of `genesis` in `dir`, or makes it when the directory holds none.
    ///
    /// # Errors
    /// [`StorageError::OtherChain`] when the directory holds another ledger; or as [`Store::open`].
    pub fn open_or_create(
        dir: &Path,
        genesis: &Genesis,
        options: StorageOptions,
    ) -> Result<Self, StorageError> {
        Self::open_or_create_on(Box::new(Database::open(dir, true, options)?), genesis)
    }

    /// Opens the ledger of `genesis` on a disk, or makes it when the disk holds none.
    ///
    /// # Errors
    /// As [`Store::open_or_create`].
    pub fn open_or_create_on(disk: Box<dyn Disk>, genesis: &Genesis) -> Result<Self, StorageError> {
        // A crash while the ledger was made leaves a database without a format row: nothing was in it yet.
        if Tables(&*disk).format()?.is_none() {
            return Self::create_on(disk, genesis);
        }
        let store = Self::from_disk(disk)?;
        let expected = genesis.chain_id();
        if store.chain_id != expected {
            let dir = store.disk.dir().to_owned();
            return Err(StorageError::OtherChain { dir, found: store.chain_id, expected });
        }
        Ok(store)
    }

    fn from_disk(disk: Box<dyn Disk>) -> Result<Self, StorageError> {
        let tables = Tables(&*disk);
        let no_ledger = || StorageError::NoLedger { dir: disk.dir().to_owned() };
        let found = tables.format()?.ok_or_else(no_ledger)?;
        if found != FORMAT_VERSION {
            let supported = FORMAT_VERSION;
            return Err(StorageError::OtherFormat { dir: disk.dir().to_owned(), found, supported });
        }
        let genesis = tables.genesis()?;
        let chain_id = genesis.chain_id();
        Ok(Self { disk, genesis, chain_id, arrivals: Mutex::default() })
    }

    /// Reads the tip and builds the state tree in memory, and checks that they belong together.
    ///
    /// # Errors
    /// When a row is damaged or missing, or the rows contradict each other.
    pub fn load(&self) -> Result<Opened, StorageError> {
        let (height, block_id, log, state_root): TipRow = self.tables().tip()?;
        let time = match self.tables().header(height)? {
            None if height == Height(0) => self.genesis.time,
            None => {
                return Err(StorageError::contradiction(format!(
                    "the tip is block {height}, which has no header"
                )));
            }
            Some(header) => {
                let fits = header.id() == block_id
                    && header.state_root == state_root
                    && (header.log_size, header.log_root) == (log.length(), Hash(log.root()));
                if !fits {
                    return Err(StorageError::contradiction(format!(
                        "the tip is not the one that header {height} names"
                    )));
                }
                header.time
            }
        };
        let tree = self.load_tree()?;
        if Hash(tree.root()) != state_root {
            return Err(StorageError::contradiction(format!(
                "the state tree's root is not that of block {height}"
            )));
        }
        let tip = Tip {
            chain_id: self.chain_id,
            height,
            block_id,
            time,
            log,
            state_root,
            validators: self.state_record::<ValidatorSet>(&StateKey::Validators)?,
            parameters: self.state_record(&StateKey::Parameters)?,
            attendance: self.state_record_if_any(&StateKey::Attendance)?.unwrap_or_default(),
        };
        Ok(Opened { tip, tree })
    }

    fn load_tree(&self) -> Result<StateTree, StorageError> {
        let rows = self.disk.scan(Column::StateBucket, &[]).map(|row| {
            let (key, value) = row?;
            let id = BucketId::from_bytes(&key);
            let id =
                id.ok_or_else(|| damaged(Column::StateBucket, &key, "the key is not that of a bucket"))?;
            Ok((id, value.into_vec()))
        });
        StateTree::open::<StorageError>(rows).map_err(|error| StorageError::contradiction(error.to_string()))
    }

    /// A record of the state.
    ///
    /// # Errors
    /// [`Damage::RowMissing`] when there is none, or when it cannot be read.
    pub fn state_record<T: codec::Canonical>(&self, key: &StateKey) -> Result<T, StorageError> {
        let missing =
            || Damage::RowMissing { column: Column::StateRow.name(), key: hex::encode(key.bytes()) };
        Ok(self.state_record_if_any(key)?.ok_or_else(missing)?)
    }

    fn state_record_if_any<T: codec::Canonical>(&self, key: &StateKey) -> Result<Option<T>, StorageError> {
        let key = key.bytes();
        let row = self.disk.get(Column::StateRow, &key)?;
        row.map(|row| decode_row(Column::StateRow, &key, &row)).transpose()
    }

    /// Writes a batch; when this returns, it has reached the disk.
    ///
    /// # Errors
    /// When it has not.
    pub fn write(&self, batch: Batch<'_>) -> Result<(), StorageError> {
        batch.write_synced()
    }

    /// Keeps an undecided block; when this returns, it has reached the disk. One that is held already stays as it is.
    ///
    /// # Errors
    /// When storage fails.
    pub fn remember(
        &self,
        height: Height,
        round: u32,
        block_id: BlockId,
        row: (Option<u32>, yilian_spec::crypto::signature::PublicKey, Vec<u8>),
    ) -> Result<(), StorageError> {
        let key = undecided_key(height, round, block_id);
        if self.disk.get(Column::Undecided, &key)?.is_some() {
            return Ok(());
        }
        // Reading the height's rows for each further one would take longer the more there are.
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let arrival = match *arrivals {
            Some((counted, arrived)) if counted == height => arrived,
            _ => self.tables().undecided(height, None)?.last().map_or(0, |(_, _, row)| row.0 + 1),
        };
        let (valid_round, proposer, bytes) = row;
        let row: UndecidedRow = (arrival, valid_round, proposer, bytes);
        let mut batch = self.disk.batch();
        batch.put(Column::Undecided, key, codec::encode(&row));
        self.write(batch)?;
        *arrivals = Some((height, arrival + 1));
        Ok(())
    }

    /// The rows as they are now.
    pub fn tables(&self) -> Tables<'_> {
        Tables(&*self.disk)
    }

    /// The rows at this moment.
    pub fn snapshot(&self) -> DiskSnapshot<'_> {
        self.disk.snapshot()
    }

    /// The disk below.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The genesis.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The ledger's id.
    pub fn chain_id(&self) -> ChainId {
        self.chain_id
    }
}
