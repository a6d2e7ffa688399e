//! Proofs in files: saved as a node gave them, one a line, for `yilian verify` (rules P-1, P-21).

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use yilian_client::client::Client;
use yilian_client::error::exit;
use yilian_local::durable::{self, NewFile};
use yilian_spec::base::codec::Canonical;
use yilian_spec::base::height::Height;
use yilian_spec::base::limits::PROOF_BYTES_MAX;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::ledger::block::Header;
use yilian_spec::proof::{ProofDocument, ProofError};
use yilian_spec::state::key::StateKey;

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output;

/// Where the proof of what is shown goes.
#[derive(Debug, Args)]
pub struct SaveArgument {
    /// Save the proof too, for `yilian verify`; a file that exists is not overwritten.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

impl SaveArgument {
    /// Whether a proof shall be saved.
    pub fn is_asked(&self) -> bool {
        self.save.is_some()
    }

    /// Saves the proof of what is about to be shown, where that is asked for: with --json standard output holds either that
    /// or an error.
    ///
    /// # Errors
    /// When there is a file of that name, or it cannot be written.
    pub fn save(&self, document: &ProofDocument) -> Result<(), Failure> {
        let Some(file) = &self.save else { return Ok(()) };
        Ok(durable::create(file, line(document)?.as_bytes())?)
    }

    /// Says that the proof of what was shown is saved, where that was asked for.
    pub fn tell(&self, context: &Context, document: &ProofDocument, verified: bool) {
        let Some(file) = &self.save else { return };
        let Header { height, time, .. } = document.block().header;
        let said = if context.json() { output::note } else { output::print_line };
        saved(file, &output::standing(height.0, time, verified)).iter().for_each(|line| said(line));
    }
}

/// Shows a record of the state, with the fields that people look for, and saves its proof where that is asked for.
///
/// # Errors
/// When there is no such record, or asking or saving fails.
pub async fn show_record<T: Canonical + Serialize>(
    context: &Context,
    client: &Client,
    key: &StateKey,
    id: &str,
    save: SaveArgument,
    fields: impl FnOnce(&T) -> Vec<(&'static str, String)>,
) -> Outcome {
    let (document, fetched) = client.proven_record::<T>(key).await?;
    save.save(&document)?;
    output::print_record(context.json(), id, &fetched, fields);
    save.tell(context, &document, fetched.verified);
    Ok(exit::OK)
}

/// Writes a proof to a new file and says so.
///
/// # Errors
/// When there is a file of that name, or it cannot be written.
pub fn save(context: &Context, file: &Path, document: ProofDocument, verified: bool) -> Result<(), Failure> {
    durable::create(file, line(&document)?.as_bytes())?;
    let header = &document.block().header;
    tell_saved(context, file, (header.height, header.time), verified);
    Ok(())
}

/// Says that a file was saved, and as of which block.
pub fn tell_saved(context: &Context, file: &Path, (height, time): (Height, LedgerTime), verified: bool) {
    if context.json() {
        return output::print_json(&serde_json::json!({
            "file": file, "height": height, "time_ms": time, "verified": verified,
        }));
    }
    output::print_lines(saved(file, &output::standing(height.0, time, verified)));
}

fn saved(file: &Path, standing: &str) -> [String; 2] {
    let file = file.display();
    [format!("saved {file} ({standing})"), format!("check it with: yilian verify {file} --trust CHECKPOINT")]
}

/// Appends a proof to a file of several.
///
/// # Errors
/// When it cannot be written.
pub fn append(file: &mut NewFile, document: &ProofDocument) -> Result<(), Failure> {
    Ok(file.append(line(document)?.as_bytes())?)
}

/// The proof as a line that `yilian verify` reads.
fn line(document: &ProofDocument) -> Result<String, ProofError> {
    let json = document.to_json();
    if json.len() > PROOF_BYTES_MAX { Err(ProofError::TooLong) } else { Ok(json) }
}
