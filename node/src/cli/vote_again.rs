//! `yilian-node vote-again`: the operators' word in the place of what a validator has forgotten.

use std::process::ExitCode;

use anyhow::{Result, bail};
use yilian_spec::base::height::Height;

use super::HomeArgument;
use crate::home::Home;
use crate::storage::{StorageOptions, Store};
use crate::voting;

/// Arguments of `vote-again`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  yilian-node vote-again --home node --none-has-block 8

A validator that may have forgotten a vote follows without voting until the others have passed every height at which it may \
have voted. If they cannot decide anything without it (two or three validators, or several that lost their disks at once), \
they never do.

Then the operators of all validators and observers compare the heights of their nodes (`yilian-node status`). If no node has \
the block after this node's last one, nothing final can be contradicted, and this command lets the validator vote again. If \
a node has it, run that node instead: the others fetch the block from it. A wrong answer can split the ledger.

If the validator voted before it lost its disk, the others may report two different messages of it for one place. That is the \
forgotten vote, not an attack.")]
pub(super) struct Arguments {
    #[command(flatten)]
    home: HomeArgument,
    /// The block after this node's last one, of which the operators have seen that no node has it.
    #[arg(long, value_name = "HEIGHT")]
    none_has_block: u64,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let home = Home::open(&arguments.home.home)?;
    let _lock = home.lock_stopped()?;
    let store = Store::open_or_create(&home.ledger_directory(), &home.genesis()?, StorageOptions::default())?;
    let tip = store.tables().tip()?.0;
    let next = tip.next();
    if voting::recorded(&home)?.is_none_or(|(abstention, _)| abstention.is_over(tip)) {
        println!("As far as its last start noted, this validator does not abstain: start the node.");
        return Ok(ExitCode::SUCCESS);
    }
    if Height(arguments.none_has_block) != next {
        bail!(
            "this node's ledger ends before block {next}, so the question is whether any node has block {next}: compare all \
             nodes (`yilian-node status`), and give --none-has-block {next} when none has it"
        );
    }
    voting::vote_again(&home, next)?;
    println!("The validator votes again from block {next} on: start the node.");
    Ok(ExitCode::SUCCESS)
}
