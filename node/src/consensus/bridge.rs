//! Between the engine and our network: the actor that takes the engine's messages, and the task that turns the
//! network's events into the engine's.
//!
//! Frames are decoded here. Proposal parts stop here too: only a proposal that is complete and signed by the
//! right proposer goes on, so the engine's unbounded mailboxes cannot be filled with chunks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_malachitebft_app_channel::app::engine::network::{
    NetworkEvent as EngineEvent, NetworkMsg, PersistentPeerError, Status,
};
use arc_malachitebft_app_channel::app::engine::util::output_port::OutputPort;
use arc_malachitebft_app_channel::app::engine::util::streaming::{StreamContent, StreamId, StreamMessage};
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_app_channel::app::types::sync::{Request, Response};
use arc_malachitebft_app_channel::app::types::{PeerId as EnginePeer, SignedConsensusMsg};
use arc_malachitebft_core_consensus::LivenessMsg;
use arc_malachitebft_network::Channel;
use arc_malachitebft_sync::{InboundRequestId, OutboundRequestId};
use async_trait::async_trait;
use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{mpsc, watch};
use yilian_spec::height::Height;
use yilian_spec::id::ChainId;

use super::assembler::{Assembler, Window};
use super::codec::{CodecError, LedgerCodec, StatusMessage, decode_status, decode_work, encode_status};
use super::context::LedgerContext;
use crate::network::limits::STATUS_DELAY;
use crate::network::{Multiaddr, NetworkEvent, NetworkHandle, PeerId, Topic};

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

    fn send(&self, event: EngineEvent<LedgerContext>) {
        self.port.send(event);
    }
}

fn engine_peer(peer: PeerId) -> EnginePeer {
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
    pub fn new(network: NetworkHandle, port: Arc<Port>) -> Self {
        let (status, told) = watch::channel(None);
        tokio::spawn(tell_status(told, network.clone()));
        Self { network, port, status }
    }
}

/// Tells the peers this node's last status, a moment after it changed. They decide within milliseconds of each other, and
/// whoever hears of a height that it is about to decide itself asks for the whole block.
async fn tell_status(mut told: watch::Receiver<Option<StatusMessage>>, network: NetworkHandle) {
    while told.changed().await.is_ok() {
        tokio::time::sleep(STATUS_DELAY).await;
        let Some(status) = *told.borrow_and_update() else { continue };
        if network.broadcast(Topic::Status, encode_status(status)).await.is_err() {
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
            NetworkMsg::OutgoingResponse(request, response) => {
                self.answer(request, &response).await?;
            }
            NetworkMsg::CancelInboundRequest(request) => {
                self.network.cancel_sync(request.to_string()).await?
            }
            NetworkMsg::DumpState(reply) => drop(reply.send(None)),
            NetworkMsg::UpdatePersistentPeers(_, reply) => {
                // Peers are configured, members come from the ledger; the engine has no say in it.
                let refusal =
                    PersistentPeerError::InternalError("peers come from the configuration".to_owned());
                drop(reply.send(Err(refusal)));
            }
            // Requests time out on their own; the gate knows the members; parts go out by the driver; the
            // remaining ones belong to the engine's own network.
            NetworkMsg::CancelRequest(_)
            | NetworkMsg::UpdateValidatorSet(_)
            | NetworkMsg::ValidatorProofVerified { .. }
            | NetworkMsg::PublishProposalPart(_)
            | NetworkMsg::NewEvent(_) => {}
        }
        Ok(())
    }
}

impl EngineNetwork {
    async fn answer(
        &self,
        request: InboundRequestId,
        response: &Response<LedgerContext>,
    ) -> Result<(), ActorProcessingErr> {
        match LedgerCodec.encode(response) {
            Ok(body) => self.network.reply_sync(request.to_string(), body).await?,
            Err(error) => {
                tracing::error!(%error, "a sync response could not be encoded");
                self.network.cancel_sync(request.to_string()).await?;
            }
        }
        Ok(())
    }
}

/// The task that reads the network's events. Ends with them.
pub struct EventPump {
    /// Where events go.
    pub port: Arc<Port>,
    /// The ledger.
    pub chain_id: ChainId,
    /// The height that the driver decides now; `None` before it has started.
    pub window: watch::Receiver<Option<Window>>,
    /// The highest height of which a peer has spoken. Unproven: it wakes a resting node, nothing more.
    pub peer_height: watch::Sender<Height>,
}

impl EventPump {
    /// Runs until the network stops.
    pub async fn run(mut self, mut events: mpsc::Receiver<NetworkEvent>) {
        // The network holds its events back until the driver stands, so that no part of a proposal is missed.
        let first = self.window.wait_for(Option::is_some).await.ok().and_then(|window| window.clone());
        let Some(first) = first else { return };
        let mut assembler = Assembler::new(self.chain_id, first);
        while let Some(event) = events.recv().await {
            if self.window.has_changed().unwrap_or(false)
                && let Some(window) = self.window.borrow_and_update().clone()
            {
                assembler.advance(window);
            }
            self.on_event(event, &mut assembler);
        }
    }

    fn on_event(&self, event: NetworkEvent, assembler: &mut Assembler) {
        match event {
            NetworkEvent::Listening { address } => {
                let mut known = self.port.known();
                known.listening.push(address.clone());
                self.port.send(EngineEvent::Listening(address));
            }
            NetworkEvent::Connected { peer } => {
                let mut known = self.port.known();
                known.peers.insert(peer);
                self.port.send(EngineEvent::PeerConnected(engine_peer(peer)));
                // The engine tells a new peer our tip when it hears of its interest in sync.
                self.port.send(EngineEvent::PeerSubscribed(engine_peer(peer), Channel::Sync));
            }
            NetworkEvent::Disconnected { peer } => {
                let mut known = self.port.known();
                known.peers.remove(&peer);
                self.port.send(EngineEvent::PeerDisconnected(engine_peer(peer)));
            }
            NetworkEvent::Frame { from, topic, payload } => {
                if let Err(reason) = self.on_frame(from, topic, payload, assembler) {
                    tracing::debug!(%from, ?topic, reason, "frame refused");
                }
            }
            NetworkEvent::SyncRequest { request, from, body } => self.on_sync_request(&request, from, body),
            NetworkEvent::SyncResponse { request, from, body } => {
                let response: Option<Response<LedgerContext>> = LedgerCodec.decode(body).ok();
                let request = OutboundRequestId::new(request);
                self.port.send(EngineEvent::SyncResponse(request, engine_peer(from), response));
            }
            NetworkEvent::SyncRequestFailed { request, peer, reason } => {
                let request = OutboundRequestId::new(request);
                self.port.send(EngineEvent::SyncRequestFailed(request, engine_peer(peer), reason));
            }
            NetworkEvent::SyncReplyFailed { request, peer } => {
                let request = InboundRequestId::new(request);
                self.port.send(EngineEvent::SyncInboundRequestFailed(request, engine_peer(peer)));
            }
        }
    }

    fn on_frame(
        &self,
        from: PeerId,
        topic: Topic,
        payload: Bytes,
        assembler: &mut Assembler,
    ) -> Result<(), String> {
        let text = |error: CodecError| error.to_string();
        let peer = engine_peer(from);
        match topic {
            Topic::Consensus => {
                let message: SignedConsensusMsg<LedgerContext> = LedgerCodec.decode(payload).map_err(text)?;
                self.heard_of(message.height().ledger());
                self.port.send(match message {
                    SignedConsensusMsg::Vote(vote) => EngineEvent::Vote(peer, vote),
                    SignedConsensusMsg::Proposal(proposal) => EngineEvent::Proposal(peer, proposal),
                });
            }
            Topic::Liveness => {
                let (height, event) = match LedgerCodec.decode(payload).map_err(text)? {
                    LivenessMsg::Vote(vote) => (vote.height, EngineEvent::Vote(peer, vote)),
                    LivenessMsg::PolkaCertificate(polka) => {
                        (polka.height, EngineEvent::PolkaCertificate(peer, polka))
                    }
                    LivenessMsg::SkipRoundCertificate(round) => {
                        (round.height, EngineEvent::RoundCertificate(peer, round))
                    }
                };
                self.heard_of(height.ledger());
                self.port.send(event);
            }
            Topic::Status => {
                let status = decode_status(&payload).map_err(text)?;
                // A peer whose tip is our next height has decided it.
                self.heard_of(status.tip.ledger());
                self.port.send(EngineEvent::Status(peer, Status::new(status.tip, status.lowest)));
            }
            Topic::Work => self.heard_of(decode_work(&payload).map_err(text)?),
            Topic::Part => {
                if let Some(complete) = assembler.accept(&payload).map_err(|error| error.to_string())? {
                    self.heard_of(complete.manifest.height);
                    let stream = StreamId::new(Bytes::copy_from_slice(&complete.manifest.block_id.0));
                    let message = StreamMessage::new(stream, 0, StreamContent::Data(complete));
                    self.port.send(EngineEvent::ProposalPart(peer, None, message));
                }
            }
            Topic::Transactions => return Err("transactions do not come this way".to_owned()),
        }
        Ok(())
    }

    fn on_sync_request(&self, name: &str, from: PeerId, body: Bytes) {
        let request: Result<Request<LedgerContext>, CodecError> = LedgerCodec.decode(body);
        match request {
            Ok(request) => {
                let name = InboundRequestId::new(name);
                self.port.send(EngineEvent::SyncRequest(name, engine_peer(from), request));
            }
            // Left unanswered, it times out on both sides.
            Err(error) => tracing::debug!(%from, %error, "sync request refused"),
        }
    }

    fn heard_of(&self, height: Height) {
        self.peer_height.send_if_modified(|known| {
            let higher = height > *known;
            *known = height.max(*known);
            higher
        });
    }
}
