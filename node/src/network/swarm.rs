//! The task that owns the swarm: commands in, events out, redialling in between.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_malachitebft_sync as sync;
use bytes::Bytes;
use futures::StreamExt;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{InboundRequestId, Message};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionError, DialError, ListenError, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, noise, ping, request_response, tcp, yamux};
use sync::OutboundFailureReason;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use super::address_file::Keeper;
use super::gate::{Gate, Refusal};
use super::handle::{Command, NetworkEvent, NetworkHandle, OutgoingBatch, TransactionBatch};
use super::link::{FrameError, Link, LinkEvent};
use super::redial::RedialSchedule;
use super::{AddressBook, NetworkConfig, NodeIdentity, Topic, limits};
use crate::conduct::{Conduct, Offence};
use crate::members::Members;

mod addresses;

use addresses::Addresses;

/// Why the network did not start or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The swarm could not be put together.
    #[error("the network could not be built: {reason}")]
    Build {
        /// What libp2p said.
        reason: String,
    },
    /// The listen address could not be used.
    #[error("cannot listen on {address}{}: {reason}; choose a free port or stop what holds it", crate::base::port_holder::of(*address))]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}

/// A running network: the handle and the two streams that come out of it.
#[derive(Debug)]
pub struct Network {
    /// Commands; may be cloned.
    pub handle: NetworkHandle,
    /// Events for the consensus side; must be read, or the swarm waits.
    pub events: mpsc::Receiver<NetworkEvent>,
    /// Transaction batches for the mempool; what it does not read in time is dropped.
    pub transactions: mpsc::Receiver<TransactionBatch>,
    /// Who has connected, each time; what is not read in time is dropped.
    pub arrivals: mpsc::Receiver<PeerId>,
}

/// All protocols of the node. The gate comes first, so that it is asked first.
#[derive(NetworkBehaviour)]
struct Behaviour {
    gate: Gate,
    link: Link,
    sync: sync::Behaviour,
    ping: ping::Behaviour,
}

/// Starts the network on the current tokio runtime.
///
/// `network` is a plain word that separates ledgers, such as the start of the chain id in hexadecimal;
/// `members` is the ledger's list of peers that may connect, read now and at every change; what they do is kept account of
/// in `conduct`, and whom it shuts out is not admitted. `addresses` is what is known of where they can be dialled.
///
/// # Errors
/// When the swarm cannot be built or the address cannot be used.
pub async fn spawn(
    config: &NetworkConfig,
    network: &str,
    identity: &NodeIdentity,
    members: watch::Receiver<Arc<Members>>,
    conduct: Conduct,
    addresses: AddressBook,
) -> Result<Network, NetworkError> {
    let gate = Gate::new(Arc::clone(&members.borrow()), conduct.clone());
    let mut swarm = build_swarm(network, identity, gate)?;
    let listen_error = |reason: String| NetworkError::Listen { address: config.listen, reason };
    // The swarm shares ports between its sockets (SO_REUSEPORT), so it would share one with a stranger as well.
    drop(std::net::TcpListener::bind(config.listen).map_err(|error| listen_error(error.to_string()))?);
    let address = Multiaddr::from(config.listen.ip()).with(Protocol::Tcp(config.listen.port()));
    swarm.listen_on(address).map_err(|error| listen_error(error.to_string()))?;
    let first = wait_for_listener(&mut swarm).await.map_err(listen_error)?;

    let (command_sender, commands) = mpsc::channel(limits::COMMAND_QUEUE);
    let (gossip_sender, gossip) = mpsc::channel(limits::TRANSACTION_QUEUE);
    let (events, event_receiver) = mpsc::channel(limits::EVENT_QUEUE);
    let (transactions, transaction_receiver) = mpsc::channel(limits::TRANSACTION_QUEUE);
    let (arrivals, arrival_receiver) = mpsc::channel(limits::ARRIVAL_QUEUE);
    let (connected, connected_receiver) = watch::channel(BTreeSet::new());
    let (listening, listening_receiver) = watch::channel(vec![first.clone()]);
    let handle = NetworkHandle {
        local: *swarm.local_peer_id(),
        commands: command_sender,
        transactions: gossip_sender,
        connected: connected_receiver,
        listening: listening_receiver,
        dropped: swarm.behaviour().link.dropped_frames(),
        conduct: conduct.clone(),
    };
    let mut task = SwarmTask {
        addresses: Addresses::start(addresses, config, &first, conduct.now_ms()),
        redial: RedialSchedule::new(&config.peers, Instant::now()),
        swarm,
        members,
        conduct,
        events,
        transactions,
        arrivals,
        connected,
        listening,
        places: BTreeMap::new(),
        pending_replies: BTreeMap::new(),
        pending_requests: BTreeMap::new(),
    };
    task.schedule_held();
    tokio::spawn(async move {
        // When it returns the swarm is gone, and its port is free.
        let (keeper, done) = task.run(first, commands, gossip).await;
        keeper.finish().await;
        // Nobody waits any more when the caller was dropped meanwhile.
        done.map(|done| done.send(()));
    });
    let (transactions, arrivals) = (transaction_receiver, arrival_receiver);
    Ok(Network { handle, events: event_receiver, transactions, arrivals })
}

fn build_swarm(network: &str, identity: &NodeIdentity, gate: Gate) -> Result<Swarm<Behaviour>, NetworkError> {
    let build_error = |reason: String| NetworkError::Build { reason };
    let sync_config = sync::Config::new(true)
        .with_request_timeout(limits::SYNC_REQUEST_TIMEOUT)
        .with_max_request_size(limits::SYNC_REQUEST_BYTES_MAX)
        .with_max_response_size(limits::SYNC_RESPONSE_BYTES_MAX)
        .with_parallel_requests(limits::SYNC_PARALLEL_REQUESTS);
    let sync = sync::Behaviour::new(sync_config, format!("/yilian/{network}/sync/1"))
        .map_err(|error| build_error(error.to_string()))?;
    let ping = ping::Config::new().with_interval(limits::PING_INTERVAL).with_timeout(limits::PING_TIMEOUT);
    let behaviour =
        Behaviour { gate, link: Link::new(network.to_owned()), sync, ping: ping::Behaviour::new(ping) };
    let swarm = SwarmBuilder::with_existing_identity(identity.keypair().clone())
        .with_tokio()
        .with_tcp(tcp::Config::new().nodelay(true), noise::Config::new, yamux::Config::default)
        .map_err(|error| build_error(error.to_string()))?
        .with_dns()
        .map_err(|error| build_error(error.to_string()))?
        .with_behaviour(|_| behaviour)
        .map_err(|error| build_error(error.to_string()))?
        .with_swarm_config(|config| config)
        .with_connection_timeout(limits::HANDSHAKE_TIMEOUT)
        .build();
    Ok(swarm)
}

async fn wait_for_listener(swarm: &mut Swarm<Behaviour>) -> Result<Multiaddr, String> {
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => return Ok(address),
            SwarmEvent::ListenerError { error, .. } => return Err(error.to_string()),
            SwarmEvent::ListenerClosed { reason, .. } => return Err(format!("{reason:?}")),
            _ => {}
        }
    }
}

struct SwarmTask {
    swarm: Swarm<Behaviour>,
    members: watch::Receiver<Arc<Members>>,
    conduct: Conduct,
    events: mpsc::Sender<NetworkEvent>,
    transactions: mpsc::Sender<TransactionBatch>,
    arrivals: mpsc::Sender<PeerId>,
    connected: watch::Sender<BTreeSet<PeerId>>,
    listening: watch::Sender<Vec<Multiaddr>>,
    redial: RedialSchedule,
    addresses: Addresses,
    /// Where the connected peers are.
    places: BTreeMap<PeerId, String>,
    /// Requests of peers that wait for our answer. Bounded by the streams that the sync protocol
    /// admits per connection; each leaves when it is answered, dropped or timed out.
    pending_replies: BTreeMap<String, (InboundRequestId, sync::ResponseChannel)>,
    /// What this node asks for in each request under way, which ends in a response or a failure.
    pending_requests: BTreeMap<String, Bytes>,
}

impl SwarmTask {
    async fn run(
        mut self,
        first: Multiaddr,
        mut commands: mpsc::Receiver<Command>,
        mut gossip: mpsc::Receiver<OutgoingBatch>,
    ) -> (Keeper, Option<oneshot::Sender<()>>) {
        self.emit(NetworkEvent::Listening { address: first }).await;
        let mut members_known = true;
        let mut shut_outs = self.conduct.shut_outs();
        let mut ticks = tokio::time::interval(limits::ADDRESS_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.dial_due();
            let next_dial = self.redial.next_due().map(tokio::time::Instant::from_std);
            let far = tokio::time::Instant::now() + limits::REDIAL_PAUSE_MAX;
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event).await,
                command = commands.recv() => match command {
                    Some(Command::Shutdown { done }) => return (self.addresses.into_keeper(), Some(done)),
                    Some(command) => self.on_command(command),
                    None => return (self.addresses.into_keeper(), None),
                },
                Some(OutgoingBatch { to, batch }) = gossip.recv() => {
                    let link = &mut self.swarm.behaviour_mut().link;
                    match to {
                        Some(peer) => link.send(peer, Topic::Transactions, batch),
                        None => link.broadcast(Topic::Transactions, &batch),
                    }
                }
                changed = self.members.changed(), if members_known => {
                    // The last list stays in force when the ledger's side has gone.
                    members_known = changed.is_ok();
                    let members = Arc::clone(&self.members.borrow_and_update());
                    self.forget_strangers(&members);
                    self.swarm.behaviour_mut().gate.set_members(members);
                }
                // The sender lives as long as the book, of which this task has one.
                Ok(()) = shut_outs.changed() => self.swarm.behaviour_mut().gate.enforce(),
                _ = ticks.tick() => self.tend_addresses(),
                () = tokio::time::sleep_until(next_dial.unwrap_or(far)) => {}
            }
        }
    }

    fn dial_due(&mut self) {
        let now = Instant::now();
        for mut peer in self.redial.due(now) {
            if let Some(successor) = self.successor(&peer.peer) {
                self.redial.replace(&peer.peer, successor);
                peer.peer = successor;
            }
            let options = DialOpts::peer_id(peer.peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(vec![peer.address])
                .build();
            if let Err(error) = self.swarm.dial(options) {
                tracing::debug!(peer = %peer.peer, %error, "dial refused");
                self.redial.failed(&peer.peer, now);
            }
        }
    }

    /// A node of the same institution, for a peer whose key was revoked: an operator who has replaced a key need not have
    /// all others change their configuration.
    fn successor(&self, peer: &PeerId) -> Option<PeerId> {
        let members = self.members.borrow();
        if members.institution(peer).is_some() {
            return None;
        }
        members.nodes_of(members.revoked_from(peer)?).next().copied()
    }

    /// Another one answered than was expected; from now on it is expected, if both are of one institution. Only where it was
    /// configured: what a node says of its own address is about its own key.
    fn learn(&mut self, expected: &PeerId, found: PeerId, mut address: Multiaddr) {
        if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
            address.pop();
        }
        if !self.redial.is_configured(expected, &address) {
            return;
        }
        let members = Arc::clone(&self.members.borrow());
        let institution = members.institution(expected).or_else(|| members.revoked_from(expected));
        if institution.is_some() && institution == members.institution(&found) {
            tracing::info!(%expected, %found, institution = ?institution, "a peer answers with another key of its institution");
            self.redial.replace(expected, found);
        }
    }

    fn on_command(&mut self, command: Command) {
        let behaviour = self.swarm.behaviour_mut();
        match command {
            Command::Broadcast { topic, payload } => behaviour.link.broadcast(topic, &payload),
            Command::BroadcastStanding { topic, payload } => {
                behaviour.link.broadcast_standing(topic, &payload);
            }
            Command::ClearStanding => behaviour.link.clear_standing(),
            Command::SyncRequest { peer, body, reply } => {
                let request = behaviour.sync.send_request(peer, body.clone()).to_string();
                self.pending_requests.insert(request.clone(), body);
                // The requester may have been dropped; the response will then find nobody.
                let _ = reply.send(request);
            }
            Command::SyncReply { request, body } => {
                let Some((_, channel)) = self.pending_replies.remove(&request) else { return };
                if behaviour.sync.send_response(channel, body).is_err() {
                    tracing::debug!(request, "the peer no longer waits for this sync response");
                }
            }
            Command::SyncCancel { request } => {
                self.pending_replies.remove(&request);
            }
            Command::Shutdown { .. } => unreachable!("shutdown ends the loop before it comes here"),
        }
    }

    async fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Link(event)) => self.on_link_event(event).await,
            SwarmEvent::Behaviour(BehaviourEvent::Sync(event)) => self.on_sync_event(event).await,
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => {
                if let Err(error) = event.result {
                    tracing::debug!(peer = %event.peer, %error, "ping failed, closing the connection");
                    self.swarm.close_connection(event.connection);
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.listening.send_modify(|known| known.push(address));
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                tracing::debug!(%peer, %error, "dial failed");
                self.redial.failed(&peer, Instant::now());
                let (address, reason) = dial_failure(&error);
                self.conduct.failed(&peer, address, reason);
                if let DialError::WrongPeerId { obtained, address } = error {
                    self.learn(&peer, obtained, address);
                }
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, peer_id, .. } => {
                tracing::debug!(from = %send_back_addr, ?peer_id, %error, "connection refused");
                if let Some(offence) = incoming_offence(error) {
                    self.conduct.refused_connection(peer_id.as_ref(), &send_back_addr.to_string(), offence);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, endpoint, cause, num_established: 0, .. } => {
                let reason =
                    cause.map_or_else(|| "this node closed it".to_owned(), |cause| closed_by(&cause));
                self.conduct.failed(&peer_id, Some(endpoint.get_remote_address().to_string()), reason);
            }
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                self.places.insert(peer_id, endpoint.get_remote_address().to_string());
            }
            _ => {}
        }
    }

    async fn on_link_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Connected { peer } => {
                self.redial.connected(&peer);
                // The swarm tells of the connection itself before the link does.
                let address = self.places.get(&peer).cloned().unwrap_or_default();
                self.conduct.connected(peer, address);
                self.connected.send_modify(|peers| {
                    peers.insert(peer);
                });
                self.emit(NetworkEvent::Connected { peer }).await;
            }
            LinkEvent::Reached { peer } => {
                self.tell_addresses(peer);
                if self.arrivals.try_send(peer).is_err() {
                    tracing::debug!(%peer, "too many connections at once, the peer is not sent what waits");
                }
            }
            LinkEvent::Disconnected { peer } => {
                self.redial.disconnected(&peer, Instant::now());
                self.conduct.disconnected(&peer);
                self.places.remove(&peer);
                self.connected.send_modify(|peers| {
                    peers.remove(&peer);
                });
                self.emit(NetworkEvent::Disconnected { peer }).await;
            }
            LinkEvent::Received { peer, topic: Topic::Transactions, payload } => {
                self.conduct.received(&peer, Topic::Transactions, payload.len());
                // The mempool decides its own pace; a batch that finds it busy will come again.
                let _ = self.transactions.try_send(TransactionBatch { from: peer, bytes: payload });
            }
            LinkEvent::Received { peer, topic: Topic::Addresses, payload } => {
                self.conduct.received(&peer, Topic::Addresses, payload.len());
                self.on_addresses(peer, &payload);
            }
            LinkEvent::Received { peer, topic, payload } => {
                self.conduct.received(&peer, topic, payload.len());
                self.emit(NetworkEvent::Frame { from: peer, topic, payload }).await;
            }
            LinkEvent::Broken { peer, error } => {
                tracing::debug!(%peer, %error, "connection closed");
                if let Some(offence) = frame_offence(&error) {
                    self.conduct.refused(peer, offence);
                }
            }
        }
    }

    async fn on_sync_event(&mut self, event: sync::Event) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                Message::Request { request_id, request, channel } => {
                    let name = request_id.to_string();
                    self.pending_replies.insert(name.clone(), (request_id, channel));
                    self.emit(NetworkEvent::SyncRequest { request: name, from: peer, body: request.0 }).await;
                }
                Message::Response { request_id, response } => {
                    let request = request_id.to_string();
                    let Some(asked) = self.pending_requests.remove(&request) else { return };
                    let body = response.0;
                    self.emit(NetworkEvent::SyncResponse { request, from: peer, asked, body }).await;
                }
            },
            request_response::Event::OutboundFailure { peer, request_id, error, .. } => {
                let request = request_id.to_string();
                self.pending_requests.remove(&request);
                let reason = failure_reason(&error);
                self.emit(NetworkEvent::SyncRequestFailed { request, peer, reason }).await;
            }
            request_response::Event::InboundFailure { peer, request_id, .. } => {
                let request = request_id.to_string();
                self.pending_replies.remove(&request);
                self.emit(NetworkEvent::SyncReplyFailed { request, peer }).await;
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    async fn emit(&mut self, event: NetworkEvent) {
        if self.events.send(event).await.is_err() {
            tracing::debug!("nobody reads the network's events any more");
        }
    }
}

/// What a refused incoming connection says about who made it.
fn incoming_offence(error: ListenError) -> Option<Offence> {
    match error {
        ListenError::Denied { cause } => match cause.downcast::<Refusal>() {
            Ok(refusal) => refusal.offence(),
            Err(_) => Some(Offence::FailedHandshake),
        },
        ListenError::Aborted
        | ListenError::WrongPeerId { .. }
        | ListenError::LocalPeerId { .. }
        | ListenError::Transport(_) => Some(Offence::FailedHandshake),
    }
}

/// Where a dial failed and why, in few words.
fn dial_failure(error: &DialError) -> (Option<String>, String) {
    match error {
        DialError::Transport(failures) => match failures.last() {
            Some((address, failure)) => (Some(address.to_string()), innermost(failure)),
            None => (None, error.to_string()),
        },
        DialError::WrongPeerId { obtained, address } => {
            (Some(address.to_string()), format!("another node answers there: {obtained}"))
        }
        DialError::Denied { cause } => (None, innermost(cause)),
        DialError::LocalPeerId { address } => {
            (Some(address.to_string()), "it is this node's own address".to_owned())
        }
        DialError::NoAddresses | DialError::DialPeerConditionFalse(_) | DialError::Aborted => {
            (None, error.to_string())
        }
    }
}

/// Why a connection ended, from this side's view.
fn closed_by(cause: &ConnectionError) -> String {
    match cause {
        ConnectionError::IO(error) => format!("the connection ended: {}", innermost(error)),
        ConnectionError::KeepAliveTimeout => cause.to_string(),
    }
}

/// The cause behind all causes, which says what happened.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// What a broken link says about the peer; a substream that merely ended says nothing.
fn frame_offence(error: &FrameError) -> Option<Offence> {
    match error {
        FrameError::Length { .. } => Some(Offence::OversizedFrame),
        FrameError::Topic { .. } => Some(Offence::MalformedFrame),
        FrameError::Io(_) => None,
    }
}

fn failure_reason(error: &request_response::OutboundFailure) -> OutboundFailureReason {
    use request_response::OutboundFailure;
    match error {
        OutboundFailure::DialFailure => OutboundFailureReason::DialFailure,
        OutboundFailure::Timeout => OutboundFailureReason::Timeout,
        OutboundFailure::ConnectionClosed => OutboundFailureReason::ConnectionClosed,
        OutboundFailure::UnsupportedProtocols => OutboundFailureReason::UnsupportedProtocols,
        OutboundFailure::Io(_) => OutboundFailureReason::Io,
    }
}
