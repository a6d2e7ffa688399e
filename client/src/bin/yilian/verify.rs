//! `yilian verify`: a saved proof against a checkpoint, offline.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use yilian_client::describe;
use yilian_client::durable;
use yilian_client::error::{ClientError, exit};
use yilian_spec::base::json;
use yilian_spec::base::limits::PROOF_BYTES_MAX;
use yilian_spec::proof::{Proof, ProofDocument};

use crate::command::Outcome;
use crate::context::{Context, read_checkpoint};
use crate::failure::Failure;
use crate::output;

/// Verify a saved proof offline and say what it proves.
///
/// Nothing is asked of any node: the file holds the proof, the checkpoint the validators that are trusted. Exit code 4
/// says that the file does not prove what it claims, 5 that it is no proof.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  yilian verify receipt.json --trust checkpoint.json\n  yilian verify statement.json --trust checkpoint.json --json"
)]
pub struct Verify {
    /// The file: a receipt, a statement, a stream or a row of the state.
    file: PathBuf,
    /// The checkpoint to trust.
    #[arg(long, value_name = "CHECKPOINT")]
    trust: PathBuf,
}

/// What every proof says of itself; a file without it was given by mistake, and proves nothing either way.
#[derive(serde::Deserialize)]
struct Format {
    #[serde(rename = "format")]
    _format: String,
}

impl Verify {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub fn run(self, context: &Context) -> Outcome {
        let checkpoint = read_checkpoint(&self.trust)?;
        // One byte more than the bound, so that its own rule refuses what is too long.
        let bytes = durable::read(&self.file, PROOF_BYTES_MAX as u64 + 1).map_err(|error| match error {
            durable::FileError::TooLarge { .. } => Failure::Verification(error.to_string()),
            other => other.into(),
        })?;
        if let Err(error) = serde_json::from_slice::<Format>(&bytes) {
            let (path, reason) = (self.file.clone(), json::plain(&error.to_string()));
            return Err(ClientError::FileContent { path, expected: "a saved proof (JSON)", reason }.into());
        }
        let document = ProofDocument::from_json(&bytes)?;
        let proves = describe::verified(&document, &checkpoint)?;
        if context.json() {
            let header = &document.block().header;
            output::print_json(&json!({
                "verified": true,
                "kind": kind(&document.proof),
                "chain_id": header.chain_id,
                "height": header.height,
                "time": header.time,
                "proves": proves,
            }));
        } else {
            output::print_line(&format!("Verified. {proves}"));
        }
        Ok(exit::OK)
    }
}

/// The kind of a proof as its document names it.
fn kind(proof: &Proof) -> &'static str {
    match proof {
        Proof::Transaction(_) => "transaction",
        Proof::State(_) => "state",
        Proof::Stream(_) => "stream",
        Proof::Statement(_) => "statement",
    }
}
