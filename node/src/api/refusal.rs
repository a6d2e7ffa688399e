//! From the mempool's verdicts to answers: each rule keeps its name, and whoever can help it by waiting is told when.

use std::time::Duration;

use yilian_spec::api::transaction::{SubmitResult, TransactionStatus};
use yilian_spec::base::id::{InstitutionId, TransactionId};
use yilian_spec::base::version::UnknownVersion;
use yilian_spec::domain::operate::OperationError;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::ledger::validation::contextual::ContextualError;
use yilian_spec::ledger::validation::semantic::SemanticError;
use yilian_spec::ledger::validation::structural::StructuralError;

use super::Api;
use super::error::ApiError;
use crate::health::clocks;
use crate::mempool::pool::PoolError;
use crate::mempool::{Admission, Rejection, SubmitError, Verdict, WaitError, WaitOutcome};

/// Hands the readable transactions of a caller to the mempool and brings the answers back into the order of the request.
///
/// # Errors
/// When the submission as a whole is refused.
pub async fn admit(
    api: &Api,
    caller: &InstitutionId,
    entries: Vec<Result<Transaction, StructuralError>>,
) -> Result<Vec<Result<SubmitResult, ApiError>>, ApiError> {
    let ids: Vec<Result<TransactionId, StructuralError>> =
        entries.iter().map(|entry| entry.as_ref().map(Transaction::id).map_err(Clone::clone)).collect();
    let transactions: Vec<Transaction> = entries.into_iter().flatten().collect();
    let verdicts = if transactions.is_empty() {
        Vec::new()
    } else {
        api.mempool.submit(caller, transactions).await.map_err(submit_error)?
    };
    let mut verdicts = verdicts.into_iter();
    let mut results = Vec::with_capacity(ids.len());
    for id in ids {
        results.push(match id {
            Err(error) => Err(structural(&error)),
            Ok(id) => {
                let verdict = verdicts.next().ok_or_else(|| {
                    ApiError::Internal("the mempool answered for fewer transactions than it got".to_owned())
                })?;
                result(api, id, verdict).await
            }
        });
    }
    Ok(results)
}

async fn result(api: &Api, id: TransactionId, verdict: Verdict) -> Result<SubmitResult, ApiError> {
    let mut result = SubmitResult {
        transaction_id: Some(id),
        status: TransactionStatus::Accepted,
        height: None,
        receipt: None,
        error: None,
    };
    match verdict.map_err(|refused| with_ledger_time(api, rejection(refused)))? {
        Admission::Accepted => {}
        Admission::Pending => result.status = TransactionStatus::Pending,
        Admission::Committed { height, index } => {
            let reader = api.reader.clone();
            let receipt = tokio::task::spawn_blocking(move || reader.receipt((height, index))).await;
            result.status = TransactionStatus::Committed;
            result.height = Some(height);
            result.receipt = receipt.map_err(|_| ApiError::Internal("a reader broke".to_owned()))??;
        }
    }
    Ok(result)
}

/// Waits until a transaction is committed, or the time is over; returns where it stands then.
///
/// # Errors
/// When too many wait, or storage fails.
pub async fn wait(api: &Api, id: TransactionId, timeout: Duration) -> Result<WaitOutcome, ApiError> {
    match api.mempool.wait(id, timeout).await {
        Ok(outcome) => Ok(outcome),
        Err(error @ WaitError::TooMany) => {
            Err(ApiError::Busy { code: "too_many_waiters", message: error.to_string(), retry_after_s: 1 })
        }
        Err(WaitError::Storage(error)) => Err(error.into()),
    }
}

fn submit_error(error: SubmitError) -> ApiError {
    let message = error.to_string();
    match error {
        SubmitError::TooMany { .. } => ApiError::Malformed(message),
        SubmitError::Busy | SubmitError::InstitutionBusy { .. } => {
            ApiError::Busy { code: "verification_queue_full", message, retry_after_s: 1 }
        }
        SubmitError::Stopped => ApiError::Unavailable { code: "stopping", message },
    }
}

fn rejection(rejection: Rejection) -> ApiError {
    match rejection {
        Rejection::Semantic(error) => semantic(&error),
        Rejection::Contextual(error) => contextual(&error),
        Rejection::Pool(error) => {
            let code = if matches!(error, PoolError::OverQuota { .. }) { "over_quota" } else { "pool_full" };
            ApiError::Busy { code, message: error.to_string(), retry_after_s: 1 }
        }
        Rejection::Version(unknown) => outdated(unknown),
        Rejection::Storage(error) => ApiError::Internal(error.to_string()),
    }
}

/// The next block has rules that this node does not know.
pub fn outdated(unknown: UnknownVersion) -> ApiError {
    ApiError::Unavailable { code: "outdated", message: unknown.to_string() }
}

/// A transaction that cannot be read is a malformed request when it came alone.
fn structural(error: &StructuralError) -> ApiError {
    let code = match error {
        StructuralError::Encoding(_) => return ApiError::Malformed(error.to_string()),
        StructuralError::OperationCount { .. } => "operation_count",
        StructuralError::TooLong { .. } => "transaction_too_long",
        StructuralError::Lifetime => "lifetime",
        StructuralError::Institution { .. } => "name",
        StructuralError::Operation { reason, .. } => match reason {
            OperationError::Name(_) => "name",
            OperationError::Parts => "parts",
            OperationError::PerformedDays => "performed_days",
            OperationError::Currency => "currency",
            OperationError::Terms(_) => "terms",
            OperationError::PeriodLength => "period_length",
        },
    };
    ApiError::Transaction { code, message: error.to_string() }
}

/// A transaction that is valid on no state of this ledger.
pub fn semantic(error: &SemanticError) -> ApiError {
    let code = match error {
        SemanticError::Structural(error) => return structural(error),
        SemanticError::WrongChain { .. } => "wrong_chain",
        SemanticError::BadSignature => "bad_signature",
    };
    ApiError::Transaction { code, message: error.to_string() }
}

/// Says of a transaction that has expired by how much the ledger's time is ahead of this node's clock, if it is: whoever
/// signs by such a clock would sign in vain again.
pub fn with_ledger_time(api: &Api, mut error: ApiError) -> ApiError {
    if let ApiError::Transaction { code: "expired", message } = &mut error
        && let Some(behind) = clocks::behind_ledger(api.clock.now_ms(), api.reader.tip().tip.time.0)
    {
        message.push_str("; this node's clock is ");
        message.push_str(&behind);
    }
    error
}

/// A transaction that no block may carry now.
pub fn contextual(error: &ContextualError) -> ApiError {
    let code = match error {
        ContextualError::FromTheFuture => "from_the_future",
        ContextualError::Expired => "expired",
        ContextualError::Repeated => "repeated",
        ContextualError::UnknownAuthor => "unknown_author",
        ContextualError::RevokedAuthor => "revoked_author",
        ContextualError::NotYet { .. } => "not_yet",
        ContextualError::View(error) => return ApiError::Internal(error.to_string()),
    };
    ApiError::Transaction { code, message: error.to_string() }
}
