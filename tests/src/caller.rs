//! Requests over plain HTTP, with any body and any token: what a broken or hostile caller sends.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::StatusCode;
use serde_json::Value;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::crypto::token::{self, Audience, Claims};

use crate::work;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const TOKEN_LIFETIME_S: u64 = 120;

/// Speaks to one node.
#[derive(Debug, Clone)]
pub struct Caller {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

/// A node's answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// The body, where it is JSON.
    pub body: Value,
}

impl Answer {
    /// The error's name: of the answer, or of the first result in it.
    pub fn error_code(&self) -> &str {
        let first = &self.body["results"][0]["error"]["code"];
        self.body["error"]["code"].as_str().or_else(|| first.as_str()).unwrap_or("")
    }

    /// The error's sentence.
    pub fn error_message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or("")
    }
}

/// A token for `institution`, signed with `key`, for the node `audience`, made `issued_ago_s` seconds ago.
///
/// # Errors
/// When the claims break a rule that the signer sees.
pub fn token(
    institution: &InstitutionId,
    audience: &Audience,
    key: &SecretKey,
    issued_ago_s: u64,
) -> Result<String> {
    let now_s = work::now()?.0 / 1_000;
    let issued_s = now_s.saturating_sub(issued_ago_s);
    let claims = Claims::new(institution.as_str(), audience, issued_s, TOKEN_LIFETIME_S);
    Ok(token::sign(&claims, key)?)
}

impl Caller {
    /// A caller that sends this token, or none.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(url: &str, token: Option<String>) -> Result<Self> {
        // The client under it wants to know whose TLS it would speak, also where it speaks none.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).build()?;
        Ok(Self { http, url: url.to_owned(), token })
    }

    /// The same caller with another token.
    #[must_use]
    pub fn with_token(&self, token: Option<String>) -> Self {
        Self { token, ..self.clone() }
    }

    /// Submits a body as it is.
    ///
    /// # Errors
    /// When the node gives no answer.
    pub async fn submit(&self, content_type: &str, body: Vec<u8>) -> Result<Answer> {
        let request = self.http.post(format!("{}/v1/transactions", self.url));
        self.send(request.header(reqwest::header::CONTENT_TYPE, content_type).body(body)).await
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// When the node gives no answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.http.get(format!("{}{path}", self.url))).await
    }

    /// Transactions in the ledger, by the last block's header.
    ///
    /// # Errors
    /// When the node does not say.
    pub async fn ledger_size(&self) -> Result<u64> {
        let answer = self.get("/v1/blocks/latest").await?;
        answer.body["header"]["log_size"]
            .as_u64()
            .with_context(|| format!("no size of the log in {answer:?}"))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.context("the node gives no answer")?;
        let status = response.status();
        let bytes = response.bytes().await.context("the answer breaks off")?;
        Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }
}
