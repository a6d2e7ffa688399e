//! The binary as a user runs it: help, completions, exit codes, and real proofs of a small ledger over HTTP.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod commands;
mod help;
mod import;
#[path = "../../../spec/tests/proof/ledger.rs"]
#[allow(dead_code)]
mod ledger;
mod node;
mod offline;
mod trust;
mod yilian;
