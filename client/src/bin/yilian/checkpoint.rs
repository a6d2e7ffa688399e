//! `yilian checkpoint`: what proofs are verified against.

use std::path::PathBuf;

use clap::Subcommand;
use yilian_client::error::exit;
use yilian_local::durable;
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::proof::Checkpoint;

use crate::context::{Context, read_checkpoint, read_json};
use crate::failure::{Failure, Outcome};
use crate::output;

/// Checkpoints: what proofs are verified against.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian checkpoint save checkpoint.json --genesis genesis.json")]
pub enum CheckpointCommand {
    /// Save a checkpoint: from a genesis file, or of the tip as the node in the profile says.
    ///
    /// Whoever saves one from a node trusts that node at this moment; every later answer, of any node, is verified
    /// against it. The genesis of one's own ledger needs no such trust.
    #[command(
        after_help = "Examples:\n  yilian checkpoint save checkpoint.json --genesis genesis.json\n  yilian checkpoint save checkpoint.json"
    )]
    Save {
        /// The file; one that exists is not overwritten.
        file: PathBuf,
        /// The genesis file to take it from.
        #[arg(long, value_name = "FILE")]
        genesis: Option<PathBuf>,
    },
    /// Show a checkpoint.
    #[command(after_help = "Example:\n  yilian checkpoint show checkpoint.json")]
    Show {
        /// The file.
        file: PathBuf,
    },
}

impl CheckpointCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Save { file, genesis } => {
                let checkpoint = match genesis {
                    Some(path) => of_genesis(&path)?,
                    None => context.keyless_client().await?.tip_checkpoint().await?,
                };
                let mut json = serde_json::to_vec_pretty(&checkpoint).expect("a checkpoint is JSON");
                json.push(b'\n');
                durable::create(&file, &json)?;
                print(context, &checkpoint);
            }
            Self::Show { file } => print(context, &read_checkpoint(&file)?),
        }
        Ok(exit::OK)
    }
}

fn of_genesis(path: &std::path::Path) -> Result<Checkpoint, Failure> {
    let genesis: Genesis = read_json(path, "a genesis")?;
    genesis.check().map_err(|error| Failure::Local(format!("{}: {error}", path.display())))?;
    Ok(Checkpoint::of_genesis(&genesis))
}

fn print(context: &Context, checkpoint: &Checkpoint) {
    if context.json() {
        return output::print_json(checkpoint);
    }
    output::print_fields(&[
        ("chain", checkpoint.chain_id.to_string()),
        ("height", checkpoint.height.to_string()),
        ("block", output::or_dash(checkpoint.block_id)),
    ]);
    let row = |validator: &yilian_spec::domain::membership::validators::Validator| {
        vec![validator.institution.to_string(), validator.power.to_string(), validator.key.to_string()]
    };
    let rows = checkpoint.validators.validators().iter().map(row).collect();
    output::print_table(&["validator", "power", "key"], rows);
}
