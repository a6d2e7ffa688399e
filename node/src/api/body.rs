//! The three bodies in which transactions arrive, read strictly.
//!
//! `application/octet-stream`: the canonical bytes of one. `application/json`: an object with `transactions`, a list of
//! canonical bytes in hexadecimal; or one transaction in its serde form, an object with `body` and `signature`.

use axum::http::{HeaderMap, header};
use serde::Deserialize;
use utoipa::ToSchema;
use yilian_spec::base::{codec, json};
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::ledger::validation::structural::{self, StructuralError};

use super::error::ApiError;
use super::limits::API_TRANSACTIONS_PER_REQUEST_MAX;

/// What a request brought: one result for each transaction, in order.
#[derive(Debug)]
pub struct Submission {
    /// Each transaction, or why it cannot be one.
    pub entries: Vec<Result<Transaction, StructuralError>>,
    /// Whether the request was about one transaction: then its refusal is the status of the answer.
    pub is_single: bool,
}

/// Several transactions in one request.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Many {
    /// The canonical bytes of each, in hexadecimal.
    transactions: Vec<String>,
}

/// What a JSON body may be.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes what is read field by field")]
pub enum Submitted {
    /// One transaction.
    One(Box<Transaction>),
    /// Several, each by its canonical bytes.
    Many(Many),
}

/// Which of the two JSON forms an object has; fields beside these are for the real reader to refuse.
#[derive(Deserialize)]
struct Shape {
    transactions: Option<serde::de::IgnoredAny>,
}

/// Reads a request's body.
///
/// # Errors
/// [`ApiError::ContentType`], or [`ApiError::Malformed`] with the reader's reason.
pub fn read(headers: &HeaderMap, bytes: &[u8]) -> Result<Submission, ApiError> {
    match media_type(headers)?.as_str() {
        "application/octet-stream" => {
            Ok(Submission { entries: vec![structural::decode(bytes)], is_single: true })
        }
        "application/json" => read_json(bytes),
        _ => Err(ApiError::ContentType),
    }
}

/// The content type without its parameters, in lower case.
///
/// # Errors
/// [`ApiError::ContentType`] where there is none.
pub fn media_type(headers: &HeaderMap) -> Result<String, ApiError> {
    let value = headers.get(header::CONTENT_TYPE).ok_or(ApiError::ContentType)?;
    let text = value.to_str().map_err(|_| ApiError::ContentType)?;
    let essence = text.split(';').next().unwrap_or_default();
    Ok(essence.trim().to_ascii_lowercase())
}

/// JSON that cannot be read.
pub fn malformed(error: impl std::fmt::Display) -> ApiError {
    ApiError::Malformed(format!("the JSON cannot be read: {}", json::plain(&error.to_string())))
}

fn read_json(bytes: &[u8]) -> Result<Submission, ApiError> {
    let shape: Shape = serde_json::from_slice(bytes).map_err(malformed)?;
    if shape.transactions.is_none() {
        let transaction: Transaction = json::read(bytes).map_err(malformed)?;
        let length = codec::encode(&transaction).len();
        let checked = structural::check(&transaction, length).map(|()| transaction);
        return Ok(Submission { entries: vec![checked], is_single: true });
    }
    let many: Many = serde_json::from_slice(bytes).map_err(malformed)?;
    let count = many.transactions.len();
    if !(1..=API_TRANSACTIONS_PER_REQUEST_MAX).contains(&count) {
        return Err(ApiError::Malformed(format!(
            "{count} transactions; a request has 1 to {API_TRANSACTIONS_PER_REQUEST_MAX}: split it"
        )));
    }
    let entries = many.transactions.iter().enumerate().map(|(index, text)| {
        let bytes = hex::decode(text).map_err(|error| {
            ApiError::Malformed(format!("transaction {index} is not hexadecimal: {error}"))
        })?;
        Ok(structural::decode(&bytes))
    });
    Ok(Submission { entries: entries.collect::<Result<_, ApiError>>()?, is_single: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn read_as(kind: &'static str, bytes: &[u8]) -> Result<Submission, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        read(&headers, bytes)
    }

    #[test]
    fn each_form_is_recognised_and_garbage_named() {
        let refused = read_as("application/octet-stream", b"garbage").unwrap();
        assert!(refused.is_single && refused.entries[0].is_err());
        let many = read_as("application/json; charset=utf-8", br#"{"transactions":["00","ff"]}"#).unwrap();
        assert!(!many.is_single && many.entries.len() == 2 && many.entries.iter().all(Result::is_err));
        assert!(matches!(read_as("text/plain", b"{}"), Err(ApiError::ContentType)));
        let malformed: [&[u8]; 8] = [
            b"",
            b"{",
            b"[]",
            b"{}",
            br#"{"transactions":[]}"#,
            br#"{"transactions":["0g"]}"#,
            br#"{"transactions":["00"],"more":1}"#,
            br#"{"transactions":["00"],"transactions":["00"]}"#,
        ];
        for bytes in malformed {
            let result = read_as("application/json", bytes);
            assert!(matches!(result, Err(ApiError::Malformed(_))), "{}", String::from_utf8_lossy(bytes));
        }
        let too_many = format!(r#"{{"transactions":[{}]}}"#, vec!["\"00\""; 257].join(","));
        assert!(matches!(read_as("application/json", too_many.as_bytes()), Err(ApiError::Malformed(_))));
    }
}
