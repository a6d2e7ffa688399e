//! `yilian node`: how a node is, and where its ledger stands.

use clap::Subcommand;
use serde_json::json;
use yilian_client::client::freshness::Tip;
use yilian_client::config::check_node;
use yilian_client::error::exit;
use yilian_local::moment;
use yilian_spec::crypto::signature::PublicKey;

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output;

/// A node's health, and the tip of its ledger.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian node health --node http://127.0.0.1:8600")]
pub enum NodeCommand {
    /// Show whether the node is healthy, and if not, why. Exit code 1 when it is not.
    #[command(after_help = "Example:\n  yilian node health --node http://127.0.0.1:8600")]
    Health,
    /// Show the tip of the node's ledger and its validators.
    #[command(after_help = "Example:\n  yilian node status --json")]
    Status,
    /// Compare the last blocks of all nodes of the profile, and of those given with --compare, each verified.
    #[command(after_help = "Example:\n  yilian node compare --compare http://127.0.0.1:8600")]
    Compare,
    /// Take a node's key for its address from now on, after its operator has confirmed it.
    ///
    /// A command signs its requests for the key that an address named first, so that another node cannot use them. Where
    /// an address names another key, commands stop until this is said.
    #[command(
        after_help = "Example:\n  yilian node trust http://127.0.0.1:8600 --node-key \\\n    010a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
    )]
    Trust {
        /// The node's address, as in the profile.
        address: String,
        /// The node's public key.
        #[arg(long, value_name = "KEY")]
        node_key: PublicKey,
    },
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
            Self::Compare => compare(context).await,
            Self::Trust { address, node_key } => trust(context, &address, node_key).await,
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
        ("last block", output::or_dash(health.last_block_age_ms.map(moment::show_ago))),
    ]);
    for alarm in &health.alarms {
        output::print_fields(&[("alarm", alarm.reason.clone()), ("remedy", alarm.remedy.clone())]);
    }
    Ok(code)
}

async fn compare(context: &Context) -> Outcome {
    let tips = context.client(None).await?.compare().await?;
    if context.json() {
        output::print_json(&tips);
        return Ok(exit::OK);
    }
    let row = |tip: &Tip| {
        vec![tip.node.clone(), tip.height.to_string(), tip.block_id.to_string(), moment::show(tip.time)]
    };
    output::print_table(&["node", "height", "block", "time"], tips.iter().map(row).collect());
    output::print_line("one history: up to the lowest of these heights all blocks are the same");
    Ok(exit::OK)
}

async fn trust(context: &Context, address: &str, key: PublicKey) -> Outcome {
    check_node(address).map_err(Failure::Usage)?;
    let client = context.keyless_client().await?;
    client.memory().trust_node_key(address.trim_end_matches('/'), key)?;
    let sentence = format!("{address} must name node key {key} from now on");
    if context.json() {
        output::print_json(&json!({"done": sentence}));
    } else {
        output::print_line(&sentence);
    }
    Ok(exit::OK)
}

async fn status(context: &Context) -> Outcome {
    let chain = context.keyless_client().await?.chain().await?;
    if context.json() {
        output::print_json(&chain);
        return Ok(exit::OK);
    }
    output::print_fields(&[
        ("network", chain.network.clone()),
        ("node key", chain.node.to_string()),
        ("chain", chain.chain_id.to_string()),
        ("height", chain.height.to_string()),
        ("block", chain.block_id.to_string()),
        ("time", moment::show(chain.time)),
        (
            "protocol",
            format!(
                "version {} (the node knows up to {})",
                chain.protocol_version, chain.protocol_version_known
            ),
        ),
    ]);
    let row = |validator: &yilian_spec::domain::membership::validators::Validator| {
        vec![validator.institution.to_string(), validator.power.to_string(), validator.key.to_string()]
    };
    let rows = chain.validators.validators().iter().map(row).collect();
    output::print_table(&["validator", "power", "key"], rows);
    Ok(exit::OK)
}
