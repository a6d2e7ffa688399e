//! Writes on top of a state that stays as it is: one layer for the block, one for the transaction in execution
//! (rule R-3).

use std::collections::BTreeMap;

use super::key::StateKey;
use super::{StateView, ViewError};
use crate::codec::{self, Canonical, DecodeError};
use crate::id::TransactionId;

/// What is written: the new row, or `None` where the row is deleted. In key order.
pub type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Writes over a view.
pub struct Overlay<'a, V: ?Sized> {
    base: &'a V,
    writes: Writes,
}

impl<'a, V: StateView + ?Sized> Overlay<'a, V> {
    /// An overlay without writes.
    pub fn new(base: &'a V) -> Self {
        Self { base, writes: Writes::new() }
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
            None => self.base.get(&bytes)?.as_deref().map(decode).transpose(),
        }
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
        self.writes.insert(key.bytes(), Some(codec::encode(record)));
    }

    /// Writes an empty row: the key itself is what counts.
    pub fn mark(&mut self, key: &StateKey) {
        self.writes.insert(key.bytes(), Some(Vec::new()));
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
    pub fn into_writes(self) -> Writes {
        self.writes
    }
}

impl<V: StateView + ?Sized> StateView for Overlay<'_, V> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        match self.writes.get(key) {
            Some(row) => Ok(row.clone()),
            None => self.base.get(key),
        }
    }

    fn contains_transaction(&self, id: TransactionId) -> Result<bool, ViewError> {
        self.base.contains_transaction(id)
    }
}
