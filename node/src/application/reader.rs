//! Reading the ledger, from any thread, while the writer goes on.
//!
//! [`LedgerReader`] is a cheap handle. [`LedgerReader::view`] gives a [`View`]: the ledger at one committed height,
//! with a database snapshot, the tip and the state tree of that same height, so that rows and proofs taken from one
//! view fit together. Single rows of blocks never change, so the handle reads those without a view.

use std::ops::RangeInclusive;
use std::sync::Arc;

use tokio::sync::watch;
use yilian_spec::base::codec::{self, Canonical};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId, TransactionId};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::merkle::log::Frontier;
use yilian_spec::crypto::merkle::state_tree::StateTree;
use yilian_spec::ledger::block::{CommitCertificate, Header};
use yilian_spec::ledger::chain::Tip;
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::ledger::receipt::Receipt;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::state::key::{StateKey, StreamId};
use yilian_spec::state::stream::Entry;

use super::ledger::failed;
use super::publish::{Gate, Published};
use super::{ApplicationError, DecidedBlock, DecidedBlocks};
use crate::base::limits;
use crate::storage::disk::{Column, DiskSnapshot};
use crate::storage::tables::{Location, Tables, decode_row};
use crate::storage::{StorageError, Store};

/// A handle for reading; clones are cheap.
#[derive(Clone)]
pub struct LedgerReader {
    store: Arc<Store>,
    published: watch::Receiver<Arc<Published>>,
    gate: Arc<Gate>,
}

/// A block with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlock {
    /// Its header.
    pub header: Header,
    /// What makes it final.
    pub certificate: CommitCertificate,
    /// Its transactions, in order.
    pub transactions: Vec<Transaction>,
    /// Their receipts, in the same order.
    pub receipts: Vec<Receipt>,
}

/// A committed transaction, with where it stands and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTransaction {
    /// Its block's height.
    pub height: Height,
    /// Its place in the block, from 0.
    pub index: u32,
    /// Its block's time.
    pub time: LedgerTime,
    /// The transaction.
    pub transaction: Transaction,
    /// What became of it.
    pub receipt: Receipt,
}

/// A state row: its key and its bytes.
pub type Row = (Vec<u8>, Vec<u8>);

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the order of their keys.
    pub items: Vec<T>,
    /// The key after which the next page starts; `None` at the end.
    pub next: Option<Vec<u8>>,
}

impl LedgerReader {
    pub(super) fn new(
        store: Arc<Store>,
        published: watch::Receiver<Arc<Published>>,
        gate: Arc<Gate>,
    ) -> Self {
        Self { store, published, gate }
    }

    /// The ledger's id.
    pub fn chain_id(&self) -> ChainId {
        self.store.chain_id()
    }

    /// The genesis.
    pub fn genesis(&self) -> &Genesis {
        self.store.genesis()
    }

    /// The last committed height, with its block if it was committed since the start.
    pub fn tip(&self) -> Arc<Published> {
        Arc::clone(&self.published.borrow())
    }

    /// Tells of every new tip. A slow receiver sees the newest alone; heights in between are in storage.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Published>> {
        self.published.clone()
    }

    /// The rows as they are now, possibly of a block that is about to be published.
    pub fn tables(&self) -> Tables<'_> {
        self.store.tables()
    }

    /// The store below, for backups and measures.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The ledger at the last committed height.
    ///
    /// # Errors
    /// When storage fails.
    pub fn view(&self) -> Result<View<'_>, StorageError> {
        if let Some(view) = self.try_view()? {
            return Ok(view);
        }
        // The writer is between writing a block and publishing it; it waits for nothing there.
        let _between = self.gate.wait();
        self.try_view()?.ok_or_else(|| {
            StorageError::contradiction("the database is ahead of the ledger in memory; start the node again")
        })
    }

    fn try_view(&self) -> Result<Option<View<'_>>, StorageError> {
        let published = self.tip();
        let snapshot = self.store.snapshot();
        let (height, ..) = Tables(&*snapshot).tip()?;
        let fits = height == published.tip.height;
        Ok(fits.then_some(View { snapshot, published }))
    }

    /// The header of a height.
    ///
    /// # Errors
    /// When storage fails; so it is for all reads here.
    pub fn header(&self, height: Height) -> Result<Option<Header>, StorageError> {
        self.tables().header(height)
    }

    /// The certificate of a height.
    ///
    /// # Errors
    /// When storage fails.
    pub fn certificate(&self, height: Height) -> Result<Option<CommitCertificate>, StorageError> {
        self.tables().certificate(height)
    }

    /// The height of a block.
    ///
    /// # Errors
    /// When storage fails.
    pub fn height_of(&self, id: BlockId) -> Result<Option<Height>, StorageError> {
        self.tables().height_of(id)
    }

    /// A whole block.
    ///
    /// # Errors
    /// When storage fails, or rows of the block are missing.
    pub fn block(&self, height: Height) -> Result<Option<StoredBlock>, StorageError> {
        let tables = self.tables();
        let (Some(header), Some(certificate)) = (tables.header(height)?, tables.certificate(height)?) else {
            return Ok(None);
        };
        let transactions = tables.transactions_of(&header)?;
        let receipts = tables.receipts_of(&header)?;
        Ok(Some(StoredBlock { header, certificate, transactions, receipts }))
    }

    /// Where a transaction stands, if the ledger holds it.
    ///
    /// # Errors
    /// When storage fails.
    pub fn location(&self, id: TransactionId) -> Result<Option<Location>, StorageError> {
        self.tables().location(id)
    }

    /// The receipt at a place.
    ///
    /// # Errors
    /// When storage fails.
    pub fn receipt(&self, location: Location) -> Result<Option<Receipt>, StorageError> {
        self.tables().receipt(location)
    }

    /// A committed transaction.
    ///
    /// # Errors
    /// When storage fails.
    pub fn transaction(&self, id: TransactionId) -> Result<Option<StoredTransaction>, StorageError> {
        let tables = self.tables();
        let Some((height, index)) = tables.location(id)? else {
            return Ok(None);
        };
        let rows =
            (tables.header(height)?, tables.transaction((height, index))?, tables.receipt((height, index))?);
        let (Some(header), Some(transaction), Some(receipt)) = rows else {
            let reason =
                format!("transaction {id} has a place at {height}/{index}, but a row of it is missing");
            return Err(StorageError::contradiction(reason));
        };
        Ok(Some(StoredTransaction { height, index, time: header.time, transaction, receipt }))
    }
}

impl DecidedBlocks for LedgerReader {
    fn decided(
        &self,
        heights: RangeInclusive<Height>,
        bytes_max: usize,
    ) -> Result<Vec<DecidedBlock>, ApplicationError> {
        let last = heights.end().0.min(self.published.borrow().tip.height.0);
        let mut blocks = Vec::new();
        let mut total = 0usize;
        for height in (heights.start().0.max(1)..=last).map(Height) {
            let block = self.decided_block(height).map_err(|error| failed("reading a block", error))?;
            total = total.saturating_add(block.bytes.len() + codec::encode(&block.certificate).len());
            if total > bytes_max && !blocks.is_empty() {
                break;
            }
            blocks.push(block);
        }
        Ok(blocks)
    }

    fn lowest_height(&self) -> Result<Height, ApplicationError> {
        Ok(Height::FIRST)
    }
}

impl LedgerReader {
    fn decided_block(&self, height: Height) -> Result<DecidedBlock, StorageError> {
        let missing = || {
            let reason = format!("block {height} is below the tip but has no header or certificate");
            StorageError::contradiction(reason)
        };
        let tables = self.tables();
        let header = tables.header(height)?.ok_or_else(missing)?;
        let certificate = tables.certificate(height)?.ok_or_else(missing)?;
        let bytes = tables.block_bytes(&header)?;
        Ok(DecidedBlock { certificate, bytes })
    }
}

/// The ledger at one committed height.
pub struct View<'a> {
    pub(super) snapshot: DiskSnapshot<'a>,
    pub(super) published: Arc<Published>,
}

impl View<'_> {
    /// The ledger's end at this height.
    pub fn tip(&self) -> &Tip {
        &self.published.tip
    }

    /// The height.
    pub fn height(&self) -> Height {
        self.published.tip.height
    }

    /// The rows at this height.
    pub fn tables(&self) -> Tables<'_> {
        Tables(&*self.snapshot)
    }

    pub(super) fn tree(&self) -> &StateTree {
        &self.published.tree
    }

    /// The bytes of a state row.
    ///
    /// # Errors
    /// When storage fails; so it is for all reads here.
    pub fn row(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StorageError> {
        self.snapshot.get(Column::StateRow, &key.bytes())
    }

    /// The record of a state row.
    ///
    /// # Errors
    /// When storage fails or the row does not decode.
    pub fn record<T: Canonical>(&self, key: &StateKey) -> Result<Option<T>, StorageError> {
        let key = key.bytes();
        let row = self.snapshot.get(Column::StateRow, &key)?;
        row.map(|row| decode_row(Column::StateRow, &key, &row)).transpose()
    }

    /// State rows whose keys begin with `prefix`, from behind the key `after` on, at most `limit` (and at most
    /// [`limits::PAGE_ROWS_MAX`]).
    ///
    /// # Errors
    /// When storage fails.
    pub fn rows(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Page<Row>, StorageError> {
        let limit = limit.clamp(1, limits::PAGE_ROWS_MAX);
        let start = after.filter(|after| *after >= prefix).unwrap_or(prefix);
        let mut items: Vec<Row> = Vec::new();
        for row in self.snapshot.scan(Column::StateRow, start) {
            let (key, value) = row?;
            if !key.starts_with(prefix) {
                break;
            }
            if after.is_some_and(|after| *key == *after) {
                continue;
            }
            if items.len() == limit {
                let next = items.last().map(|(key, _)| key.clone());
                return Ok(Page { items, next });
            }
            items.push((key.into_vec(), value.into_vec()));
        }
        Ok(Page { items, next: None })
    }

    /// The head of a stream; that of an empty one if nothing was ever appended.
    ///
    /// # Errors
    /// When storage fails or the row does not decode.
    pub fn stream_head(&self, stream: &StreamId) -> Result<Frontier, StorageError> {
        Ok(self.record(&StateKey::StreamHead(stream.clone()))?.unwrap_or_default())
    }

    /// Entries of a stream from number `from` on, at most `limit` (and at most [`limits::PAGE_ROWS_MAX`]).
    ///
    /// # Errors
    /// When storage fails, or an entry below the head's length is missing.
    pub fn stream_entries(
        &self,
        stream: &StreamId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, StorageError> {
        let limit = limit.min(limits::PAGE_ROWS_MAX) as u64;
        let end = self.stream_head(stream)?.length().min(from.saturating_add(limit));
        if from >= end {
            return Ok(Vec::new());
        }
        let start = StateKey::StreamEntry(stream.clone(), from).bytes();
        let mut entries = Vec::new();
        for (number, row) in (from..end).zip(self.snapshot.scan(Column::StateRow, &start)) {
            let (key, value) = row?;
            if *key != *StateKey::StreamEntry(stream.clone(), number).bytes() {
                break;
            }
            entries.push(decode_row(Column::StateRow, &key, &value)?);
        }
        if (entries.len() as u64) < end - from {
            let reason = format!("stream {stream:?} lacks entry {}", from + entries.len() as u64);
            return Err(StorageError::contradiction(reason));
        }
        Ok(entries)
    }
}
