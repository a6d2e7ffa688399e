//! The protocol of Yilian: its rules as code that any party can run, without I/O, clock or randomness.
//!
//! The written protocol stands in `spec/protocol/`; its rules are numbered, and the code that enforces one cites it.
//! Modules, from what everything uses to what uses everything:
//!
//! - [`limits`], [`codec`], [`id`], [`time`], [`height`], [`money`]: bounds, the canonical encoding, small types.
//! - [`signature`], [`token`], [`merkle`]: Ed25519 under one rule, API tokens, logs and the state tree.
//! - [`domain`]: members, access, referrals, services, agreements: what can be asked for, what it needs, what it leaves.
//! - [`transaction`], [`block`], [`validators`], [`genesis`]: what the ledger holds.
//! - [`validation`], [`state`], [`machine`], [`work`], [`settlement`], [`refusal`], [`receipt`]: what the rules make of it.
//! - [`chain`]: from one block to the next. [`rotation`]: who proposes it. [`trial`]: what would become of a transaction in it. [`proof`]: answers that carry
//!   their proof.
#![forbid(unsafe_code)]

pub mod block;
pub mod chain;
pub mod codec;
pub mod domain;
pub mod genesis;
pub mod height;
pub mod id;
pub mod limits;
pub mod machine;
pub mod merkle;
pub mod money;
pub mod proof;
pub mod receipt;
pub mod received;
pub mod refusal;
pub mod rotation;
pub mod settlement;
pub mod signature;
pub mod state;
pub mod time;
pub mod token;
pub mod transaction;
pub mod trial;
pub mod validation;
pub mod validators;
pub mod work;
