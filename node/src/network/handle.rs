//! What the rest of the node sees of the network: commands in, events and transactions out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_malachitebft_sync::OutboundFailureReason;
use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot, watch};

use super::Topic;
use super::swarm::NetworkError;
use crate::conduct::Conduct;

/// What the network tells the consensus side.
#[derive(Debug)]
pub enum NetworkEvent {
    /// The node listens here.
    Listening {
        /// The address, with the port that was picked.
        address: Multiaddr,
    },
    /// A member connected.
    Connected {
        /// The member.
        peer: PeerId,
    },
    /// A member's last connection is gone.
    Disconnected {
        /// The member.
        peer: PeerId,
    },
    /// A frame of a topic other than [`Topic::Transactions`].
    Frame {
        /// Who sent it.
        from: PeerId,
        /// What it is about.
        topic: Topic,
        /// The message.
        payload: Bytes,
    },
    /// A value-sync request.
    SyncRequest {
        /// Names the request in [`NetworkHandle::reply_sync`].
        request: String,
        /// Who asks.
        from: PeerId,
        /// The encoded request.
        body: Bytes,
    },
    /// The answer to a value-sync request of ours.
    SyncResponse {
        /// As returned by [`NetworkHandle::request_sync`].
        request: String,
        /// Who answered.
        from: PeerId,
        /// The encoded request.
        asked: Bytes,
        /// The encoded response.
        body: Bytes,
    },
    /// A value-sync request of ours failed.
    SyncRequestFailed {
        /// As returned by [`NetworkHandle::request_sync`].
        request: String,
        /// Who was asked.
        peer: PeerId,
        /// Why.
        reason: OutboundFailureReason,
    },
    /// A peer's value-sync request can no longer be answered.
    SyncReplyFailed {
        /// The request.
        request: String,
        /// Who asked.
        peer: PeerId,
    },
}

/// A batch of transactions from a peer, opaque to the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionBatch {
    /// Who sent it, as proven by the connection.
    pub from: PeerId,
    /// The batch as its sender encoded it.
    pub bytes: Bytes,
}

/// Transactions on their way out.
#[derive(Debug)]
pub(super) struct OutgoingBatch {
    /// For one member, or for all that are connected.
    pub to: Option<PeerId>,
    pub batch: Bytes,
}

/// What the swarm's task is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Broadcast { topic: Topic, payload: Bytes },
    BroadcastStanding { topic: Topic, payload: Bytes },
    ClearStanding,
    SyncRequest { peer: PeerId, body: Bytes, reply: oneshot::Sender<String> },
    SyncReply { request: String, body: Bytes },
    SyncCancel { request: String },
    Shutdown { done: oneshot::Sender<()> },
}

/// A handle on the network; clones share the same swarm.
#[derive(Clone, Debug)]
pub struct NetworkHandle {
    pub(super) local: PeerId,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) transactions: mpsc::Sender<OutgoingBatch>,
    pub(super) connected: watch::Receiver<BTreeSet<PeerId>>,
    pub(super) listening: watch::Receiver<Vec<Multiaddr>>,
    pub(super) dropped: Arc<AtomicU64>,
    pub(super) conduct: Conduct,
}

impl NetworkHandle {
    /// This node's peer id.
    pub fn local_peer(&self) -> PeerId {
        self.local
    }

    /// The members connected now; the receiver also tells of every change.
    pub fn connected(&self) -> watch::Receiver<BTreeSet<PeerId>> {
        self.connected.clone()
    }

    /// The addresses on which the node listens.
    pub fn listening(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.listening.clone()
    }

    /// Frames that were not sent because a peer's backlog was full.
    pub fn dropped_frames(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Closes all connections of a peer's institution, and admits none of its nodes for so long.
    pub fn disconnect(&self, peer: PeerId, how_long: Duration) {
        self.conduct.shut_out(&peer, how_long);
    }

    /// Sends one frame to every connected member.
    ///
    /// # Errors
    /// When the network has stopped.
    pub async fn broadcast(&self, topic: Topic, payload: Bytes) -> Result<(), NetworkError> {
        self.send(Command::Broadcast { topic, payload }).await
    }

    /// Sends one frame to every connected member, and to those who connect before [`Self::clear_standing`].
    ///
    /// # Errors
    /// When the network has stopped.
    pub async fn broadcast_standing(&self, topic: Topic, payload: Bytes) -> Result<(), NetworkError> {
        self.send(Command::BroadcastStanding { topic, payload }).await
    }

    /// Forgets what [`Self::broadcast_standing`] keeps for members that connect later.
    ///
    /// # Errors
    /// When the network has stopped.
    pub async fn clear_standing(&self) -> Result<(), NetworkError> {
        self.send(Command::ClearStanding).await
    }

    /// Sends one frame to every connected member, unless the queue of commands is full; for what may be lost.
    pub fn try_broadcast(&self, topic: Topic, payload: Bytes) {
        if self.commands.try_send(Command::Broadcast { topic, payload }).is_err() {
            tracing::debug!(?topic, "the network's queue is full, frame not sent");
        }
    }

    /// Sends a batch of transactions to every connected member. Returns `false` when the queue is full
    /// or the network has stopped; the caller keeps the batch and may try again.
    #[must_use]
    pub fn gossip_transactions(&self, batch: Bytes) -> bool {
        self.transactions.try_send(OutgoingBatch { to: None, batch }).is_ok()
    }

    /// [`Self::gossip_transactions`] to one member alone; nothing is sent if it is not connected.
    #[must_use]
    pub fn send_transactions(&self, to: PeerId, batch: Bytes) -> bool {
        self.transactions.try_send(OutgoingBatch { to: Some(to), batch }).is_ok()
    }

    /// Asks one member for decided blocks; the answer comes as an event.
    ///
    /// # Errors
    /// When the network has stopped.
    pub async fn request_sync(&self, peer: PeerId, body: Bytes) -> Result<String, NetworkError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::SyncRequest { peer, body, reply }).await?;
        answer.await.map_err(|_| NetworkError::Stopped)
    }

    /// Answers a member's request; an unknown or expired request is passed over.
    ///
    /// # Errors
    /// When the network has stopped.
    pub async fn reply_sync(&self, request: String, body: Bytes) -> Result<(), NetworkError> {
        self.send(Command::SyncReply { request, body }).await
    }

    /// Drops a member's request unanswered.
    ///
    /// # Errors
    /// When the network has stopped.
    pub async fn cancel_sync(&self, request: String) -> Result<(), NetworkError> {
        self.send(Command::SyncCancel { request }).await
    }

    /// Closes all connections and ends the swarm's task.
    pub async fn shutdown(&self) {
        let (done, finished) = oneshot::channel();
        if self.send(Command::Shutdown { done }).await.is_ok() {
            // An error means the task ended first, which is what was asked for.
            let _ = finished.await;
        }
    }

    async fn send(&self, command: Command) -> Result<(), NetworkError> {
        self.commands.send(command).await.map_err(|_| NetworkError::Stopped)
    }
}
