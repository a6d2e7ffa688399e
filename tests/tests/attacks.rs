//! Attackers with a member's keys against real nodes: each for a moment here, one for as long as one likes with
//! `make attack NAME=forged-votes SECONDS=60`. The attacks and what must hold: [`yilian_tests::attack`].
//!
//! `YILIAN_ATTACK` and `YILIAN_ATTACK_SECONDS` name the attack and its length for the last test; `make attack` sets them.
//! Several names, separated by commas, meet the same consortium one after the other.

use anyhow::{Context as _, Result, ensure};
use yilian_tests::attack::arena::{Arena, MISSED_PER_CENT_MAX, P99_FACTOR_MAX, Report};
use yilian_tests::attack::{Name, Who};

/// How long each attack lasts here.
const SECONDS: f64 = 2.0;
/// The longest turn when one is measured.
const TURN_SECONDS: f64 = 10.0;

/// Meets these attacks in one consortium, and returns what does not hold. Whoever breaks it gets a new one after him.
async fn meet_all(names: &[Name]) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut arena = Some(Arena::open().await?);
    for name in names {
        let mut present = match arena.take() {
            Some(arena) => arena,
            None => Arena::open().await?,
        };
        let found = match present.meet(*name, 1, SECONDS).await {
            Ok(report) => {
                println!("{}", report.lines());
                report.faults()
            }
            Err(error) => vec![format!("{}: {error:#}", name.name())],
        };
        if found.is_empty() {
            arena = Some(present);
        }
        faults.extend(found);
    }
    if let Some(arena) = arena {
        arena.close().await?;
    }
    Ok(faults)
}

async fn all_of(who: Who) -> Result<()> {
    let names: Vec<Name> = Name::ALL.into_iter().filter(|name| name.who() == who).collect();
    ensure!(!names.is_empty(), "nobody attacks");
    let faults = meet_all(&names).await?;
    ensure!(faults.is_empty(), "{} things do not hold:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_a_vote_stops_nobody() -> Result<()> {
    all_of(Who::Observer).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_stops_nobody() -> Result<()> {
    all_of(Who::Validator).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_stops_nobody() -> Result<()> {
    all_of(Who::Stranger).await
}

fn judged(report: &Report) -> Vec<String> {
    let mut faults = report.faults();
    let factor = report.p99_factor();
    println!("  p99 under attack is {factor:.2} times the quiet one");
    if factor >= P99_FACTOR_MAX {
        faults.push(format!("{}: p99 grew {factor:.2} times", report.name.name()));
    }
    if report.missed_per_cent() > MISSED_PER_CENT_MAX {
        let missed = report.missed_by_others;
        faults.push(format!("{}: others missed {missed} turns", report.name.name()));
    }
    faults
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes as long as one likes: make attack NAME=… SECONDS=…"]
async fn one_attack_for_long() -> Result<()> {
    let names =
        std::env::var("YILIAN_ATTACK").context("YILIAN_ATTACK names no attack: make attack NAME=…")?;
    let names: Vec<Name> =
        names.split(',').map(Name::named).collect::<Result<_, _>>().map_err(anyhow::Error::msg)?;
    let seconds: f64 = std::env::var("YILIAN_ATTACK_SECONDS").map_or(Ok(60.0), |text| text.parse())?;
    let turns = (seconds / TURN_SECONDS).ceil().max(1.0);
    let (mut arena, mut faults) = (None, Vec::new());
    for name in names {
        let report = if name.is_trusted_first() {
            // One consortium at a time.
            drop(arena.take());
            Arena::meet_trusted(name, seconds).await?
        } else {
            let mut present = match arena.take() {
                Some(arena) => arena,
                None => Arena::open().await?,
            };
            let report = present.meet(name, turns as usize, seconds / turns).await?;
            arena = Some(present);
            report
        };
        println!("{}", report.lines());
        faults.extend(judged(&report));
    }
    ensure!(faults.is_empty(), "{} things do not hold:\n{}", faults.len(), faults.join("\n"));
    match arena {
        Some(arena) => arena.close().await,
        None => Ok(()),
    }
}
