//! `yilian block`: a block's header and certificate, and its transactions that concern the caller.

use clap::Subcommand;
use serde_json::json;
use yilian_client::client::Client;
use yilian_client::error::exit;
use yilian_spec::api::ledger::{Block, BlockTransaction};
use yilian_spec::ledger::receipt::Outcome as Became;

use crate::context::Context;
use crate::failure::Outcome;
use crate::output;
use crate::saving::SaveArgument;

/// Blocks: header, certificate, and the transactions that concern one's institution.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian block show latest")]
pub enum BlockCommand {
    /// Show a block. Its header is verified; that no transaction of one's own is missing, a stream proves.
    #[command(after_help = "Examples:\n  yilian block show latest\n  yilian block show 12 --json")]
    Show {
        /// Its height, or latest.
        height: String,
    },
    /// Prove that the ledger of the latest block continues that of an earlier one: nothing up to there was taken back.
    #[command(after_help = "Example:\n  yilian block consistency 12 --save consistency.json")]
    Consistency {
        /// The earlier block's height.
        height: u64,
        #[command(flatten)]
        save: SaveArgument,
    },
}

impl BlockCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        let client = context.client(None).await?;
        match self {
            Self::Show { height } => {
                let (block, verified) = client.block(&height).await?;
                print(context, &block, verified);
                Ok(exit::OK)
            }
            Self::Consistency { height, save } => consistency(context, &client, height, save).await,
        }
    }
}

async fn consistency(context: &Context, client: &Client, height: u64, save: SaveArgument) -> Outcome {
    let (document, verified) = client.consistency_proof(height).await?;
    save.save(&document)?;
    let header = &document.block().header;
    if context.json() {
        output::print_json(&json!({
            "earlier_height": height, "height": header.height, "time_ms": header.time,
            "log_size": header.log_size, "verified": verified,
        }));
    } else {
        let said = if verified { "proven" } else { "as the node says" };
        output::print_line(&format!(
            "the ledger continues that of block {height}, {said} ({})",
            output::standing(header.height.0, header.time, verified)
        ));
    }
    save.tell(context, &document, verified);
    Ok(exit::OK)
}

fn print(context: &Context, block: &Block, verified: bool) {
    let Block { certified, transactions } = block;
    let header = &certified.header;
    if context.json() {
        return output::print_json(&json!({
            "block_id": header.id(),
            "header": header,
            "certificate": certified.certificate,
            "transactions": transactions,
            "verified": verified,
        }));
    }
    output::print_fields(&[
        ("block", header.id().to_string()),
        ("standing", output::standing(header.height.0, header.time, verified)),
        ("proposer", header.proposer.to_string()),
        ("signatures", certified.certificate.signatures.len().to_string()),
        ("transactions", format!("{}, of which {} are shown", header.transaction_count, transactions.len())),
        ("state root", header.state_root.to_string()),
    ]);
    let row = |entry: &BlockTransaction| {
        let outcome = match entry.outcome {
            Became::Applied => "applied".to_owned(),
            Became::Refused { operation, reason } => format!("refused at {operation}: {reason}"),
        };
        vec![
            entry.transaction_id.to_string(),
            entry.institution.to_string(),
            entry.operations.join(", "),
            outcome,
        ]
    };
    let rows = transactions.iter().map(row).collect();
    output::print_table(&["transaction", "by", "operations", "outcome"], rows);
}
