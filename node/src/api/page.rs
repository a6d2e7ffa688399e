//! Lists in pages: `?limit=&cursor=` in, `items` and `next_cursor` out.
//!
//! A cursor is the key of the last row that was looked at, in hexadecimal: opaque to callers, and stable while rows
//! come and go, because rows lie in key order.

use serde::Deserialize;
use utoipa::IntoParams;

use super::error::ApiError;
use crate::api::limits::{API_CURSOR_BYTES_MAX, API_PAGE_ITEMS_DEFAULT, API_PAGE_ITEMS_MAX};

/// Which page is asked for.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items at most, 1 to 500; 100 unless told.
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A page that was asked for, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Items at most.
    pub limit: usize,
    /// The key after which to go on.
    pub after: Option<Vec<u8>>,
}

impl PageRequest {
    /// Checks limit and cursor.
    ///
    /// # Errors
    /// [`ApiError::Malformed`] that names the bound.
    pub fn new(limit: Option<usize>, cursor: Option<&str>) -> Result<Self, ApiError> {
        let limit = limit.unwrap_or(API_PAGE_ITEMS_DEFAULT);
        if !(1..=API_PAGE_ITEMS_MAX).contains(&limit) {
            return Err(ApiError::Malformed(format!("limit is {limit}: give 1 to {API_PAGE_ITEMS_MAX}")));
        }
        let after = cursor.map(decode_cursor).transpose()?;
        Ok(Self { limit, after })
    }
}

impl PageQuery {
    /// See [`PageRequest::new`].
    ///
    /// # Errors
    /// [`ApiError::Malformed`] that names the bound.
    pub fn request(&self) -> Result<PageRequest, ApiError> {
        PageRequest::new(self.limit, self.cursor.as_deref())
    }
}

fn decode_cursor(text: &str) -> Result<Vec<u8>, ApiError> {
    let malformed =
        || ApiError::Malformed("the cursor is not a next_cursor of this list: start without one".into());
    if text.len() > 2 * API_CURSOR_BYTES_MAX {
        return Err(malformed());
    }
    hex::decode(text).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_and_cursor_are_bounded() {
        let request = |limit, cursor| PageRequest::new(limit, cursor);
        assert_eq!(request(None, None).unwrap().limit, API_PAGE_ITEMS_DEFAULT);
        assert_eq!(request(Some(500), Some("00ff")).unwrap().after, Some(vec![0, 255]));
        for (limit, cursor) in [(Some(0), None), (Some(501), None), (None, Some("xyz")), (None, Some("0"))] {
            assert!(matches!(request(limit, cursor), Err(ApiError::Malformed(_))), "{limit:?} {cursor:?}");
        }
        let long = "00".repeat(API_CURSOR_BYTES_MAX + 1);
        assert!(matches!(request(None, Some(&long)), Err(ApiError::Malformed(_))));
    }
}
