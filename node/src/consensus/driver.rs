//! Drives the application with the engine's messages: one thread, one loop, one writer.
//!
//! The loop runs on a thread of its own, because building, executing and committing block for long; its small
//! runtime only waits. Between heights it rests, see [`super::pacing`]. An error of the application ends the loop
//! and with it the node: the engine is never answered with "restart this height", which would wipe its log.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_malachitebft_app_channel::app::consensus::VoteExtensionError;
use arc_malachitebft_app_channel::app::engine::host::{HeightParams, Next, SyncedValueOutcome};
use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_app_channel::app::types::sync::RawDecidedValue;
use arc_malachitebft_app_channel::app::types::{LocallyProposedValue, MisbehaviorEvidence, ProposedValue};
use arc_malachitebft_app_channel::{AppMsg, Reply};
use bytes::Bytes;
use engine::{Round, Validity};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use yilian_spec::height::Height;
use yilian_spec::id::{BlockId, ChainId};
use yilian_spec::signature::{PublicKey, SecretKey};

use super::assembler::Window;
use super::certificate::{extended_certificate, spec_certificate};
use super::codec::encode_work;
use super::context::{Address, EngineHeight, LedgerContext, ValidatorSet, Value};
use super::engine::ConsensusError;
use super::pacing::{Pace, Pacer, Situation};
use super::proposal::{CompleteProposal, ProposalPosition, split};
use super::status::{ConsensusStatus, Phase};
use super::timeouts::EngineTimeouts;
use crate::application::{
    Application, Arrival, Candidate, Misbehaviour, MisbehaviourKind, StartPoint, UndecidedBlock, Verdict,
};
use crate::network::limits::SYNC_RESPONSE_BYTES_MAX;
use crate::network::{NetworkHandle, Topic};

/// Complete proposals for the next height that are kept until it starts.
const EARLY_PROPOSALS_MAX: usize = 8;
/// What remains of a sync response for lengths and certificates.
const SYNC_OVERHEAD_BYTES: usize = 1024 * 1024;

type Message = AppMsg<LedgerContext>;

/// Everything the driver is connected to.
pub struct Links {
    /// Messages of the engine.
    pub messages: mpsc::Receiver<Message>,
    /// For parts and work notices.
    pub network: NetworkHandle,
    /// Told whenever the application may have got work.
    pub work: Arc<Notify>,
    /// See [`super::bridge::EventPump::peer_height`].
    pub peer_height: watch::Receiver<Height>,
    /// The height being decided, for the assembler.
    pub window: watch::Sender<Option<Window>>,
    /// For health and metrics.
    pub status: watch::Sender<ConsensusStatus>,
    /// Asks the loop to end after the call it is in.
    pub stop: oneshot::Receiver<()>,
}

/// The driver's state.
pub struct Driver<A> {
    application: A,
    chain_id: ChainId,
    key: Option<SecretKey>,
    links: Links,
    clock: Instant,
    pacer: Pacer,
    start: StartPoint,
    validators: Arc<ValidatorSet>,
    resting: Option<Resting>,
    early: Vec<CompleteProposal>,
    /// The last height whose block came by value sync.
    synced: Option<Height>,
}

struct Resting {
    since_ms: u64,
    reply: Reply<Next<LedgerContext>>,
}

impl<A: Application> Driver<A> {
    /// Reads where the ledger stands.
    ///
    /// # Errors
    /// When the application cannot start.
    pub fn new(
        mut application: A,
        chain_id: ChainId,
        key: Option<SecretKey>,
        heartbeat_ms: u64,
        links: Links,
    ) -> Result<Self, ConsensusError> {
        let start = application.start()?;
        let validators = Arc::new(ValidatorSet::new(&start));
        let pacer = Pacer::new(heartbeat_ms, 0);
        let clock = Instant::now();
        let (resting, early, synced) = (None, Vec::new(), None);
        let driver = Self {
            application,
            chain_id,
            key,
            links,
            clock,
            pacer,
            start,
            validators,
            resting,
            early,
            synced,
        };
        driver.publish_window();
        Ok(driver)
    }

    /// Runs until the engine ends, `stop` is told, or the application fails. Blocks while the application works,
    /// so it belongs on a thread of its own.
    ///
    /// # Errors
    /// When the application fails or the engine ends unasked.
    pub async fn run(mut self) -> Result<(), ConsensusError> {
        let ended = self.drive().await;
        self.set_phase(Phase::Stopped);
        ended
    }

    async fn drive(&mut self) -> Result<(), ConsensusError> {
        loop {
            let wake = self.release()?;
            let wake = wake.map(|at_ms| self.clock + Duration::from_millis(at_ms));
            let wake = wake.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                biased;
                _ = &mut self.links.stop => return Ok(()),
                message = self.links.messages.recv() => match message {
                    Some(message) => self.on_message(message).await?,
                    None => return Err(ConsensusError::EngineEnded),
                },
                () = self.links.work.notified() => {}
                changed = self.links.peer_height.changed() => {
                    if changed.is_err() {
                        return Err(ConsensusError::EngineEnded);
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    /// Starts the next height if it is time; otherwise says when to look again.
    fn release(&mut self) -> Result<Option<u64>, ConsensusError> {
        let Some(resting) = &self.resting else { return Ok(None) };
        let situation = Situation {
            now_ms: self.now_ms(),
            since_ms: resting.since_ms,
            next: self.start.height,
            peer_height: *self.links.peer_height.borrow(),
            own_work: self.application.has_work(),
            catching_up: self.synced.is_some_and(|height| height.next() == self.start.height),
        };
        let announce = match self.pacer.decide(situation) {
            Pace::WaitUntil { at_ms } => return Ok(Some(at_ms)),
            Pace::Start { announce } => announce,
        };
        let Some(resting) = self.resting.take() else { return Ok(None) };
        if announce {
            // A full queue means that the peers hear enough of us already.
            self.links.network.try_broadcast(Topic::Work, encode_work(self.start.height));
        }
        let (height, parameters) = self.height_parameters();
        if resting.reply.send(Next::Start(height, parameters)).is_err() {
            return Err(ConsensusError::EngineEnded);
        }
        self.set_phase(Phase::Deciding { round: 0 });
        Ok(None)
    }

    async fn on_message(&mut self, message: Message) -> Result<(), ConsensusError> {
        match message {
            AppMsg::ConsensusReady { reply } => {
                self.set_phase(Phase::Deciding { round: 0 });
                let parameters = self.height_parameters();
                answer(reply, parameters);
            }
            AppMsg::StartedRound { height, round, reply_value, .. } => {
                let values = self.started_round(height, round)?;
                answer(reply_value, values);
            }
            AppMsg::GetValue { height, round, reply, .. } => {
                if let Some(value) = self.value_to_propose(height, round).await? {
                    answer(reply, value);
                }
            }
            AppMsg::RestreamProposal { height, round, valid_round, value_id, .. } => {
                self.restream(height, round, valid_round, value_id).await?;
            }
            AppMsg::GetHistoryMinHeight { reply } => {
                let lowest = self.application.lowest_height()?;
                answer(reply, lowest.into());
            }
            AppMsg::ReceivedProposalPart { part, reply, .. } => {
                let value = match part.content.into_data() {
                    Some(complete) => self.received(complete)?,
                    None => None,
                };
                answer(reply, value);
            }
            AppMsg::Decided { certificate, reply, .. } => {
                self.commit(&certificate)?;
                answer(reply, ());
            }
            AppMsg::Finalized { evidence, reply, .. } => self.finalized(&evidence, reply)?,
            AppMsg::GetDecidedValues { range, reply } => {
                let heights = range.start().ledger()..=range.end().ledger();
                let bytes_max = SYNC_RESPONSE_BYTES_MAX - SYNC_OVERHEAD_BYTES;
                let blocks = self.application.decided(heights, bytes_max)?;
                let values = blocks.into_iter().map(|block| {
                    RawDecidedValue::new(block.bytes.into(), extended_certificate(&block.certificate))
                });
                answer(reply, values.collect());
            }
            AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply } => {
                let outcome = self.synced_value(height, round, proposer, &value_bytes)?;
                answer(reply, outcome);
            }
            // Extensions are disabled at every height; these two do not occur.
            AppMsg::ExtendVote { reply, .. } => answer(reply, None),
            AppMsg::VerifyVoteExtensions { extensions, reply, .. } => {
                let refuse = |(address, ())| (address, Err(VoteExtensionError::InvalidVoteExtension));
                answer(reply, extensions.into_iter().map(refuse).collect());
            }
        }
        Ok(())
    }

    /// Gives back what was remembered for the round, and looks at what came before the height started.
    fn started_round(
        &mut self,
        height: EngineHeight,
        round: Round,
    ) -> Result<Vec<ProposedValue<LedgerContext>>, ConsensusError> {
        let number = round.as_u32().unwrap_or(0);
        self.set_phase(Phase::Deciding { round: number });
        let (due, later) = std::mem::take(&mut self.early)
            .into_iter()
            .filter(|proposal| proposal.manifest.height >= height.ledger())
            .partition(|proposal: &CompleteProposal| proposal.manifest.height == height.ledger());
        self.early = later;
        let mut invalid = Vec::new();
        for proposal in due {
            let value = self.received(proposal)?;
            invalid.extend(value.filter(|value| value.validity.is_invalid()));
        }
        let remembered = self.application.undecided(height.ledger(), Some(number))?;
        let mut values: Vec<_> = remembered.iter().map(proposed_value).collect();
        values.extend(invalid.into_iter().filter(|value| value.round == round));
        Ok(values)
    }

    /// The block to propose: the one that was built for this round before a restart, or a new one. Its parts are
    /// on their way when this returns.
    async fn value_to_propose(
        &mut self,
        height: EngineHeight,
        round: Round,
    ) -> Result<Option<LocallyProposedValue<LedgerContext>>, ConsensusError> {
        let (Some(key), Some(number)) = (self.key.clone(), round.as_u32()) else { return Ok(None) };
        if height.ledger() != self.start.height {
            return Ok(None);
        }
        let proposer = key.public_key();
        let remembered = self.application.undecided(height.ledger(), Some(number))?;
        let own = remembered.into_iter().find(|block| block.proposer == proposer);
        let block = match own {
            Some(block) => block,
            None => {
                let built = self.application.build(height.ledger(), number, wall_clock_ms())?;
                let block = UndecidedBlock {
                    height: height.ledger(),
                    round: number,
                    valid_round: None,
                    proposer,
                    block_id: built.block_id,
                    bytes: built.bytes,
                };
                self.application.remember(block.clone())?;
                block
            }
        };
        let value = Value(block.block_id);
        let position =
            ProposalPosition { height: block.height, round: number, valid_round: block.valid_round };
        self.stream(&key, position, block).await?;
        Ok(Some(LocallyProposedValue::new(height, round, value)))
    }

    /// Sends the payload of a block that is proposed again in a later round.
    async fn restream(
        &mut self,
        height: EngineHeight,
        round: Round,
        valid_round: Round,
        block_id: BlockId,
    ) -> Result<(), ConsensusError> {
        let (Some(key), Some(round)) = (self.key.clone(), round.as_u32()) else { return Ok(()) };
        let remembered = self.application.undecided(height.ledger(), None)?;
        let Some(block) = remembered.into_iter().find(|block| block.block_id == block_id) else {
            // The others hold it: two thirds of them voted for it.
            tracing::warn!(%height, %block_id, "asked to send a block again that is not held here");
            return Ok(());
        };
        let position = ProposalPosition { height: height.ledger(), round, valid_round: valid_round.as_u32() };
        self.stream(&key, position, block).await
    }

    async fn stream(
        &self,
        key: &SecretKey,
        position: ProposalPosition,
        block: UndecidedBlock,
    ) -> Result<(), ConsensusError> {
        let block_id = block.block_id;
        for part in split(self.chain_id, key, position, block_id, &Bytes::from(block.bytes)) {
            self.links.network.broadcast(Topic::Part, part).await?;
        }
        Ok(())
    }

    /// Looks at a proposal that has arrived in full.
    fn received(
        &mut self,
        proposal: CompleteProposal,
    ) -> Result<Option<ProposedValue<LedgerContext>>, ConsensusError> {
        let CompleteProposal { manifest, payload } = proposal;
        if manifest.height > self.start.height {
            if self.early.len() == EARLY_PROPOSALS_MAX {
                self.early.remove(0);
            }
            self.early.push(CompleteProposal { manifest, payload });
            return Ok(None);
        }
        let turn = self.validators.proposer(manifest.height.into(), manifest.round);
        let proposes = *engine::Validator::public_key(turn) == manifest.proposer;
        if manifest.height < self.start.height || !proposes {
            return Ok(None);
        }
        let candidate = Candidate {
            height: manifest.height,
            round: manifest.round,
            proposer: manifest.proposer,
            valid_round: manifest.valid_round,
            arrival: Arrival::Proposed { now_ms: wall_clock_ms() },
            bytes: &payload,
        };
        let block_id = manifest.block_id;
        let mut value = ProposedValue {
            height: manifest.height.into(),
            round: Round::new(manifest.round),
            valid_round: Round::from(manifest.valid_round),
            proposer: Address(manifest.proposer),
            value: Value(block_id),
            validity: Validity::Invalid,
        };
        match self.application.validate(candidate)? {
            Verdict::Valid { block_id: computed } if computed == block_id => {
                self.application.remember(UndecidedBlock {
                    height: manifest.height,
                    round: manifest.round,
                    valid_round: manifest.valid_round,
                    proposer: manifest.proposer,
                    block_id,
                    bytes: payload.to_vec(),
                })?;
                value.validity = Validity::Valid;
                Ok(Some(value))
            }
            Verdict::Invalid { block_id: Some(computed), reason } if computed == block_id => {
                tracing::warn!(height = %value.height, %block_id, proposer = %manifest.proposer, reason,
                    "a proposed block breaks the rules");
                Ok(Some(value))
            }
            // The payload is not what the manifest says, so nothing is known about the block that was named.
            verdict => {
                tracing::warn!(height = %value.height, %block_id, proposer = %manifest.proposer, ?verdict,
                    "a proposal's payload is not the block it names");
                Ok(None)
            }
        }
    }

    fn commit(
        &mut self,
        certificate: &engine::CommitCertificate<LedgerContext>,
    ) -> Result<(), ConsensusError> {
        let certificate = spec_certificate(certificate).ok_or(ConsensusError::EngineEnded)?;
        self.application.commit(&certificate)?;
        self.links.status.send_modify(|status| status.committed(certificate.height));
        Ok(())
    }

    /// Prepares the next height and rests until it is time.
    fn finalized(
        &mut self,
        evidence: &MisbehaviorEvidence<LedgerContext>,
        reply: Reply<Next<LedgerContext>>,
    ) -> Result<(), ConsensusError> {
        let seen = misbehaviour(self.start.height, evidence);
        if !seen.is_empty() {
            self.application.misbehaved(&seen);
        }
        self.start = self.application.start()?;
        self.validators = Arc::new(ValidatorSet::new(&self.start));
        self.publish_window();
        self.set_phase(Phase::Resting);
        self.resting = Some(Resting { since_ms: self.now_ms(), reply });
        Ok(())
    }

    /// Checks a block that came by value sync; the engine has verified its certificate.
    fn synced_value(
        &mut self,
        height: EngineHeight,
        round: Round,
        proposer: Address,
        bytes: &Bytes,
    ) -> Result<SyncedValueOutcome<LedgerContext>, ConsensusError> {
        let number = round.as_u32().unwrap_or(0);
        if height.ledger() != self.start.height {
            return Ok(SyncedValueOutcome::LocalTransientError);
        }
        let candidate = Candidate {
            height: height.ledger(),
            round: number,
            proposer: proposer.0,
            valid_round: None,
            arrival: Arrival::Synced,
            bytes,
        };
        let (block_id, validity) = match self.application.validate(candidate)? {
            Verdict::Valid { block_id } => {
                self.application.remember(UndecidedBlock {
                    height: height.ledger(),
                    round: number,
                    valid_round: None,
                    proposer: proposer.0,
                    block_id,
                    bytes: bytes.to_vec(),
                })?;
                self.synced = Some(height.ledger());
                (block_id, Validity::Valid)
            }
            Verdict::Invalid { block_id: Some(block_id), reason } => {
                tracing::error!(%height, %block_id, reason, "a decided block breaks this node's rules; \
                    if its peers agree with each other, this node runs another version");
                (block_id, Validity::Invalid)
            }
            Verdict::Invalid { block_id: None, reason } => {
                tracing::warn!(%height, reason, "a peer served garbage in place of a block");
                return Ok(SyncedValueOutcome::PeerFault);
            }
        };
        Ok(SyncedValueOutcome::Verdict(ProposedValue {
            height,
            round,
            valid_round: Round::Nil,
            proposer,
            value: Value(block_id),
            validity,
        }))
    }

    fn height_parameters(&self) -> (EngineHeight, HeightParams<LedgerContext>) {
        let parameters = HeightParams::new(
            (*self.validators).clone(),
            EngineTimeouts(self.start.timeouts),
            self.start.target_time_ms.map(Duration::from_millis),
        );
        (self.start.height.into(), parameters)
    }

    fn publish_window(&self) {
        let window = Window { height: self.start.height, validators: Arc::clone(&self.validators) };
        self.links.window.send_replace(Some(window));
    }

    fn set_phase(&self, phase: Phase) {
        let is_validator = self.key.as_ref().is_some_and(|key| self.validators.contains(&key.public_key()));
        self.links.status.send_modify(|status| status.enter(self.start.height, phase, is_validator));
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Sends an answer; that nobody waits for it any more happens only while the engine stops.
fn answer<T>(reply: Reply<T>, value: T) {
    if reply.send(value).is_err() {
        tracing::debug!("the engine no longer waits for an answer");
    }
}

fn proposed_value(block: &UndecidedBlock) -> ProposedValue<LedgerContext> {
    ProposedValue {
        height: block.height.into(),
        round: Round::new(block.round),
        valid_round: Round::from(block.valid_round),
        proposer: Address(block.proposer),
        value: Value(block.block_id),
        validity: Validity::Valid,
    }
}

fn misbehaviour(height: Height, evidence: &MisbehaviorEvidence<LedgerContext>) -> Vec<Misbehaviour> {
    let entry = |validator: PublicKey, kind| Misbehaviour { validator, height, kind };
    let votes = evidence.votes.iter().map(|(voter, _)| entry(voter.0, MisbehaviourKind::DoubleVote));
    let proposals =
        evidence.proposals.iter().map(|(proposer, _)| entry(proposer.0, MisbehaviourKind::DoubleProposal));
    votes.chain(proposals).collect()
}

/// This node's clock in milliseconds since 1970-01-01 UTC; 0 when it stands before that.
fn wall_clock_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
