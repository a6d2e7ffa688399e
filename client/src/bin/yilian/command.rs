//! The commands, and the options that all of them have.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use yilian_client::error::exit;
use yilian_spec::base::id::{ChainId, InstitutionId};

use crate::context::Context;
use crate::failure::Outcome;
use crate::{
    access, agreement, block, capacity, checkpoint, grant, import, institution, key, node, output, parse,
    period, profile, referral, service, statement, stream, subject, token, transaction, verify, watch,
};

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  refused: by the rules of the ledger, or by the node
  2  the command is not well-formed
  3  no node answers, or not in time
  4  a proof does not verify, or is older than what was verified before
  5  a local file, a passphrase or the configuration
  6  the ledger knows no such stream, or it does not concern your institution

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

/// Options of all commands; they come before the profile's values.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of all commands")]
pub struct Global {
    /// The configuration file [default: yilian/config.toml in $XDG_CONFIG_HOME or ~/.config].
    #[arg(
        id = "global_config",
        long = "config",
        global = true,
        value_name = "FILE",
        env = "YILIAN_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// The profile to use [default: the one that `yilian profile use` chose].
    #[arg(
        id = "global_profile",
        long = "profile",
        global = true,
        value_name = "NAME",
        env = "YILIAN_PROFILE",
        hide_env_values = true
    )]
    pub profile: Option<String>,
    /// A node's address; may be given several times.
    #[arg(id = "global_nodes", long = "node", global = true, value_name = "URL")]
    pub nodes: Vec<String>,
    /// The institution to act for.
    #[arg(id = "global_institution", long = "as", global = true, value_name = "INSTITUTION")]
    pub institution: Option<InstitutionId>,
    /// The key file to sign with.
    #[arg(id = "global_key", long = "key", global = true, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Where the key file's passphrase comes from: file:PATH, env:NAME or prompt [default: YILIAN_PASSPHRASE where it is
    /// set, otherwise a prompt].
    #[arg(id = "global_passphrase", long = "passphrase", global = true, value_name = "SOURCE")]
    pub passphrase: Option<String>,
    /// A checkpoint to verify answers against.
    #[arg(id = "global_checkpoint", long = "checkpoint", global = true, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// The ledger's chain id.
    #[arg(id = "global_chain_id", long = "chain-id", global = true, value_name = "HEX")]
    pub chain_id: Option<ChainId>,
    /// Another node to compare with first; may be given several times. An answer that is behind any of them is refused,
    /// and two final blocks of one height are kept as evidence.
    #[arg(id = "global_compare", long = "compare", global = true, value_name = "URL")]
    pub compare: Vec<String>,
    /// Refuse answers about the present that are older by this machine's clock, such as 10m. Without work a ledger makes a block
    /// only at its validators' heartbeat (30 s unless they set up to 1 h): what is shorter does not hold on a quiet one.
    #[arg(id = "global_max_age", long = "max-age", global = true, value_name = "LENGTH", value_parser = parse::length_ms)]
    pub max_age: Option<u64>,
    /// Accept answers that are so many blocks behind the highest block that was verified before [default: 0].
    #[arg(id = "global_max_lag", long = "max-lag", global = true, value_name = "BLOCKS")]
    pub max_lag: Option<u64>,
    /// Print one JSON document, for programs.
    #[arg(id = "global_json", long = "json", global = true)]
    pub json: bool,
    /// Submit also what the rules would refuse now, so that the attempt and its refusal are on record.
    #[arg(id = "global_force", long = "force", global = true)]
    pub force: bool,
    /// Do not wait for finality.
    #[arg(id = "global_no_wait", long = "no-wait", global = true)]
    pub no_wait: bool,
    /// How long to wait for finality, such as 90s [default: 60s].
    #[arg(id = "global_timeout", long = "timeout", global = true, value_name = "LENGTH", value_parser = parse::length_ms)]
    pub timeout: Option<u64>,
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
