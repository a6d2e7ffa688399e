//! The state: rows under typed keys, read through a trait, written through an overlay.
//!
//! Two kinds of rows exist (rule R-1). *Proven* rows have a leaf in the authenticated tree whose root the header
//! carries; anybody can prove one, or its absence. *Plain* rows are just as deterministic, and each receipt commits to
//! what its transaction wrote of them, but they cost no tree leaf: entries of streams (proven by the stream's head),
//! indexes, and what only the rules need to look up.

pub mod key;
pub mod key_part;
pub mod overlay;
pub(crate) mod remembered;
pub mod stream;
mod stream_id;
pub mod stream_text;

use thiserror::Error;

use self::key::StateKey;
use crate::base::codec::{self, Canonical};

/// The state could not be read. Execution stops; nothing is decided on a guess.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("the state cannot be read: {0}")]
pub struct ViewError(pub String);

/// A state that can be read.
pub trait StateView {
    /// The row under `key` ([`key::StateKey::bytes`]), if there is one.
    ///
    /// # Errors
    /// [`ViewError`] when storage fails.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError>;

    /// Whether the ledger holds this transaction already.
    ///
    /// # Errors
    /// [`ViewError`] when storage fails.
    fn contains_transaction(&self, id: crate::base::id::TransactionId) -> Result<bool, ViewError>;
}

/// The record in a row, if there is one.
///
/// # Errors
/// [`ViewError`] when storage fails, or the row is not the record.
pub fn record<T: Canonical>(view: &dyn StateView, key: &StateKey) -> Result<Option<T>, ViewError> {
    let decode =
        |row: Vec<u8>| codec::decode_own(&row).map_err(|error| ViewError(format!("row {key:?}: {error}")));
    view.get(&key.bytes())?.map(decode).transpose()
}
