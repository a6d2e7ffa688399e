//! From the engine to our network: the actor that takes the engine's messages, and the port through which
//! [`super::pump`] sends it the network's events.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_malachitebft_app_channel::app::engine::network::{
    NetworkEvent as EngineEvent, NetworkMsg, PersistentPeerError,
};
use arc_malachitebft_app_channel::app::engine::util::output_port::OutputPort;
use arc_malachitebft_app_channel::app::types::PeerId as EnginePeer;
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_network::Channel;
use arc_malachitebft_sync::OutboundRequestId;
use async_trait::async_trait;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::watch;

use super::codec::{LedgerCodec, StatusMessage, encode_status};
use super::context::LedgerContext;
use crate::health::clocks::Clocks;
use crate::network::limits::STATUS_DELAY;
use crate::network::{Multiaddr, NetworkHandle, PeerId, Topic};

/// Events that may wait for the engine's subscribers.
const PORT_CAPACITY: usize = 4096;

/// What both halves share: where to send events, and what a new subscriber must be told first.
pub struct Port {
    port: OutputPort<EngineEvent<LedgerContext>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    listening: Vec<Multiaddr>,
    peers: BTreeSet<PeerId>,
}

impl Port {
    /// Nobody subscribed yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { port: OutputPort::with_capacity(PORT_CAPACITY), known: Mutex::default() })
    }

    /// The lock orders subscribing against events, so that a subscriber misses nothing. It guards plain sets,
    /// which a panic elsewhere cannot leave half-changed.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the engine of an event.
    pub fn send(&self, event: EngineEvent<LedgerContext>) {
        self.port.send(event);
    }

    /// The node listens at an address.
    pub fn listening(&self, address: Multiaddr) {
        let mut known = self.known();
        known.listening.push(address.clone());
        self.send(EngineEvent::Listening(address));
    }

    /// A peer has connected.
    pub fn connected(&self, peer: PeerId) {
        let mut known = self.known();
        known.peers.insert(peer);
        self.send(EngineEvent::PeerConnected(engine_peer(peer)));
        // The engine tells a new peer our tip when it hears of its interest in sync.
        self.send(EngineEvent::PeerSubscribed(engine_peer(peer), Channel::Sync));
    }

    /// A peer has gone.
    pub fn disconnected(&self, peer: PeerId) {
        let mut known = self.known();
        known.peers.remove(&peer);
        self.send(EngineEvent::PeerDisconnected(engine_peer(peer)));
    }
}

/// The engine's type for a peer.
pub fn engine_peer(peer: PeerId) -> EnginePeer {
    EnginePeer::from_bytes(&peer.to_bytes()).expect("both types hold the same multihash")
}

fn libp2p_peer(peer: EnginePeer) -> Result<PeerId, ActorProcessingErr> {
    Ok(PeerId::from_bytes(&peer.to_bytes())?)
}

/// The engine's network actor over our network.
pub struct EngineNetwork {
    network: NetworkHandle,
    port: Arc<Port>,
    /// What the peers are told of this node's tip next.
    status: watch::Sender<Option<StatusMessage>>,
}

impl EngineNetwork {
    /// The actor, over our network; events go to `port`.
    pub fn new(network: NetworkHandle, port: Arc<Port>, clocks: Clocks) -> Self {
        let (status, told) = watch::channel(None);
        tokio::spawn(tell_status(told, network.clone(), clocks));
        Self { network, port, status }
    }
}

/// Tells the peers this node's last status, a moment after it changed.
async fn tell_status(
    mut told: watch::Receiver<Option<StatusMessage>>,
    network: NetworkHandle,
    clocks: Clocks,
) {
    while told.changed().await.is_ok() {
        tokio::time::sleep(STATUS_DELAY).await;
        let Some(status) = *told.borrow_and_update() else { continue };
        let frame = encode_status(status, clocks.now_ms());
        if network.broadcast(Topic::Status, frame).await.is_err() {
            return;
        }
    }
}

#[async_trait]
impl Actor for EngineNetwork {
    type Msg = NetworkMsg<LedgerContext>;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _myself: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        _state: &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match message {
            NetworkMsg::Subscribe(subscriber) => {
                let known = self.port.known();
                for address in &known.listening {
                    subscriber.send(EngineEvent::Listening(address.clone()));
                }
                for peer in &known.peers {
                    subscriber.send(EngineEvent::PeerConnected(engine_peer(*peer)));
                    subscriber.send(EngineEvent::PeerSubscribed(engine_peer(*peer), Channel::Sync));
                }
                subscriber.subscribe_to_port(&self.port.port);
            }
            NetworkMsg::PublishConsensusMsg(message) => {
                self.network.broadcast_standing(Topic::Consensus, LedgerCodec.encode(&message)?).await?;
            }
            NetworkMsg::PublishLivenessMsg(message) => {
                self.network.broadcast(Topic::Liveness, LedgerCodec.encode(&message)?).await?;
            }
            NetworkMsg::BroadcastStatus(status) => {
                let status = StatusMessage { tip: status.tip_height, lowest: status.history_min_height };
                self.status.send_replace(Some(status));
            }
            NetworkMsg::OutgoingRequest(peer, request, reply) => {
                let body = LedgerCodec.encode(&request)?;
                let name = self.network.request_sync(libp2p_peer(peer)?, body).await?;
                if reply.send(OutboundRequestId::new(name)).is_err() {
                    tracing::debug!("the engine no longer waits for a sync request's name");
                }
            }
            NetworkMsg::DumpState(reply) => drop(reply.send(None)),
            NetworkMsg::UpdatePersistentPeers(_, reply) => {
                // Peers are configured, members come from the ledger; the engine has no say in it.
                let refusal =
                    PersistentPeerError::InternalError("peers come from the configuration".to_owned());
                drop(reply.send(Err(refusal)));
            }
            // Requests time out on their own; peers' requests are answered beside the engine; the gate knows the members;
            // parts go out by the driver; the remaining ones belong to the engine's own network.
            NetworkMsg::CancelRequest(_)
            | NetworkMsg::OutgoingResponse(..)
            | NetworkMsg::CancelInboundRequest(_)
            | NetworkMsg::UpdateValidatorSet(_)
            | NetworkMsg::ValidatorProofVerified { .. }
            | NetworkMsg::PublishProposalPart(_)
            | NetworkMsg::NewEvent(_) => {}
        }
        Ok(())
    }
}
