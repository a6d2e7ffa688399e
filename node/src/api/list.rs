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
    read: impl FnMut(StateKey, &[u8]) -> Result<Listed<T>, ApiError>,
) -> Result<Page<T>, ApiError> {
    page_over(view, &[prefix.to_vec()], request, read)
}

/// [`page`] over rows that lie in several places, whose prefixes ascend.
///
/// # Errors
/// As [`page`].
pub fn page_over<T>(
    view: &View<'_>,
    prefixes: &[Vec<u8>],
    request: PageRequest,
    mut read: impl FnMut(StateKey, &[u8]) -> Result<Listed<T>, ApiError>,
) -> Result<Page<T>, ApiError> {
    let mut after = request.after;
    let begin = match &after {
        None => Some(0),
        Some(cursor) => prefixes.iter().position(|prefix| cursor.starts_with(prefix)),
    };
    let begin = begin.ok_or_else(|| {
        ApiError::Malformed("the cursor belongs to another list: start without one".to_owned())
    })?;
    let mut items = Vec::new();
    let mut looked_at = 0;
    let height = view.height();
    let until = |items, cursor: Option<Vec<u8>>| Page { items, next_cursor: cursor.map(hex::encode), height };
    for (position, prefix) in prefixes.iter().enumerate().skip(begin) {
        let is_last_prefix = position + 1 == prefixes.len();
        let mut at_the_end = false;
        while !at_the_end {
            if looked_at >= API_ROWS_PER_REQUEST_MAX {
                return Ok(until(items, after.or_else(|| Some(prefix.clone()))));
            }
            let wanted = request.limit.min(API_ROWS_PER_REQUEST_MAX - looked_at);
            let (rows, more) = view.rows(prefix, after.as_deref(), wanted)?;
            // To look where there is nothing costs as much as a row.
            looked_at += rows.len().max(1);
            at_the_end = !more;
            let last = rows.len();
            for (number, (key, row)) in rows.into_iter().enumerate() {
                let parsed = StateKey::parse(&key);
                let parsed = parsed.ok_or_else(|| ApiError::Internal("a row under no key".to_owned()))?;
                let item = read(parsed, &row)?;
                after = Some(key);
                let Listed::Item(item) = item else { continue };
                items.push(item);
                let is_last = is_last_prefix && at_the_end && number + 1 == last;
                if items.len() == request.limit && !is_last {
                    return Ok(until(items, after));
                }
            }
        }
        after = None;
    }
    Ok(until(items, None))
}
