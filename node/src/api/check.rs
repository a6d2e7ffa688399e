//! `/v1/transactions/check`: what the rules would say to a transaction now (rule N-8). Nothing of it is recorded.
//!
//! The body comes unsigned, so that a node that is asked cannot record it. It is executed on the state of the last block by
//! the code that executes blocks, and the writes are thrown away. Only a few run at a time; what they find refused counts
//! as submitted in vain, so that nobody can try the ledger out for ever.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use yilian_spec::api::ErrorBody;
use yilian_spec::api::transaction::Checked;
use yilian_spec::base::json;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::TransactionBody;
use yilian_spec::ledger::trial::decode_body;

use super::Api;
use super::auth::Caller;
use super::body;
use super::error::ApiError;
use super::limits::API_CHECKS_MAX;
use super::refusal;
use super::transactions;

/// Says what would become of a transaction in the next block, and records nothing.
#[utoipa::path(
    post, path = "/v1/transactions/check", tag = "transactions",
    request_body(
        content(("application/octet-stream"), (TransactionBody = "application/json")),
        description = "canonical bytes of a transaction's body, without the signature; or the body in its serde form"
    ),
    responses(
        (status = 200, body = Checked), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody, description = "no block could carry it"), (status = 429, body = ErrorBody)
    )
)]
pub async fn check(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Json<Checked>, ApiError> {
    caller.require_submitter()?;
    api.in_vain.check(&caller.institution, api.clock.now_ms())?;
    let permit = api.checks.clone().try_acquire_owned().map_err(|_| ApiError::Busy {
        code: "too_many_checks",
        message: format!(
            "{API_CHECKS_MAX} transactions are being checked already: try again, or ask another node"
        ),
        retry_after_s: 1,
    })?;
    let bytes = transactions::whole(&api, bytes)?;
    let answer = try_out(&api, &caller, &headers, &bytes).await;
    drop(permit);
    if !matches!(&answer, Ok(Checked { outcome: Outcome::Applied, .. })) {
        api.in_vain.note(&caller.institution, 1, api.clock.now_ms());
    }
    answer.map(Json)
}

async fn try_out(api: &Api, caller: &Caller, headers: &HeaderMap, bytes: &[u8]) -> Result<Checked, ApiError> {
    let transaction = read(headers, bytes)?;
    // An institution tries out what it may do itself, never what another could.
    if transaction.institution != caller.institution {
        return Err(ApiError::NotYours { what: "the transaction" });
    }
    let now = LedgerTime(api.clock.now_ms());
    api.read(move |view| Ok(Checked { height: view.height(), outcome: view.trial(now, transaction)? }))
        .await
        .map_err(|error| refusal::with_ledger_time(api, error))
}

fn read(headers: &HeaderMap, bytes: &[u8]) -> Result<TransactionBody, ApiError> {
    match body::media_type(headers)?.as_str() {
        "application/octet-stream" => {
            decode_body(bytes).map_err(|error| ApiError::Malformed(error.to_string()))
        }
        "application/json" => json::read(bytes).map_err(body::malformed),
        _ => Err(ApiError::ContentType),
    }
}
