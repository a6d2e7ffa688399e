//! Lists over rows that lie together: the same walk for records and for the indexes that point at them.

use yilian_spec::api::Page;
use yilian_spec::state::key::StateKey;

use super::error::ApiError;
use super::ledger::View;
use super::page::PageRequest;
use crate::api::limits::API_ROWS_PER_REQUEST_MAX;

/// What a row of the walk gives.
pub enum Listed<T> {
    /// An item of the list.
    Item(T),
    /// Nothing: a filter passes it over.
    Skip,
}

/// What is wrong when a list meets the row of another kind, which its prefix rules out.
pub fn stray(key: &StateKey) -> ApiError {
    ApiError::Internal(format!("a list met {key}"))
}

/// Walks rows from the cursor on until the page is full, the list ends, or the bound of rows is reached; then the
/// page may be short and still have a next one. `read` gets the key and the row.
///
/// # Errors
/// What `read` says, a foreign cursor, or a failing storage.
pub fn page<T>(
    view: &View<'_>,
    prefix: &[u8],
    request: PageRequest,
    mut read: impl FnMut(StateKey, &[u8]) -> Result<Listed<T>, ApiError>,
) -> Result<Page<T>, ApiError> {
    if request.after.as_ref().is_some_and(|key| !key.starts_with(prefix)) {
        return Err(ApiError::Malformed("the cursor belongs to another list: start without one".to_owned()));
    }
    let mut items = Vec::new();
    let mut after = request.after;
    let mut looked_at = 0;
    while items.len() < request.limit && looked_at < API_ROWS_PER_REQUEST_MAX {
        let wanted = request.limit.min(API_ROWS_PER_REQUEST_MAX - looked_at);
        let (rows, more) = view.rows(prefix, after.as_deref(), wanted)?;
        let at_the_end = !more;
        let last = rows.len();
        for (position, (key, row)) in rows.into_iter().enumerate() {
            looked_at += 1;
            let parsed = StateKey::parse(&key);
            let parsed = parsed.ok_or_else(|| ApiError::Internal("a row under no key".to_owned()))?;
            let item = read(parsed, &row)?;
            after = Some(key);
            if let Listed::Item(item) = item {
                items.push(item);
                let is_last = at_the_end && position + 1 == last;
                if items.len() == request.limit && !is_last {
                    return Ok(Page { items, next_cursor: after.map(hex::encode), height: view.height() });
                }
            }
        }
        if at_the_end {
            return Ok(Page { items, next_cursor: None, height: view.height() });
        }
    }
    Ok(Page { items, next_cursor: after.map(hex::encode), height: view.height() })
}
