//! Writes on top of a state that stays as it is: one layer for the block, one for the transaction in execution
//! (rule R-3).

use std::collections::BTreeMap;

use super::key::{StateKey, StreamId};
use super::{StateView, ViewError};
use crate::base::codec::{self, Canonical, DecodeError};
use crate::base::id::TransactionId;
use crate::crypto::merkle::log::Frontier;

/// What is written: the new row, or `None` where the row is deleted. In key order.
pub type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Writes over a view.
pub struct Overlay<'a> {
    base: &'a dyn StateView,
    writes: Writes,
    /// Heads of streams that grow here, encoded once at the end: a transaction of many operations appends to the
    /// streams of the same few institutions each time.
    heads: BTreeMap<StreamId, Frontier>,
}

impl<'a> Overlay<'a> {
    /// An overlay without writes.
    pub fn new(base: &'a dyn StateView) -> Self {
        Self { base, writes: Writes::new(), heads: BTreeMap::new() }
    }

    /// The record under `key`.
    ///
    /// # Errors
    /// [`ViewError`] when storage fails or the row does not decode.
    pub fn read<T: Canonical>(&self, key: &StateKey) -> Result<Option<T>, ViewError> {
        let bytes = key.bytes();
        let decode = |row: &[u8]| {
            codec::decode_own(row).map_err(|error: DecodeError| ViewError(format!("row {key:?}: {error}")))
        };
        match self.writes.get(&bytes) {
            Some(row) => row.as_deref().map(decode).transpose(),
            None => self.unwritten(&bytes)?.as_deref().map(decode).transpose(),
        }
    }

    /// A row that stands in no write of this layer: the head of a stream that grew here, or what lies below.
    fn unwritten(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        match StreamId::of_head_key(key).and_then(|stream| self.heads.get(&stream)) {
            Some(head) => Ok(Some(codec::encode(head))),
            None => self.base.get(key),
        }
    }

    /// The head of a stream, to append to.
    ///
    /// # Errors
    /// [`ViewError`] when storage fails or the row does not decode.
    pub(super) fn head(&mut self, stream: &StreamId) -> Result<&mut Frontier, ViewError> {
        if !self.heads.contains_key(stream) {
            let head = self.read(&StateKey::StreamHead(stream.clone()))?.unwrap_or_default();
            self.heads.insert(stream.clone(), head);
        }
        Ok(self.heads.get_mut(stream).expect("it was there, or has just been inserted"))
    }

    /// Whether there is a row under `key`.
    ///
    /// # Errors
    /// [`ViewError`] when storage fails.
    pub fn contains(&self, key: &StateKey) -> Result<bool, ViewError> {
        Ok(self.get(&key.bytes())?.is_some())
    }

    /// Writes a record.
    pub fn write<T: Canonical>(&mut self, key: &StateKey, record: &T) {
        self.put(key, codec::encode(record));
    }

    /// Writes an empty row: the key itself is what counts.
    pub fn mark(&mut self, key: &StateKey) {
        self.put(key, Vec::new());
    }

    /// Writes an encoded record.
    pub(super) fn put(&mut self, key: &StateKey, row: Vec<u8>) {
        self.writes.insert(key.bytes(), Some(row));
    }

    /// Deletes a row.
    pub fn delete(&mut self, key: &StateKey) {
        self.writes.insert(key.bytes(), None);
    }

    /// Takes over the writes of a layer above this one.
    pub fn absorb(&mut self, writes: Writes) {
        // One by one: `BTreeMap::append` rebuilds the whole map, which a block pays for each of its transactions.
        self.writes.extend(writes);
    }

    /// The writes, in key order.
    pub fn into_writes(mut self) -> Writes {
        for (stream, head) in std::mem::take(&mut self.heads) {
            self.write(&StateKey::StreamHead(stream), &head);
        }
        self.writes
    }
}

impl StateView for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        match self.writes.get(key) {
            Some(row) => Ok(row.clone()),
            None => self.unwritten(key),
        }
    }

    fn contains_transaction(&self, id: TransactionId) -> Result<bool, ViewError> {
        self.base.contains_transaction(id)
    }
}
