//! Authenticated data structures: the append-only log of RFC 9162 and the state tree, with their proofs.
//!
//! Rules M-1 to M-13 of `spec/protocol/03-merkle.md`. This module depends on nothing else in the crate.
//!
//! - [`log`]: streams, the ledger-wide transaction log, and the transactions and receipts of a block.
//! - [`state_tree`]: the authenticated map from keys to values, with proofs of presence and of absence.

pub mod hash;
pub mod hex_serde;
pub mod log;
pub mod state_tree;

pub use hash::NodeHash;
