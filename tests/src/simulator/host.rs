//! A running node around the engine's core: the real ledger, storage, mempool and assembler, timers, and the acts that a
//! loss of power can fall between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_core_consensus::Input;
use bytes::Bytes;
use tokio::sync::mpsc;
use yilian_node::application::ledger::{Ledger, LedgerOptions};
use yilian_node::application::reader::LedgerReader;
use yilian_node::application::{ApplicationError, StartPoint};
use yilian_node::base::clock::{Clock, ManualClock};
use yilian_node::consensus::assembler::Assembler;
use yilian_node::consensus::context::{Address, LedgerContext};
use yilian_node::consensus::heights::PeerHeights;
use yilian_node::consensus::intake::Intake;
use yilian_node::consensus::own_key::OwnKey;
use yilian_node::consensus::participant::Participant;
use yilian_node::consensus::signing::{LedgerSigner, LedgerVerifier};
use yilian_node::mempool::Mempool;
use yilian_node::mempool::pool::PoolBounds;
use yilian_node::storage::Store;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::ChainId;
use yilian_spec::crypto::signature::{PublicKey, SecretKey};
use yilian_spec::ledger::genesis::Genesis;

use super::disk::NodeDisk;
use super::frame::{Frame, Output};
use super::ledger::PoweredLedger;
use super::power::Power;
use super::verifier::{OnceVerifier, is_signed};
use super::vote_log::VoteLog;

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

/// What a node has when it starts.
pub struct Equipment {
    /// Where its ledger is.
    pub disk: NodeDisk,
    /// Who it is.
    pub identity: Identity,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// What its log of votes holds.
    pub log: VoteLog,
    /// The power of this life.
    pub power: Power,
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
    /// What it does about heights, with the ledger behind it.
    pub participant: Participant<PoweredLedger>,
    /// Whether it still has power.
    pub power: Power,
    /// What the log of votes is written to.
    pub disk: NodeDisk,
    /// Reads what was committed.
    pub reader: LedgerReader,
    /// The mempool.
    pub mempool: Mempool,
    /// Batches for the peers.
    pub gossip: mpsc::Receiver<Bytes>,
    /// Signs; `None` for an observer.
    pub signer: Option<LedgerSigner>,
    /// Verifies.
    pub verifier: OnceVerifier,
    /// Puts proposals together.
    pub assembler: Assembler,
    /// The node's clock.
    pub clock: Arc<ManualClock>,
    /// The log of votes.
    pub log: VoteLog,
    /// Since when the node rests before the next height, in virtual milliseconds; `None` while it decides.
    pub resting_since_ms: Option<u64>,
    /// What the peers say of the ledger's height.
    pub heights: PeerHeights,
    /// What of theirs reaches the core.
    pub intake: Intake,
    /// Whether the log of votes is being replayed.
    pub recovering: bool,
    /// Timers that run.
    pub timers: Vec<Timer>,
    /// Inputs for the core that came up while it ran.
    pub pending: VecDeque<Input<LedgerContext>>,
    /// What the node wants sent and waited for.
    pub outputs: Vec<Output>,
    /// Decided blocks received, by height, with who sent them.
    pub sync_values: BTreeMap<Height, (usize, engine::ValueResponse<LedgerContext>)>,
    /// Whose block the core is looking at.
    pub sync_peer: Option<usize>,
    /// Who has served what no honest node would, in this life.
    pub distrusted: BTreeSet<usize>,
    /// What was refused of others since the run last asked: who sent it, and why it is wrong.
    pub refusals: Vec<(usize, String)>,
    /// Heights at which its key signed what this life did not, since the run last asked.
    pub signed_elsewhere: Vec<Height>,
    /// Virtual time.
    pub now_ms: u64,
    /// What the run counts.
    pub counts: Counts,
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
    /// Frames and blocks of others refused.
    pub refused: u64,
    /// Validators seen to sign twice, each time it was seen.
    pub misbehaviour: u64,
}

impl Counts {
    /// Adds another node's.
    pub fn add(&mut self, other: Self) {
        self.replayed += other.replayed;
        self.synced += other.synced;
        self.later_rounds += other.later_rounds;
        self.restreamed += other.restreamed;
        self.refused += other.refused;
        self.misbehaviour += other.misbehaviour;
    }
}

impl Host {
    /// Opens the node on its disk.
    ///
    /// # Errors
    /// When the ledger does not open.
    pub fn open(
        genesis: &Genesis,
        equipment: Equipment,
        now_ms: u64,
        sabotage: Option<Sabotage>,
    ) -> Result<Self, Stopped> {
        let Equipment { disk, identity, clock, log, power } = equipment;
        let stopped = |error: yilian_node::storage::StorageError| Stopped(error.to_string());
        let store = Store::open_or_create_on(disk.open().map_err(stopped)?, genesis).map_err(stopped)?;
        let chain_id = store.chain_id();
        let options = LedgerOptions {
            proposer: identity.key.as_ref().map(SecretKey::public_key),
            target_time_ms: None,
        };
        let mut ledger = Ledger::open(Arc::new(store), options).map_err(stopped)?;
        let reader = ledger.reader();
        let node_clock: Arc<dyn Clock> = clock.clone();
        let (mempool, gossip) =
            Mempool::new(reader.clone(), node_clock, ledger.timings(), PoolBounds::default());
        ledger.set_source(mempool.clone());
        let own = identity.key.as_ref().map(SecretKey::public_key);
        let mut application = PoweredLedger::new(ledger, own, power.clone(), Arc::clone(&clock));
        application.sabotage(identity.index, sabotage);
        let key = identity.key.clone();
        let participant = Participant::new(application, chain_id, key, HEARTBEAT_MS)?;
        let window = participant.window();
        let assembler = Assembler::new(chain_id, window.clone());
        let own_key = own.map(OwnKey::new);
        if let Some(own_key) = &own_key {
            own_key.begins(participant.start().height);
        }
        let signer = identity.key.clone().zip(own_key.clone());
        let signer = signer.map(|(key, own)| LedgerSigner { chain_id, key, own });
        Ok(Self {
            chain_id,
            identity,
            participant,
            power,
            disk,
            reader,
            mempool,
            gossip,
            signer,
            verifier: OnceVerifier(LedgerVerifier::new(chain_id)),
            assembler,
            clock,
            log,
            resting_since_ms: None,
            heights: PeerHeights::default(),
            intake: Intake::new(chain_id, own_key, window, Box::new(is_signed)),
            recovering: false,
            timers: Vec::new(),
            pending: VecDeque::new(),
            outputs: Vec::new(),
            sync_values: BTreeMap::new(),
            sync_peer: None,
            distrusted: BTreeSet::new(),
            refusals: Vec::new(),
            signed_elsewhere: Vec::new(),
            now_ms,
            counts: Counts::default(),
            tokens: 0,
        })
    }

    /// With what the height under decision started, or the next one will.
    pub fn start(&self) -> &StartPoint {
        self.participant.start()
    }

    /// The ledger.
    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.participant.application_mut().ledger
    }

    /// A peer has served what no honest node would: it is not asked again.
    pub fn distrust_sync_peer(&mut self, reason: String) {
        if let Some(peer) = self.sync_peer {
            self.distrusted.insert(peer);
            self.refusals.push((peer, reason));
            self.sync_values.retain(|_, (from, _)| *from != peer);
        }
    }

    /// Sends to all peers.
    pub fn broadcast(&mut self, frame: Frame) {
        if self.power.act() {
            self.outputs.push(Output::Broadcast(frame));
        }
    }

    /// Sends to one peer.
    pub fn send(&mut self, to: usize, frame: Frame) {
        if self.power.act() {
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
        self.pending.push_back(input);
    }

    /// The height or round under way has changed.
    pub fn advance(&mut self) {
        let window = self.participant.window();
        self.assembler.advance(window.clone());
        self.intake.advance(window);
    }

    /// The key under which the core knows this node; no validator's for an observer.
    pub fn address(&self) -> Address {
        Address(self.identity.key.as_ref().map_or(PublicKey::Ed25519([0; 32]), SecretKey::public_key))
    }
}
