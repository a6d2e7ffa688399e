//! `yilian-node backup` and `restore`: verified copies of the ledger, and their way back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::HomeArgument;
use super::remedy::with_remedy;
use crate::home::Home;
use crate::operator::control::{self, Answer, Command};
use crate::storage::{StorageOptions, Store, backup};
use crate::voting::{self, Cause};

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  yilian-node backup --home node backups

Keys and configuration are not part of it. A restored validator must not run beside the one it was copied from.")]
pub(super) struct Arguments {
    /// Where the copies are kept.
    directory: PathBuf,
    /// Copies to keep there.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    keep: u16,
    #[command(flatten)]
    home: HomeArgument,
}

/// Arguments of `restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  yilian-node restore --home node backups")]
pub(super) struct RestoreArguments {
    /// Where the copies are kept.
    directory: PathBuf,
    #[command(flatten)]
    home: HomeArgument,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let directory = std::path::absolute(&arguments.directory)?;
    let home = &arguments.home.home;
    let keep = usize::from(arguments.keep);
    let command = Command::Backup { directory: directory.clone(), keep };
    let done = match super::block_on(control::ask(home, &command))? {
        Ok(Answer::Backup { done }) => done,
        Ok(Answer::Failed { reason }) => bail!("{reason}"),
        Ok(other) => bail!("the node answered {other:?}"),
        // A stopped node's ledger is read by this process.
        Err(control::ControlError::NotRunning { .. }) => stopped(home, &directory, keep)?,
        Err(error) => return Err(error.into()),
    };
    println!("{}: {done}", directory.display());
    Ok(ExitCode::SUCCESS)
}

fn stopped(typed: &Path, directory: &Path, keep: usize) -> Result<String> {
    let home = Home::open(typed)?;
    let _lock = home.lock_stopped()?;
    let store = Store::open(&home.ledger_directory(), StorageOptions::default())
        .map_err(|error| with_remedy(error.into(), typed))?;
    let info = backup::backup(&store, directory, keep)?;
    Ok(format!("backup {} in {} files, {} bytes, verified", info.number, info.files, info.bytes))
}

pub(super) fn restore(arguments: &RestoreArguments) -> Result<ExitCode> {
    let home = Home::open(&arguments.home.home)?;
    let _lock = home.lock_stopped()?;
    // A mistyped directory must leave no trace in the home.
    backup::require_backups(&arguments.directory)?;
    let target = home.ledger_directory();
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    if !target.join("CURRENT").exists() {
        // The restored ledger is shorter than the one in whose votes this node took part.
        voting::ledger_goes(&home, Cause::LedgerRestored)?;
    }
    let restored = backup::restore(&arguments.directory, &target)?;
    super::tell_abstention(&home)?;
    println!("{}: chain {}, height {}", target.display(), restored.chain_id, restored.height);
    println!("`yilian-node check --home {}` reads it in full.", home.path.display());
    Ok(ExitCode::SUCCESS)
}
