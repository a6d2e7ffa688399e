//! Path and query parameters, read strictly: what cannot be read is answered with 400 and the reason.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use yilian_spec::base::json;

use super::error::ApiError;

/// The parameters in the path.
pub struct PathOf<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(unreadable("path", &rejection.body_text())),
        }
    }
}

/// The parameters behind the question mark; unknown ones are refused by the structs that are read.
pub struct QueryOf<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for QueryOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(unreadable("query", &rejection.body_text())),
        }
    }
}

/// What the extractor says, without its own preface and the names of Rust's types.
fn unreadable(what: &'static str, said: &str) -> ApiError {
    let prefaces = ["Invalid URL: ", "Failed to deserialize query string: "];
    let said = prefaces.iter().find_map(|preface| said.strip_prefix(preface)).unwrap_or(said);
    let said = said.replace(" to a `u32`", ": expected u32").replace(" to a `u64`", ": expected u64");
    ApiError::Malformed(format!("the {what} cannot be read: {}", json::plain(&said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_told_without_the_words_of_the_program() {
        let cases = [
            (
                "Invalid URL: Cannot parse `period` with value `x` to a `u32`",
                "expected an integer from 0 to 4294967295",
            ),
            (
                "Failed to deserialize query string: limit: invalid digit found in string",
                "read: limit: invalid digit",
            ),
        ];
        for (said, expected) in cases {
            let error = unreadable("path", said).to_string();
            assert!(error.contains(expected) && !error.contains("u32"), "{error}");
        }
    }
}
