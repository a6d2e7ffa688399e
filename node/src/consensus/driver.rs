//! Drives a [`Participant`] with the engine's messages: one thread, one loop, one writer.
//!
//! The loop runs on a thread of its own, because building, executing and committing block for long; its small
//! runtime only waits. Between heights it rests, see [`super::pacing`]. An error of the application ends the loop
//! and with it the node: the engine is never answered with "restart this height", which would wipe its log.

use std::time::{Duration, Instant};

use arc_malachitebft_app_channel::app::consensus::VoteExtensionError;
use arc_malachitebft_app_channel::app::engine::host::{HeightParams, Next};
use arc_malachitebft_app_channel::app::types::ProposedValue;
use arc_malachitebft_app_channel::app::types::core::CommitCertificate;
use arc_malachitebft_app_channel::{AppMsg, Reply};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use yilian_spec::base::id::ChainId;
use yilian_spec::crypto::signature::SecretKey;

use super::assembler::Window;
use super::codec::encode_work;
use super::context::{EngineHeight, LedgerContext};
use super::engine::ConsensusError;
use super::heights::Heard;
use super::own_key::OwnKey;
use super::pacing::Pace;
use super::participant::Participant;
use super::status::{ConsensusStatus, Phase};
use super::timeouts::EngineTimeouts;
use crate::application::{Application, ApplicationError, DecidedBlocks as _};
use crate::base::clock::{Clock as _, SystemClock};
use crate::conduct::Conduct;
use crate::network::{NetworkHandle, Topic};

type Message = AppMsg<LedgerContext>;

/// Everything the driver is connected to.
pub struct Links {
    /// Messages of the engine.
    pub messages: mpsc::Receiver<Message>,
    /// For parts and work notices.
    pub network: NetworkHandle,
    /// Changes whenever the application may have got work.
    pub work: watch::Receiver<usize>,
    /// What the peers say of the ledger's height.
    pub heard: watch::Receiver<Heard>,
    /// The height being decided, for the assembler.
    pub window: watch::Sender<Option<Window>>,
    /// For health and metrics.
    pub status: watch::Sender<ConsensusStatus>,
    /// The validator's key, with what is signed with it here.
    pub own: Option<OwnKey>,
    /// Where it is told that another process signs with it.
    pub conduct: Conduct,
    /// Why decided blocks cannot be read for peers, if so.
    pub failed: mpsc::Receiver<ApplicationError>,
    /// Asks the loop to end after the call it is in.
    pub stop: oneshot::Receiver<()>,
}

/// The driver's state.
pub struct Driver<A> {
    participant: Participant<A>,
    links: Links,
    clock: Instant,
    resting: Option<Resting>,
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
        application: A,
        chain_id: ChainId,
        key: Option<SecretKey>,
        heartbeat_ms: u64,
        links: Links,
    ) -> Result<Self, ConsensusError> {
        let participant = Participant::new(application, chain_id, key, heartbeat_ms)?;
        if let Some(own) = &links.own {
            own.begins(participant.start().height);
        }
        let driver = Self { participant, links, clock: Instant::now(), resting: None };
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
                Some(error) = self.links.failed.recv() => return Err(error.into()),
                changed = self.links.work.changed(), if work_is_told => work_is_told = changed.is_ok(),
                changed = self.links.heard.changed() => {
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
        let Some(Resting { since_ms, .. }) = self.resting else { return Ok(None) };
        let now_ms = self.now_ms();
        let pace = self.participant.pace(now_ms, since_ms, &self.links.heard.borrow());
        let announce = match pace {
            Pace::WaitUntil { at_ms } => return Ok(Some(at_ms)),
            Pace::Start { announce } => announce,
        };
        let Some(resting) = self.resting.take() else { return Ok(None) };
        let (height, parameters) = self.height_parameters();
        if announce {
            // A full queue means that the peers hear enough of us already.
            self.links.network.try_broadcast(Topic::Work, encode_work(height.ledger()));
        }
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
                self.set_phase(Phase::Deciding { round: round.as_u32().unwrap_or(0) });
                let values = self.participant.started_round(height, round, SystemClock.now_ms())?;
                self.note_proposals(&values);
                self.publish_window();
                answer(reply_value, values);
            }
            AppMsg::GetValue { height, round, reply, .. } => {
                if let Some(own) = self.participant.value_to_propose(height, round, SystemClock.now_ms())? {
                    self.stream(own.parts).await?;
                    answer(reply, own.value);
                }
            }
            AppMsg::RestreamProposal { height, round, valid_round, value_id, .. } => {
                let parts = self.participant.parts_again(height, round, valid_round, value_id)?;
                self.stream(parts).await?;
            }
            AppMsg::GetHistoryMinHeight { reply } => {
                let lowest = self.participant.application().blocks().lowest_height()?;
                answer(reply, lowest.into());
            }
            AppMsg::ReceivedProposalPart { part, reply, .. } => {
                let value = match part.content.into_data() {
                    Some(complete) => self.participant.received(complete, SystemClock.now_ms())?,
                    None => None,
                };
                self.note_proposals(value.as_slice());
                answer(reply, value);
            }
            AppMsg::Decided { certificate, reply, .. } => {
                self.watch_own_key(&certificate);
                self.participant.commit(&certificate)?;
                self.links.status.send_modify(|status| status.committed(certificate.height.ledger()));
                answer(reply, ());
            }
            AppMsg::Finalized { evidence, reply, .. } => {
                self.participant.finalized(&evidence)?;
                self.publish_window();
                self.set_phase(Phase::Resting);
                self.resting = Some(Resting { since_ms: self.now_ms(), reply });
            }
            // Peers ask beside the engine, see `super::serving`; this does not occur.
            AppMsg::GetDecidedValues { reply, .. } => answer(reply, Vec::new()),
            AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply } => {
                let outcome = self.participant.synced_value(height, round, proposer, &value_bytes)?;
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

    /// Notes how long proposals took that the engine hears of now.
    fn note_proposals(&mut self, values: &[ProposedValue<LedgerContext>]) {
        for value in values {
            self.participant.proposal_came(value, SystemClock.now_ms());
        }
    }

    fn watch_own_key(&self, certificate: &CommitCertificate<LedgerContext>) {
        let Some(own) = &self.links.own else { return };
        let validators = self.participant.validators();
        if !own.is_foreign_commit(certificate, validators) {
            return;
        }
        if let Some(validator) = validators.get(&own.key()) {
            let height = certificate.height.ledger();
            self.links.conduct.own_key_elsewhere(validator.institution().clone(), height);
        }
    }

    /// Sends the parts of a proposal, also to peers that connect within the round.
    async fn stream(&self, parts: Vec<Bytes>) -> Result<(), ConsensusError> {
        for part in parts {
            self.links.network.broadcast_standing(Topic::Part, part).await?;
        }
        Ok(())
    }

    fn height_parameters(&self) -> (EngineHeight, HeightParams<LedgerContext>) {
        let start = self.participant.start();
        let parameters = HeightParams::new(
            (**self.participant.validators()).clone(),
            EngineTimeouts(self.participant.timeouts()),
            start.target_time_ms.map(Duration::from_millis),
        );
        (start.height.into(), parameters)
    }

    fn publish_window(&self) {
        self.links.window.send_replace(Some(self.participant.window()));
    }

    fn set_phase(&self, phase: Phase) {
        let (height, is_validator) = (self.participant.start().height, self.participant.is_validator());
        self.links.status.send_modify(|status| status.enter(height, phase, is_validator));
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
