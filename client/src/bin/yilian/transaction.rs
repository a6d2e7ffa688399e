//! `yilian transaction`: show, submit from a file, save a receipt.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;
use yilian_client::error::exit;
use yilian_client::limits;
use yilian_local::durable;
use yilian_local::moment;
use yilian_spec::base::id::TransactionId;
use yilian_spec::domain::Operation;
use yilian_spec::ledger::receipt::Outcome as Became;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::proof::TransactionProof;

use crate::context::{Context, parse_json};
use crate::details::details;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::saving::save;
use crate::submission::{submit_signed, submit_with};

/// Transactions: show, submit, save a receipt.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  yilian transaction show \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
)]
pub enum TransactionCommand {
    /// Show a final transaction and what became of it.
    #[command(
        after_help = "Example:\n  yilian transaction show \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 --json"
    )]
    Show {
        /// The transaction.
        transaction: TransactionId,
    },
    /// Submit from a JSON file: a signed transaction, or a list of operations to sign as one.
    #[command(
        after_help = "The operations of a list succeed or fail together. Example of a file:\n  [{\"publish_capacity\": {\"service\": \"cardiology\", \"slots\": 12}}]\n\nExample:\n  yilian transaction submit operations.json"
    )]
    Submit {
        /// The file.
        file: PathBuf,
    },
    /// Save a receipt with its proof, for `yilian verify`.
    #[command(
        after_help = "Example:\n  yilian transaction receipt \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --save receipt.json"
    )]
    Receipt {
        /// The transaction.
        transaction: TransactionId,
        /// The file; one that exists is not overwritten.
        #[arg(long, value_name = "FILE")]
        save: PathBuf,
        /// Prove it in the ledger's log as of the latest block, not in its own: for whoever trusts a later checkpoint.
        #[arg(long)]
        in_log: bool,
    },
}

impl TransactionCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Show { transaction } => {
                let client = context.client(None).await?;
                let (proof, verified) = client.transaction_proof(transaction).await?;
                print(context, &proof, verified);
                Ok(exit::OK)
            }
            Self::Submit { file } => submit(context, &file).await,
            Self::Receipt { transaction, save: file, in_log } => {
                let client = context.client(None).await?;
                let (document, verified) = if in_log {
                    client.inclusion_proof(transaction).await?
                } else {
                    let (proof, verified) = client.transaction_proof(transaction).await?;
                    (proof.into(), verified)
                };
                save(context, &file, document, verified)?;
                Ok(exit::OK)
            }
        }
    }
}

async fn submit(context: &Context, file: &std::path::Path) -> Outcome {
    let bytes = durable::read(file, limits::INPUT_BYTES_MAX)?;
    if !bytes.trim_ascii_start().starts_with(b"[") {
        let expected = "a signed transaction, or a list of operations in brackets";
        let transaction: Transaction = parse_json(file, &bytes, expected)?;
        let client = context.client(None).await?;
        return submit_signed(context, &client, None, transaction).await;
    }
    let operations: Vec<Operation> = parse_json(file, &bytes, "a list of operations")?;
    let role = operations.first().map(Operation::role);
    let role = role.ok_or_else(|| Failure::Usage("the list of operations is empty".to_owned()))?;
    let client = context.client(Some(role)).await?;
    submit_with(context, &client, operations).await
}

fn print(context: &Context, proof: &TransactionProof, verified: bool) {
    let header = &proof.block.header;
    let id = proof.transaction.id();
    if context.json() {
        return output::print_json(&json!({
            "transaction_id": id,
            "transaction": proof.transaction,
            "receipt": proof.receipt,
            "height": header.height,
            "index": proof.transaction_inclusion.index,
            "time_ms": header.time,
            "verified": verified,
        }));
    }
    let body = &proof.transaction.body;
    let outcome = match proof.receipt.outcome {
        Became::Applied => "applied".to_owned(),
        Became::Refused { operation, reason } => format!("refused at operation {operation}: {reason}"),
    };
    output::print_fields(&[
        ("transaction", id.to_string()),
        ("institution", body.institution.to_string()),
        ("author", body.author.to_string()),
        ("created", moment::show(body.created)),
        ("outcome", outcome),
        ("final", output::standing(header.height.0, header.time, verified)),
    ]);
    let kinds = if proof.receipt.outcome == Became::Applied {
        crate::submission::created(id, &body.operations)
    } else {
        Vec::new()
    };
    let row = |(index, operation): (usize, &Operation)| {
        let created = kinds.iter().find(|created| usize::from(created.operation) == index);
        vec![
            index.to_string(),
            operation.name().to_owned(),
            details(operation),
            created.map_or_else(String::new, |created| format!("{} {}", created.kind, created.id)),
        ]
    };
    let rows = body.operations.iter().enumerate().map(row).collect();
    output::print_table(&["", "operation", "details", "created"], rows);
}
