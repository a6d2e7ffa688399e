//! `yilian-bench`: throughput, latency and their cost on this machine. `make bench` runs it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use yilian_tests::bench::{self, plan::Plan};

/// Longest sustained run in seconds.
const SECONDS_MAX: f64 = 300.0;
/// Most rounds.
const ROUNDS_MAX: usize = 20;

/// Throughput, latency and their cost on this machine.
///
/// Starts four validators on loopback, submits transactions over their API, and reports what they commit and what it
/// costs, beside what this machine could verify if it did nothing else. Everything is stopped and removed at the end.
#[derive(Debug, Parser)]
#[command(name = "yilian-bench", version)]
struct Arguments {
    /// Write the figures to this file as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How long each sustained run should take, 1 to 300 seconds [default: 10].
    #[arg(long)]
    seconds: Option<f64>,
    /// How often each highest rate is measured, 1 to 20; the report gives the median [default: 3].
    #[arg(long)]
    rounds: Option<usize>,
    /// Measure the state tree alone.
    #[arg(long, conflicts_with_all = ["json", "seconds", "rounds"])]
    state_tree: bool,
    /// A small run of seconds that exercises everything; its figures say little.
    #[arg(long)]
    quick: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut plan = if arguments.quick { Plan::QUICK } else { Plan::FULL };
    if let Some(seconds) = arguments.seconds {
        if !(1.0..=SECONDS_MAX).contains(&seconds) {
            bail!("--seconds is {seconds}: give 1 to {SECONDS_MAX}");
        }
        plan.seconds = seconds;
    }
    if let Some(rounds) = arguments.rounds {
        if !(1..=ROUNDS_MAX).contains(&rounds) {
            bail!("--rounds is {rounds}: give 1 to {ROUNDS_MAX}");
        }
        plan.rounds = rounds;
    }
    if arguments.state_tree {
        let us_per_key = bench::machine::measure_state_tree(&plan)?;
        println!("state tree: {us_per_key:.1} µs/key, 1,000 keys a block over {}", plan.state_tree.0);
        return Ok(());
    }
    eprintln!("Measuring; this takes {}.", if arguments.quick { "some seconds" } else { "some minutes" });
    // Dropping the run's future stops its nodes and removes their files.
    let report = tokio::select! {
        report = bench::run(&plan) => report?,
        signal = tokio::signal::ctrl_c() => {
            signal.context("cannot listen for Ctrl-C")?;
            bail!("stopped");
        }
    };
    println!("{}", report.table());
    if let Some(path) = arguments.json {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
