//! `yilian`: the command line of a Yilian ledger. One file for each group of commands.

mod access;
mod agreement;
mod arguments;
mod block;
mod capacity;
mod checkpoint;
mod command;
mod context;
mod details;
mod failure;
mod global;
mod grant;
mod import;
mod institution;
mod key;
mod node;
mod output;
mod parse;
mod period;
mod profile;
mod proof_file;
mod referral;
mod saving;
mod service;
mod statement;
mod strangers;
mod stream;
mod subject;
mod submission;
mod token;
mod transaction;
mod verify;
mod watch;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser as _;
use yilian_local::arguments::{ask_for_json, in_one_line};

/// Arguments that the parser refuses, or help and the version: these stand on standard output, as they are.
fn refused_arguments(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && ask_for_json() {
        return failure::Failure::Usage(in_one_line(&error.to_string())).report(true);
    }
    error.exit()
}

fn main() -> ExitCode {
    let cli = match command::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refused_arguments(&error),
    };
    let json = cli.global.json;
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::Failure::Local(format!("cannot start: {error}")).report(json),
    };
    match runtime.block_on(command::run(cli)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(json),
    }
}
