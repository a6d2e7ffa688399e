//! A consortium in one thread, from one seed: the engine's pure consensus core, and the real ledger, storage, mempool,
//! proposal parts, message encodings and pacing of every node, under a virtual clock and a network that loses messages.
//!
//! ```text
//! plan (from the seed) ──► run: events in virtual time ──► machine: one node's step ──► core of the engine
//!                            │          ▲                       │                            │ effects
//!                            │          └─ frames, timers ──────┴── host: ledger, mempool ◄──┘
//!                            └──► checker, oracles: what the disks and the network show
//! ```
//!
//! # The fault model
//!
//! The list of faults with their bounds is [`faults::Fault`]; `make sim FAULTS=name,name` injects only those. What each
//! run meets of them is drawn from its seed ([`plan`]), and leaving one out changes nothing of the others; so a failure is
//! narrowed to the fewest that show it ([`narrowed`]).
//!
//! - Network: messages of every lane are lost, doubled, delayed and overtaken; nodes are cut off from each other.
//! - Power goes between any two durable or visible acts (an entry of the log of votes, its flush, keeping a block,
//!   committing it, sending), or in the middle of a batch of the ledger. Nodes come up with their old disk. What the log of
//!   votes had not flushed is lost from some entry on; half an entry is no entry.
//! - Disks refuse writes for a time, or take long; the node stops, and is started again.
//! - Clocks differ, and jump.
//! - One node of a run, never more than the third of the validators that the protocol survives, is weak, and meets what
//!   it cannot make up for alone: it comes back with an empty disk and follows without its key until it has passed every
//!   height at which it may have voted (`spec/decisions/0014-corruption-and-repair.md`); its disk forgets what it said it
//!   had kept, and nobody notices; a bit of its ledger turns over, which must be found; or it lies all the time, in one
//!   of the ways of [`liars`].
//!
//! Beside that, clients submit to any node, repeat what is not committed, and repeat what is; a node without a vote
//! follows. After a while nothing fails any more, except that liars go on lying, and then every honest node must come to
//! hold every transaction.
//!
//! # What it does not cover
//!
//! - Two faulty validators of four at once (but for a fork that the checker must see, [`liars::twins::fork`]).
//! - Clocks more than a second from the true time; snapshots, backups, changes of the validators.
//! - Inside RocksDB: its batch either is there or not. The ledgers stand in sorted maps ([`memory`]); a test runs some
//!   seeds on RocksDB too and demands the same blocks. Damaged files are altered by `tests/tests/corruption.rs`.
//! - The parts of a node that need a runtime: the libp2p network with its gate and bounds, the engine's actors and its
//!   value sync (asking, serving and distrusting peers is done here by [`machine`], in its own way), the loop that passes
//!   the engine's messages on, the API. The whole-system tests run those. What a node does about heights, rounds and
//!   proposals is the real code, [`yilian_node::consensus::participant`].
//! - Blocks of several parts: these blocks fit into one.

pub mod checker;
#[cfg(test)]
mod checker_tests;
pub mod consortium;
pub mod disk;
mod effects;
pub mod faults;
pub mod frame;
pub mod host;
pub mod ledger;
pub mod liars;
pub mod machine;
#[cfg(test)]
mod maker;
pub mod memory;
pub mod node;
pub mod oracles;
pub mod plan;
pub mod power;
pub mod random;
pub mod replay;
mod run;
mod sabotage;
mod same_disk;
mod shrink;
mod verifier;
pub mod vote_log;

pub use checker::Violation;
pub use host::Sabotage;
pub use run::{Cut, Failure, Options, Summary, Tally, run, run_plan, run_with};
pub use shrink::narrowed;
