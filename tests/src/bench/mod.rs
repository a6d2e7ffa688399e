//! The load benchmark: a four-validator consortium of real processes on this machine, transactions signed ahead and
//! submitted over the API, and what that cost.
//!
//! | part | what it does |
//! |---|---|
//! | [`plan`] | how much of everything |
//! | [`scene`] | the cluster, gateway keys and grants that the load needs |
//! | [`signed`] | transactions signed ahead, and the requests that carry them |
//! | [`follow`] | counts what becomes final |
//! | [`drive`] | submits: as fast as it goes, at a fixed rate, one by one |
//! | [`cost`] | CPU by stage, memory and disk of the nodes |
//! | [`machine`] | what this machine verifies, its cores and load |
//! | [`report`] | the figures, as a table and as JSON |
//! | [`flood`] | one member floods: what that does to the others' latency, and its own report ([`flood_report`]) |
//!
//! The load generator runs on the same cores as the nodes and takes part of them; the report says how much.

pub mod cost;
pub mod drive;
pub mod flood;
pub mod flood_report;
pub mod follow;
pub mod machine;
pub mod plan;
pub mod report;
pub mod scene;
pub mod signed;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cluster::VALIDATORS;
use cost::{Cost, Meter};
use drive::{Driven, Driver};
use plan::Plan;
use report::{Latency, Report};
use scene::Scene;
use signed::Signed;

/// Runs the whole benchmark.
///
/// # Errors
/// When the cluster cannot be started, a node ends, or what was submitted does not become final.
pub async fn run(plan: &Plan) -> Result<Report> {
    let machine = machine::Machine::look()?;
    step("verification: what this machine can do at all");
    let verification = machine::measure_verification(plan);
    step("a consortium of four validators: keys, gateways, grants");
    let mut scene = Scene::open(plan).await?;
    let driver = Driver::start(&scene).await?;

    step("latency at idle: one transaction after the other");
    let idle = Latency::of(driver.one_by_one(scene.sign(1, plan.idle_transactions)?).await?);
    // In turns, so that a machine that is busy for a while disturbs both.
    let (mut single, mut many) = (Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        step(&format!("round {round} of {}", plan.rounds));
        single.push(measure(plan, &mut scene, &driver, 1).await?);
        many.push(measure(plan, &mut scene, &driver, plan.operations).await?);
    }
    let (single, many) =
        Measured::median(single).zip(Measured::median(many)).context("a benchmark has at least one round")?;
    step("latency at 70 % of the highest rate");
    let rate = single.rate * 0.7;
    let transactions = scene.sign(1, plan.count_for(rate, 1))?;
    let loaded = Latency::of(driver.at_rate(transactions, rate).await?);
    drop(driver);

    step("stopping the nodes and reading their ledgers");
    if plan.reads_ledgers {
        scene.cluster.check_all_nodes().await.map(drop)?
    } else {
        scene.cluster.stop_all()?
    }
    drop(scene);
    step("the state tree on RocksDB");
    let state_tree_us_per_key = machine::measure_state_tree(plan)?;
    Ok(Report::new(plan, machine, verification, (single, many), (idle, loaded), state_tree_us_per_key))
}

/// The highest rate with transactions of so many operations, and its cost.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Committed transactions per second, until the last one is final.
    pub rate: f64,
    /// The least and the greatest rate of all rounds.
    pub range: (f64, f64),
    /// What was driven.
    pub driven: Driven,
    /// What it cost the nodes.
    pub cost: Cost,
}

impl Measured {
    /// The round with the median rate (the lower one of an even number), and the range of all; `None` of none.
    fn median(mut rounds: Vec<Self>) -> Option<Self> {
        rounds.sort_by(|left, right| left.rate.total_cmp(&right.rate));
        let range = (rounds.first()?.rate, rounds.last()?.rate);
        let middle = (rounds.len() - 1) / 2;
        Some(Self { range, ..rounds.swap_remove(middle) })
    }
}

async fn measure(plan: &Plan, scene: &mut Scene, driver: &Driver, operations: usize) -> Result<Measured> {
    step(&format!(
        "the highest rate, {operations} operations a transaction: a short run to size the long one"
    ));
    let warm = driver.as_fast_as_it_goes(scene.sign(operations, plan.warm_up(operations))?, plan).await?;
    let transactions: Signed = scene.sign(operations, plan.count_for(warm.rate(), operations))?;
    step(&format!("the highest rate: {} transactions", transactions.len()));
    let before = Meter::read(&scene.cluster, &VALIDATORS).await?;
    let driven = driver.as_fast_as_it_goes(transactions, plan).await?;
    let after = Meter::read(&scene.cluster, &VALIDATORS).await?;
    let cost =
        Cost::between(&before, &after, driven.transactions).context("the nodes did not restart meanwhile")?;
    let rate = driven.rate();
    Ok(Measured { rate, range: (rate, rate), driven, cost })
}

/// Says on standard error what is done now.
fn step(what: &str) {
    eprintln!("  {what}");
}

/// A bar on standard error; nothing where that is no terminal.
fn progress(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let style = ProgressStyle::with_template("  {bar:40} {pos}/{len} {per_sec} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
