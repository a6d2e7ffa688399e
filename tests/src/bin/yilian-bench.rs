//! `yilian-bench`: throughput, latency and their cost on this machine. `make bench` runs it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde::Serialize;
use yilian_tests::bench::plan::{FloodPlan, Plan};
use yilian_tests::bench::{self, flood};

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
    #[arg(long, conflicts_with_all = ["json", "seconds", "rounds", "flood"])]
    state_tree: bool,
    /// Measure what one member's flood does to the others instead: their latency in turns without and with a member that
    /// sends a hundred times its quota, and the memory of the largest node. --seconds is the length of a turn [default: 15],
    /// --rounds how often each kind of turn is measured [default: 5].
    #[arg(long)]
    flood: bool,
    /// A small run of seconds that exercises everything; its figures say little.
    #[arg(long)]
    quick: bool,
}

impl Arguments {
    fn check(&self) -> Result<()> {
        if let Some(seconds) = self.seconds.filter(|seconds| !(1.0..=SECONDS_MAX).contains(seconds)) {
            bail!("--seconds is {seconds}: give 1 to {SECONDS_MAX}");
        }
        if let Some(rounds) = self.rounds.filter(|rounds| !(1..=ROUNDS_MAX).contains(rounds)) {
            bail!("--rounds is {rounds}: give 1 to {ROUNDS_MAX}");
        }
        Ok(())
    }

    fn plan(&self) -> Plan {
        let plan = if self.quick { Plan::QUICK } else { Plan::FULL };
        let (seconds, rounds) = (self.seconds.unwrap_or(plan.seconds), self.rounds.unwrap_or(plan.rounds));
        Plan { seconds, rounds, ..plan }
    }

    fn flood_plan(&self) -> FloodPlan {
        let plan = if self.quick { FloodPlan::QUICK } else { FloodPlan::FULL };
        let (seconds, rounds) = (self.seconds.unwrap_or(plan.seconds), self.rounds.unwrap_or(plan.rounds));
        FloodPlan { seconds, rounds, ..plan }
    }

    fn save(&self, figures: &impl Serialize) -> Result<()> {
        let Some(path) = &self.json else { return Ok(()) };
        let text = serde_json::to_string_pretty(figures)? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Dropping the measurement's future stops its nodes and removes their files.
async fn unless_stopped<T>(measurement: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        measured = measurement => measured,
        signal = tokio::signal::ctrl_c() => {
            signal.context("cannot listen for Ctrl-C")?;
            bail!("stopped");
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    arguments.check()?;
    let plan = arguments.plan();
    if arguments.state_tree {
        let us_per_key = bench::machine::measure_state_tree(&plan)?;
        println!("state tree: {us_per_key:.1} µs/key, 1,000 keys a block over {}", plan.state_tree.0);
        return Ok(());
    }
    eprintln!("Measuring; this takes {}.", if arguments.quick { "some seconds" } else { "some minutes" });
    if arguments.flood {
        let report = unless_stopped(flood::run(&arguments.flood_plan())).await?;
        println!("{}", report.table());
        return arguments.save(&report);
    }
    let report = unless_stopped(bench::run(&plan)).await?;
    println!("{}", report.table());
    arguments.save(&report)
}
