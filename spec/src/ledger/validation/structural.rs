//! Structural validity of a transaction: what can be said without keys, clock and state (rules S-1 to S-9 and S-12).

use thiserror::Error;

use crate::base::codec::{self, DecodeError};
use crate::base::id::IdError;
use crate::base::limits;
use crate::domain::operate::OperationError;
use crate::ledger::transaction::Transaction;

/// Why a transaction is malformed.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum StructuralError {
    /// Rules E-2 to E-4.
    #[error("the transaction cannot be read: {0}")]
    Encoding(#[from] DecodeError),
    /// Rule S-3.
    #[error(
        "{count} operations; a transaction has 1 to {}: split it",
        limits::OPERATIONS_PER_TRANSACTION_MAX
    )]
    OperationCount {
        /// How many it has.
        count: usize,
    },
    /// Rule S-4.
    #[error("{length} bytes; a transaction has at most {}: split it", limits::TRANSACTION_BYTES_MAX)]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// Rule S-5.
    #[error("it expires before it was created, or more than {} hours later", limits::TRANSACTION_LIFETIME_MS_MAX / 3_600_000)]
    Lifetime,
    /// Rule S-1.
    #[error("the author's institution: {reason}")]
    Institution {
        /// What is wrong with the name of the author's institution.
        reason: IdError,
    },
    /// Rules S-1, S-6 to S-9 and S-12.
    #[error("operation {operation}: {reason}")]
    Operation {
        /// The operation, counted from 0.
        operation: usize,
        /// What is wrong with it.
        reason: OperationError,
    },
}

/// Decodes a transaction and checks its structure.
///
/// # Errors
/// The first rule that is broken.
pub fn decode(bytes: &[u8]) -> Result<Transaction, StructuralError> {
    let transaction = codec::decode(bytes, limits::TRANSACTION_BYTES_MAX)?;
    check(&transaction, bytes.len())?;
    Ok(transaction)
}

/// Checks a transaction whose canonical encoding has `length` bytes.
///
/// # Errors
/// The first rule that is broken.
pub fn check(transaction: &Transaction, length: usize) -> Result<(), StructuralError> {
    let body = &transaction.body;
    if !(1..=limits::OPERATIONS_PER_TRANSACTION_MAX).contains(&body.operations.len()) {
        return Err(StructuralError::OperationCount { count: body.operations.len() });
    }
    if length > limits::TRANSACTION_BYTES_MAX {
        return Err(StructuralError::TooLong { length });
    }
    let lifetime_ms = body.expires.0.checked_sub(body.created.0).filter(|ms| *ms > 0);
    if lifetime_ms.is_none_or(|ms| ms > limits::TRANSACTION_LIFETIME_MS_MAX) {
        return Err(StructuralError::Lifetime);
    }
    body.institution.check().map_err(|reason| StructuralError::Institution { reason })?;
    body.operations.iter().enumerate().try_for_each(|(index, operation)| {
        operation.check().map_err(|reason| StructuralError::Operation { operation: index, reason })
    })
}
