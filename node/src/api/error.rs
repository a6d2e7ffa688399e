//! What the API refuses, and how it says so: one variant per rule, one JSON shape for all.
//!
//! `{"error":{"code":"snake_case_name","message":"…","details":{…}}}`. The message names the bound or the rule and the
//! remedy; `code` is stable and what programs match on; `details` is present only where there is something to add.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use thiserror::Error;
use yilian_spec::api::{ErrorBody, ErrorDetail};
use yilian_spec::crypto::token::TokenError;
use yilian_spec::domain::membership::Role;

/// Why a request is not answered as asked.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ApiError {
    /// Path, query or body cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// The body is longer than the node reads.
    #[error("the body is longer than {limit_bytes} bytes: send fewer transactions in one request")]
    TooLarge {
        /// The bound.
        limit_bytes: usize,
    },
    /// The request's line and headers are too long.
    #[error(
        "the request's line and headers are longer than {limit_bytes} bytes: send a shorter query, and fewer or shorter \
         headers"
    )]
    HeadersTooLarge {
        /// The bound.
        limit_bytes: usize,
    },
    /// The body is of another type.
    #[error("the content type must be application/octet-stream (canonical bytes) or application/json")]
    ContentType,
    /// No token was sent.
    #[error("send `Authorization: Bearer <token>`, a token signed with a key of this ledger")]
    NoToken,
    /// The token breaks a rule.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// The token's key is not on the ledger.
    #[error("the token's key is not registered on this ledger: have an administrator register it")]
    KeyUnknown,
    /// The token's key was revoked.
    #[error("the token's key was revoked: use its successor")]
    KeyRevoked,
    /// The token's key is not valid yet.
    #[error("the token's key is not valid yet: it starts at {starts_ms} ms")]
    KeyNotYetValid {
        /// Start of its window in milliseconds since 1970-01-01 UTC.
        starts_ms: u64,
    },
    /// The token's key has expired.
    #[error("the token's key has expired at {expired_ms} ms: rotate it with an administrator key")]
    KeyExpired {
        /// End of its window in milliseconds since 1970-01-01 UTC.
        expired_ms: u64,
    },
    /// The token names another institution than the key's.
    #[error("the token's issuer is not the institution that owns its key")]
    IssuerMismatch,
    /// Keys of validators and nodes do not call.
    #[error(
        "keys of validators and nodes do not call the API: use a gateway, finance, administrator or auditor key"
    )]
    RoleHasNoApi {
        /// The key's role.
        role: Role,
    },
    /// Auditors submit nothing.
    #[error("an auditor's key reads and submits nothing: use a key of the role that the operation needs")]
    RoleCannotSubmit,
    /// It concerns other institutions, and that it exists is no secret.
    #[error("{what} does not concern the caller's institution: ask one that it concerns, or a regulator")]
    NotYours {
        /// What was asked for.
        what: &'static str,
    },
    /// There is none, or it is there for others alone: which of the two is not told.
    #[error(
        "there is no such {what}, or it does not concern the caller's institution: check the id, or ask an institution \
         that it concerns, or a regulator"
    )]
    NoneOfYours {
        /// What was asked for.
        what: &'static str,
    },
    /// Some of the transaction concerns others alone, and its proof would show all of it.
    #[error(
        "the transaction has operations that do not concern the caller's institution, and its proof would show them: \
         ask for the proof of the grant, referral or agreement, or of its stream, which say what became of it"
    )]
    PartlyYours,
    /// Only regulators.
    #[error("only a regulator's key may read {what}")]
    RegulatorsOnly {
        /// What was asked for.
        what: &'static str,
    },
    /// There is no such thing.
    #[error("no such {what} at height {height}")]
    NotFound {
        /// What was asked for.
        what: &'static str,
        /// The height that was read.
        height: u64,
    },
    /// There is no such route.
    #[error("no such path: the paths are listed at /v1/openapi.json")]
    NoSuchPath,
    /// The route has no such method.
    #[error("this path does not have that method: the paths are listed at /v1/openapi.json")]
    MethodNotAllowed,
    /// A transaction that no state of the ledger would take, or that this one does not.
    #[error("{message}")]
    Transaction {
        /// The rule's name.
        code: &'static str,
        /// The rule.
        message: String,
    },
    /// A bound is reached; it helps to wait.
    #[error("{message}")]
    Busy {
        /// The bound's name.
        code: &'static str,
        /// The bound and the remedy.
        message: String,
        /// When to try again.
        retry_after_s: u32,
    },
    /// The node does not serve this now.
    #[error("{message}")]
    Unavailable {
        /// What is missing.
        code: &'static str,
        /// Why, and what to do.
        message: String,
    },
    /// The request took too long.
    #[error("the request took longer than {limit_ms} ms: ask for less, or try another node")]
    Timeout {
        /// The bound.
        limit_ms: u64,
    },
    /// A file of the ledger is damaged.
    #[error("the ledger of this node is damaged where the answer stands: use another node; {0}")]
    Damaged(String),
    /// Storage failed, or a handler broke.
    #[error("the node could not answer: {0}; its log says more")]
    Internal(String),
}

impl ApiError {
    /// The HTTP status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoToken
            | Self::Token(_)
            | Self::KeyUnknown
            | Self::KeyRevoked
            | Self::KeyNotYetValid { .. }
            | Self::KeyExpired { .. }
            | Self::IssuerMismatch => StatusCode::UNAUTHORIZED,
            Self::RoleHasNoApi { .. }
            | Self::RoleCannotSubmit
            | Self::NotYours { .. }
            | Self::PartlyYours
            | Self::RegulatorsOnly { .. } => StatusCode::FORBIDDEN,
            Self::NotFound { .. } | Self::NoneOfYours { .. } | Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Transaction { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } | Self::Damaged(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::TooLarge { .. } => "body_too_large",
            Self::HeadersTooLarge { .. } => "headers_too_large",
            Self::ContentType => "content_type",
            Self::NoToken => "no_token",
            Self::Token(TokenError::Expired { .. }) => "token_expired",
            Self::Token(TokenError::IssuedInFuture { .. }) => "token_from_the_future",
            Self::Token(TokenError::Audience) => "token_for_another_chain",
            Self::Token(TokenError::OtherNode) => "token_for_another_node",
            Self::Token(_) => "bad_token",
            Self::KeyUnknown => "key_unknown",
            Self::KeyRevoked => "key_revoked",
            Self::KeyNotYetValid { .. } => "key_not_yet_valid",
            Self::KeyExpired { .. } => "key_expired",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::RoleHasNoApi { .. } => "role_has_no_api",
            Self::RoleCannotSubmit => "role_cannot_submit",
            Self::NotYours { .. } => "not_yours",
            Self::PartlyYours => "partly_yours",
            Self::RegulatorsOnly { .. } => "regulators_only",
            Self::NotFound { .. } | Self::NoneOfYours { .. } => "not_found",
            Self::NoSuchPath => "no_such_path",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Transaction { code, .. } | Self::Busy { code, .. } | Self::Unavailable { code, .. } => code,
            Self::Timeout { .. } => "timeout",
            Self::Damaged(_) => "ledger_damaged",
            Self::Internal(_) => "internal",
        }
    }

    /// The body of the answer.
    pub fn body(&self) -> ErrorBody {
        let details = match self {
            Self::TooLarge { limit_bytes } | Self::HeadersTooLarge { limit_bytes } => {
                Some(serde_json::json!({ "limit_bytes": limit_bytes }))
            }
            Self::KeyNotYetValid { starts_ms } => Some(serde_json::json!({ "starts_ms": starts_ms })),
            Self::KeyExpired { expired_ms } => Some(serde_json::json!({ "expired_ms": expired_ms })),
            Self::RoleHasNoApi { role } => Some(serde_json::json!({ "role": role })),
            Self::NotFound { height, .. } => Some(serde_json::json!({ "height": height })),
            Self::Busy { retry_after_s, .. } => Some(serde_json::json!({ "retry_after_s": retry_after_s })),
            Self::Timeout { limit_ms } => Some(serde_json::json!({ "limit_ms": limit_ms })),
            _ => None,
        };
        ErrorBody { error: ErrorDetail { code: self.code().to_owned(), message: self.to_string(), details } }
    }
}

/// Goes with an answer that could not be given because the ledger is damaged, so that `/health` says so from then on.
#[derive(Debug, Clone)]
pub struct LedgerDamage(pub String);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Internal(reason) = &self {
            tracing::error!(%reason, "a request failed inside the node");
        }
        let mut response = (self.status(), axum::Json(self.body())).into_response();
        if let Self::Busy { retry_after_s, .. } = self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
        }
        if let Self::Damaged(reason) = &self {
            response.extensions_mut().insert(LedgerDamage(reason.clone()));
        }
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Turns a panic in a handler into an answer, and logs it; the server goes on.
pub fn panic_response(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(panic = text, "a handler panicked: please report this");
    ApiError::Internal("a handler broke".to_owned()).into_response()
}
