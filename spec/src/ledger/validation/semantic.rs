//! Semantic validity: the transaction is meant for this ledger and its author signed it (rules S-10, S-11).

use thiserror::Error;

use super::structural::{self, StructuralError};
use crate::base::id::ChainId;
use crate::crypto::signature::{self, BatchItem};
use crate::ledger::transaction::{CheckedTransaction, SignedBytes, Transaction};

/// Why a transaction is not valid on any state of this ledger.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum SemanticError {
    /// The structure is broken.
    #[error(transparent)]
    Structural(#[from] StructuralError),
    /// Rule S-10.
    #[error("the transaction is for chain {found}, this is {expected}: check the profile's chain id")]
    WrongChain {
        /// The chain it names.
        found: ChainId,
        /// This ledger.
        expected: ChainId,
    },
    /// Rule S-11.
    #[error("the signature does not verify under the author's key")]
    BadSignature,
}

/// Checks one transaction.
///
/// # Errors
/// The first rule that is broken.
pub fn check(transaction: Transaction, chain_id: ChainId) -> Result<CheckedTransaction, SemanticError> {
    check_many(vec![transaction], chain_id).pop().expect("as many results as transactions")
}

/// Checks many transactions; their signatures in one batch. The results stand in the same order.
pub fn check_many(
    transactions: Vec<Transaction>,
    chain_id: ChainId,
) -> Vec<Result<CheckedTransaction, SemanticError>> {
    let prepared: Vec<Result<Prepared, SemanticError>> =
        transactions.into_iter().map(|transaction| prepare(transaction, chain_id)).collect();
    let items: Vec<BatchItem<'_>> = prepared
        .iter()
        .flatten()
        .map(|ready| (ready.transaction.body.author, ready.bytes.signed(), ready.transaction.signature))
        .collect();
    let bad = signature::verify_batch(&items).err().unwrap_or_default();
    let mut bad = bad.into_iter().peekable();
    let mut position = 0;
    prepared
        .into_iter()
        .map(|ready| {
            let ready = ready?;
            let is_bad = bad.next_if_eq(&position).is_some();
            position += 1;
            if is_bad { Err(SemanticError::BadSignature) } else { Ok(ready.into_checked()) }
        })
        .collect()
}

struct Prepared {
    transaction: Transaction,
    bytes: SignedBytes,
}

impl Prepared {
    fn into_checked(self) -> CheckedTransaction {
        CheckedTransaction::new(self.transaction, self.bytes)
    }
}

fn prepare(transaction: Transaction, chain_id: ChainId) -> Result<Prepared, SemanticError> {
    if transaction.body.chain_id != chain_id {
        return Err(SemanticError::WrongChain { found: transaction.body.chain_id, expected: chain_id });
    }
    let bytes = SignedBytes::of(&transaction);
    structural::check(&transaction, bytes.encoded().len())?;
    Ok(Prepared { transaction, bytes })
}
