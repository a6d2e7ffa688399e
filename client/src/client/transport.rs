//! One request over several nodes.
//!
//! The node that answered last is asked first. A node that cannot be reached, is overloaded or not ready is passed
//! over; after a round over all nodes comes a pause, after [`limits::ROUNDS_MAX`] rounds the error. Only requests that
//! may be repeated are sent: reads, and signed transactions, which the ledger recognises by their id.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use rand::TryRng as _;
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use yilian_spec::id::{ChainId, InstitutionId};
use yilian_spec::signature::SecretKey;
use yilian_spec::token::{self, Claims};

use crate::error::ClientError;
use crate::limits;
use crate::moment;
use crate::wire::ErrorAnswer;

/// The nodes and the connections to them.
#[derive(Debug)]
pub struct Transport {
    http: reqwest::Client,
    nodes: Vec<Url>,
    /// The node that answered last.
    preferred: AtomicUsize,
}

/// A request that may be sent to any node, more than once.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    method: Method,
    path: &'a str,
    query: Vec<(&'static str, String)>,
    body: Option<(&'static str, Vec<u8>)>,
    wait_ms: u64,
    any_status: bool,
}

impl<'a> Request<'a> {
    /// A read.
    pub fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, query: Vec::new(), body: None, wait_ms: 0, any_status: false }
    }

    /// Transactions, in canonical bytes or JSON.
    pub fn post(path: &'a str, content_type: &'static str, body: Vec<u8>) -> Self {
        let body = Some((content_type, body));
        Self { method: Method::POST, path, query: Vec::new(), body, wait_ms: 0, any_status: false }
    }

    /// Takes the first answer, also one that says the node is not ready.
    #[must_use]
    pub fn even_unhealthy(mut self) -> Self {
        self.any_status = true;
        self
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Asks the node to wait so long before it answers.
    #[must_use]
    pub fn waiting(mut self, wait_ms: u64) -> Self {
        self.wait_ms = wait_ms;
        self.with("wait_ms", wait_ms)
    }
}

/// A node's answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The node's address.
    pub node: String,
    /// HTTP status.
    pub status: StatusCode,
    body: Vec<u8>,
    retry_after_s: u64,
}

impl Answer {
    /// The body of a success as JSON; errors of the node as [`ClientError::Rejected`].
    ///
    /// # Errors
    /// [`ClientError::Rejected`], or [`ClientError::Answer`] when it is not the JSON that is expected.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        if !self.status.is_success() {
            return Err(self.rejection());
        }
        self.any_json()
    }

    /// The body as JSON, whatever the status.
    ///
    /// # Errors
    /// [`ClientError::Answer`] when it is not the JSON that is expected.
    pub fn any_json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|error| ClientError::Answer {
            node: self.node.clone(),
            reason: format!("status {}, {error}", self.status.as_u16()),
        })
    }

    /// The bytes of a success.
    ///
    /// # Errors
    /// [`ClientError::Rejected`].
    pub fn bytes(self) -> Result<Vec<u8>, ClientError> {
        if self.status.is_success() { Ok(self.body) } else { Err(self.rejection()) }
    }

    /// The node's error as ours.
    pub fn rejection(&self) -> ClientError {
        match self.any_json::<ErrorAnswer>() {
            Ok(ErrorAnswer { error }) => ClientError::Rejected {
                node: self.node.clone(),
                status: self.status.as_u16(),
                code: error.code,
                message: error.message,
            },
            Err(unreadable) => unreadable,
        }
    }

    /// Whether another node, or the same one later, may do better.
    fn is_temporary(&self) -> bool {
        matches!(
            self.status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::BAD_GATEWAY
                | StatusCode::GATEWAY_TIMEOUT
        )
    }
}

impl Transport {
    /// Connections to these nodes; none is made yet.
    ///
    /// # Errors
    /// [`ClientError::Setup`] when there is no node, an address is malformed, or the certificates cannot be read.
    pub fn new(nodes: &[String], ca_pem: Option<&[u8]>) -> Result<Self, ClientError> {
        if nodes.is_empty() {
            return Err(ClientError::Setup(
                "no node is named: give --node URL, or set `nodes` in the profile".to_owned(),
            ));
        }
        let parse = |node: &String| {
            crate::config::check_node(node)?;
            node.parse::<Url>().map_err(|error| error.to_string())
        };
        let nodes = nodes.iter().map(parse).collect::<Result<_, _>>().map_err(ClientError::Setup)?;
        let setup = |error: reqwest::Error| ClientError::Setup(chain_of(&error));
        install_tls();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("yilian/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_millis(limits::CONNECT_TIMEOUT_MS))
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = ca_pem {
            builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem).map_err(setup)?);
        }
        Ok(Self { http: builder.build().map_err(setup)?, nodes, preferred: AtomicUsize::new(0) })
    }

    /// Sends a request until a node answers it. `token` makes a fresh token for each try.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] after the last round, [`ClientError::AnswerTooLong`], or what `token` gives.
    pub async fn send(
        &self,
        request: Request<'_>,
        token: impl Fn() -> Result<Option<String>, ClientError>,
    ) -> Result<Answer, ClientError> {
        let mut attempts = Vec::new();
        let mut last = None;
        for round in 0..limits::ROUNDS_MAX {
            let mut pause_ms = if round == 0 { 0 } else { limits::ROUND_PAUSE_MS << (round - 1) };
            if let Some(Answer { retry_after_s, .. }) = &last {
                pause_ms = pause_ms.max(retry_after_s * 1_000);
            }
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            attempts.clear();
            let first = self.preferred.load(Ordering::Relaxed);
            for offset in 0..self.nodes.len() {
                let position = (first + offset) % self.nodes.len();
                match self.attempt(&self.nodes[position], &request, token()?).await {
                    Ok(answer) if answer.is_temporary() && !request.any_status => {
                        attempts.push(format!("{}: {}", answer.node, answer.rejection()));
                        last = Some(answer);
                    }
                    Ok(answer) => {
                        self.preferred.store(position, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    Err(Attempt::Fatal(error)) => return Err(error),
                    Err(Attempt::Next(reason)) => attempts.push(reason),
                }
            }
        }
        // A bound that a node names is an answer, also when it stays.
        match last.filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS) {
            Some(answer) => Ok(answer),
            None => Err(ClientError::Unreachable { attempts }),
        }
    }

    async fn attempt(
        &self,
        node: &Url,
        request: &Request<'_>,
        token: Option<String>,
    ) -> Result<Answer, Attempt> {
        let name = node.as_str().trim_end_matches('/').to_owned();
        let next = |error: &reqwest::Error| Attempt::Next(format!("{name}: {}", chain_of(error)));
        let timeout_ms = limits::ANSWER_TIMEOUT_MS + request.wait_ms;
        let mut http = self.request(node, request, token)?.timeout(Duration::from_millis(timeout_ms));
        if let Some((content_type, body)) = &request.body {
            http = http.header(reqwest::header::CONTENT_TYPE, *content_type).body(body.clone());
        }
        let response = http.send().await.map_err(|error| next(&error))?;
        let status = response.status();
        let retry_after = response.headers().get(reqwest::header::RETRY_AFTER);
        let retry_after_s = retry_after
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
            .map_or(0, |seconds| seconds.min(limits::RETRY_AFTER_S_MAX));
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| next(&error))?;
            if body.len() + chunk.len() > limits::ANSWER_BYTES_MAX {
                return Err(Attempt::Fatal(ClientError::AnswerTooLong { node: name }));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { node: name, status, body, retry_after_s })
    }

    fn request(
        &self,
        node: &Url,
        request: &Request<'_>,
        token: Option<String>,
    ) -> Result<reqwest::RequestBuilder, Attempt> {
        let url = node
            .join(request.path)
            .map_err(|error| Attempt::Fatal(ClientError::Setup(format!("{}: {error}", request.path))))?;
        let mut http = self.http.request(request.method.clone(), url).query(&request.query);
        if let Some(token) = token {
            http = http.bearer_auth(token);
        }
        Ok(http)
    }

    /// Opens a stream of events at the preferred node, and moves on to the next node where it cannot be had.
    pub(super) async fn open_events(
        &self,
        last_event_id: Option<u64>,
        token: Option<String>,
    ) -> Result<reqwest::Response, ClientError> {
        let position = self.preferred.load(Ordering::Relaxed) % self.nodes.len();
        let node = &self.nodes[position];
        let name = node.as_str().trim_end_matches('/').to_owned();
        let request = match self.request(node, &Request::get("/v1/events"), token) {
            Ok(request) => request.header(reqwest::header::ACCEPT, "text/event-stream"),
            Err(Attempt::Fatal(error)) => return Err(error),
            Err(Attempt::Next(reason)) => return Err(ClientError::Unreachable { attempts: vec![reason] }),
        };
        let request = match last_event_id {
            Some(id) => request.header("Last-Event-ID", id.to_string()),
            None => request,
        };
        match request.send().await {
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => {
                let status = response.status();
                let body = response.bytes().await.map(|bytes| bytes.to_vec()).unwrap_or_default();
                Err(Answer { node: name, status, body, retry_after_s: 0 }.rejection())
            }
            Err(error) => {
                self.preferred.store(position + 1, Ordering::Relaxed);
                Err(ClientError::Unreachable { attempts: vec![format!("{name}: {}", chain_of(&error))] })
            }
        }
    }
}

/// Why one try gave nothing.
enum Attempt {
    /// Another node may do better.
    Next(String),
    /// None will.
    Fatal(ClientError),
}

/// A token for one request by `institution`.
///
/// # Errors
/// [`ClientError::Token`], [`ClientError::Clock`], [`ClientError::Randomness`].
pub fn token(
    institution: &InstitutionId,
    chain_id: &ChainId,
    key: &SecretKey,
) -> Result<String, ClientError> {
    let now_s = moment::now()?.0 / 1_000;
    let mut nonce = [0; 16];
    rand::rngs::SysRng.try_fill_bytes(&mut nonce)?;
    let mut claims = Claims::new(institution.as_str(), &chain_id.0, now_s, limits::TOKEN_LIFETIME_S);
    claims.nonce = Some(hex::encode(nonce));
    Ok(token::sign(&claims, key)?)
}

/// The cryptography behind TLS, once for the process; one that the program installed before stays.
fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that the program has installed one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// An error with its causes: the first of them alone says only that sending failed.
fn chain_of(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
