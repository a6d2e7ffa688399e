//! `yilian-node status`: how the running node is, asked through its control socket.

use std::process::ExitCode;

use anyhow::{Result, bail};
use yilian_local::moment;

use super::HomeArgument;
use crate::operator::control::{self, Answer, Command};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  yilian-node status --home node --json")]
pub(super) struct Arguments {
    #[command(flatten)]
    home: HomeArgument,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let answer = super::block_on(control::ask(&arguments.home.home, &Command::Status))??;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    }
    let Answer::Status { health, api, peer_id } = answer else { bail!("the node answered {answer:?}") };
    let text =
        |name: &str| health.get(name).map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
    let field = |name: &str| text(name).unwrap_or_default();
    if !arguments.json {
        println!("{}: {}", field("status"), field("reason"));
        if !field("remedy").is_empty() {
            println!("remedy    {}", field("remedy"));
        }
        for alarm in health.get("alarms").and_then(|alarms| alarms.as_array()).into_iter().flatten() {
            let part = |name: &str| alarm.get(name).and_then(|part| part.as_str()).unwrap_or_default();
            println!("alarm     {}\n  remedy  {}", part("reason"), part("remedy"));
        }
        println!("height    {}", field("height"));
        println!("peers     {}", field("peers"));
        println!("behind    {} blocks", field("behind_by"));
        match health.get("last_block_age_ms").and_then(|age_ms| age_ms.as_u64()) {
            // A clock that is behind the block tells nothing else.
            Some(0) => println!("last block not older than this machine's clock"),
            Some(age_ms) => println!("last block {}", moment::show_ago(age_ms)),
            None => {}
        }
        println!("api       {api}");
        println!("peer id   {peer_id}");
    }
    Ok(if field("status") == "healthy" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
