//! `/v1/streams`: everything about a subject, an institution, a grant, a referral or a period, in order.

use axum::Json;
use axum::extract::State;
use yilian_spec::api::ErrorBody;
use yilian_spec::api::ledger::{StreamItem, StreamPage};
use yilian_spec::state::key::StreamId;

use super::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{PathOf, QueryOf};
use super::ledger::View;
use super::page::{PageQuery, PageRequest};
use super::rights;

/// Reads the two parts of the path that name a stream; a period is `<agreement>.<number>`.
///
/// # Errors
/// [`ApiError::Malformed`] that says what is expected.
pub fn stream_of(kind: &str, id: &str) -> Result<StreamId, ApiError> {
    StreamId::from_parts(kind, id).map_err(|error| ApiError::Malformed(error.to_string()))
}

/// The entries of a stream.
#[utoipa::path(
    get, path = "/v1/streams/{kind}/{id}", tag = "streams",
    params(
        ("kind" = String, Path, description = "subject, institution, grant, referral or period"),
        ("id" = String, Path, description = "the object's id; of a period `<agreement>.<number>`"),
        PageQuery
    ),
    responses((status = 200, body = StreamPage), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody))
)]
pub async fn stream(
    State(api): State<Api>,
    caller: Caller,
    PathOf((kind, id)): PathOf<(String, String)>,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<StreamPage>, ApiError> {
    let stream = stream_of(&kind, &id)?;
    let request = query.request()?;
    api.read(move |view| {
        rights::require_stream(view, &caller, &stream)?;
        page(view, &stream, request).map(Json)
    })
    .await
}

fn page(view: &View<'_>, stream: &StreamId, request: PageRequest) -> Result<StreamPage, ApiError> {
    let length = view.stream_length(stream)?;
    let first = match request.after {
        None => 0,
        Some(bytes) => {
            let first = bytes.try_into().ok().map(u64::from_be_bytes).filter(|first| *first <= length);
            first.ok_or_else(|| {
                ApiError::Malformed(
                    "the cursor is not a next_cursor of this stream: start without one".to_owned(),
                )
            })?
        }
    };
    let entries = view.entries(stream, first, request.limit)?;
    let mut items = Vec::with_capacity(entries.len());
    for (index, entry) in (first..).zip(entries) {
        let operation_name = operation_name(view, &entry)?;
        items.push(StreamItem {
            index,
            height: entry.height,
            transaction_id: entry.transaction_id,
            operation: entry.operation,
            kind: entry.kind,
            operation_name,
        });
    }
    let next = first.saturating_add(items.len() as u64);
    let next_cursor = (next < length && !items.is_empty()).then(|| hex::encode(next.to_be_bytes()));
    Ok(StreamPage { items, next_cursor, height: view.height(), length })
}

fn operation_name(view: &View<'_>, entry: &yilian_spec::state::stream::Entry) -> Result<String, ApiError> {
    let located = view.located(entry.transaction_id)?.ok_or_else(|| {
        ApiError::Internal(format!("transaction {} of a stream's entry is missing", entry.transaction_id))
    })?;
    let operation = located.transaction.body.operations.get(usize::from(entry.operation));
    Ok(operation.map_or("unknown", |operation| operation.name()).to_owned())
}
