//! The client of a Yilian ledger: subject tags at rest, submission, questions, and verification of what nodes
//! answer. Depends on the protocol alone, never on a node's code.
//!
//! - [`client`]: a ledger over several nodes. [`health`]: how they say they are. [`error`]: what can go wrong.
//! - [`memory`]: what is remembered of nodes and ledger between commands.
//! - [`config`]: profiles. [`session`]: keys that stay open for a while; keys at rest are in `yilian-local`.
//! - [`subject`]: the link table from record numbers to subject tags. [`commitment`]: commitments to documents.
//! - [`import`]: FHIR onto the ledger. [`consortium`]: nodes and keys of several institutions at once.
//! - [`describe`]: what a proof shows, in words. [`limits`]: every bound.
#![forbid(unsafe_code)]

pub mod client;
pub mod commitment;
pub mod config;
pub mod consortium;
pub mod describe;
pub mod error;
pub mod health;
pub mod import;
pub mod limits;
pub mod memory;
pub mod session;
pub mod subject;
