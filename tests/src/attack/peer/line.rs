//! A lane to one node that is opened again whenever the node ends it: what an attacker holds on to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use yilian_node::network::Topic;
use yilian_spec::crypto::signature::SecretKey;

use super::connection::Connection;
use super::substream::{Host, Lane};

/// Pause after a node has refused.
const PAUSE: Duration = Duration::from_millis(100);
/// A node that takes nothing for so long is asked anew.
const SEND_PATIENCE: Duration = Duration::from_secs(2);

/// Where and as whom an attacker connects.
#[derive(Clone)]
pub struct Door {
    /// The key by which the ledger knows the peer, or none that it knows.
    pub key: SecretKey,
    /// Where the node listens.
    pub to: SocketAddr,
    /// The word that separates ledgers.
    pub network: String,
    /// Hears what the node says.
    pub host: Arc<dyn Host>,
}

impl Door {
    /// Connects.
    ///
    /// # Errors
    /// When the node does not let it in.
    pub async fn connect(&self) -> Result<Connection> {
        Connection::open(&self.key, self.to, &self.network, Arc::clone(&self.host)).await
    }
}

/// A lane that is opened again and again.
pub struct Line {
    door: Door,
    name: &'static str,
    open: Option<(Connection, Lane)>,
    /// Frames sent.
    pub sent: u64,
    /// How often the node ended it or did not let it in.
    pub ended: u64,
}

impl Line {
    /// Nothing is opened before something is sent. `name`: `consensus`, `parts` or `transactions`.
    pub fn new(door: Door, name: &'static str) -> Self {
        Self { door, name, open: None, sent: 0, ended: 0 }
    }

    /// Whether it is open, as far as this knows.
    pub fn is_open(&self) -> bool {
        self.open.as_ref().is_some_and(|(connection, _)| !connection.is_closed())
    }

    /// Opens the lane, unless it is open; whether it is now.
    pub async fn ready(&mut self) -> bool {
        if self.open.as_ref().is_some_and(|(connection, _)| connection.is_closed()) {
            self.open = None;
            self.ended += 1;
        }
        if self.open.is_none() {
            self.open = opened(&self.door, self.name).await.ok();
            if self.open.is_none() {
                self.ended += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }
        self.open.is_some()
    }

    /// Sends frames, if the node lets it; whether it did.
    pub async fn send(&mut self, frames: &[(Topic, Bytes)]) -> bool {
        if !self.ready().await {
            return false;
        }
        let Some((_, lane)) = &mut self.open else { return false };
        let done = matches!(tokio::time::timeout(SEND_PATIENCE, lane.send(frames)).await, Ok(Ok(())));
        self.count(done, frames.len() as u64)
    }

    /// Sends bytes that need not be frames; whether they went out.
    pub async fn bytes(&mut self, bytes: &[u8]) -> bool {
        if !self.ready().await {
            return false;
        }
        let Some((_, lane)) = &mut self.open else { return false };
        let done = matches!(tokio::time::timeout(SEND_PATIENCE, lane.bytes(bytes)).await, Ok(Ok(())));
        self.count(done, 1)
    }

    fn count(&mut self, done: bool, frames: u64) -> bool {
        if done {
            self.sent += frames;
        } else {
            self.open = None;
            self.ended += 1;
        }
        done
    }
}

async fn opened(door: &Door, name: &str) -> Result<(Connection, Lane)> {
    let connection = door.connect().await?;
    let lane = Lane(connection.agreed(name).await?);
    Ok((connection, lane))
}

/// What several lines have sent, by a name, and how often nodes ended them.
pub fn total(what: &'static str, lines: Vec<(u64, u64)>) -> BTreeMap<&'static str, u64> {
    let sent = lines.iter().map(|(sent, _)| sent).sum();
    let ended = lines.iter().map(|(_, ended)| ended).sum();
    BTreeMap::from([(what, sent), ("ended by a node", ended)])
}
