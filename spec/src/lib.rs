//! The protocol of Yilian: its rules as code that any party can run, without I/O, clock or randomness.
//!
//! The written protocol stands in `spec/protocol/`; its rules are numbered, and the code that enforces one cites it.
//! Folders, from what everything uses to what uses everything:
//!
//! - [`base`]: bounds, the canonical encoding, identifiers, small types.
//! - [`crypto`]: Ed25519 under one rule, API tokens, logs and the state tree.
//! - [`settlement`]: terms, their evaluation, statements.
//! - [`domain`]: members, access, referrals, services, agreements: what can be asked for, what it needs, what it leaves.
//! - [`state`]: the rows and how they are read and written.
//! - [`ledger`]: transactions, blocks, and what the rules make of them.
//! - [`proof`]: answers that carry their proof.
//! - [`api`]: what else a node answers, as its callers read it.
#![forbid(unsafe_code)]

pub mod api;
pub mod base;
pub mod crypto;
pub mod domain;
pub mod ledger;
pub mod proof;
pub mod settlement;
pub mod state;
