//! From our network to the engine: the task that turns the network's events into the engine's.
//!
//! Frames are decoded, put together and verified here ([`super::intake`], [`super::assembler`]), so what reaches the
//! engine's unbounded mailboxes is bounded and signed. What no honest node sends is put on the account of its institution
//! ([`crate::conduct`]), and forgeries shut the institution out for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_malachitebft_app_channel::app::engine::network::{NetworkEvent as EngineEvent, Status};
use arc_malachitebft_app_channel::app::engine::util::streaming::{StreamContent, StreamId, StreamMessage};
use arc_malachitebft_app_channel::app::types::SignedConsensusMsg;
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_app_channel::app::types::core::Validator as _;
use arc_malachitebft_app_channel::app::types::sync::{Request, Response};
use arc_malachitebft_core_consensus::LivenessMsg;
use arc_malachitebft_sync::OutboundRequestId;
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId, InstitutionId};

use super::answers::Judge;
use super::assembler::{Assembler, Window};
use super::bridge::{Port, engine_peer};
use super::codec::{LedgerCodec, decode_status, decode_work};
use super::context::LedgerContext;
use super::heights::{Heard, PeerHeights};
use super::intake::{Intake, Refusal, Taken};
use super::own_key::OwnKey;
use super::proposal::CompleteProposal;
use super::serving::Questions;
use super::signing::VerifiedSignatures;
use super::statuses::HeldStatuses;
use crate::base::allowance::{Allowance, Rate};
use crate::base::limits;
use crate::conduct::{Conduct, Offence};
use crate::health::clocks::Clocks;
use crate::network::{NetworkEvent, NetworkHandle, PeerId, Topic};

/// Whether bytes are the block of an id, as far as that can be told without state.
pub type IsBlock = fn(BlockId, &[u8]) -> bool;

/// How often an institution may ask for decided blocks.
const SYNC_QUESTIONS: Rate =
    Rate { burst: limits::SYNC_QUESTIONS_BURST_MAX, refill_ms: limits::SYNC_QUESTION_REFILL_MS };

/// What the task is connected to. Ends with the network's events.
pub struct EventPump {
    /// Where events go.
    pub port: Arc<Port>,
    /// The ledger.
    pub chain_id: ChainId,
    /// The height and round under way; `None` before the driver has started.
    pub window: watch::Receiver<Option<Window>>,
    /// What the peers say of the ledger's height.
    pub heard: watch::Sender<Heard>,
    /// Where what peers do wrong is kept account of.
    pub conduct: Conduct,
    /// To shut out who forges.
    pub network: NetworkHandle,
    /// This node's own validator key.
    pub own: Option<OwnKey>,
    /// What was verified here is not verified again by the engine.
    pub verified: VerifiedSignatures,
    /// Tells whether a synced block is the one that its certificate names.
    pub is_block: IsBlock,
    /// Where what the peers' clocks say is noted.
    pub clocks: Clocks,
}

/// What the task keeps while it runs.
struct State {
    window: Window,
    assembler: Assembler,
    intake: Intake,
    heights: PeerHeights,
    /// What peers say of their tips, until the engine hears it.
    statuses: HeldStatuses,
    /// The last height of which a whole block has arrived.
    arrived: Height,
    questions: Questions,
    /// How often each institution may ask them.
    allowances: BTreeMap<Option<InstitutionId>, Allowance>,
    started: Instant,
}

impl EventPump {
    /// Runs until the network stops.
    pub async fn run(mut self, mut events: mpsc::Receiver<NetworkEvent>, questions: Questions) {
        // The network holds its events back until the driver stands, so that no part of a proposal is missed.
        let first = self.window.wait_for(Option::is_some).await.ok().and_then(|window| window.clone());
        let Some(first) = first else { return };
        let verified = self.verified.clone();
        let is_signed =
            Box::new(move |key: &_, message: &[u8], signature: &_| verified.check(key, message, signature));
        let mut state = State {
            window: first.clone(),
            assembler: Assembler::new(self.chain_id, first.clone()),
            intake: Intake::new(self.chain_id, self.own.clone(), first, is_signed),
            heights: PeerHeights::default(),
            statuses: HeldStatuses::default(),
            arrived: Height::default(),
            questions,
            allowances: BTreeMap::new(),
            started: Instant::now(),
        };
        loop {
            let event = match state.next_status_at() {
                Some(at) => tokio::time::timeout_at(at.into(), events.recv()).await.ok(),
                None => Some(events.recv().await),
            };
            if self.window.has_changed().unwrap_or(false)
                && let Some(window) = self.window.borrow_and_update().clone()
            {
                state.advance(window);
            }
            match event {
                Some(Some(event)) => self.on_event(event, &mut state),
                Some(None) => return,
                None => {}
            }
            self.tell_statuses(&mut state);
            self.publish(&state);
        }
    }

    fn tell_statuses(&self, state: &mut State) {
        let now_ms = state.now_ms();
        for (peer, status) in state.statuses.take_due(now_ms) {
            self.port.send(EngineEvent::Status(engine_peer(peer), status));
        }
    }

    fn publish(&self, state: &State) {
        let heard = state.heights.heard(&state.window.validators);
        self.heard.send_if_modified(|known| {
            let changed = *known != heard;
            *known = heard;
            changed
        });
    }

    fn on_event(&self, event: NetworkEvent, state: &mut State) {
        match event {
            NetworkEvent::Listening { address } => self.port.listening(address),
            NetworkEvent::Connected { peer } => {
                if let Some(institution) = self.conduct.institution(&peer) {
                    state.heights.connected(peer, institution);
                }
                self.port.connected(peer);
            }
            NetworkEvent::Disconnected { peer } => {
                state.heights.disconnected(&peer);
                state.statuses.disconnected(&peer);
                self.port.disconnected(peer);
            }
            NetworkEvent::Frame { from, topic, payload } => {
                // A member that the ledger names no longer is about to be disconnected.
                let Some(institution) = self.conduct.institution(&from) else { return };
                match self.on_frame(from, &institution, topic, payload, state) {
                    Ok(()) | Err(Refusal::Idle) => {}
                    Err(Refusal::Offence(Offence::OwnKey)) => {
                        self.conduct.own_key_elsewhere(institution, state.window.height);
                    }
                    Err(Refusal::Offence(offence)) => blame(&self.conduct, &self.network, from, offence),
                }
                self.watch_own_key(state);
            }
            NetworkEvent::SyncRequest { request, from, body } => {
                self.on_sync_request(request, from, body, state);
            }
            NetworkEvent::SyncResponse { request, from, asked, body } => {
                self.on_sync_response(request, from, (asked, body), state);
            }
            NetworkEvent::SyncRequestFailed { request, peer, reason } => {
                let request = OutboundRequestId::new(request);
                self.port.send(EngineEvent::SyncRequestFailed(request, engine_peer(peer), reason));
            }
            NetworkEvent::SyncReplyFailed { request, peer } => {
                tracing::debug!(request, %peer, "decided blocks did not reach the peer that asked for them");
            }
        }
    }

    /// Whether this node holds a block of the height under way, because it has arrived or is its own.
    fn has_block(&self, state: &State) -> bool {
        let Window { height, round, validators } = &state.window;
        let is_own = |own: &OwnKey| *validators.proposer((*height).into(), *round).public_key() == own.key();
        state.arrived >= *height || self.own.as_ref().is_some_and(is_own)
    }

    fn watch_own_key(&self, state: &mut State) {
        let Some(height) = state.intake.signed_elsewhere() else { return };
        let validator = self.own.as_ref().and_then(|own| state.window.validators.get(&own.key()));
        if let Some(validator) = validator {
            self.conduct.own_key_elsewhere(validator.institution().clone(), height);
        }
    }

    fn on_frame(
        &self,
        from: PeerId,
        institution: &InstitutionId,
        topic: Topic,
        payload: Bytes,
        state: &mut State,
    ) -> Result<(), Refusal> {
        match topic {
            Topic::Consensus => self.on_consensus(from, institution, payload, state)?,
            Topic::Liveness => self.on_liveness(from, institution, payload, state)?,
            Topic::Status => {
                let (status, clock_ms) = decode_status(&payload).map_err(malformed)?;
                self.clocks.note(from, clock_ms);
                let is_true = state.heights.status(&from, status.tip.ledger());
                let (has_block, now_ms) = (self.has_block(state), state.now_ms());
                state.statuses.hold(from, Status::new(status.tip, status.lowest), has_block, now_ms);
                if !is_true {
                    return Err(Refusal::Offence(Offence::FalseStatus));
                }
            }
            Topic::Work => state.heights.work(&from, decode_work(&payload).map_err(malformed)?),
            Topic::Part => {
                let complete =
                    state.assembler.accept(institution, &payload).map_err(|error| Refusal::from(&error))?;
                if let Some(complete) = complete {
                    state.heights.signed(&from, complete.manifest.height);
                    state.arrived = state.arrived.max(complete.manifest.height);
                    self.send_proposal(from, state.intake.completed(complete));
                }
            }
            Topic::Transactions | Topic::Addresses => return Err(Refusal::Offence(Offence::MalformedFrame)),
        }
        for proposal in state.intake.newly_attested() {
            self.send_proposal(from, proposal);
        }
        Ok(())
    }

    fn on_consensus(
        &self,
        from: PeerId,
        institution: &InstitutionId,
        payload: Bytes,
        state: &mut State,
    ) -> Result<(), Refusal> {
        let message: SignedConsensusMsg<LedgerContext> = LedgerCodec.decode(payload).map_err(malformed)?;
        let (height, now_ms) = (message.height().ledger(), state.now_ms());
        let taken = match &message {
            SignedConsensusMsg::Vote(vote) => state.intake.vote(institution, vote, now_ms)?,
            SignedConsensusMsg::Proposal(proposal) => state.intake.proposal(institution, proposal)?,
        };
        if taken == Taken::Conflicting {
            self.conduct.refused(from, Offence::Equivocation);
        }
        state.heights.signed(&from, height);
        let peer = engine_peer(from);
        self.port.send(match message {
            SignedConsensusMsg::Vote(vote) => EngineEvent::Vote(peer, vote),
            SignedConsensusMsg::Proposal(proposal) => EngineEvent::Proposal(peer, proposal),
        });
        Ok(())
    }

    fn on_liveness(
        &self,
        from: PeerId,
        institution: &InstitutionId,
        payload: Bytes,
        state: &mut State,
    ) -> Result<(), Refusal> {
        let message: LivenessMsg<LedgerContext> = LedgerCodec.decode(payload).map_err(malformed)?;
        let (peer, now_ms) = (engine_peer(from), state.now_ms());
        let (height, event) = match message {
            LivenessMsg::Vote(vote) => {
                state.intake.vote(institution, &vote, now_ms)?;
                (vote.height, EngineEvent::Vote(peer, vote))
            }
            LivenessMsg::PolkaCertificate(polka) => {
                state.intake.polka(institution, &polka, now_ms)?;
                (polka.height, EngineEvent::PolkaCertificate(peer, polka))
            }
            LivenessMsg::SkipRoundCertificate(certificate) => {
                state.intake.round_certificate(institution, &certificate, now_ms)?;
                (certificate.height, EngineEvent::RoundCertificate(peer, certificate))
            }
        };
        state.heights.signed(&from, height.ledger());
        self.port.send(event);
        Ok(())
    }

    fn send_proposal(&self, from: PeerId, complete: CompleteProposal) {
        let stream = StreamId::new(Bytes::copy_from_slice(&complete.manifest.block_id.0));
        let message = StreamMessage::new(stream, 0, StreamContent::Data(complete));
        self.port.send(EngineEvent::ProposalPart(engine_peer(from), None, message));
    }

    /// Blocks are read beside consensus, but from the same disk, so an institution may ask only so often.
    fn on_sync_request(&self, name: String, from: PeerId, body: Bytes, state: &mut State) {
        let request: Result<Request<LedgerContext>, _> = LedgerCodec.decode(body);
        let institution = self.conduct.institution(&from);
        let answer = match request {
            Ok(request) if state.may_ask(institution.clone()) => state.questions.ask(institution, &request),
            Ok(_) => {
                blame(&self.conduct, &self.network, from, Offence::TooManyRequests);
                None
            }
            Err(_) => {
                blame(&self.conduct, &self.network, from, Offence::MalformedFrame);
                None
            }
        };
        let network = self.network.clone();
        tokio::spawn(async move {
            let body = match answer {
                Some(answer) => answer.await.ok(),
                None => None,
            };
            match body {
                Some(body) => network.reply_sync(name, body).await,
                // So that whoever asks learns it now, and not when it is tired of waiting.
                None => network.cancel_sync(name).await,
            }
        });
    }

    /// Blocks that were asked for. Who answers with anything else is shut out, and the engine asks another peer. Judged off
    /// this task, as the blocks may be long.
    fn on_sync_response(&self, request: String, from: PeerId, (asked, body): (Bytes, Bytes), state: &State) {
        let Ok(Request::ValueRequest(asked)) = LedgerCodec.decode(asked) else {
            return tracing::error!(request, "this node's own request for blocks cannot be read");
        };
        let (port, conduct, network) = (Arc::clone(&self.port), self.conduct.clone(), self.network.clone());
        let judge = Judge {
            chain_id: self.chain_id,
            window: state.window.clone(),
            asked: asked.range,
            claimed: state.heights.tip(&from),
            is_block: self.is_block,
            verified: self.verified.clone(),
        };
        tokio::task::spawn_blocking(move || {
            let judged = match LedgerCodec.decode(body) {
                Ok(Response::ValueResponse(values)) => judge.judge(&values).map(|()| values),
                Err(_) => Err(Offence::MalformedFrame),
            };
            if let Err(offence) = judged {
                conduct.refused(from, offence);
                shut_out(&network, from);
            }
            port.send(EngineEvent::SyncResponse(
                OutboundRequestId::new(request),
                engine_peer(from),
                judged.ok().map(Response::ValueResponse),
            ));
        });
    }
}

impl State {
    fn advance(&mut self, window: Window) {
        self.assembler.advance(window.clone());
        self.intake.advance(window.clone());
        self.window = window;
    }

    fn next_status_at(&self) -> Option<Instant> {
        Some(self.started + Duration::from_millis(self.statuses.next_due_ms()?))
    }

    /// Whether the institution may ask for blocks once more.
    fn may_ask(&mut self, institution: Option<InstitutionId>) -> bool {
        let now_ms = self.now_ms();
        self.allowances
            .entry(institution)
            .or_insert_with(|| Allowance::full(SYNC_QUESTIONS, now_ms))
            .spend(SYNC_QUESTIONS, now_ms)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Puts an offence on the account of a peer's institution, and shuts out who forges.
fn blame(conduct: &Conduct, network: &NetworkHandle, peer: PeerId, offence: Offence) {
    conduct.refused(peer, offence);
    if is_forgery(offence) {
        shut_out(network, peer);
    }
}

fn shut_out(network: &NetworkHandle, peer: PeerId) {
    network.disconnect(peer, Duration::from_millis(limits::SHUT_OUT_MS));
}

/// What no fault of a network, clock or version explains.
fn is_forgery(offence: Offence) -> bool {
    matches!(offence, Offence::ForgedVote | Offence::ForgedProposal | Offence::ForgedCertificate)
}

fn malformed(_: super::codec::CodecError) -> Refusal {
    Refusal::Offence(Offence::MalformedFrame)
}
