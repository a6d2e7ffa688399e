//! The node's HTTP API: JSON under `/v1`, described by `/v1/openapi.json`, which is generated from this code.
//!
//! | part | what it does |
//! |---|---|
//! | [`server`], [`connection`] | listens, speaks TLS, bounds connections and slow callers |
//! | [`auth`], [`rights`] | who calls, and what concerns them |
//! | [`body`], [`extract`], [`page`], [`error`] | strict reading, pages, one shape for errors |
//! | [`ledger`] | one request's view of the ledger, at one height |
//! | [`chain`], [`blocks`], [`members`], [`access`], [`referrals`], [`agreements`], [`streams`] | reading |
//! | [`proofs`] | reading with proof |
//! | [`transactions`], [`refusal`], [`vain`] | submitting, and following to finality |
//! | [`check`] | what the rules would say, without recording it |
//! | [`events`], [`system`] | server-sent events; health, metrics, description |
//!
//! Handlers read storage on blocking threads. Bodies, headers, pages, waiters, event streams and connections are bounded
//! ([`limits`], and the `[api]` section of the configuration).

pub(crate) mod access;
pub(crate) mod agreements;
pub(crate) mod auth;
pub(crate) mod blocks;
pub mod body;
pub(crate) mod chain;
pub(crate) mod check;
mod connection;
mod description;
pub(crate) mod error;
pub(crate) mod events;
mod examples;
pub(crate) mod extract;
mod http2;
pub(crate) mod ledger;
pub(crate) mod limits;
pub(crate) mod list;
pub(crate) mod members;
pub(crate) mod page;
pub(crate) mod proofs;
pub(crate) mod referrals;
pub(crate) mod refusal;
mod revalidation;
pub(crate) mod rights;
mod router;
mod schemas;
pub(crate) mod server;
pub(crate) mod streams;
pub(crate) mod system;
pub(crate) mod tls;
pub(crate) mod transactions;
pub(crate) mod vain;
mod validity;

#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use yilian_spec::base::height::Height;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::crypto::token::Audience;

pub use router::{openapi, router};

use self::auth::TokenCache;
use self::error::ApiError;
use self::ledger::View;
use self::vain::InVain;
use crate::application::publish::Published;
use crate::application::reader::LedgerReader;
use crate::base::clock::Clock;
use crate::health::HealthMonitor;
use crate::mempool::Mempool;
use crate::metrics::Metrics;

/// The bounds that an operator sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiOptions {
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// How long a request may take, without the time it was asked to wait.
    pub request_timeout_ms: u64,
    /// Requests that may wait for finality at a time.
    pub waiters_max: usize,
    /// Event streams that may be open at a time.
    pub event_streams_max: usize,
}

/// All that the handlers share.
pub struct ApiParts {
    /// Reads the ledger.
    pub reader: LedgerReader,
    /// Takes transactions.
    pub mempool: Mempool,
    /// The node's own key: whom tokens must be for.
    pub node: PublicKey,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Judges the node.
    pub health: Arc<HealthMonitor>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Bounds.
    pub options: ApiOptions,
    /// Becomes true when the node stops; ends event streams.
    pub stopping: watch::Receiver<bool>,
}

/// The state behind every handler; clones are cheap.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

/// What [`Api`] points at.
pub struct Shared {
    parts: ApiParts,
    /// The ledger's name for people.
    pub network: String,
    /// Tokens that were checked.
    pub tokens: TokenCache,
    /// What each institution has submitted in vain.
    pub in_vain: InVain,
    /// Bounds requests that wait.
    pub waiters: Arc<Semaphore>,
    /// Bounds transactions that are being checked.
    pub checks: Arc<Semaphore>,
    /// Bounds event streams.
    pub event_streams: Arc<Semaphore>,
    /// The description, as JSON.
    pub openapi: String,
}

impl Deref for Shared {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.parts
    }
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Api {
    /// Puts the parts together.
    pub fn new(parts: ApiParts) -> Self {
        Self(Arc::new(Shared {
            network: parts.reader.genesis().network.clone(),
            tokens: TokenCache::default(),
            in_vain: InVain::default(),
            waiters: Arc::new(Semaphore::new(parts.options.waiters_max)),
            checks: Arc::new(Semaphore::new(limits::API_CHECKS_MAX)),
            event_streams: Arc::new(Semaphore::new(parts.options.event_streams_max)),
            openapi: openapi(),
            parts,
        }))
    }

    /// The last committed height.
    pub fn height(&self) -> Height {
        self.reader.tip().tip.height
    }

    /// Whom a token must be for.
    pub fn audience(&self) -> Audience {
        Audience { chain_id: self.reader.chain_id(), node: self.node }
    }

    /// Tells of every new tip.
    pub fn tip_changes(&self) -> watch::Receiver<Arc<Published>> {
        let mut changes = self.reader.subscribe();
        changes.mark_unchanged();
        changes
    }

    /// The ledger at the last committed height.
    ///
    /// # Errors
    /// When storage fails.
    pub fn view(&self) -> Result<View<'_>, ApiError> {
        Ok(View::new(self.reader.view()?))
    }

    /// Runs `work` over the ledger at the last committed height, on a thread that may block.
    ///
    /// # Errors
    /// What `work` says, or when storage fails.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&View<'_>) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let api = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&api.view()?)).await;
        done.unwrap_or_else(|_| Err(ApiError::Internal("a reader broke".to_owned())))
    }
}
