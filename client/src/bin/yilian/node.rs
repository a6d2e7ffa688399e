//! `yilian node`: how a node is, and where its ledger stands.

use clap::Subcommand;
use yilian_client::error::exit;
use yilian_client::moment;

use crate::command::Outcome;
use crate::context::Context;
use crate::output;

/// A node's health, and the tip of its ledger.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian node health --node http://127.0.0.1:8440")]
pub enum NodeCommand {
    /// Show whether the node is healthy, and if not, why. Exit code 1 when it is not.
    #[command(after_help = "Example:\n  yilian node health --node http://127.0.0.1:8440")]
    Health,
    /// Show the tip of the node's ledger and its validators.
    #[command(after_help = "Example:\n  yilian node status --json")]
    Status,
}

impl NodeCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Health => health(context).await,
            Self::Status => status(context).await,
        }
    }
}

async fn health(context: &Context) -> Outcome {
    let health = yilian_client::client::health(context.keyless_settings()?).await?;
    let code = if health.status == "healthy" { exit::OK } else { exit::REFUSED };
    if context.json() {
        output::print_json(&health);
        return Ok(code);
    }
    output::print_fields(&[
        ("status", health.status.clone()),
        ("reason", output::or_dash(health.reason)),
        ("remedy", output::or_dash(health.remedy.filter(|remedy| !remedy.is_empty()))),
        ("height", output::or_dash(health.height)),
        ("peers", output::or_dash(health.peers)),
        ("behind by", output::or_dash(health.behind_by)),
        ("last block", output::or_dash(health.last_block_age_ms.map(|age_ms| format!("{age_ms} ms ago")))),
    ]);
    Ok(code)
}

async fn status(context: &Context) -> Outcome {
    let chain = context.keyless_client().await?.chain().await?;
    if context.json() {
        output::print_json(&chain);
        return Ok(exit::OK);
    }
    output::print_fields(&[
        ("network", chain.network.clone()),
        ("chain", chain.chain_id.to_string()),
        ("height", chain.height.to_string()),
        ("block", chain.block_id.to_string()),
        ("time", moment::show(chain.time)),
        ("protocol", format!("version {}", chain.protocol_version)),
    ]);
    let row = |validator: &yilian_spec::membership::Validator| {
        vec![validator.institution.to_string(), validator.power.to_string(), validator.key.to_string()]
    };
    let rows = chain.validators.validators().iter().map(row).collect();
    output::print_table(&["validator", "power", "key"], rows);
    Ok(exit::OK)
}
