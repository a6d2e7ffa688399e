//! `yilian-node check`: an independent reading of a stopped node's ledger.

use std::process::ExitCode;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::HomeArgument;
use crate::home::Home;
use crate::storage::audit;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  yilian-node check --home node")]
pub(super) struct Arguments {
    #[command(flatten)]
    home: HomeArgument,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let home = Home::open(&arguments.home.home)?;
    let _lock = home.lock()?;
    // Draws nothing unless standard error is a terminal.
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} blocks, {eta} left")?);
    let report = audit::check(&home.ledger_directory(), |height, last| {
        bar.set_length(last.0);
        bar.set_position(height.0);
    })?;
    bar.finish_and_clear();
    println!("chain {}, {} blocks, {} transactions", report.chain_id, report.height, report.transactions);
    for finding in &report.findings {
        println!("{finding}");
    }
    if report.is_clean() {
        println!("everything is as it must be");
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "the ledger is damaged: restore a backup, or remove it and let the node catch up from its peers"
    );
    Ok(ExitCode::FAILURE)
}
