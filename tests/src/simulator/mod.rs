//! A consortium in one thread, from one seed: the engine's pure consensus core, and the real ledger, storage, mempool,
//! proposal parts, message encodings and pacing of every node, under a virtual clock and a network that loses messages.
//!
//! ```text
//! plan (from the seed) ──► run: events in virtual time ──► machine: one node's step ──► core of the engine
//!                            │          ▲                       │                            │ effects
//!                            │          └─ frames, timers ──────┴── host: ledger, mempool ◄──┘
//!                            └──► checker: what the disks and the network show
//! ```
//!
//! # What is injected
//!
//! - Messages of every lane are lost, doubled, delayed and overtaken.
//! - Nodes are cut off from each other, in one direction or both, any number of them.
//! - Nodes lose power between any two durable or visible acts (an entry of the log of votes, its flush, keeping a
//!   block, committing it, sending), one, some or all at once; they come up with their old disk. What the log of votes had
//!   not flushed is lost from some entry on.
//! - Clocks differ by up to a second either way.
//! - Clients submit to any node, repeat what is not committed, and repeat what is.
//! - A node without a vote follows.
//!
//! After a while nothing fails any more, and then every node must come to hold every transaction.
//!
//! # What is not, yet
//!
//! - Lies: all validators follow the rules (the checker is tested with nodes that do not, see [`Sabotage`]).
//! - Disks that fail, fill up, or lose what they said was synced. A write of RocksDB either was called or was not;
//!   what happens inside is its own to survive.
//! - Lost disks, snapshots, backups, changes of the validators, clocks that jump.
//! - The parts of a node that need a runtime: the libp2p network with its gate and bounds, the engine's actors and its
//!   value sync, the driver's loop (what it does between engine and ledger is done here by `driver.rs`, step for step),
//!   the API. The whole-system tests run those.
//! - Blocks of several parts: these blocks fit into one.

pub mod checker;
#[cfg(test)]
mod checker_tests;
pub mod consortium;
mod driver;
mod effects;
pub mod frame;
pub mod host;
pub mod machine;
pub mod node;
pub mod plan;
pub mod random;
pub mod replay;
mod run;
mod sabotage;
pub mod vote_log;

pub use checker::Violation;
pub use host::Sabotage;
pub use run::{Failure, Summary, run};
