//! `yilian verify`: a saved proof against a checkpoint, offline.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use yilian_client::describe;
use yilian_client::error::exit;
use yilian_spec::proof::{CertifiedHeader, Checkpoint, Proof, ProofDocument, ProofError, StreamParts};

use crate::context::{Context, read_checkpoint};
use crate::failure::Outcome;
use crate::output;
use crate::proof_file::ProofFile;

/// Verify saved proofs offline and say what they prove.
///
/// Nothing is asked of any node: the file holds the proof, the checkpoint the validators that are trusted. Exit code 4
/// says that the file does not prove what it claims, 5 that it is no proof. A file may hold many proofs, one a line, such as
/// the parts of a long stream; all of them must verify, and the parts follow each other.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  yilian verify receipt.json --trust checkpoint.json\n  yilian verify statement.json --trust checkpoint.json --json"
)]
pub struct Verify {
    /// The file: a receipt, a statement, a stream, a row of the state, or what the ledger's log proves.
    file: PathBuf,
    /// The checkpoint to trust.
    #[arg(long, value_name = "CHECKPOINT")]
    trust: PathBuf,
}

/// What a proof shows, or several parts of one stream together.
struct Shown {
    kind: &'static str,
    block: CertifiedHeader,
    proves: String,
}

/// The proofs of a file, as they are verified.
struct Verdict<'c> {
    checkpoint: &'c Checkpoint,
    shown: Vec<Shown>,
    /// The stream whose parts are being put together, and the last part's block.
    stream: Option<(StreamParts, CertifiedHeader)>,
}

impl Verify {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub fn run(self, context: &Context) -> Outcome {
        let checkpoint = read_checkpoint(&self.trust)?;
        let mut file = ProofFile::open(&self.file)?;
        let mut verdict = Verdict { checkpoint: &checkpoint, shown: Vec::new(), stream: None };
        while let Some(bytes) = file.next()? {
            let added = ProofDocument::from_json(&bytes).and_then(|document| verdict.add(document));
            added.map_err(|error| file.failure(error))?;
        }
        let shown = verdict.finish();
        if !context.json() {
            output::print_lines(shown.iter().map(|shown| format!("Verified. {}", shown.proves)));
            return Ok(exit::OK);
        }
        match shown.as_slice() {
            [only] => output::print_json(&only.json()),
            several => {
                let proofs: Vec<Value> = several.iter().map(Shown::json).collect();
                output::print_json(&json!({"verified": true, "proofs": proofs}));
            }
        }
        Ok(exit::OK)
    }
}

impl Verdict<'_> {
    fn add(&mut self, document: ProofDocument) -> Result<(), ProofError> {
        let Proof::Stream(proof) = &document.proof else {
            self.end_stream();
            let proves = describe::verified(&document, self.checkpoint)?;
            let (kind, block) = (document.proof.kind(), document.block().clone());
            self.shown.push(Shown { kind, block, proves });
            return Ok(());
        };
        let (_, part) = proof.verify(self.checkpoint)?;
        match &mut self.stream {
            Some((parts, last)) if *parts.stream() == proof.stream => {
                parts.add(proof, part)?;
                last.clone_from(&proof.block);
            }
            _ => {
                self.end_stream();
                self.stream = Some((StreamParts::new(proof, part), proof.block.clone()));
            }
        }
        Ok(())
    }

    fn end_stream(&mut self) {
        if let Some((parts, block)) = self.stream.take() {
            let proves = describe::verified_parts(&parts, &block, self.checkpoint);
            self.shown.push(Shown { kind: "stream", block, proves });
        }
    }

    fn finish(mut self) -> Vec<Shown> {
        self.end_stream();
        self.shown
    }
}

impl Shown {
    fn json(&self) -> Value {
        let header = &self.block.header;
        json!({
            "verified": true,
            "kind": self.kind,
            "chain_id": header.chain_id,
            "height": header.height,
            "time_ms": header.time,
            "proves": self.proves,
        })
    }
}
