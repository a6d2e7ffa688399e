//! Structural validity of a transaction: what can be said without keys, clock and state (rules S-1 to S-9).

use thiserror::Error;

use crate::codec::{self, DecodeError};
use crate::id::IdError;
use crate::limits;
use crate::operation::Operation;
use crate::settlement::terms::TermsError;
use crate::transaction::Transaction;

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
    #[error("operation {operation}: {reason}")]
    Name {
        /// The operation, counted from 0; for the author's institution, 0.
        operation: usize,
        /// What is wrong.
        reason: IdError,
    },
    /// Rule S-6.
    #[error(
        "operation {operation}: a service has 1 to {} parts, ascending, one of each",
        limits::PARTS_PER_SERVICE_MAX
    )]
    Parts {
        /// The operation.
        operation: usize,
    },
    /// Rule S-7.
    #[error("operation {operation}: the currency is not three capital letters")]
    Currency {
        /// The operation.
        operation: usize,
    },
    /// Rule S-8.
    #[error("operation {operation}: {reason}")]
    Terms {
        /// The operation.
        operation: usize,
        /// What is wrong with the terms.
        reason: TermsError,
    },
    /// Rule S-9.
    #[error("operation {operation}: a period is longer than 0 and at most {} days", limits::PERIOD_LENGTH_MS_MAX / 86_400_000)]
    PeriodLength {
        /// The operation.
        operation: usize,
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
    body.institution.check().map_err(|reason| StructuralError::Name { operation: 0, reason })?;
    body.operations.iter().enumerate().try_for_each(|(index, operation)| check_operation(index, operation))
}

fn check_operation(index: usize, operation: &Operation) -> Result<(), StructuralError> {
    check_names(operation).map_err(|reason| StructuralError::Name { operation: index, reason })?;
    match operation {
        Operation::DeliverService(service) => {
            let parts = &service.parts;
            let ascending = parts.windows(2).all(|pair| pair[0].role < pair[1].role);
            if parts.is_empty() || parts.len() > limits::PARTS_PER_SERVICE_MAX || !ascending {
                return Err(StructuralError::Parts { operation: index });
            }
            service.currency.check().map_err(|_| StructuralError::Currency { operation: index })
        }
        Operation::ProposeAgreement(proposal) => {
            proposal.terms.check().map_err(|reason| StructuralError::Terms { operation: index, reason })?;
            match proposal.schedule {
                crate::operation::agreement::Schedule::Fixed { length_ms }
                    if length_ms == 0 || length_ms > limits::PERIOD_LENGTH_MS_MAX =>
                {
                    Err(StructuralError::PeriodLength { operation: index })
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Rule S-1 for every slug that an operation carries.
fn check_names(operation: &Operation) -> Result<(), IdError> {
    match operation {
        Operation::GrantAccess(grant) => grant.grantee.check(),
        Operation::RecordDisclosure(disclosure) => disclosure.recipient.check(),
        Operation::PublishCapacity(capacity) => capacity.service.check(),
        Operation::RequestReferral(request) => request.to.check().and(request.service.check()),
        Operation::RedirectReferral(redirect) => redirect.to.check(),
        Operation::ConfirmRedirect(confirm) => confirm.to.check(),
        Operation::ReturnDownward(back) => back.service.check(),
        Operation::DeliverService(service) => {
            service.parts.iter().try_for_each(|part| part.institution.check())?;
            service.service.check().and(service.payer.check())
        }
        Operation::ProposeAgreement(proposal) => proposal.consortium.check(),
        _ => Ok(()),
    }
}
