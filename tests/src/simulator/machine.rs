//! One running node: the engine's pure core and everything around it, stepped by whoever holds it.
//!
//! Every step ends with [`Machine::settle`], which carries on until the node has nothing left to do by itself. What it
//! wants sent and waited for then stands in [`Host::outputs`].

use std::ops::RangeInclusive;

use arc_malachitebft_app_channel::app::consensus::{Params, SignedConsensusMsg};
use arc_malachitebft_app_channel::app::metrics::Metrics;
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_app_channel::app::types::{PeerId as EnginePeer, ValuePayload};
use arc_malachitebft_core_consensus::{Input, LivenessMsg, State, process};
use arc_malachitebft_sync::{Request, Response, ValueRequest, ValueResponse};
use bytes::Bytes;
use engine::{ValueOrigin, VoteExtensionPolicy};
use yilian_node::application::{Application as _, DecidedBlocks as _};
use yilian_node::base::clock::Clock as _;
use yilian_node::consensus::codec::{
    CodecError, LedgerCodec, StatusMessage, decode_status, decode_work, encode_status, encode_work,
};
use yilian_node::consensus::context::{EngineHeight, LedgerContext};
use yilian_node::consensus::intake::Refusal;
use yilian_node::consensus::pacing::Pace;
use yilian_node::consensus::proposal::CompleteProposal;
use yilian_node::consensus::serving::decided_values;
use yilian_node::mempool::GossipOutcome;
use yilian_node::network::PeerId;
use yilian_node::network::limits::SYNC_BATCH;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::InstitutionId;

use super::effects::encoded;
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
    asked: Option<Asked>,
    wake_at_ms: Option<u64>,
}

/// A request for decided blocks that is not answered yet.
struct Asked {
    peer: usize,
    heights: RangeInclusive<Height>,
    until_ms: u64,
}

/// From whom a frame comes.
pub struct Sender {
    /// The node's place in the run.
    pub index: usize,
    /// Its name in the network.
    pub peer: PeerId,
    /// Whose node it is.
    pub institution: InstitutionId,
}

/// Why a frame came to nothing.
enum Fault {
    /// It cannot be read.
    Sender(CodecError),
    /// It is not taken in.
    Refused(Refusal),
    /// The node cannot go on.
    Node(Stopped),
}

impl From<CodecError> for Fault {
    fn from(error: CodecError) -> Self {
        Self::Sender(error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Stopped> for Fault {
    fn from(stopped: Stopped) -> Self {
        Self::Node(stopped)
    }
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
        let height = EngineHeight::from(host.start().height);
        let validators = (**host.participant.validators()).clone();
        let core = State::new(LedgerContext, height, validators, parameters, QUEUED_HEIGHTS, QUEUED_INPUTS);
        let metrics = Metrics::new();
        let mut machine = Self { core, metrics, host, asked: None, wake_at_ms: None };
        machine.start_height()?;
        machine.settle()?;
        Ok(machine)
    }

    fn start_height(&mut self) -> Result<(), Stopped> {
        let height = self.host.start().height;
        let mut entries = self.host.log.begin(height);
        if !self.host.participant.is_validator() {
            entries.clear();
        }
        let validators = (**self.host.participant.validators()).clone();
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
        while !self.host.power.is_gone() {
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
        let heard = host.heights.heard(host.participant.validators());
        match host.participant.pace(host.now_ms, since_ms, &heard) {
            Pace::Start { announce } => {
                host.resting_since_ms = None;
                if announce {
                    let notice = encode_work(host.start().height);
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
        let height = self.host.start().height;
        self.host.sync_values = self.host.sync_values.split_off(&height);
        let (peer, value) = self.host.sync_values.remove(&height)?;
        self.host.sync_peer = Some(peer);
        Some(value)
    }

    /// A frame has arrived. One that cannot be read is refused, see [`Host::refusals`].
    ///
    /// # Errors
    /// When the node cannot go on.
    pub fn receive(&mut self, from: &Sender, frame: Frame) -> Result<(), Stopped> {
        self.host.heights.connected(from.peer, from.institution.clone());
        match self.take(from, frame) {
            Ok(()) | Err(Fault::Refused(Refusal::Idle)) => {}
            Err(Fault::Refused(Refusal::Offence(offence))) => {
                self.host.refusals.push((from.index, offence.says().to_owned()));
            }
            Err(Fault::Sender(error)) => self.host.refusals.push((from.index, error.to_string())),
            Err(Fault::Node(stopped)) => return Err(stopped),
        }
        self.host.signed_elsewhere.extend(self.host.intake.signed_elsewhere());
        for proposal in self.host.intake.newly_attested() {
            self.proposed(proposal)?;
        }
        self.settle()
    }

    fn take(&mut self, from: &Sender, frame: Frame) -> Result<(), Fault> {
        match frame {
            Frame::Consensus(bytes) => self.consensus(from, bytes)?,
            Frame::Liveness(bytes) => self.liveness(from, bytes)?,
            Frame::Part(bytes) => {
                let accepted = self.host.assembler.accept(&from.institution, &bytes);
                let complete = accepted.map_err(|error| Refusal::from(&error))?;
                if let Some(complete) = complete {
                    self.host.heights.signed(&from.peer, complete.manifest.height);
                    let complete = self.host.intake.completed(complete);
                    self.proposed(complete)?;
                }
            }
            Frame::Status(bytes) => {
                let tip = decode_status(&bytes)?.0.tip.ledger();
                self.host.heights.status(&from.peer, tip);
                self.ask(from.index, tip)?;
            }
            Frame::Work(bytes) => self.host.heights.work(&from.peer, decode_work(&bytes)?),
            Frame::Transactions(bytes) => match self.host.mempool.gossip_now(from.peer, bytes) {
                GossipOutcome::Muted => {
                    let reason = "too many transactions that do not verify".to_owned();
                    self.host.refusals.push((from.index, reason));
                }
                GossipOutcome::Queued | GossipOutcome::PeerBusy | GossipOutcome::NodeBusy => {}
            },
            Frame::SyncRequest(bytes) => {
                let request: Request<LedgerContext> = LedgerCodec.decode(bytes)?;
                self.serve(from.index, request)?;
            }
            Frame::SyncResponse(bytes) => {
                let response: Response<LedgerContext> = LedgerCodec.decode(bytes)?;
                self.served(from, response)?;
            }
        }
        Ok(())
    }

    fn consensus(&mut self, from: &Sender, bytes: Bytes) -> Result<(), Fault> {
        let message: SignedConsensusMsg<LedgerContext> = LedgerCodec.decode(bytes)?;
        let (host, height) = (&mut self.host, message.height().ledger());
        match &message {
            SignedConsensusMsg::Vote(vote) => host.intake.vote(&from.institution, vote, host.now_ms)?,
            SignedConsensusMsg::Proposal(proposal) => host.intake.proposal(&from.institution, proposal)?,
        };
        host.heights.signed(&from.peer, height);
        host.later(match message {
            SignedConsensusMsg::Vote(vote) => Input::Vote(vote),
            SignedConsensusMsg::Proposal(proposal) => Input::Proposal(proposal),
        });
        Ok(())
    }

    fn liveness(&mut self, from: &Sender, bytes: Bytes) -> Result<(), Fault> {
        let (host, institution) = (&mut self.host, &from.institution);
        let (height, input) = match LedgerCodec.decode(bytes)? {
            LivenessMsg::Vote(vote) => {
                host.intake.vote(institution, &vote, host.now_ms)?;
                (vote.height, Input::Vote(vote))
            }
            LivenessMsg::PolkaCertificate(polka) => {
                host.intake.polka(institution, &polka, host.now_ms)?;
                (polka.height, Input::PolkaCertificate(polka))
            }
            LivenessMsg::SkipRoundCertificate(skip) => {
                host.intake.round_certificate(institution, &skip, host.now_ms)?;
                (skip.height, Input::RoundCertificate(skip))
            }
        };
        host.heights.signed(&from.peer, height.ledger());
        host.later(input);
        Ok(())
    }

    /// A proposal has arrived in full.
    fn proposed(&mut self, complete: CompleteProposal) -> Result<(), Stopped> {
        let now_ms = self.host.clock.now_ms();
        if let Some(value) = self.host.participant.received(complete, now_ms)? {
            self.host.participant.proposal_came(&value, now_ms);
            self.host.later(Input::ProposedValue(value, ValueOrigin::Consensus));
        }
        Ok(())
    }

    /// Asks a peer for blocks that this node lacks.
    fn ask(&mut self, peer: usize, tip: Height) -> Result<(), Stopped> {
        let next = self.host.start().height;
        let waits = self.asked.as_ref().is_some_and(|asked| self.host.now_ms < asked.until_ms);
        if tip < next || waits || self.host.distrusted.contains(&peer) {
            return Ok(());
        }
        let last = tip.min(Height(next.0 + SYNC_BATCH as u64 - 1));
        self.asked =
            Some(Asked { peer, heights: next..=last, until_ms: self.host.now_ms + SYNC_PATIENCE_MS });
        let range = EngineHeight::from(next)..=EngineHeight::from(last);
        let request: Request<LedgerContext> = Request::ValueRequest(ValueRequest::new(range));
        self.host.send(peer, Frame::SyncRequest(encoded(&request)?));
        Ok(())
    }

    fn serve(&mut self, peer: usize, request: Request<LedgerContext>) -> Result<(), Stopped> {
        let Request::ValueRequest(request) = request;
        let values = decided_values(&self.host.ledger().blocks(), &request.range)?;
        let response = ValueResponse::new(*request.range.start(), values);
        let response: Response<LedgerContext> = Response::ValueResponse(response);
        self.host.send(peer, Frame::SyncResponse(encoded(&response)?));
        Ok(())
    }

    /// Takes what a peer was asked for; anything else is dropped.
    fn served(&mut self, from: &Sender, response: Response<LedgerContext>) -> Result<(), Stopped> {
        let Response::ValueResponse(response) = response;
        let Some(asked) = self.asked.take_if(|asked| asked.peer == from.index) else { return Ok(()) };
        let peer =
            EnginePeer::from_bytes(&from.peer.to_bytes()).map_err(|error| Stopped(error.to_string()))?;
        for value in response.values.into_iter().take(SYNC_BATCH) {
            let height = value.height().ledger();
            if asked.heights.contains(&height) {
                self.host.sync_values.insert(height, (from.index, value.to_core(peer)));
            }
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
        let tip = self.host.ledger().tip().height.into();
        let lowest = self.host.ledger().blocks().lowest_height()?.into();
        let status = encode_status(StatusMessage { tip, lowest }, self.host.clock.now_ms());
        self.host.broadcast(Frame::Status(status));
        self.settle()
    }

    /// Where the core stands, for the trace.
    pub fn position(&self) -> String {
        let resting = if self.host.resting_since_ms.is_some() { ", resting" } else { "" };
        format!("height {} round {}{resting}", self.core.height(), self.core.round())
    }
}
