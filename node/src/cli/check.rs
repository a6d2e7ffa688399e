//! `yilian-node check`: an independent reading of a stopped node's files.

use std::process::ExitCode;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use yilian_spec::height::Height;

use super::HomeArgument;
use crate::home::Home;
use crate::inspection;

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
    let found = inspection::inspect(&home, blocks_read()?)?;
    match &found.ledger {
        Ok(Some(report)) => {
            println!(
                "chain {}, {} blocks, {} transactions",
                report.chain_id, report.height, report.transactions
            );
        }
        Ok(None) => println!("there is no ledger yet"),
        Err(_) => {}
    }
    for note in &found.notes {
        println!("note: {note}");
    }
    for complaint in found.complaints() {
        println!("{complaint}");
    }
    if found.is_clean() {
        println!("everything is as it must be");
        return Ok(ExitCode::SUCCESS);
    }
    if found.ledger.is_err() || found.votes.is_err() {
        println!(
            "Run `yilian-node repair --home {}`: it sets what is damaged aside, and the next start rebuilds it from the \
             peers. A backup can be restored instead.",
            home.path.display()
        );
    }
    Ok(ExitCode::FAILURE)
}

/// Shows how many blocks have been read, until it is dropped. Draws nothing unless standard error is a terminal.
pub(super) fn blocks_read() -> Result<impl FnMut(Height, Height)> {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} blocks, {eta} left")?;
    let bar = ProgressBar::new(0).with_style(style).with_finish(ProgressFinish::AndClear);
    Ok(move |height: Height, last: Height| {
        bar.set_length(last.0);
        bar.set_position(height.0);
    })
}
