//! Work: what executing an operation costs, in units that are known before it is executed (rules ).
//!
//! One unit is about what it takes to execute an ordinary operation, such as a grant: some tens of microseconds. Each
//! operation says its own; the factors were measured with `cargo bench -p yilian-spec --bench work`, which prints what a
//! unit of each operation takes.

use crate::limits::TRANSACTION_WORK_MAX;
use crate::state::{StateView, ViewError};
use crate::transaction::TransactionBody;

/// Units of an ordinary operation.
pub const ORDINARY: u64 = 1;
/// Streams of institutions that an entry is appended to in one unit.
pub(crate) const STREAMS_PER_UNIT: u64 = 4;
/// Units of a new key: its signature is verified, and that its point has prime order.
pub(crate) const NEW_KEY: u64 = 8;

/// What a transaction may be expected to cost on this state: the sum of its operations, at most what any may cost. What
/// earlier operations and blocks change before it is executed is not looked at.
///
/// # Errors
/// [`ViewError`] when storage fails.
pub fn expected(body: &TransactionBody, view: &dyn StateView) -> Result<u64, ViewError> {
    let mut work: u64 = 0;
    for operation in &body.operations {
        work = work.saturating_add(operation.work(&body.institution, view)?);
        if work >= TRANSACTION_WORK_MAX {
            return Ok(TRANSACTION_WORK_MAX);
        }
    }
    Ok(work)
}
