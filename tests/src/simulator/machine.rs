//! One running node: the engine's pure core and everything around it, stepped by whoever holds it.
//!
//! Every step ends with [`Machine::settle`], which carries on until the node has nothing left to do by itself. What it
//! wants sent and waited for then stands in [`Host::outputs`].

use arc_malachitebft_app_channel::app::consensus::{Params, SignedConsensusMsg};
use arc_malachitebft_app_channel::app::metrics::Metrics;
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_app_channel::app::types::{PeerId as EnginePeer, ValuePayload};
use arc_malachitebft_core_consensus::{Input, LivenessMsg, State, process};
use arc_malachitebft_sync::{RawDecidedValue, Request, Response, ValueRequest, ValueResponse};
use bytes::Bytes;
use engine::{ValueOrigin, VoteExtensionPolicy};
use yilian_node::application::Application as _;
use yilian_node::consensus::certificate::extended_certificate;
use yilian_node::consensus::codec::{
    LedgerCodec, StatusMessage, decode_status, decode_work, encode_status, encode_work,
};
use yilian_node::consensus::context::{EngineHeight, LedgerContext};
use yilian_node::consensus::pacing::{Pace, Situation};
use yilian_node::network::PeerId;
use yilian_node::network::limits::{SYNC_BATCH, SYNC_RESPONSE_BYTES_MAX};
use yilian_spec::height::Height;

use super::frame::{Frame, Output};
use super::host::{Host, Stopped};

/// Inputs for later heights that the core keeps: as many heights, and as many inputs each, as the engine lets it.
const QUEUED_HEIGHTS: usize = 10;
const QUEUED_INPUTS: usize = 500;
/// A request for decided blocks is repeated after so long without an answer.
const SYNC_PATIENCE_MS: u64 = 2_000;

/// A running node.
pub struct Machine {
    core: State<LedgerContext>,
    metrics: Metrics,
    /// Everything beside the core.
    pub host: Host,
    sync_until_ms: u64,
    wake_at_ms: Option<u64>,
}

impl Machine {
    /// Starts the core on an opened node, replaying its log of votes if it went down in the middle of a height.
    ///
    /// # Errors
    /// When the node cannot go on.
    pub fn start(host: Host) -> Result<Self, Stopped> {
        let parameters = Params {
            address: host.address(),
            threshold_params: engine::ThresholdParams::default(),
            value_payload: ValuePayload::ProposalAndParts,
            enabled: host.identity.key.is_some(),
        };
        let height = EngineHeight::from(host.start.height);
        let validators = (*host.validators).clone();
        let core = State::new(LedgerContext, height, validators, parameters, QUEUED_HEIGHTS, QUEUED_INPUTS);
        let metrics = Metrics::new();
        let mut machine = Self { core, metrics, host, sync_until_ms: 0, wake_at_ms: None };
        machine.start_height()?;
        machine.settle()?;
        Ok(machine)
    }

    fn start_height(&mut self) -> Result<(), Stopped> {
        let height = self.host.start.height;
        let mut entries = self.host.log.begin(height);
        if !self.host.is_validator() {
            entries.clear();
        }
        let validators = (*self.host.validators).clone();
        self.process(Input::StartHeight(
            height.into(),
            validators,
            false,
            None,
            VoteExtensionPolicy::Disabled,
        ))?;
        if !entries.is_empty() {
            self.replay(entries)?;
        }
        Ok(())
    }

    fn replay(&mut self, entries: Vec<Input<LedgerContext>>) -> Result<(), Stopped> {
        self.host.recovering = true;
        self.core.index_wal_entries(entries.iter());
        for entry in entries {
            self.host.counts.replayed += 1;
            self.process(entry)?;
        }
        self.core.reset_entries_index();
        self.host.recovering = false;
        Ok(())
    }

    fn process(&mut self, input: Input<LedgerContext>) -> Result<(), Stopped> {
        let Self { core, metrics, host, .. } = self;
        let mut stopped = None;
        let result: Result<(), arc_malachitebft_core_consensus::Error<LedgerContext>> = process!(
            input: input,
            state: core,
            metrics: metrics,
            with: effect => host.effect(effect).map_err(|error| stopped = Some(error))
        );
        match stopped {
            Some(error) => Err(error),
            None => result.map_err(|error| Stopped(error.to_string())),
        }
    }

    /// Goes on until the node has nothing left to do now, or its power has gone.
    ///
    /// # Errors
    /// When the node cannot go on.
    pub fn settle(&mut self) -> Result<(), Stopped> {
        while !self.host.dead {
            if let Some(input) = self.host.pending.pop_front() {
                self.process(input)?;
            } else if self.due()? {
                self.start_height()?;
            } else if let Some(value) = self.next_synced() {
                self.process(Input::SyncValueResponse(value))?;
            } else {
                break;
            }
        }
        while let Ok(batch) = self.host.gossip.try_recv() {
            self.host.broadcast(Frame::Transactions(batch));
        }
        Ok(())
    }

    /// Whether the next height starts now. If not, asks to be woken when it is time to look again.
    fn due(&mut self) -> Result<bool, Stopped> {
        let Some(since_ms) = self.host.resting_since_ms else { return Ok(false) };
        let host = &mut self.host;
        let situation = Situation {
            now_ms: host.now_ms,
            since_ms,
            next: host.start.height,
            peer_height: host.peer_height,
            own_work: host.ledger.has_work(),
            catching_up: host.synced.is_some_and(|height| height.next() == host.start.height),
            proposed: host.has_proposal(),
        };
        match host.pacer.decide(situation) {
            Pace::Start { announce } => {
                host.resting_since_ms = None;
                if announce {
                    let notice = encode_work(host.start.height);
                    host.broadcast(Frame::Work(notice));
                }
                Ok(true)
            }
            Pace::WaitUntil { at_ms } => {
                if self.wake_at_ms != Some(at_ms) {
                    self.wake_at_ms = Some(at_ms);
                    host.outputs.push(Output::Wake { at_ms });
                }
                Ok(false)
            }
        }
    }

    /// The block of the height under decision, if a peer has sent it.
    fn next_synced(&mut self) -> Option<engine::ValueResponse<LedgerContext>> {
        if self.host.resting_since_ms.is_some() {
            return None;
        }
        let height = self.host.start.height;
        self.host.sync_values = self.host.sync_values.split_off(&height);
        self.host.sync_values.remove(&height)
    }

    /// A frame has arrived.
    ///
    /// # Errors
    /// When the node cannot go on. Frames of honest peers always decode.
    pub fn receive(&mut self, from: usize, sender: PeerId, frame: Frame) -> Result<(), Stopped> {
        let refused = |error: yilian_node::consensus::codec::CodecError| Stopped(error.to_string());
        match frame {
            Frame::Consensus(bytes) => {
                let message: SignedConsensusMsg<LedgerContext> =
                    LedgerCodec.decode(bytes).map_err(refused)?;
                self.host.heard_of(message.height().ledger());
                self.host.later(match message {
                    SignedConsensusMsg::Vote(vote) => Input::Vote(vote),
                    SignedConsensusMsg::Proposal(proposal) => Input::Proposal(proposal),
                });
            }
            Frame::Liveness(bytes) => {
                let (height, input) = match LedgerCodec.decode(bytes).map_err(refused)? {
                    LivenessMsg::Vote(vote) => (vote.height, Input::Vote(vote)),
                    LivenessMsg::PolkaCertificate(polka) => (polka.height, Input::PolkaCertificate(polka)),
                    LivenessMsg::SkipRoundCertificate(skip) => (skip.height, Input::RoundCertificate(skip)),
                };
                self.host.heard_of(height.ledger());
                self.host.later(input);
            }
            Frame::Part(bytes) => self.part(&bytes)?,
            Frame::Status(bytes) => {
                let tip = decode_status(&bytes).map_err(refused)?.tip.ledger();
                self.host.heard_of(tip);
                self.ask(from, tip)?;
            }
            Frame::Work(bytes) => {
                let height = decode_work(&bytes).map_err(refused)?;
                self.host.heard_of(height);
            }
            Frame::Transactions(bytes) => {
                self.host.mempool.gossip_now(sender, bytes);
            }
            Frame::SyncRequest(bytes) => {
                let request: Request<LedgerContext> = LedgerCodec.decode(bytes).map_err(refused)?;
                self.serve(from, request)?;
            }
            Frame::SyncResponse(bytes) => {
                let response: Response<LedgerContext> = LedgerCodec.decode(bytes).map_err(refused)?;
                self.served(sender, response)?;
            }
        }
        self.settle()
    }

    fn part(&mut self, bytes: &Bytes) -> Result<(), Stopped> {
        // A part of a height that is over or not near is refused; that is no fault of the sender's.
        let Ok(Some(complete)) = self.host.assembler.accept(bytes) else { return Ok(()) };
        self.host.heard_of(complete.manifest.height);
        if let Some(value) = self.host.received(complete)? {
            self.host.later(Input::ProposedValue(value, ValueOrigin::Consensus));
        }
        Ok(())
    }

    /// Asks a peer for blocks that this node lacks.
    fn ask(&mut self, peer: usize, tip: Height) -> Result<(), Stopped> {
        let next = self.host.start.height;
        if tip < next || self.host.now_ms < self.sync_until_ms {
            return Ok(());
        }
        self.sync_until_ms = self.host.now_ms + SYNC_PATIENCE_MS;
        let last = tip.min(Height(next.0 + SYNC_BATCH as u64 - 1));
        let range = EngineHeight::from(next)..=EngineHeight::from(last);
        let request: Request<LedgerContext> = Request::ValueRequest(ValueRequest::new(range));
        let bytes = LedgerCodec.encode(&request).map_err(|error| Stopped(error.to_string()))?;
        self.host.send(peer, Frame::SyncRequest(bytes));
        Ok(())
    }

    fn serve(&mut self, peer: usize, request: Request<LedgerContext>) -> Result<(), Stopped> {
        let Request::ValueRequest(request) = request;
        let start = *request.range.start();
        let heights = start.ledger()..=request.range.end().ledger();
        let blocks = self.host.ledger.decided(heights, SYNC_RESPONSE_BYTES_MAX / 2)?;
        let value = |block: yilian_node::application::DecidedBlock| -> RawDecidedValue<LedgerContext> {
            RawDecidedValue::new(block.bytes.into(), extended_certificate(&block.certificate))
        };
        let values = blocks.into_iter().map(value).collect();
        let response: Response<LedgerContext> = Response::ValueResponse(ValueResponse::new(start, values));
        let bytes = LedgerCodec.encode(&response).map_err(|error| Stopped(error.to_string()))?;
        self.host.send(peer, Frame::SyncResponse(bytes));
        Ok(())
    }

    fn served(&mut self, sender: PeerId, response: Response<LedgerContext>) -> Result<(), Stopped> {
        let Response::ValueResponse(response) = response;
        self.sync_until_ms = 0;
        let peer = EnginePeer::from_bytes(&sender.to_bytes()).map_err(|error| Stopped(error.to_string()))?;
        for value in response.values {
            self.host.sync_values.insert(value.height().ledger(), value.to_core(peer));
        }
        Ok(())
    }

    /// A timer has run out.
    ///
    /// # Errors
    /// When the node cannot go on.
    pub fn timer(&mut self, token: u64) -> Result<(), Stopped> {
        if let Some(timeout) = self.host.take_timer(token) {
            self.process(Input::TimeoutElapsed(timeout))?;
        }
        self.settle()
    }

    /// Once a second: the mempool is maintained, and the peers hear of this node's tip.
    ///
    /// # Errors
    /// When the node cannot go on.
    pub fn tick(&mut self) -> Result<(), Stopped> {
        self.host.mempool.maintain();
        let tip = self.host.ledger.tip().height.into();
        let lowest = self.host.ledger.lowest_height()?.into();
        let status = encode_status(StatusMessage { tip, lowest });
        self.host.broadcast(Frame::Status(status));
        self.settle()
    }

    /// Where the core stands, for the trace.
    pub fn position(&self) -> String {
        let resting = if self.host.resting_since_ms.is_some() { ", resting" } else { "" };
        format!("height {} round {}{resting}", self.core.height(), self.core.round())
    }
}
