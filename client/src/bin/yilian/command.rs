//! The commands: their names, what each does in one line, and where it is done.

use clap::{Args, Parser, Subcommand};
use yilian_client::error::exit;

use crate::context::Context;
use crate::failure::Outcome;
use crate::global::Global;
use crate::{
    access, agreement, block, capacity, checkpoint, grant, import, institution, key, node, output, period,
    profile, referral, service, statement, stream, subject, token, transaction, verify, watch,
};

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  refused: by the rules of the ledger, or by the node
  2  the command is not well-formed
  3  no node answers, or not in time
  4  a proof does not verify, or is older than what was verified before
  5  a local file, a passphrase or the configuration
  6  there is no such thing, or it does not concern your institution

Examples:
  yilian profile add demo --node http://127.0.0.1:8600 --as renhe-hospital
  yilian grant list --json
  yilian verify receipt.json --trust checkpoint.json";

/// Submit to a Yilian ledger, ask it, and verify its answers.
///
/// Yilian is a permissioned ledger of medical consortia: who may see whose records, who handed which patient to whom,
/// and who is owed what. With a checkpoint in the profile every answer is verified against it.
#[derive(Debug, Parser)]
#[command(name = "yilian", version, after_help = AFTER_HELP, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The groups of commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Profiles: nodes, institution, keys and checkpoint under one name.
    #[command(subcommand)]
    Profile(profile::ProfileCommand),
    /// Keys: make, register, rotate, revoke.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Subject tags: the encrypted table from record numbers to what stands for a patient.
    #[command(subcommand)]
    Subject(subject::SubjectCommand),
    /// Grants: who may see whose records.
    #[command(subcommand)]
    Grant(grant::GrantCommand),
    /// Access: disclosures, denials, and receipts of what was disclosed.
    #[command(subcommand)]
    Access(access::AccessCommand),
    /// Referrals: from the request to both closures.
    #[command(subcommand)]
    Referral(referral::ReferralCommand),
    /// Capacity: how many cases of a service can be taken.
    #[command(subcommand)]
    Capacity(capacity::CapacityCommand),
    /// Delivered services and their reversal.
    #[command(subcommand)]
    Service(service::ServiceCommand),
    /// Agreements: terms that parties sign.
    #[command(subcommand)]
    Agreement(agreement::AgreementCommand),
    /// Periods of agreements.
    #[command(subcommand)]
    Period(period::PeriodCommand),
    /// Statements of closed periods.
    #[command(subcommand)]
    Statement(statement::StatementCommand),
    /// Streams: everything about a subject, an institution, a grant, a referral or a period, proven complete.
    #[command(subcommand)]
    Stream(stream::StreamCommand),
    /// Transactions: show, submit, save a receipt.
    #[command(subcommand)]
    Transaction(transaction::TransactionCommand),
    /// Blocks: header, certificate, and the transactions that concern one's institution.
    #[command(subcommand)]
    Block(block::BlockCommand),
    /// Verify a saved proof offline and say what it proves.
    Verify(verify::Verify),
    /// Checkpoints: what proofs are verified against.
    #[command(subcommand)]
    Checkpoint(checkpoint::CheckpointCommand),
    /// Import from other systems, such as FHIR.
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Institutions of the ledger.
    #[command(subcommand)]
    Institution(institution::InstitutionCommand),
    /// A node's health, and the tip of its ledger.
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Print a token for requests to a node's API, such as with curl.
    Token(token::Token),
    /// Print new blocks and one's own transactions as they become final.
    Watch(watch::Watch),
    /// Print a completion script for a shell.
    Completions(Completions),
}

/// Print a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  yilian completions bash")]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Runs a command.
///
/// # Errors
/// Why it failed.
pub async fn run(cli: Cli) -> Outcome {
    let Cli { global, command } = cli;
    if let Command::Completions(Completions { shell }) = command {
        let mut clap_command = <Cli as clap::CommandFactory>::command();
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut clap_command, "yilian", &mut script);
        output::print_line(String::from_utf8_lossy(&script).trim_end());
        return Ok(exit::OK);
    }
    let context = &Context::new(global)?;
    let outcome = dispatch(command, context).await;
    if let Some(difference) = context.clock.difference() {
        output::warn(&difference.to_string());
    }
    outcome
}

async fn dispatch(command: Command, context: &Context) -> Outcome {
    match command {
        Command::Profile(command) => command.run(context),
        Command::Key(command) => command.run(context).await,
        Command::Subject(command) => command.run(context),
        Command::Grant(command) => command.run(context).await,
        Command::Access(command) => command.run(context).await,
        Command::Referral(command) => command.run(context).await,
        Command::Capacity(command) => command.run(context).await,
        Command::Service(command) => command.run(context).await,
        Command::Agreement(command) => command.run(context).await,
        Command::Period(command) => command.run(context).await,
        Command::Statement(command) => command.run(context).await,
        Command::Stream(command) => command.run(context).await,
        Command::Transaction(command) => command.run(context).await,
        Command::Block(command) => command.run(context).await,
        Command::Verify(command) => command.run(context),
        Command::Checkpoint(command) => command.run(context).await,
        Command::Import(command) => command.run(context).await,
        Command::Institution(command) => command.run(context).await,
        Command::Node(command) => command.run(context).await,
        Command::Token(command) => command.run(context).await,
        Command::Watch(command) => command.run(context).await,
        Command::Completions(_) => Ok(exit::OK),
    }
}
