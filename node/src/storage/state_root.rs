//! From the rows that a block writes to the changes of the state tree.

use std::collections::BTreeMap;

use yilian_spec::crypto::merkle::state_tree::{KeyHash, StateTreeError, ValueHash};
use yilian_spec::state::key::StateKey;
use yilian_spec::state::overlay::Writes;

use crate::storage::StorageError;

/// The leaves that change: those of the proven rows among `writes` (rule R-1).
pub fn proven_changes(writes: &Writes) -> BTreeMap<KeyHash, Option<ValueHash>> {
    writes
        .iter()
        .filter(|(key, _)| StateKey::is_proven(key))
        .map(|(key, row)| (KeyHash::of(key), row.as_deref().map(ValueHash::of)))
        .collect()
}

/// What the tree says about its rows, as storage's failure.
pub fn tree_error(error: StateTreeError<StorageError>) -> StorageError {
    match error {
        StateTreeError::Store(error) => error,
        other => StorageError::contradiction(other.to_string()),
    }
}
