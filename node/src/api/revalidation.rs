//! Entity tags (RFC 9110, section 8.8.3): who has an answer already is told so, and gets it once.
//!
//! The tag is a hash of the answer, so that it holds across nodes and restarts. It is a weak one, since an answer may be
//! compressed on its way. Answers are the caller's own: nobody in between may keep them, and the caller asks each time.

use axum::body::{self, Body};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::error::ApiError;

/// Bytes of the hash in a tag: enough to tell the answers to one question apart.
const TAG_BYTES: usize = 16;

/// Tags the JSON of an answer, and leaves it out where the caller names the tag.
pub async fn revalidate(request: Request, next: Next) -> Response {
    let is_read = request.method() == Method::GET;
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    if !is_read || response.status() != StatusCode::OK || !is_json(response.headers()) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(bytes) = body::to_bytes(body, usize::MAX).await else {
        return ApiError::Internal("an answer could not be read".to_owned()).into_response();
    };
    let tag = format!("W/\"{}\"", hex::encode(&Sha256::digest(&bytes)[..TAG_BYTES]));
    let is_known = known.as_ref().is_some_and(|known| names(known, &tag));
    head.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        head.headers.insert(header::ETAG, tag);
    }
    if !is_known {
        return Response::from_parts(head, Body::from(bytes));
    }
    head.status = StatusCode::NOT_MODIFIED;
    head.headers.remove(header::CONTENT_TYPE);
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::empty())
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json")
}

/// Whether an If-None-Match header names a tag, by the weak comparison.
fn names(header: &HeaderValue, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let Ok(text) = header.to_str() else { return false };
    text.split(',').any(|one| one.trim() == "*" || opaque(one) == opaque(tag))
}
