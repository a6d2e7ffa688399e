//! Drives the application with the engine's messages: one thread, one loop, one writer.
//!
//! The loop runs on a thread of its own, because building, executing and committing block for long; its small
//! runtime only waits. Between heights it rests, see [`super::pacing`]. An error of the application ends the loop
//! and with it the node: the engine is never answered with "restart this height", which would wipe its log.

mod proposals;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_malachitebft_app_channel::app::consensus::VoteExtensionError;
use arc_malachitebft_app_channel::app::engine::host::{HeightParams, Next};
use arc_malachitebft_app_channel::app::types::MisbehaviorEvidence;
use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_app_channel::app::types::sync::RawDecidedValue;
use arc_malachitebft_app_channel::{AppMsg, Reply};
use tokio::sync::{mpsc, oneshot, watch};
use yilian_spec::height::Height;
use yilian_spec::id::ChainId;
use yilian_spec::signature::{PublicKey, SecretKey};

use super::assembler::Window;
use super::certificate::{extended_certificate, spec_certificate};
use super::codec::encode_work;
use super::context::{EngineHeight, LedgerContext, ValidatorSet};
use super::engine::ConsensusError;
use super::pacing::{Pace, Pacer, Situation};
use super::proposal::CompleteProposal;
use super::status::{ConsensusStatus, Phase};
use super::timeouts::EngineTimeouts;
use crate::application::{Application, Misbehaviour, MisbehaviourKind, StartPoint};
use crate::network::limits::SYNC_RESPONSE_BYTES_MAX;
use crate::network::{NetworkHandle, Topic};

/// What remains of a sync response for lengths and certificates.
const SYNC_OVERHEAD_BYTES: usize = 1024 * 1024;

type Message = AppMsg<LedgerContext>;

/// Everything the driver is connected to.
pub struct Links {
    /// Messages of the engine.
    pub messages: mpsc::Receiver<Message>,
    /// For parts and work notices.
    pub network: NetworkHandle,
    /// Changes whenever the application may have got work.
    pub work: watch::Receiver<usize>,
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
    /// The last height for whose round 0 a valid block was received.
    proposed: Option<Height>,
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
        let (resting, early, synced, proposed) = (None, Vec::new(), None, None);
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
            proposed,
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
        let mut work_is_told = true;
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
                changed = self.links.work.changed(), if work_is_told => work_is_told = changed.is_ok(),
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
            proposed: self.proposed == Some(self.start.height)
                || self.early.iter().any(|early| self.opens(early)),
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
                // Before the engine says anything in the new round, since it waits for the answer.
                self.links.network.clear_standing().await?;
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

    /// Whether a proposal is that of round 0 of the next height by the proposer whose turn it is.
    fn opens(&self, proposal: &CompleteProposal) -> bool {
        let manifest = &proposal.manifest;
        let turn = self.validators.proposer(self.start.height.into(), 0);
        let signed_by_turn = *engine::Validator::public_key(turn) == manifest.proposer;
        manifest.height == self.start.height && manifest.round == 0 && signed_by_turn
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

fn misbehaviour(height: Height, evidence: &MisbehaviorEvidence<LedgerContext>) -> Vec<Misbehaviour> {
    let entry = |validator: PublicKey, kind| Misbehaviour { validator, height, kind };
    let votes = evidence.votes.iter().map(|(voter, _)| entry(voter.0, MisbehaviourKind::DoubleVote));
    let proposals =
        evidence.proposals.iter().map(|(proposer, _)| entry(proposer.0, MisbehaviourKind::DoubleProposal));
    votes.chain(proposals).collect()
}
