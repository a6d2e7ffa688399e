//! What would become of a transaction in the next block, before anybody signs or records it.
//!
//! The same checks and the same state machine as a block's, over writes that are thrown away. Only what needs
//! the signature is left out: there is none yet, so that nobody who is asked can record what is asked about.

use thiserror::Error;

use crate::base::time::LedgerTime;
use crate::base::version::UnknownVersion;
use crate::crypto::signature::Signature;
use crate::ledger::chain::Tip;
use crate::ledger::machine;
use crate::ledger::receipt::Outcome;
use crate::ledger::transaction::{CheckedTransaction, SignedBytes, Transaction, TransactionBody};
use crate::ledger::validation::contextual::{self, ContextualError};
use crate::ledger::validation::semantic::SemanticError;
use crate::ledger::validation::structural::{self, StructuralError};
use crate::state::{StateView, ViewError};

/// Why no block could carry the transaction.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum TrialError {
    /// On no state of this ledger.
    #[error(transparent)]
    Semantic(#[from] SemanticError),
    /// Not now.
    #[error(transparent)]
    Contextual(#[from] ContextualError),
    /// The program is too old for the next block.
    #[error(transparent)]
    Version(#[from] UnknownVersion),
}

/// What the rules say to `body` in a block on `tip`, whose state is `view`, at `now` or as soon after as a block can be.
///
/// # Errors
/// Why no block could carry it, or [`ContextualError::View`] when storage fails.
pub fn trial(
    tip: &Tip,
    view: &dyn StateView,
    now: LedgerTime,
    body: TransactionBody,
) -> Result<Outcome, TrialError> {
    let (found, expected) = (body.chain_id, tip.chain_id);
    if found != expected {
        return Err(SemanticError::WrongChain { found, expected }.into());
    }
    let unsigned = Transaction { body, signature: Signature::Ed25519([0; 64]) };
    let bytes = SignedBytes::of(&unsigned);
    structural::check(&unsigned, bytes.encoded().len()).map_err(SemanticError::from)?;
    // It never leaves this function: what has no signature must not pass for a checked transaction.
    let checked = CheckedTransaction::new(unsigned, bytes);
    let time = now.max(tip.next_time_min());
    let context = tip.context(time)?;
    contextual::check(&checked, view, context.version, time)?;
    let execution = machine::execute(view, &context, &[checked], tip.parameters.block_work_max)
        .map_err(ContextualError::from)?;
    let none = || ContextualError::View(ViewError("a transaction without a receipt".into()));
    Ok(execution.receipts.first().ok_or_else(none)?.outcome)
}

/// Decodes the canonical bytes of a transaction's body.
///
/// # Errors
/// The first rule of encoding that is broken; the rest is for [`trial`] to say.
pub fn decode_body(bytes: &[u8]) -> Result<TransactionBody, StructuralError> {
    Ok(crate::base::codec::decode(bytes, crate::base::limits::TRANSACTION_BYTES_MAX)?)
}
