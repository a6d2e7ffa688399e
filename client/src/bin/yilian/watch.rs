//! `yilian watch`: new blocks and one's own transactions as they become final.

use clap::Args;
use serde_json::json;
use yilian_client::client::events::Event;
use yilian_client::error::exit;
use yilian_local::moment;
use yilian_spec::ledger::receipt::Outcome as Became;

use crate::context::Context;
use crate::failure::Outcome;
use crate::output;

/// Print new blocks and one's own transactions as they become final. With --json one object a line.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  yilian watch\n  yilian watch --after 120 --count 10 --json")]
pub struct Watch {
    /// Begin behind this height [default: with the next block].
    #[arg(long, value_name = "HEIGHT")]
    after: Option<u64>,
    /// End after so many events.
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
}

impl Watch {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        let client = context.client(None).await?;
        let json = context.json();
        let mut left = self.count.unwrap_or(u64::MAX);
        if left > 0 {
            let each = |event| {
                output::print_line(&if json { line_json(&event) } else { line(&event) });
                left -= 1;
                left > 0
            };
            client.watch(self.after, each).await?;
        }
        Ok(exit::OK)
    }
}

fn line_json(event: &Event) -> String {
    match event {
        Event::Block(block) => json!({"event": "block", "data": block}).to_string(),
        Event::Transaction(transaction) => json!({"event": "transaction", "data": transaction}).to_string(),
    }
}

fn line(event: &Event) -> String {
    match event {
        Event::Block(block) => format!(
            "{}  block {}  {} transactions  {}",
            moment::show(block.time),
            block.height,
            block.transactions,
            block.block_id
        ),
        Event::Transaction(transaction) => {
            let outcome = match transaction.outcome {
                Became::Applied => "applied".to_owned(),
                Became::Refused { operation, reason } => {
                    format!("refused at operation {operation}: {reason}")
                }
            };
            format!("  transaction {}  {outcome}", transaction.transaction_id)
        }
    }
}
