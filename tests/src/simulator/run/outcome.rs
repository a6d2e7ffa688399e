//! What a run is asked for, and what it comes to.

use yilian_spec::base::id::BlockId;

use super::super::checker::Violation;
use super::super::disk::Backing;
use super::super::faults::FaultSet;
use super::super::host::{Counts, Sabotage};
use super::super::liars::Behaviour;
use super::super::oracles::Happened;

/// How a seed is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which rule a node is made to break.
    pub sabotage: Option<Sabotage>,
    /// Where the ledgers are kept.
    pub backing: Backing,
    /// What is injected.
    pub faults: FaultSet,
    /// Which validator lies and how, whatever was drawn.
    pub liar: Option<(usize, Behaviour)>,
    /// The power of a node goes after so many acts of its first life.
    pub cut: Option<Cut>,
}

/// When the power of a node goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which node.
    pub node: usize,
    /// After how many durable or visible acts.
    pub after_acts: u64,
}

/// How often the faults of a run struck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages lost or cut off.
    pub lost: u64,
    /// Losses of power.
    pub crashes: u64,
    /// Losses of power in the middle of a step.
    pub crashes_within_a_step: u64,
    /// Losses of power in the middle of a batch.
    pub torn: u64,
    /// Stops for want of space.
    pub full: u64,
    /// Virtual time that slow disks took, in milliseconds.
    pub slow_ms: u64,
    /// Disks lost.
    pub lost_disks: u64,
    /// Disks that did not keep what they said they had.
    pub lost_writes: u64,
    /// Turned bits that a read came upon.
    pub flips_read: u64,
    /// Turned bits that only the audit came upon.
    pub flips_audited: u64,
    /// Validators that could not be sure of their votes and vote again.
    pub votes_again: u64,
    /// Frames of liars that an honest node would not have sent, or not so.
    pub lies: u64,
}

impl Tally {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.crashes += other.crashes;
        self.crashes_within_a_step += other.crashes_within_a_step;
        self.torn += other.torn;
        self.full += other.full;
        self.slow_ms += other.slow_ms;
        self.lost_disks += other.lost_disks;
        self.lost_writes += other.lost_writes;
        self.flips_read += other.flips_read;
        self.flips_audited += other.flips_audited;
        self.votes_again += other.votes_again;
        self.lies += other.lies;
    }
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// The ids of all blocks, from the first.
    pub block_ids: Vec<BlockId>,
    /// Transactions on the ledger.
    pub transactions: usize,
    /// Events processed.
    pub events: u64,
    /// Virtual time it took, in milliseconds.
    pub virtual_ms: u64,
    /// From the end of the faults to the first block after it, in milliseconds; `None` when none was needed.
    pub back_ms: Option<u64>,
    /// What struck.
    pub tally: Tally,
    /// What happened on the nodes.
    pub counts: Counts,
    /// Rules that honest nodes found broken by liars, each once, in the order of their words.
    pub refusals: Vec<String>,
    /// Acts of each node's first life.
    pub first_acts: Vec<u64>,
    /// What happened on the ledger.
    pub happened: Happened,
}

/// A run that broke a rule.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "seed {seed}: {violation}\nlast events:\n{}\nrepeat with `make sim SEED={seed}{}`",
    trace.join("\n"),
    narrowed.as_ref().map_or_else(String::new, |faults| format!(" FAULTS={faults}"))
)]
pub struct Failure {
    /// The seed that repeats it.
    pub seed: u64,
    /// The rule.
    pub violation: Violation,
    /// The last events, oldest first.
    pub trace: Vec<String>,
    /// The faults that suffice, if fewer than all were looked for.
    pub narrowed: Option<FaultSet>,
}
