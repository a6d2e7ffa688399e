//! `/v1/blocks`: headers, certificates, and what the blocks carry, as far as it concerns the caller.

use axum::Json;
use axum::extract::State;
use yilian_spec::api::ledger::{Block, BlockTransaction};
use yilian_spec::api::{ErrorBody, Page};
use yilian_spec::base::height::Height;

use super::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{PathOf, QueryOf};
use super::ledger::View;
use super::page::{PageQuery, PageRequest};
use super::rights;
use crate::api::limits::API_BLOCKS_PER_PAGE_MAX;

/// One block, by height or `latest`.
#[utoipa::path(
    get, path = "/v1/blocks/{height}", tag = "blocks",
    params(("height" = String, Path, description = "a height from 1, or `latest`")),
    responses((status = 200, body = Block), (status = 404, body = ErrorBody))
)]
pub async fn block(
    State(api): State<Api>,
    caller: Caller,
    PathOf(height): PathOf<String>,
) -> Result<Json<Block>, ApiError> {
    api.read(move |view| {
        let height = match height.as_str() {
            "latest" => view.height(),
            text => Height(text.parse().map_err(|_| {
                ApiError::Malformed("the height must be a whole number from 1, or `latest`".into())
            })?),
        };
        let found = read_block(view, &caller, height)?;
        found.map(Json).ok_or(ApiError::NotFound { what: "block", height: view.height().0 })
    })
    .await
}

/// The blocks, the newest first.
#[utoipa::path(
    get, path = "/v1/blocks", tag = "blocks", params(PageQuery),
    responses((status = 200, body = Page<Block>), (status = 400, body = ErrorBody))
)]
pub async fn blocks(
    State(api): State<Api>,
    caller: Caller,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<Page<Block>>, ApiError> {
    let request = query.request()?;
    api.read(move |view| page(view, &caller, request).map(Json)).await
}

fn page(view: &View<'_>, caller: &Caller, request: PageRequest) -> Result<Page<Block>, ApiError> {
    let top = match request.after {
        None => view.height().0,
        Some(bytes) => {
            let bytes: [u8; 8] = bytes
                .try_into()
                .map_err(|_| ApiError::Malformed("the cursor is not a next_cursor of this list".into()))?;
            u64::from_be_bytes(bytes).saturating_sub(1).min(view.height().0)
        }
    };
    let count = request.limit.min(API_BLOCKS_PER_PAGE_MAX) as u64;
    let bottom = top.saturating_sub(count);
    let mut items = Vec::new();
    for height in (bottom + 1..=top).rev() {
        items.extend(read_block(view, caller, Height(height))?);
    }
    let next_cursor = (bottom > 0).then(|| hex::encode((bottom + 1).to_be_bytes()));
    Ok(Page { items, next_cursor, height: view.height() })
}

/// Reads a block; `None` where there is none.
pub(super) fn read_block(
    view: &View<'_>,
    caller: &Caller,
    height: Height,
) -> Result<Option<Block>, ApiError> {
    let Some((block, receipts)) = view.block(height)? else { return Ok(None) };
    let mut transactions = Vec::new();
    for (index, (transaction, receipt)) in block.transactions.iter().zip(&receipts).enumerate() {
        let concerning = rights::concerning(view, caller, transaction, receipt.outcome)?;
        if !concerning.is_empty() {
            transactions.push(BlockTransaction {
                transaction_id: receipt.transaction_id,
                index: u32::try_from(index).expect("a block has at most 10,000 transactions"),
                institution: transaction.body.institution.clone(),
                operations: concerning
                    .into_iter()
                    .map(|number| transaction.body.operations[number].name().to_owned())
                    .collect(),
                outcome: receipt.outcome,
            });
        }
    }
    Ok(Some(Block { certified: view.certified(height)?, transactions }))
}
