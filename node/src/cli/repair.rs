//! `yilian-node repair`: sets what is damaged of a stopped node aside.

use std::process::ExitCode;

use anyhow::Result;

use super::HomeArgument;
use super::check::blocks_read;
use crate::home::Home;
use crate::operator::repair;

/// Arguments of `repair`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  yilian-node repair --home node

It reads everything as `check` does. A damaged ledger or log of votes is renamed (ledger.damaged-1, and so on), never \
deleted.

The next start fetches the ledger from the peers. Until a validator can no longer contradict a vote that it has \
forgotten, it follows without voting. If the others cannot decide anything without it, see `yilian-node vote-again --help`.")]
pub(super) struct Arguments {
    #[command(flatten)]
    home: HomeArgument,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let home = Home::open(&arguments.home.home)?;
    let _lock = home.lock_stopped()?;
    let moved = repair::repair(&home, blocks_read()?)?;
    for part in &moved {
        println!("{}", part.reason);
        println!("{} set aside as {}", part.what, part.now.display());
    }
    match moved.is_empty() {
        true => println!("nothing is damaged"),
        false => {
            println!("Start the node: it rebuilds what is missing from its peers.");
            super::tell_abstention(&home)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
