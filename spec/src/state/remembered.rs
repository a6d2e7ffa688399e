//! Rows of the state before a block, each read once: a block asks for the same few institutions, keys and grants again
//! and again, and a database takes microseconds to answer.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::{StateView, ViewError};
use crate::base::id::TransactionId;

/// A view that remembers what it was asked for; for as long as the view behind it stays as it is.
pub(crate) struct Remembered<'a> {
    base: &'a dyn StateView,
    rows: RefCell<BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

impl<'a> Remembered<'a> {
    /// Nothing has been asked for yet.
    pub fn new(base: &'a dyn StateView) -> Self {
        Self { base, rows: RefCell::default() }
    }
}

impl StateView for Remembered<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        if let Some(row) = self.rows.borrow().get(key) {
            return Ok(row.clone());
        }
        let row = self.base.get(key)?;
        self.rows.borrow_mut().insert(key.to_vec(), row.clone());
        Ok(row)
    }

    fn contains_transaction(&self, id: TransactionId) -> Result<bool, ViewError> {
        self.base.contains_transaction(id)
    }
}
