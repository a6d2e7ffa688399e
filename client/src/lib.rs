//! The client of a Yilian ledger: keys at rest, the subject-tag link table, and what talks to a node.
#![forbid(unsafe_code)]

pub mod durable;
pub mod keyfile;
pub mod passphrase;
pub mod sealed;
pub mod subject;
