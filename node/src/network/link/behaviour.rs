//! The behaviour of links: which connection of a peer carries the frames.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use super::handler::{HandlerEvent, LinkHandler};
use super::standing::Standing;
use super::wire::Frame;
use super::{FrameError, Topic};

/// What a link tells the swarm's owner.
#[derive(Debug)]
pub enum LinkEvent {
    /// The first connection to a peer stands.
    Connected {
        /// The peer.
        peer: PeerId,
    },
    /// A connection to a peer stands, the first or a further one: the peer may have missed what was sent before.
    Reached {
        /// The peer.
        peer: PeerId,
    },
    /// The last connection to a peer is gone.
    Disconnected {
        /// The peer.
        peer: PeerId,
    },
    /// A frame arrived.
    Received {
        /// Who sent it, as proven by the connection.
        peer: PeerId,
        /// What it is about.
        topic: Topic,
        /// The message.
        payload: Bytes,
    },
    /// A peer broke the framing rules; its connection is being closed.
    Broken {
        /// The peer.
        peer: PeerId,
        /// The rule.
        error: FrameError,
    },
}

/// The links to all connected peers.
pub struct Link {
    network: String,
    /// The connections of each peer in the order they were established; the newest carries our frames,
    /// because an older one may be a leftover of a peer that was restarted.
    connections: BTreeMap<PeerId, Vec<ConnectionId>>,
    /// What a peer is sent as soon as it connects.
    standing: Standing,
    queue: VecDeque<ToSwarm<LinkEvent, Frame>>,
    waker: Option<Waker>,
    dropped: Arc<AtomicU64>,
}

impl Link {
    /// Links for the ledger that `network` names; nodes of another ledger find no common protocol.
    pub fn new(network: String) -> Self {
        Self {
            network,
            connections: BTreeMap::new(),
            standing: Standing::default(),
            queue: VecDeque::new(),
            waker: None,
            dropped: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Frames dropped so far because a peer's backlog was full.
    pub fn dropped_frames(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// Sends one frame to every connected peer. A payload over the lane's bound is dropped and counted.
    pub fn broadcast(&mut self, topic: Topic, payload: &Bytes) {
        if payload.len() > topic.lane().payload_bytes_max() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::error!(?topic, bytes = payload.len(), "frame over its lane's bound, not sent");
            return;
        }
        for (peer, connections) in &self.connections {
            for connection in carriers(topic, connections) {
                self.queue.push_back(to_handler(
                    *peer,
                    *connection,
                    Frame { topic, payload: payload.clone() },
                ));
            }
        }
        self.wake();
    }

    /// Sends one frame to one peer, if it is connected.
    pub fn send(&mut self, peer: PeerId, topic: Topic, payload: Bytes) {
        let Some(newest) = self.connections.get(&peer).and_then(|connections| connections.last()) else {
            return;
        };
        self.queue.push_back(to_handler(peer, *newest, Frame { topic, payload }));
        self.wake();
    }

    /// Sends one frame to every connected peer, and to every connection that is made before
    /// [`Link::clear_standing`]; duplicates are the receiver's to recognise.
    pub fn broadcast_standing(&mut self, topic: Topic, payload: &Bytes) {
        self.standing.keep(topic, payload);
        self.broadcast(topic, payload);
    }

    /// Forgets what peers that connect from now on would be sent.
    pub fn clear_standing(&mut self) {
        self.standing.clear();
    }

    fn greet(&mut self, peer: PeerId, connection: ConnectionId) {
        self.queue.extend(self.standing.frames().map(|frame| to_handler(peer, connection, frame)));
        self.wake();
    }

    /// The connected peers.
    pub fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.connections.keys()
    }

    fn handler(&self) -> LinkHandler {
        LinkHandler::new(self.network.clone(), Arc::clone(&self.dropped))
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn push(&mut self, event: LinkEvent) {
        self.queue.push_back(ToSwarm::GenerateEvent(event));
        self.wake();
    }
}

/// The connections of a peer that carry a frame: the newest. A status is small and goes over all of them: behind an older one
/// may be another process with the same key, which learns of its double from the blocks that it then fetches.
fn carriers(topic: Topic, connections: &[ConnectionId]) -> &[ConnectionId] {
    match topic {
        Topic::Status => connections,
        Topic::Consensus
        | Topic::Liveness
        | Topic::Work
        | Topic::Part
        | Topic::Transactions
        | Topic::Addresses => &connections[connections.len().saturating_sub(1)..],
    }
}

fn to_handler(peer: PeerId, connection: ConnectionId, frame: Frame) -> ToSwarm<LinkEvent, Frame> {
    ToSwarm::NotifyHandler { peer_id: peer, handler: NotifyHandler::One(connection), event: frame }
}

impl NetworkBehaviour for Link {
    type ConnectionHandler = LinkHandler;
    type ToSwarm = LinkEvent;

    fn handle_established_inbound_connection(
        &mut self,
        _connection: ConnectionId,
        _peer: PeerId,
        _local: &Multiaddr,
        _remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        _peer: PeerId,
        _address: &Multiaddr,
        _role: Endpoint,
        _port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                let connections = self.connections.entry(established.peer_id).or_default();
                connections.push(established.connection_id);
                if connections.len() == 1 {
                    self.push(LinkEvent::Connected { peer: established.peer_id });
                }
                // Every connection, not the first alone: an older one may be a leftover of a peer that was restarted.
                self.greet(established.peer_id, established.connection_id);
                self.push(LinkEvent::Reached { peer: established.peer_id });
            }
            FromSwarm::ConnectionClosed(closed) => {
                let Some(connections) = self.connections.get_mut(&closed.peer_id) else { return };
                connections.retain(|connection| *connection != closed.connection_id);
                if connections.is_empty() {
                    self.connections.remove(&closed.peer_id);
                    self.push(LinkEvent::Disconnected { peer: closed.peer_id });
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            HandlerEvent::Received(Frame { topic, payload }) => {
                self.push(LinkEvent::Received { peer, topic, payload });
            }
            HandlerEvent::Broken(error) => {
                self.queue.push_back(ToSwarm::CloseConnection {
                    peer_id: peer,
                    connection: CloseConnection::One(connection),
                });
                self.push(LinkEvent::Broken { peer, error });
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<LinkEvent, THandlerInEvent<Self>>> {
        if let Some(event) = self.queue.pop_front() {
            return Poll::Ready(event);
        }
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
