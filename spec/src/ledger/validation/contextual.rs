//! Contextual validity: whether a block at this place of the ledger may carry a transaction (rules C-1 to C-6).
//!
//! What passes here is recorded; whether the rules then apply or refuse it is the state machine's to say.

use thiserror::Error;

use crate::base::codec;
use crate::base::limits;
use crate::base::time::LedgerTime;
use crate::base::version::ProtocolVersion;
use crate::domain::membership::KeyRecord;
use crate::domain::{Operation, OperationKind};
use crate::ledger::transaction::CheckedTransaction;
use crate::state::key::StateKey;
use crate::state::{StateView, ViewError};

/// Why no block at this place may carry a transaction.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ContextualError {
    /// Rule C-1.
    #[error("the transaction was created more than {} s ahead of ledger time: check the clock", limits::CREATION_AHEAD_MS_MAX / 1_000)]
    FromTheFuture,
    /// Rule C-2.
    #[error("the transaction has expired: sign it anew")]
    Expired,
    /// Rule C-3.
    #[error("the ledger holds the transaction already")]
    Repeated,
    /// Rule C-4.
    #[error("the author's key is not registered on this ledger")]
    UnknownAuthor,
    /// Rule C-5.
    #[error("the author's key was revoked: sign anew with a key that is in force")]
    RevokedAuthor,
    /// Rule C-6.
    #[error(
        "operation {operation}, {name}, exists from version {since} of the protocol on; the next block is of version {version}"
    )]
    NotYet {
        /// The operation, counted from 0.
        operation: usize,
        /// Its name.
        name: &'static str,
        /// The version in which it came.
        since: ProtocolVersion,
        /// The block's version.
        version: ProtocolVersion,
    },
    /// Storage failed.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// Checks a transaction for a block of `version` and `time` on top of `view`.
///
/// # Errors
/// The first rule that is broken.
pub fn check(
    transaction: &CheckedTransaction,
    view: &dyn StateView,
    version: ProtocolVersion,
    time: LedgerTime,
) -> Result<(), ContextualError> {
    let body = transaction.body();
    if body.created > time.plus_ms(limits::CREATION_AHEAD_MS_MAX) {
        return Err(ContextualError::FromTheFuture);
    }
    if time >= body.expires {
        return Err(ContextualError::Expired);
    }
    if view.contains_transaction(transaction.id())? {
        return Err(ContextualError::Repeated);
    }
    let row = view.get(&StateKey::Key(body.author).bytes())?.ok_or(ContextualError::UnknownAuthor)?;
    let key: KeyRecord =
        codec::decode_own(&row).map_err(|error| ViewError(format!("the author's key: {error}")))?;
    if key.revoked_at.is_some() {
        return Err(ContextualError::RevokedAuthor);
    }
    let later = |(_, kind): &(usize, OperationKind)| kind.since > version;
    match body.operations.iter().map(Operation::kind).enumerate().find(later) {
        Some((operation, OperationKind { name, since, .. })) => {
            Err(ContextualError::NotYet { operation, name, since, version })
        }
        None => Ok(()),
    }
}
