//! One request over several nodes.
//!
//! A request with a token is signed for the node that it goes to: for the key that the node's address named first, at
//! `/v1/chain`. An address that names another key later is told and gets nothing signed.
//!
//! The node that answered last is asked first. A node that cannot be reached, is overloaded or not ready is passed
//! over; after a round over all nodes comes a pause, after [`limits::ROUNDS_MAX`] rounds the error. Only requests that
//! may be repeated are sent: reads, and signed transactions, which the ledger recognises by their id.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use yilian_spec::api::ErrorBody;
use yilian_spec::api::ledger::Chain;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::PublicKey;

use super::clock::{CLOCK_HEADER, ClockWatch, Difference};
use super::http::Http;
use super::token::Asker;
use crate::error::ClientError;
use crate::limits;
use crate::memory::Memory;
use yilian_local::moment;

/// The nodes and the connections to them.
#[derive(Debug)]
pub struct Transport {
    http: Http,
    pub(super) nodes: Vec<Url>,
    /// Nodes that are only compared with.
    witnesses: Vec<Url>,
    /// The node that answered last.
    preferred: AtomicUsize,
    clock: Arc<ClockWatch>,
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
    /// How far the node's clock is from this machine's, where that is worth a word.
    difference: Option<Difference>,
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
        match self.any_json::<ErrorBody>() {
            Ok(ErrorBody { error }) => ClientError::Rejected {
                node: self.node.clone(),
                status: self.status.as_u16(),
                message: match &self.difference {
                    Some(difference) if is_about_time(&error.code) => {
                        format!("{}; {difference}", error.message)
                    }
                    Some(_) | None => error.message,
                },
                code: error.code,
            },
            Err(unreadable) => unreadable,
        }
    }

    /// The name of the node's error, where the answer is one.
    fn error_code(&self) -> Option<String> {
        let is_error = self.status.is_client_error() || self.status.is_server_error();
        is_error.then(|| self.any_json::<ErrorBody>().ok()).flatten().map(|answer| answer.error.code)
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
    /// Connections to these nodes, and to `witnesses` where nodes are compared; none is made yet.
    ///
    /// # Errors
    /// [`ClientError::Setup`] when there is no node, an address is malformed, or the certificates cannot be read.
    pub fn new(
        nodes: &[String],
        witnesses: &[String],
        ca_pem: Option<&[u8]>,
        clock: Arc<ClockWatch>,
    ) -> Result<Self, ClientError> {
        if nodes.is_empty() {
            return Err(ClientError::Setup(
                "no node is named: give --node URL, or set `nodes` in the profile".to_owned(),
            ));
        }
        let parse = |node: &String| {
            crate::config::check_node(node)?;
            node.parse::<Url>().map_err(|error| error.to_string())
        };
        let parse_all = |nodes: &[String]| {
            nodes.iter().map(parse).collect::<Result<Vec<_>, _>>().map_err(ClientError::Setup)
        };
        let (nodes, witnesses) = (parse_all(nodes)?, parse_all(witnesses)?);
        let http = Http::new(ca_pem)?;
        Ok(Self { http, nodes, witnesses, preferred: AtomicUsize::new(0), clock })
    }

    /// All nodes, also those that are only compared with; each once.
    pub fn all(&self) -> Vec<Url> {
        let mut all = self.nodes.clone();
        for witness in &self.witnesses {
            if !all.contains(witness) {
                all.push(witness.clone());
            }
        }
        all
    }

    /// Asks the next node first from now on.
    pub fn turn_to_next(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks one node, and no other.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when it does not answer or is not ready, or as [`Transport::send`].
    pub async fn ask_one(
        &self,
        node: &Url,
        request: &Request<'_>,
        asker: Asker<'_>,
    ) -> Result<Answer, ClientError> {
        let unreachable = |reason| Err(ClientError::Unreachable { attempts: vec![reason] });
        match self.attempt(node, request, Some(asker)).await {
            Ok(answer) if answer.is_temporary() => {
                unreachable(format!("{}: {}", answer.node, answer.rejection()))
            }
            Ok(answer) => Ok(answer),
            Err(Attempt::Fatal(error)) => Err(error),
            Err(Attempt::Next(reason)) => unreachable(reason),
        }
    }

    /// Sends a request until a node answers it, with a fresh token for each try where somebody asks by name.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] after the last round, [`ClientError::AnswerTooLong`],
    /// [`ClientError::NodeChanged`], or why no token could be made.
    pub async fn send(&self, request: Request<'_>, asker: Option<Asker<'_>>) -> Result<Answer, ClientError> {
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
                match self.attempt(&self.nodes[position], &request, asker).await {
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

    /// Asks one node, once.
    async fn attempt(
        &self,
        node: &Url,
        request: &Request<'_>,
        asker: Option<Asker<'_>>,
    ) -> Result<Answer, Attempt> {
        let Some(asker) = asker else { return self.exchange(node, request, None).await };
        let key = self.node_key(node, asker.memory).await?;
        let answer = self.exchange(node, request, Some(asker.token(key)?)).await?;
        if answer.error_code().as_deref() == Some("token_for_another_node") {
            // It has another key than the one it was known by; say which.
            let found = self.ask_node_key(node, asker.memory).await?;
            asker.memory.learn_node_key(&name_of(node), found)?;
        }
        Ok(answer)
    }

    /// The key of a node: the one that is remembered, or, at first use, the one it names.
    pub(super) async fn node_key(&self, node: &Url, memory: &Memory) -> Result<PublicKey, Attempt> {
        let name = name_of(node);
        if let Some(known) = memory.node_key(&name) {
            return Ok(known);
        }
        let found = self.ask_node_key(node, memory).await?;
        memory.learn_node_key(&name, found)?;
        Ok(found)
    }

    async fn ask_node_key(&self, node: &Url, memory: &Memory) -> Result<PublicKey, Attempt> {
        let answer = self.exchange(node, &Request::get("/v1/chain"), None).await?;
        if answer.is_temporary() {
            return Err(Attempt::Next(format!("{}: {}", answer.node, answer.rejection())));
        }
        let chain: Chain = answer.json()?;
        let (found, expected) = (chain.chain_id, memory.chain_id());
        if found == expected {
            Ok(chain.node)
        } else {
            Err(ClientError::OtherChain { found, expected }.into())
        }
    }

    async fn exchange(
        &self,
        node: &Url,
        request: &Request<'_>,
        token: Option<String>,
    ) -> Result<Answer, Attempt> {
        let name = name_of(node);
        let next =
            |error: &reqwest::Error| Attempt::Next(format!("{name}: {}", self.http.explain(node, error)));
        let timeout_ms = limits::ANSWER_TIMEOUT_MS + request.wait_ms;
        let mut http = self.request(node, request, token)?.timeout(Duration::from_millis(timeout_ms));
        if let Some((content_type, body)) = &request.body {
            http = http.header(reqwest::header::CONTENT_TYPE, *content_type).body(body.clone());
        }
        let sent = moment::now().map_err(ClientError::from)?;
        let response = http.send().await.map_err(|error| next(&error))?;
        let status = response.status();
        let difference = clock_difference(&name, &response, sent)?;
        if let Some(difference) = &difference {
            self.clock.note(difference);
        }
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
        Ok(Answer { node: name, status, body, retry_after_s, difference })
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
        let mut http = self.http.of(node).request(request.method.clone(), url).query(&request.query);
        if let Some(token) = token {
            http = http.bearer_auth(token);
        }
        Ok(http)
    }

    /// Opens a stream of events at the preferred node, and moves on to the next node where it cannot be had.
    pub(super) async fn open_events(
        &self,
        last_event_id: u64,
        asker: Asker<'_>,
    ) -> Result<reqwest::Response, ClientError> {
        let position = self.preferred.load(Ordering::Relaxed) % self.nodes.len();
        let node = &self.nodes[position];
        let name = name_of(node);
        let next_node = || self.preferred.store(position + 1, Ordering::Relaxed);
        let unreachable = |reason| ClientError::Unreachable { attempts: vec![reason] };
        let key = match self.node_key(node, asker.memory).await {
            Ok(key) => key,
            Err(Attempt::Fatal(error)) => return Err(error),
            Err(Attempt::Next(reason)) => {
                next_node();
                return Err(unreachable(reason));
            }
        };
        let request = match self.request(node, &Request::get("/v1/events"), Some(asker.token(key)?)) {
            Ok(request) => request.header(reqwest::header::ACCEPT, "text/event-stream"),
            Err(Attempt::Fatal(error)) => return Err(error),
            Err(Attempt::Next(reason)) => return Err(unreachable(reason)),
        };
        match request.header("Last-Event-ID", last_event_id.to_string()).send().await {
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => {
                let status = response.status();
                let body = response.bytes().await.map(|bytes| bytes.to_vec()).unwrap_or_default();
                Err(Answer { node: name, status, body, retry_after_s: 0, difference: None }.rejection())
            }
            Err(error) => {
                next_node();
                Err(unreachable(format!("{name}: {}", self.http.explain(node, &error))))
            }
        }
    }
}

/// Why one try gave nothing.
pub(super) enum Attempt {
    /// Another node may do better.
    Next(String),
    /// None will.
    Fatal(ClientError),
}

impl From<ClientError> for Attempt {
    fn from(error: ClientError) -> Self {
        Self::Fatal(error)
    }
}

/// Whether an error can come from a clock that is wrong.
fn is_about_time(code: &str) -> bool {
    [
        "token_expired",
        "token_from_the_future",
        "expired",
        "from_the_future",
        "key_expired",
        "key_not_yet_valid",
    ]
    .contains(&code)
}

fn clock_difference(
    node: &str,
    response: &reqwest::Response,
    sent: LedgerTime,
) -> Result<Option<Difference>, ClientError> {
    let received = moment::now()?;
    let said = response.headers().get(CLOCK_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(said.and_then(|node_ms| Difference::of(node, node_ms, sent.0, received.0)))
}

/// A node's address as it is shown and remembered.
pub fn name_of(node: &Url) -> String {
    node.as_str().trim_end_matches('/').to_owned()
}
