//! The work of transactions: the sum of what their operations cost (rule X-5).

use crate::base::limits::TRANSACTION_WORK_MAX;
use crate::ledger::transaction::TransactionBody;
use crate::state::{StateView, ViewError};

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
