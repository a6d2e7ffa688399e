//! `/v1/transactions`: submit, and follow to finality.
//!
//! A submission is answered when the mempool has taken it; finality is asked for by id, with a wait. Submitting the same
//! transaction again is harmless: the answer says where it stands.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;
use yilian_spec::api::ErrorBody;
use yilian_spec::api::transaction::{
    Committed, NumberedOperation, SubmitAnswer, SubmitResult, TransactionAnswer, TransactionPart,
    TransactionStatus,
};
use yilian_spec::base::id::TransactionId;

use super::Api;
use super::auth::Caller;
use super::body::{self, Submission, Submitted};
use super::error::ApiError;
use super::extract::{PathOf, QueryOf};
use super::ledger::Located;
use super::limits::{API_WAIT_MS_MAX, API_WAIT_UNKNOWN_MS_MAX};
use super::refusal;
use super::rights;
use crate::application::source::TransactionSource as _;
use crate::mempool::WaitOutcome;

/// Submits transactions.
#[utoipa::path(
    post, path = "/v1/transactions", tag = "transactions",
    request_body(
        content(("application/octet-stream"), (Submitted = "application/json")),
        description = "canonical bytes of one transaction; or {\"transactions\":[hex, …]}; or a transaction in its serde form"
    ),
    responses(
        (status = 202, body = SubmitAnswer), (status = 400, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 422, body = ErrorBody, description = "a single transaction that the rules refuse to record"),
        (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)
    )
)]
pub async fn submit(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    caller.require_submitter()?;
    api.in_vain.check(&caller.institution, api.clock.now_ms())?;
    if let Some(report) = api.health.refuses_transactions() {
        let message = format!("{}: {}", report.reason, report.remedy);
        return Err(ApiError::Unavailable { code: report.status.name(), message });
    }
    let bytes = whole(&api, bytes)?;
    let note_in_vain = |count| api.in_vain.note(&caller.institution, count, api.clock.now_ms());
    let Submission { entries, is_single } = body::read(&headers, &bytes).inspect_err(|_| note_in_vain(1))?;
    let mut results = refusal::admit(&api, &caller.institution, entries).await?;
    let notice = api.health.cannot_decide();
    note_in_vain(results.iter().filter(|result| !is_taken(result)).count());
    if is_single {
        let only =
            results.pop().ok_or_else(|| ApiError::Internal("a submission without a result".to_owned()))?;
        let result = only?;
        return Ok(
            (StatusCode::ACCEPTED, Json(SubmitAnswer { results: vec![result], notice })).into_response()
        );
    }
    let results = results.into_iter().map(|result| result.unwrap_or_else(rejected)).collect();
    Ok((StatusCode::ACCEPTED, Json(SubmitAnswer { results, notice })).into_response())
}

/// A request's body, or why it is not there as a whole.
///
/// # Errors
/// [`ApiError::TooLarge`] and [`ApiError::Malformed`].
pub fn whole(api: &Api, bytes: Result<Bytes, BytesRejection>) -> Result<Bytes, ApiError> {
    bytes.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge { limit_bytes: api.options.body_bytes_max },
        _ => ApiError::Malformed(format!("the body cannot be read: {rejection}")),
    })
}

/// Whether a submission was of use: repeats and refusals only cost time.
fn is_taken(result: &Result<SubmitResult, ApiError>) -> bool {
    matches!(result, Ok(SubmitResult { status: TransactionStatus::Accepted, .. }))
}

fn rejected(error: ApiError) -> SubmitResult {
    SubmitResult {
        transaction_id: None,
        status: TransactionStatus::Rejected,
        height: None,
        receipt: None,
        error: Some(error.body().error),
    }
}

/// Which transaction.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// How long to wait for finality, 0 to 30,000 milliseconds; for one that the node does not know, at most 2,000.
    #[serde(default)]
    pub wait_ms: u64,
}

/// One transaction, waiting for its finality if asked to.
#[utoipa::path(
    get, path = "/v1/transactions/{id}", tag = "transactions",
    params(("id" = TransactionId, Path, description = "64 hexadecimal digits"), WaitQuery),
    responses(
        (status = 200, body = TransactionAnswer), (status = 202, body = TransactionAnswer),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody)
    )
)]
pub async fn transaction(
    State(api): State<Api>,
    caller: Caller,
    PathOf(id): PathOf<TransactionId>,
    QueryOf(query): QueryOf<WaitQuery>,
) -> Result<Response, ApiError> {
    if query.wait_ms > API_WAIT_MS_MAX {
        return Err(ApiError::Malformed(format!(
            "wait_ms is {}: give 0 to {API_WAIT_MS_MAX}",
            query.wait_ms
        )));
    }
    if query.wait_ms > 0 && api.read(move |view| view.located(id)).await?.is_none() {
        let _permit = waiter(&api)?;
        // One that this node does not know may be on its way here. If it does not come, it is lost, say with the node that
        // had taken it: whoever waits must hear of it soon, and submit it again.
        let first_ms = query.wait_ms.min(API_WAIT_UNKNOWN_MS_MAX);
        let outcome = refusal::wait(&api, id, Duration::from_millis(first_ms)).await?;
        if outcome == WaitOutcome::Pending {
            refusal::wait(&api, id, Duration::from_millis(query.wait_ms - first_ms)).await?;
        }
    }
    let answer = api.read(move |view| {
        let Some(found) = view.located(id)? else { return Ok(None) };
        let concerning = rights::concerning(view, &caller, &found.transaction, found.receipt.outcome)?;
        if concerning.is_empty() {
            return Err(ApiError::NotYours { what: "the transaction" });
        }
        Ok(Some(committed(found, concerning)))
    });
    match answer.await? {
        Some(answer) => Ok(Json(answer).into_response()),
        None if api.mempool.checked(id).is_some() => {
            Ok((StatusCode::ACCEPTED, Json(TransactionAnswer::Pending)).into_response())
        }
        None => Err(ApiError::NotFound { what: "transaction", height: api.height().0 }),
    }
}

fn committed(located: Located, concerning: Vec<usize>) -> TransactionAnswer {
    let Located { height, index, time, transaction, receipt } = located;
    let (transaction, part) = if concerning.len() == transaction.body.operations.len() {
        (Some(transaction), None)
    } else {
        let body = transaction.body;
        let operations = concerning
            .into_iter()
            .map(|number| NumberedOperation {
                number: u16::try_from(number).expect("a transaction has at most 256 operations"),
                operation: body.operations[number].clone(),
            })
            .collect();
        (None, Some(TransactionPart { institution: body.institution, operations }))
    };
    TransactionAnswer::Committed(Box::new(Committed { height, index, time, transaction, part, receipt }))
}

fn waiter(api: &Api) -> Result<OwnedSemaphorePermit, ApiError> {
    api.waiters.clone().try_acquire_owned().map_err(|_| ApiError::Busy {
        code: "too_many_waiters",
        message: format!("{} requests wait already: ask without wait_ms, or later", api.options.waiters_max),
        retry_after_s: 1,
    })
}
