//! What the nodes agree on, seen from consensus: a synchronous trait, free of engine, network and clock, and another for
//! reading what is decided ([`DecidedBlocks`]).
//!
//! Two drivers call it: the engine's messages in a running node ([`crate::consensus`]) and a simulator.
//! A driver calls from one thread, one call at a time, and may take calls in any order that the life of
//! a height allows:
//!
//! ```text
//! start ──► build or validate (any number, any round) ──► remember each ──► commit ──► start of the next
//!                 undecided, has_work: at any time
//! ```
//!
//! Rules for an implementation:
//!
//! 1. **Durable before visible.** [`Application::remember`] and [`Application::commit`] return after their
//!    data has reached the disk. The engine's log holds block ids only, so a block that was voted for must
//!    be found again after a power cut.
//! 2. **Same input, same answer** on every node: `build` may choose, `validate` and `commit` may not.
//!    Time comes in as an argument, never from a clock.
//! 3. **An error stops the node.** Bad input is a [`Verdict::Invalid`], not an error.
//! 4. `commit` may be asked for a block that was remembered before a restart: it reads the payload from its
//!    own store, by height and id.

mod block_size;
mod drive;
mod executed;
pub mod ledger;
pub(crate) mod proofs;
pub(crate) mod publish;
pub mod reader;
pub(crate) mod source;
pub(crate) mod stream_log;
#[cfg(test)]
mod tests;
pub(crate) mod timings;
#[cfg(test)]
mod work_tests;

use std::ops::RangeInclusive;

use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, InstitutionId};
use yilian_spec::base::version::UnknownVersion;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::parameters::ConsensusTimeouts;
use yilian_spec::ledger::block::CommitCertificate;

use crate::storage::StorageError;

pub use ledger::{Ledger, LedgerOptions};
pub use publish::{CommittedBlock, Published};
pub use reader::LedgerReader;

/// A validator as consensus needs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValidatorInfo {
    /// The key whose signatures count; also the validator's address.
    pub public_key: PublicKey,
    /// Whose validator it is. Its votes are believed from this institution's nodes alone.
    pub institution: InstitutionId,
    /// Its share of the votes; above zero.
    pub voting_power: u64,
}

/// Inputs for the next height. Read anew for every height, so a change of the validators or the timeouts that block `h`
/// makes applies at `h + 1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartPoint {
    /// The height to decide next: one more than the last committed, 1 on an empty ledger.
    pub height: Height,
    /// The validators in the ledger's order; not empty, no key twice.
    pub validators: Vec<ValidatorInfo>,
    /// Who proposes, by turns: round `r` of height `h` is entry `(h + r) mod length` as long as `r` is below
    /// the length, and after that `validators` by turns. Empty means all validators. Every node derives it
    /// from the state, see [`yilian_spec::domain::membership::rotation`].
    pub rotation: Vec<PublicKey>,
    /// How long to wait for the others, as the parameters of the ledger say.
    pub timeouts: ConsensusTimeouts,
    /// Least time between two heights, in milliseconds; `None` decides as fast as it goes.
    pub target_time_ms: Option<u64>,
    /// Whether the last committed block held transactions.
    pub had_work: bool,
}

/// A block that this node built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltBlock {
    /// The block's id: what is voted on.
    pub block_id: BlockId,
    /// The block's canonical bytes, from which every node derives the same id.
    pub bytes: Vec<u8>,
}

/// From where a block reached this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is proposed now: its ledger time is checked against this node's clock.
    Proposed {
        /// This node's clock, in milliseconds since 1970-01-01 UTC.
        now_ms: u64,
    },
    /// It was decided by the others earlier and is being caught up: the clock says nothing about it.
    Synced,
}

/// A block to validate, with what consensus knows about it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The height it is proposed for; always the one that [`Application::start`] named last.
    pub height: Height,
    /// The round it is proposed in.
    pub round: u32,
    /// The round's proposer, who signed the proposal.
    pub proposer: PublicKey,
    /// The round in which the block gathered two thirds of the prevotes earlier. When it is `None` the
    /// proposer built the block and the header must name it; otherwise the header may name any validator.
    pub valid_round: Option<u32>,
    /// From where it came. For a synced block `proposer` and `valid_round` say nothing about the header.
    pub arrival: Arrival,
    /// The block's bytes, as they arrived.
    pub bytes: &'a [u8],
}

/// What the rules say about a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The block may be voted for.
    Valid {
        /// The block's id.
        block_id: BlockId,
    },
    /// The block must not be voted for.
    Invalid {
        /// The block's id, when the bytes are canonical enough to have one; `None` for garbage.
        block_id: Option<BlockId>,
        /// The rule it breaks, for the log.
        reason: String,
    },
}

/// A block that was validated or built but is not decided yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndecidedBlock {
    /// The height it is proposed for.
    pub height: Height,
    /// The round it was proposed in.
    pub round: u32,
    /// See [`Candidate::valid_round`].
    pub valid_round: Option<u32>,
    /// The round's proposer.
    pub proposer: PublicKey,
    /// The block's id.
    pub block_id: BlockId,
    /// The block's bytes.
    pub bytes: Vec<u8>,
}

/// A block that the ledger holds, with what makes it final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedBlock {
    /// The certificate.
    pub certificate: CommitCertificate,
    /// The block's bytes.
    pub bytes: Vec<u8>,
}

/// A validator that signed two things of which it may sign one, as seen by this node. The signatures are
/// kept by the engine's log; two nodes need not have seen the same, so nothing of it may reach a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misbehaviour {
    /// Who.
    pub validator: PublicKey,
    /// At which height.
    pub height: Height,
    /// What.
    pub kind: MisbehaviourKind,
}

/// What a validator did that it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MisbehaviourKind {
    /// Two different votes of one kind in one round.
    DoubleVote,
    /// Two different proposals in one round.
    DoubleProposal,
}

/// Why the application cannot go on. Every one of these stops the node.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// The store failed; its own words say what to do, unless it is damaged.
    #[error("the ledger's storage failed while {action}: {source}")]
    Storage {
        /// What was being done.
        action: &'static str,
        /// What the store said.
        source: StorageError,
    },
    /// The rules could not read a row; the store's words have passed through them.
    #[error("the rules could not read the ledger while {action}: {reason}")]
    View {
        /// What was being done.
        action: &'static str,
        /// What the store said.
        reason: String,
    },
    /// A decided block cannot be found.
    #[error(
        "block {block_id} of height {height} was decided, but this node does not hold it; \
         start the node again, it will fetch the block from its peers"
    )]
    PayloadMissing {
        /// The height.
        height: Height,
        /// The decided block.
        block_id: BlockId,
    },
    /// A decided block does not pass this node's own rules: this node or two thirds of the others run
    /// different rules.
    #[error(
        "block {block_id} of height {height} was decided by the others, but breaks this node's rules: {reason}; \
         compare the versions of the nodes before anything else"
    )]
    Divergence {
        /// The height.
        height: Height,
        /// The decided block.
        block_id: BlockId,
        /// The rule.
        reason: String,
    },
    /// The program is too old for the next block.
    #[error(transparent)]
    Version(UnknownVersion),
    /// Nothing can be built or started.
    #[error("the ledger cannot go on: {reason}")]
    Broken {
        /// Why.
        reason: String,
    },
}

/// The blocks of the ledger up to its tip, for peers that catch up: read from any thread while the application goes on.
pub trait DecidedBlocks: Clone + Send + Sync + 'static {
    /// Blocks of consecutive heights from the start of the range on, as many as are held and as fit into `bytes_max`
    /// together; at least the first, if it is held.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn decided(
        &self,
        heights: RangeInclusive<Height>,
        bytes_max: usize,
    ) -> Result<Vec<DecidedBlock>, ApplicationError>;

    /// The lowest height that [`Self::decided`] can still serve; the next height on an empty ledger.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn lowest_height(&self) -> Result<Height, ApplicationError>;
}

/// The ledger behind consensus.
pub trait Application: Send + 'static {
    /// What reads its decided blocks.
    type Blocks: DecidedBlocks;

    /// A handle on the decided blocks; shows each block from when `commit` has returned on.
    fn blocks(&self) -> Self::Blocks;

    /// With what the next height starts. Called at the start and after each commit.
    ///
    /// # Errors
    /// When the ledger's state cannot be read.
    fn start(&mut self) -> Result<StartPoint, ApplicationError>;

    /// Builds the block that this node proposes in `round` of `height`; may be empty of transactions, must
    /// not wait. `now_ms` is this node's clock in milliseconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// When the ledger's state cannot be read.
    fn build(&mut self, height: Height, round: u32, now_ms: u64) -> Result<BuiltBlock, ApplicationError>;

    /// Checks a block that another node built, executing it.
    ///
    /// # Errors
    /// When the ledger's state cannot be read; a bad block is a verdict.
    fn validate(&mut self, candidate: Candidate<'_>) -> Result<Verdict, ApplicationError>;

    /// Keeps an undecided block, durably. Called for every block that was built or found valid, before this
    /// node says anything about it. Remembering a block of the same height, round and id again changes nothing.
    ///
    /// # Errors
    /// When it cannot be stored.
    fn remember(&mut self, block: UndecidedBlock) -> Result<(), ApplicationError>;

    /// The blocks remembered for a height, of one round or of all; oldest first. Those of heights up to the
    /// last committed are forgotten.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn undecided(
        &mut self,
        height: Height,
        round: Option<u32>,
    ) -> Result<Vec<UndecidedBlock>, ApplicationError>;

    /// Makes a decided block part of the ledger, durably and at once with everything that follows from it.
    /// The certificate names height, round and block. Committing the last committed height again with the
    /// same block changes nothing.
    ///
    /// # Errors
    /// Any reason for which the block is not part of the ledger afterwards.
    fn commit(&mut self, certificate: &CommitCertificate) -> Result<(), ApplicationError>;

    /// Tells of validators that signed twice, after the height in which it was seen. For alarms.
    fn misbehaved(&mut self, _misbehaviour: &[Misbehaviour]) {}

    /// Whether a block would have something to hold now. While it has not, the driver starts no height
    /// before the heartbeat.
    fn has_work(&mut self) -> bool;
}
