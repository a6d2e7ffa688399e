//! A running node around the engine's core: the real ledger, storage, mempool and assembler, and what the driver of a
//! real node does between them and the core, without its runtime.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_app_channel::app::types::{LocallyProposedValue, ProposedValue};
use arc_malachitebft_core_consensus::Input;
use bytes::Bytes;
use engine::{Round, Validator as _, Validity, ValueOrigin};
use tokio::sync::mpsc;
use yilian_node::application::ledger::{Ledger, LedgerOptions};
use yilian_node::application::reader::LedgerReader;
use yilian_node::application::{
    Application, ApplicationError, Arrival, Candidate, ConsensusTimeouts, StartPoint, UndecidedBlock, Verdict,
};
use yilian_node::clock::{Clock, ManualClock};
use yilian_node::consensus::assembler::{Assembler, Window};
use yilian_node::consensus::certificate::spec_certificate;
use yilian_node::consensus::context::{Address, EngineHeight, LedgerContext, ValidatorSet, Value};
use yilian_node::consensus::pacing::Pacer;
use yilian_node::consensus::proposal::{CompleteProposal, ProposalPosition, split};
use yilian_node::consensus::signing::{LedgerSigner, LedgerVerifier};
use yilian_node::mempool::Mempool;
use yilian_node::mempool::pool::PoolBounds;
use yilian_node::storage::{StorageOptions, Store};
use yilian_spec::genesis::Genesis;
use yilian_spec::height::Height;
use yilian_spec::id::{BlockId, ChainId};
use yilian_spec::signature::{PublicKey, SecretKey};

use super::frame::{Frame, Output};
use super::vote_log::VoteLog;

/// Complete proposals for the next height that are kept until it starts.
const EARLY_PROPOSALS_MAX: usize = 8;
/// Without work a height starts this often.
const HEARTBEAT_MS: u64 = 30_000;

/// Why a node cannot go on. Honest nodes on good disks never stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Stopped(pub String);

impl From<ApplicationError> for Stopped {
    fn from(error: ApplicationError) -> Self {
        Self(error.to_string())
    }
}

/// Who a node is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its position.
    pub index: usize,
    /// With which key it votes; `None` for an observer.
    pub key: Option<SecretKey>,
}

/// How a running node is made to break the rules, so that the checker is seen to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// When it should commit the block of this height, it commits another one, certified by all validators' keys.
    CommitsAnotherBlock {
        /// The node.
        node: usize,
        /// From this height on.
        height: u64,
    },
    /// When it crashes, its ledger is gone, without the consortium being told.
    LosesItsLedger {
        /// The node.
        node: usize,
    },
    /// When it crashes, its log of votes is gone.
    LosesItsVotes,
    /// It changes a transaction of a committed block on its disk after the faults have ended.
    ChangesAStoredRow {
        /// The node.
        node: usize,
    },
}

/// What the core left to do after it returned.
pub enum Pending {
    /// An input to the core.
    Input(Box<Input<LedgerContext>>),
}

/// A timer of the engine that runs.
pub struct Timer {
    /// For what.
    pub timeout: engine::Timeout,
    /// Tells it from earlier ones.
    pub token: u64,
}

/// The parts of a running node beside the core.
pub struct Host {
    /// The ledger.
    pub chain_id: ChainId,
    /// Who the node is.
    pub identity: Identity,
    /// The application.
    pub ledger: Ledger,
    /// Reads what was committed.
    pub reader: LedgerReader,
    /// The mempool.
    pub mempool: Mempool,
    /// Batches for the peers.
    pub gossip: mpsc::Receiver<Bytes>,
    /// Signs; `None` for an observer.
    pub signer: Option<LedgerSigner>,
    /// Verifies.
    pub verifier: LedgerVerifier,
    /// Puts proposals together.
    pub assembler: Assembler,
    /// The node's clock.
    pub clock: Arc<ManualClock>,
    /// The log of votes.
    pub log: VoteLog,
    /// With what the height started, or the next one will.
    pub start: StartPoint,
    /// Its validators.
    pub validators: Arc<ValidatorSet>,
    /// When to start heights.
    pub pacer: Pacer,
    /// Since when the node rests before the next height, in virtual milliseconds; `None` while it decides.
    pub resting_since_ms: Option<u64>,
    /// The highest height of which a peer has spoken.
    pub peer_height: Height,
    /// The last height whose block came by value sync.
    pub synced: Option<Height>,
    /// Whether the log of votes is being replayed.
    pub recovering: bool,
    /// Timers that run.
    pub timers: Vec<Timer>,
    /// Inputs for the core that came up while it ran.
    pub pending: VecDeque<Pending>,
    /// What the node wants sent and waited for.
    pub outputs: Vec<Output>,
    /// Decided blocks received, by height.
    pub sync_values: BTreeMap<Height, engine::ValueResponse<LedgerContext>>,
    /// Virtual time.
    pub now_ms: u64,
    /// Acts left before the power goes; `None` while it stays.
    pub acts_left: Option<u32>,
    /// Whether the power has gone in the middle of a step: nothing after it happened.
    pub dead: bool,
    /// Forges a block, if this node is sabotaged so.
    pub sabotage: Option<Sabotage>,
    /// What the run counts.
    pub counts: Counts,
    early: Vec<CompleteProposal>,
    tokens: u64,
}

/// What happened on a node, to see that the faults reach the code they are meant for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries of the log of votes replayed.
    pub replayed: u64,
    /// Blocks that came by value sync.
    pub synced: u64,
    /// Rounds after the first.
    pub later_rounds: u64,
    /// Blocks proposed again in a later round.
    pub restreamed: u64,
    /// Proposals refused.
    pub refused: u64,
}

impl Counts {
    /// Adds another node's.
    pub fn add(&mut self, other: Self) {
        self.replayed += other.replayed;
        self.synced += other.synced;
        self.later_rounds += other.later_rounds;
        self.restreamed += other.restreamed;
        self.refused += other.refused;
    }
}

impl Host {
    /// Opens the node on its disk.
    ///
    /// # Errors
    /// When the ledger does not open.
    pub fn open(
        dir: &Path,
        genesis: &Genesis,
        identity: Identity,
        clock: Arc<ManualClock>,
        log: VoteLog,
        now_ms: u64,
    ) -> Result<Self, Stopped> {
        let stopped = |error: yilian_node::storage::StorageError| Stopped(error.to_string());
        // A run has a few hundred rows; five nodes of them share one process.
        let memory = StorageOptions { block_cache_bytes: 1 << 20, write_buffers_bytes: 4 << 20 };
        let store = Store::open_or_create(dir, genesis, memory).map_err(stopped)?;
        let chain_id = store.chain_id();
        let options = LedgerOptions {
            proposer: identity.key.as_ref().map(SecretKey::public_key),
            timeouts: ConsensusTimeouts::default(),
            target_time_ms: None,
        };
        let mut ledger = Ledger::open(Arc::new(store), options).map_err(stopped)?;
        let reader = ledger.reader();
        let node_clock: Arc<dyn Clock> = clock.clone();
        let (mempool, gossip) =
            Mempool::new(reader.clone(), node_clock, ledger.timings(), PoolBounds::default());
        ledger.set_mempool(mempool.clone());
        let start = ledger.start()?;
        let validators = Arc::new(ValidatorSet::new(&start));
        let window = Window { height: start.height, validators: Arc::clone(&validators) };
        let signer = identity.key.clone().map(|key| LedgerSigner { chain_id, key });
        Ok(Self {
            chain_id,
            identity,
            ledger,
            reader,
            mempool,
            gossip,
            signer,
            verifier: LedgerVerifier { chain_id },
            assembler: Assembler::new(chain_id, window),
            clock,
            log,
            start,
            validators,
            pacer: Pacer::new(HEARTBEAT_MS, now_ms),
            resting_since_ms: None,
            peer_height: Height(0),
            synced: None,
            recovering: false,
            timers: Vec::new(),
            pending: VecDeque::new(),
            outputs: Vec::new(),
            sync_values: BTreeMap::new(),
            now_ms,
            acts_left: None,
            dead: false,
            sabotage: None,
            counts: Counts::default(),
            early: Vec::new(),
            tokens: 0,
        })
    }

    /// Whether the node has a vote at this height.
    pub fn is_validator(&self) -> bool {
        self.identity.key.as_ref().is_some_and(|key| self.validators.contains(&key.public_key()))
    }

    /// Counts one durable or visible act; false when the power has gone before it.
    pub fn act(&mut self) -> bool {
        match &mut self.acts_left {
            Some(0) => self.dead = true,
            Some(left) => *left -= 1,
            None => {}
        }
        !self.dead
    }

    /// Sends to all peers.
    pub fn broadcast(&mut self, frame: Frame) {
        if self.act() {
            self.outputs.push(Output::Broadcast(frame));
        }
    }

    /// Sends to one peer.
    pub fn send(&mut self, to: usize, frame: Frame) {
        if self.act() {
            self.outputs.push(Output::Send { to, frame });
        }
    }

    /// Starts a timer, in place of an equal one that runs.
    pub fn start_timer(&mut self, timeout: engine::Timeout, after_ms: u64) {
        self.cancel_timer(timeout);
        self.tokens += 1;
        self.timers.push(Timer { timeout, token: self.tokens });
        self.outputs.push(Output::Timer { at_ms: self.now_ms + after_ms, token: self.tokens });
    }

    /// Stops a timer.
    pub fn cancel_timer(&mut self, timeout: engine::Timeout) {
        self.timers.retain(|timer| timer.timeout != timeout);
    }

    /// The timer of a token, if it still runs; it does not any more.
    pub fn take_timer(&mut self, token: u64) -> Option<engine::Timeout> {
        let at = self.timers.iter().position(|timer| timer.token == token)?;
        Some(self.timers.remove(at).timeout)
    }

    /// Gives the core an input once it has returned.
    pub fn later(&mut self, input: Input<LedgerContext>) {
        self.pending.push_back(Pending::Input(Box::new(input)));
    }

    /// A peer has spoken of a height.
    pub fn heard_of(&mut self, height: Height) {
        self.peer_height = self.peer_height.max(height);
    }

    /// Gives back what was remembered for the round, and looks at what came before the height started.
    pub fn started_round(&mut self, height: EngineHeight, round: Round) -> Result<(), Stopped> {
        let number = round.as_u32().unwrap_or(0);
        if number > 0 {
            self.counts.later_rounds += 1;
        }
        let early = std::mem::take(&mut self.early);
        for proposal in early.into_iter().filter(|proposal| proposal.manifest.height >= height.ledger()) {
            if let Some(value) = self.received(proposal)? {
                self.later(Input::ProposedValue(value, ValueOrigin::Consensus));
            }
        }
        for block in self.ledger.undecided(height.ledger(), Some(number))? {
            self.later(Input::ProposedValue(proposed_value(&block), ValueOrigin::Consensus));
        }
        Ok(())
    }

    /// Builds or finds the block to propose, keeps it and sends its parts.
    pub fn value_to_propose(&mut self, height: EngineHeight, round: Round) -> Result<(), Stopped> {
        let (Some(key), Some(number)) = (self.identity.key.clone(), round.as_u32()) else { return Ok(()) };
        if height.ledger() != self.start.height {
            return Ok(());
        }
        let proposer = key.public_key();
        let remembered = self.ledger.undecided(height.ledger(), Some(number))?;
        let block = match remembered.into_iter().find(|block| block.proposer == proposer) {
            Some(block) => block,
            None => {
                let built = self.ledger.build(height.ledger(), number, self.clock.now_ms())?;
                let block = UndecidedBlock {
                    height: height.ledger(),
                    round: number,
                    valid_round: None,
                    proposer,
                    block_id: built.block_id,
                    bytes: built.bytes,
                };
                self.remember(block.clone())?;
                block
            }
        };
        let position =
            ProposalPosition { height: block.height, round: number, valid_round: block.valid_round };
        let value = Value(block.block_id);
        self.stream(&key, position, block);
        self.later(Input::Propose(LocallyProposedValue::new(height, round, value)));
        Ok(())
    }

    /// Sends a block's parts again for a later round.
    pub fn restream(
        &mut self,
        height: EngineHeight,
        round: Round,
        valid_round: Round,
        block_id: BlockId,
    ) -> Result<(), Stopped> {
        let (Some(key), Some(round)) = (self.identity.key.clone(), round.as_u32()) else { return Ok(()) };
        let remembered = self.ledger.undecided(height.ledger(), None)?;
        if let Some(block) = remembered.into_iter().find(|block| block.block_id == block_id) {
            self.counts.restreamed += 1;
            let position =
                ProposalPosition { height: height.ledger(), round, valid_round: valid_round.as_u32() };
            self.stream(&key, position, block);
        }
        Ok(())
    }

    fn stream(&mut self, key: &SecretKey, position: ProposalPosition, block: UndecidedBlock) {
        for part in split(self.chain_id, key, position, block.block_id, &Bytes::from(block.bytes)) {
            self.broadcast(Frame::Part(part));
        }
    }

    fn remember(&mut self, block: UndecidedBlock) -> Result<(), Stopped> {
        if self.act() {
            self.ledger.remember(block)?;
        }
        Ok(())
    }

    /// Looks at a proposal that has arrived in full.
    pub fn received(
        &mut self,
        proposal: CompleteProposal,
    ) -> Result<Option<ProposedValue<LedgerContext>>, Stopped> {
        let CompleteProposal { manifest, payload } = proposal;
        if manifest.height > self.start.height {
            if self.early.len() == EARLY_PROPOSALS_MAX {
                self.early.remove(0);
            }
            self.early.push(CompleteProposal { manifest, payload });
            return Ok(None);
        }
        let turn = self.validators.proposer(manifest.height.into(), manifest.round);
        if manifest.height < self.start.height || *turn.public_key() != manifest.proposer {
            return Ok(None);
        }
        let verdict = self.ledger.validate(Candidate {
            height: manifest.height,
            round: manifest.round,
            proposer: manifest.proposer,
            valid_round: manifest.valid_round,
            arrival: Arrival::Proposed { now_ms: self.clock.now_ms() },
            bytes: &payload,
        })?;
        match verdict {
            Verdict::Valid { block_id } if block_id == manifest.block_id => {
                let block = UndecidedBlock {
                    height: manifest.height,
                    round: manifest.round,
                    valid_round: manifest.valid_round,
                    proposer: manifest.proposer,
                    block_id,
                    bytes: payload.to_vec(),
                };
                let value = proposed_value(&block);
                self.remember(block)?;
                Ok(Some(value))
            }
            // All proposers are honest here, so nothing they propose may break a rule.
            Verdict::Valid { block_id } => {
                Err(Stopped(format!("block {block_id} arrived under the manifest of {}", manifest.block_id)))
            }
            Verdict::Invalid { reason, .. } => {
                self.counts.refused += 1;
                Err(Stopped(format!(
                    "an honest proposal of height {} was refused: {reason}",
                    manifest.height
                )))
            }
        }
    }

    /// Checks a block that came by value sync; the core has verified its certificate.
    pub fn synced_value(
        &mut self,
        value: &engine::ValueResponse<LedgerContext>,
        proposer: Address,
    ) -> Result<(), Stopped> {
        let (height, round) = (value.certificate.height, value.certificate.round);
        if height.ledger() != self.start.height {
            return Ok(());
        }
        let number = round.as_u32().unwrap_or(0);
        let verdict = self.ledger.validate(Candidate {
            height: height.ledger(),
            round: number,
            proposer: proposer.0,
            valid_round: None,
            arrival: Arrival::Synced,
            bytes: &value.value_bytes,
        })?;
        let block_id = match verdict {
            Verdict::Valid { block_id } if block_id == value.certificate.value_id => block_id,
            other => return Err(Stopped(format!("a peer's decided block {height} was refused: {other:?}"))),
        };
        let block = UndecidedBlock {
            height: height.ledger(),
            round: number,
            valid_round: None,
            proposer: proposer.0,
            block_id,
            bytes: value.value_bytes.to_vec(),
        };
        let proposed = proposed_value(&block);
        self.remember(block)?;
        self.synced = Some(height.ledger());
        self.counts.synced += 1;
        self.later(Input::ProposedValue(proposed, ValueOrigin::Sync));
        Ok(())
    }

    /// Commits a decided block.
    pub fn commit(&mut self, certificate: &engine::CommitCertificate<LedgerContext>) -> Result<(), Stopped> {
        let certificate = spec_certificate(certificate)
            .ok_or_else(|| Stopped("a certificate without a round was decided".to_owned()))?;
        if !self.act() {
            return Ok(());
        }
        if let Some(Sabotage::CommitsAnotherBlock { node, height }) = self.sabotage
            && node == self.identity.index
            && certificate.height.0 >= height
        {
            self.sabotage = None;
            return self.commit_another(&certificate);
        }
        self.ledger.commit(&certificate)?;
        Ok(())
    }

    /// Prepares the next height, and rests until it is time.
    pub fn finalized(&mut self) -> Result<(), Stopped> {
        self.start = self.ledger.start()?;
        self.validators = Arc::new(ValidatorSet::new(&self.start));
        let window = Window { height: self.start.height, validators: Arc::clone(&self.validators) };
        self.assembler.advance(window);
        self.resting_since_ms = Some(self.now_ms);
        Ok(())
    }

    /// The key under which the core knows this node; no validator's for an observer.
    pub fn address(&self) -> Address {
        Address(self.identity.key.as_ref().map_or(PublicKey([0; 32]), SecretKey::public_key))
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
