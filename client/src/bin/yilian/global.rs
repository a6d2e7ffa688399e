//! The options that all commands have.

use std::path::PathBuf;

use clap::Args;
use yilian_spec::base::id::{ChainId, InstitutionId};

use crate::parse;

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
