//! Fuzz targets: one function for every reader of bytes from outside, and one that plays the state machine.
//!
//! | file | targets |
//! |---|---|
//! | [`encoded`] | canonical encodings: transaction, block, header, certificate, genesis, receipt, operation, state proof |
//! | [`text`] | JSON documents, tokens, configuration, import files and their journal, sealed keys, the API's bodies |
//! | [`wire`] | what a peer sends: frames, votes, certificates, statuses, sync, parts, transactions |
//! | [`settlement`] | terms and events through the settlement arithmetic |
//! | [`machine`] | bytes as the operations of several institutions on one ledger |
//!
//! A target takes any bytes and panics when a property fails. It runs in two ways: over the committed corpus and
//! bounded, repeatable changes of it ([`mutate`]; `make test`), and guided by coverage, for as long as one likes, in
//! the program `yilian-fuzz` (`make fuzz TARGET=transaction SECONDS=600`).

pub mod encoded;
pub mod input;
pub mod machine;
pub mod mutate;
pub mod seeds;
pub mod settlement;
pub mod text;
pub mod wire;

use std::path::PathBuf;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also that of its folder in the corpus.
    pub name: &'static str,
    /// What it does with an input.
    pub run: fn(&[u8]),
    /// Inputs to begin with, made by the project's own code.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Changed inputs that the bounded run of the test suite tries.
    pub bounded_runs: u32,
}

/// Longest input of a target in bytes.
pub const INPUT_BYTES_MAX: usize = 16 << 10;

macro_rules! targets {
    ($($name:literal, $run:path, $seeds:path, $runs:literal;)*) => {
        /// All targets.
        pub const TARGETS: &[Target] =
            &[$(Target { name: $name, run: $run, seeds: $seeds, bounded_runs: $runs }),*];
    };
}

targets! {
    "transaction", encoded::transaction, seeds::transactions, 20_000;
    "block", encoded::block, seeds::blocks, 10_000;
    "header", encoded::header, seeds::headers, 20_000;
    "certificate", encoded::certificate, seeds::certificates, 10_000;
    "genesis", encoded::genesis, seeds::geneses, 2_000;
    "receipt", encoded::receipt, seeds::receipts, 20_000;
    "operation", encoded::operation, seeds::operations, 20_000;
    "state_proof", encoded::state_proof, seeds::state_proofs, 10_000;
    "proof_json", text::proof, seeds::proof_documents, 3_000;
    "checkpoint_json", text::checkpoint, seeds::checkpoints, 5_000;
    "genesis_json", text::genesis, seeds::genesis_documents, 1_000;
    "token", text::token, seeds::tokens, 5_000;
    "submission", text::submission, seeds::submissions, 5_000;
    "node_config", text::node_config, seeds::node_configurations, 2_000;
    "client_config", text::client_config, seeds::client_configurations, 500;
    "consortium", text::consortium, seeds::consortium_files, 500;
    "mapping", text::mapping, seeds::mappings, 500;
    "journal", text::journal, seeds::journals, 300;
    "fhir", text::fhir, seeds::fhir, 500;
    "sealed", text::sealed, seeds::sealed, 200;
    "link_frame", wire::frame, seeds::frames, 10_000;
    "consensus_message", wire::consensus, seeds::consensus_messages, 10_000;
    "sync_message", wire::sync, seeds::sync_messages, 10_000;
    "proposal_part", wire::part, seeds::parts, 3_000;
    "transaction_batch", wire::batch, seeds::batches, 10_000;
    "settlement", settlement::run, seeds::agreements, 5_000;
    "machine", machine::run, seeds::plays, 150;
}

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The folder of a target's committed inputs.
pub fn corpus(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}
