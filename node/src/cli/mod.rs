//! The command line of the node, one file per command.

// Before the others, which print with its macros.
#[macro_use]
pub(crate) mod output;

mod backup;
mod check;
mod genesis;
mod init;
mod key;
mod logging;
mod peers;
mod remedy;
mod repair;
mod run;
mod status;
mod vote_again;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use yilian_local::arguments::{ask_for_json, in_one_line};

use crate::home::{Home, private};
use crate::voting;

/// A node of a Yilian ledger.
#[derive(Debug, Parser)]
#[command(name = "yilian-node", version, max_term_width = 100, after_help = EXAMPLE)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLE: &str = "A node from nothing:
  yilian-node init --home node --institution renhe-hospital --validator
  yilian-node genesis make consortium.toml --out genesis.json
  yilian-node init --home node --genesis genesis.json
  yilian-node run --home node

Exit codes: 0 done, 1 it did not work (the message says why), 2 wrong usage.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a node's home, or give one its genesis.
    Init(init::Arguments),
    /// Make or check a genesis.
    #[command(subcommand)]
    Genesis(genesis::Arguments),
    /// Run the node until SIGTERM or SIGINT.
    Run(run::Arguments),
    /// Say how the running node is; exit code 1 when it is not healthy.
    Status(status::Arguments),
    /// What each institution's nodes send and what was refused of it; disconnect one.
    Peers(peers::Arguments),
    /// Replace the key by which peers know the node.
    #[command(subcommand)]
    Key(key::Arguments),
    /// Copy the running node's ledger, verified.
    Backup(backup::Arguments),
    /// Restore the newest backup of a directory into a stopped node's home.
    Restore(backup::RestoreArguments),
    /// Read the files of a node in full, also while it runs: recompute ids, roots, certificates and state.
    Check(check::Arguments),
    /// Set what is damaged of a stopped node aside, so that the next start rebuilds it from the peers.
    Repair(repair::Arguments),
    /// Let a stopped validator vote again that abstains, when nothing can be decided without it and no node has the next block.
    VoteAgain(vote_again::Arguments),
    /// Start a consortium on this machine, play a day of it, verify its proofs offline, and remove it.
    Demo {
        /// Leave it running until Ctrl-C.
        #[arg(long)]
        keep: bool,
    },
    /// Print shell completions.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// The directory of a node.
#[derive(Debug, clap::Args)]
pub struct HomeArgument {
    /// The node's home.
    #[arg(long, env = "YILIAN_HOME", value_name = "DIR")]
    pub home: PathBuf,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    private::keep_new_files_private();
    let is_json = ask_for_json();
    let command = match Arguments::try_parse() {
        Ok(arguments) => arguments.command,
        Err(error) if is_json && error.use_stderr() => {
            print_failure("usage", &in_one_line(&error.to_string()));
            return ExitCode::from(2);
        }
        Err(error) => error.exit(),
    };
    match dispatch(command) {
        Ok(code) => code,
        Err(error) if is_json => {
            print_failure("failed", &describe(&error));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("yilian-node: {}", describe(&error));
            ExitCode::FAILURE
        }
    }
}

/// The one JSON document of a command that failed, as `yilian` prints it.
fn print_failure(code: &str, message: &str) {
    println!("{}", serde_json::json!({"error": {"code": code, "message": message}}));
}

fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Init(arguments) => init::run(&arguments),
        Command::Genesis(arguments) => genesis::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Peers(arguments) => peers::run(arguments),
        Command::Key(arguments) => key::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => backup::restore(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Repair(arguments) => repair::run(&arguments),
        Command::VoteAgain(arguments) => vote_again::run(&arguments),
        Command::Demo { keep } => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(crate::demo::run(keep)).map(|()| ExitCode::SUCCESS)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "yilian-node", &mut script);
            print!("{}", String::from_utf8(script)?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// An error with its causes, without those that it quotes already.
fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Says that a validator will not vote for a while, where that is so.
fn tell_abstention(home: &Home) -> Result<()> {
    let is_validator = !home.config.node.validator_key.as_os_str().is_empty();
    if let (true, Some((abstention, _))) = (is_validator, voting::recorded(home)?) {
        println!(
            "After its start the validator follows without voting {abstention}, since it may have forgotten a vote; once the \
             others have come so far, it votes again by itself. Where they cannot without it: `yilian-node vote-again --help`."
        );
    }
    Ok(())
}

/// Runs a future of a command to its end.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let quoted = anyhow::anyhow!("disk full").context("cannot write: disk full").context("starting");
        assert_eq!(describe(&quoted), "starting: cannot write: disk full");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
