//! Typed columns: what each column's keys and values are, and how they are read.
//!
//! | column | key | value |
//! |---|---|---|
//! | meta | a name | [`FORMAT_KEY`], [`GENESIS_KEY`], [`TIP_KEY`] |
//! | header, certificate | height, u64 big endian | canonical encoding |
//! | transaction, receipt | height, index u32 big endian | canonical encoding |
//! | transaction_index | transaction id | [`Location`] |
//! | block_index | block id | height |
//! | state_row | [`yilian_spec::state::key::StateKey`] bytes | the row |
//! | state_bucket | [`BucketId`] bytes | the bucket's row |
//! | log_node | level u8, index u64 big endian | 32 bytes |
//! | undecided | height, round u32 big endian, block id | [`UndecidedRow`] |

use std::ops::RangeInclusive;

use yilian_spec::base::codec::{self, Canonical};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, Hash, TransactionId};
use yilian_spec::crypto::merkle::NodeHash;
use yilian_spec::crypto::merkle::log::{Frontier, LogReader};
use yilian_spec::crypto::merkle::state_tree::{BucketId, BucketStore};
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::ledger::block::{CommitCertificate, Header};
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::ledger::receipt::Receipt;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::state::{StateView, ViewError};

use super::damage::Damage;
use super::disk::{Column, ReadBytes};
use super::error::StorageError;
use crate::base::limits;

/// Key of the storage format's number in the meta column.
pub const FORMAT_KEY: &[u8] = b"format";
/// Key of the genesis in the meta column.
pub const GENESIS_KEY: &[u8] = b"genesis";
/// Key of the tip in the meta column.
pub const TIP_KEY: &[u8] = b"tip";

/// Where a transaction stands: its block's height, and its index in the block.
pub type Location = (Height, u32);

/// The tip as it is stored: height, block id, the log's head, the state's root. The rest of a
/// [`yilian_spec::ledger::chain::Tip`] stands in the header and in the state.
pub type TipRow = (Height, BlockId, Frontier, Hash);

/// An undecided block as it is stored: its arrival (a count per height), the valid round, the round's proposer, the
/// block's bytes.
pub type UndecidedRow = (u64, Option<u32>, PublicKey, Vec<u8>);

/// The key of a row that belongs to a block.
pub fn height_key(height: Height) -> Vec<u8> {
    height.0.to_be_bytes().to_vec()
}

/// The key of a row that belongs to a transaction of a block.
pub fn location_key((height, index): Location) -> Vec<u8> {
    [height.0.to_be_bytes().as_slice(), &index.to_be_bytes()].concat()
}

/// The key of a log node.
pub fn log_node_key(level: u8, index: u64) -> Vec<u8> {
    [&[level][..], &index.to_be_bytes()].concat()
}

/// The key of an undecided block.
pub fn undecided_key(height: Height, round: u32, block_id: BlockId) -> Vec<u8> {
    [height.0.to_be_bytes().as_slice(), &round.to_be_bytes(), &block_id.0].concat()
}

/// Reads typed rows.
#[derive(Clone, Copy)]
pub struct Tables<'a>(pub &'a dyn ReadBytes);

impl Tables<'_> {
    fn typed<T: Canonical>(&self, column: Column, key: &[u8]) -> Result<Option<T>, StorageError> {
        let row = self.0.get(column, key)?;
        row.map(|bytes| decode_row(column, key, &bytes)).transpose()
    }

    fn required<T: Canonical>(&self, column: Column, key: &[u8]) -> Result<T, StorageError> {
        self.typed(column, key)?.ok_or_else(|| missing(column, key))
    }

    /// The storage format's number.
    ///
    /// # Errors
    /// When the row cannot be read. The same holds for all reads here.
    pub fn format(&self) -> Result<Option<u32>, StorageError> {
        self.typed(Column::Meta, FORMAT_KEY)
    }

    /// The genesis.
    ///
    /// # Errors
    /// When the row cannot be read or is missing.
    pub fn genesis(&self) -> Result<Genesis, StorageError> {
        self.required(Column::Meta, GENESIS_KEY)
    }

    /// The tip.
    ///
    /// # Errors
    /// When the row cannot be read or is missing.
    pub fn tip(&self) -> Result<TipRow, StorageError> {
        self.required(Column::Meta, TIP_KEY)
    }

    /// The header of a height, if the ledger has come so far.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn header(&self, height: Height) -> Result<Option<Header>, StorageError> {
        self.typed(Column::Header, &height_key(height))
    }

    /// The certificate of a height.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn certificate(&self, height: Height) -> Result<Option<CommitCertificate>, StorageError> {
        self.typed(Column::Certificate, &height_key(height))
    }

    /// The transaction at a place.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn transaction(&self, location: Location) -> Result<Option<Transaction>, StorageError> {
        self.typed(Column::Transaction, &location_key(location))
    }

    /// The receipt at a place.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn receipt(&self, location: Location) -> Result<Option<Receipt>, StorageError> {
        self.typed(Column::Receipt, &location_key(location))
    }

    /// Where a transaction stands, if the ledger holds it.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn location(&self, id: TransactionId) -> Result<Option<Location>, StorageError> {
        self.typed(Column::TransactionIndex, &id.0)
    }

    /// The height of a block.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn height_of(&self, id: BlockId) -> Result<Option<Height>, StorageError> {
        self.typed(Column::BlockIndex, &id.0)
    }

    /// The encodings of a block's transactions or receipts, in order. All of them, or an error.
    ///
    /// # Errors
    /// When a row cannot be read, or there are not `count`.
    pub fn encoded_of(
        &self,
        column: Column,
        height: Height,
        count: u32,
    ) -> Result<Vec<Box<[u8]>>, StorageError> {
        let start = location_key((height, 0));
        let mut rows = Vec::with_capacity(
            count.min(yilian_spec::base::limits::TRANSACTIONS_PER_BLOCK_MAX as u32) as usize,
        );
        for (index, row) in (0..count).zip(self.0.scan(column, &start)) {
            let (key, value) = row?;
            let expected = location_key((height, index));
            if *key != *expected {
                return Err(missing(column, &expected));
            }
            rows.push(value);
        }
        if rows.len() < count as usize {
            return Err(missing(column, &location_key((height, rows.len() as u32))));
        }
        Ok(rows)
    }

    /// A block's transactions, in order.
    ///
    /// # Errors
    /// As [`Tables::encoded_of`], or when one does not decode.
    pub fn transactions_of(&self, header: &Header) -> Result<Vec<Transaction>, StorageError> {
        self.decoded_of(Column::Transaction, header)
    }

    /// A block's receipts, in order.
    ///
    /// # Errors
    /// As [`Tables::encoded_of`], or when one does not decode.
    pub fn receipts_of(&self, header: &Header) -> Result<Vec<Receipt>, StorageError> {
        self.decoded_of(Column::Receipt, header)
    }

    fn decoded_of<T: Canonical>(&self, column: Column, header: &Header) -> Result<Vec<T>, StorageError> {
        let rows = self.encoded_of(column, header.height, header.transaction_count)?;
        let key = |index| location_key((header.height, index));
        rows.iter().zip(0..).map(|(row, index)| decode_row(column, &key(index), row)).collect()
    }

    /// A block's bytes as they travel: header, number of transactions, transactions.
    ///
    /// # Errors
    /// As [`Tables::encoded_of`].
    pub fn block_bytes(&self, header: &Header) -> Result<Vec<u8>, StorageError> {
        let rows = self.encoded_of(Column::Transaction, header.height, header.transaction_count)?;
        Ok(assemble_block(header, rows.iter().map(|row| row.as_ref())))
    }

    /// The row of a bucket of the state tree.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn get_bucket(&self, id: BucketId) -> Result<Option<Vec<u8>>, StorageError> {
        self.0.get(Column::StateBucket, &id.to_bytes())
    }

    /// The undecided blocks of a height, of one round or of all, with round and id, in the order of their arrival.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn undecided(
        &self,
        height: Height,
        round: Option<u32>,
    ) -> Result<Vec<(u32, BlockId, UndecidedRow)>, StorageError> {
        let mut prefix = height_key(height);
        prefix.extend(round.iter().flat_map(|round| round.to_be_bytes()));
        let mut found = Vec::new();
        for row in self.0.scan(Column::Undecided, &prefix) {
            let (key, value) = row?;
            if !key.starts_with(&prefix) {
                break;
            }
            let (_, round, block_id) = read_undecided_key(&key)?;
            found.push((round, block_id, decode_row::<UndecidedRow>(Column::Undecided, &key, &value)?));
        }
        found.sort_by_key(|(_, _, row)| row.0);
        Ok(found)
    }

    /// The keys of undecided blocks of these heights. Starting at a height costs nothing; below it the database goes through
    /// all that was ever deleted and is not yet compacted.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn undecided_keys(&self, heights: RangeInclusive<Height>) -> Result<Vec<Vec<u8>>, StorageError> {
        let mut keys = Vec::new();
        for row in self.0.scan(Column::Undecided, &height_key(*heights.start())) {
            let (key, _) = row?;
            if read_undecided_key(&key)?.0 > *heights.end() {
                break;
            }
            keys.push(key.into_vec());
        }
        Ok(keys)
    }
}

/// The canonical encoding of a block from that of its parts.
pub fn assemble_block<'b>(header: &Header, transactions: impl ExactSizeIterator<Item = &'b [u8]>) -> Vec<u8> {
    let mut bytes = codec::encode(header);
    codec::append_list(&mut bytes, transactions);
    bytes
}

fn read_undecided_key(key: &[u8]) -> Result<(Height, u32, BlockId), StorageError> {
    let parts = || {
        let (height, rest) = key.split_first_chunk::<8>()?;
        let (round, id) = rest.split_first_chunk::<4>()?;
        let id = <[u8; 32]>::try_from(id).ok()?;
        Some((Height(u64::from_be_bytes(*height)), u32::from_be_bytes(*round), BlockId(id)))
    };
    parts().ok_or_else(|| damaged(Column::Undecided, key, "the key is not height, round and block id"))
}

/// Decodes a row strictly.
pub(crate) fn decode_row<T: Canonical>(column: Column, key: &[u8], bytes: &[u8]) -> Result<T, StorageError> {
    codec::decode(bytes, limits::ROW_BYTES_MAX).map_err(|error| damaged(column, key, &error.to_string()))
}

/// A row that cannot be read as what its column holds.
pub(super) fn damaged(column: Column, key: &[u8], reason: &str) -> StorageError {
    Damage::Row { column: column.name(), key: hex::encode(key), reason: reason.to_owned() }.into()
}

fn missing(column: Column, key: &[u8]) -> StorageError {
    Damage::RowMissing { column: column.name(), key: hex::encode(key) }.into()
}

impl StateView for Tables<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.0.get(Column::StateRow, key)?)
    }

    fn contains_transaction(&self, id: TransactionId) -> Result<bool, ViewError> {
        Ok(self.0.get(Column::TransactionIndex, &id.0)?.is_some())
    }
}

impl BucketStore for Tables<'_> {
    type Error = StorageError;

    fn get(&self, id: BucketId) -> Result<Option<Vec<u8>>, StorageError> {
        self.get_bucket(id)
    }

    fn with_row<T>(&self, id: BucketId, read: impl FnOnce(Option<&[u8]>) -> T) -> Result<T, StorageError> {
        let (mut read, mut result) = (Some(read), None);
        self.0.with(Column::StateBucket, &id.to_bytes(), &mut |row| {
            result = read.take().map(|read| read(row));
        })?;
        Ok(result.expect("a read that succeeds hands over the row, once"))
    }
}

impl LogReader for Tables<'_> {
    type Error = StorageError;

    fn node(&self, level: u8, index: u64) -> Result<Option<NodeHash>, StorageError> {
        let key = log_node_key(level, index);
        let row = self.0.get(Column::LogNode, &key)?;
        row.map(|bytes| {
            NodeHash::try_from(bytes.as_slice()).map_err(|_| damaged(Column::LogNode, &key, "not 32 bytes"))
        })
        .transpose()
    }
}
