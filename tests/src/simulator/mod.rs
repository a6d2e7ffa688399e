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
//! run meets of them is drawn from its seed ([`plan`]), and leaving one out changes nothing of the others.
//!
//! - Network: messages of every lane are lost, doubled, delayed and overtaken; nodes are cut off from each other.
//! - Power goes between any two durable or visible acts (an entry of the log of votes, its flush, keeping a block,
//!   committing it, sending), or in the middle of a batch of the ledger. Nodes come up with their old disk. What the log of
//!   votes had not flushed is lost from some entry on; half an entry is no entry.
//! - Disks refuse the ledger's writes for a time, or take long; the node stops, and is started again.
//! - A node comes back with an empty disk: never more than one of the four validators in a run, the f that the protocol
//!   survives. It follows without its key until it has passed every height at which it may have voted
//!   (`spec/decisions/0014-corruption-and-repair.md`).
//! - Clocks differ, and jump.
//!
//! Beside that, clients submit to any node, repeat what is not committed, and repeat what is; a node without a vote
//! follows. After a while nothing fails any more, and then every node must come to hold every transaction.
//!
//! # What is not, yet
//!
//! - Lies: all validators follow the rules (the checker is tested with nodes that do not, see [`Sabotage`]).
//! - Disks that lose what they said was synced, or flip bits.
//! - A log of votes that cannot be written: only the ledger's disk refuses.
//! - Clocks more than a second from the true time; snapshots, backups, changes of the validators.
//! - Inside RocksDB: its batch either is there or not. The ledgers stand in sorted maps ([`memory`]); a test runs some
//!   seeds on RocksDB too and demands the same blocks.
//! - The parts of a node that need a runtime: the libp2p network with its gate and bounds, the engine's actors and its
//!   value sync, the driver's loop (what it does between engine and ledger is done here by `driver.rs`, step for step),
//!   the API. The whole-system tests run those.
//! - Blocks of several parts: these blocks fit into one.

pub mod checker;
#[cfg(test)]
mod checker_tests;
pub mod consortium;
pub mod disk;
mod driver;
mod effects;
pub mod faults;
pub mod frame;
pub mod host;
pub mod machine;
#[cfg(test)]
mod maker;
pub mod memory;
pub mod node;
pub mod oracles;
pub mod plan;
pub mod random;
pub mod replay;
mod run;
mod sabotage;
mod twins;
mod verifier;
pub mod vote_log;

pub use checker::Violation;
pub use host::Sabotage;
pub use run::{Failure, Options, Summary, run, run_with};
