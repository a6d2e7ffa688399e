//! A few dozen seeds of the simulator, and that its checker sees what it must.
//!
//! `SIM_SEED=n` runs one seed alone, `SIM_SEEDS=n` the first `n`.

use std::time::Instant;

use yilian_tests::simulator::{Sabotage, Summary, Violation, run};

const SEEDS: u64 = 36;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; give a number")))
}

fn seeds() -> std::ops::Range<u64> {
    match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(SEEDS),
    }
}

fn succeed(seed: u64) -> Summary {
    run(seed, None).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn agreement_durability_and_progress_survive_loss_crashes_and_partitions() {
    let mut total = Total::default();
    for seed in seeds() {
        let started = Instant::now();
        let summary = succeed(seed);
        println!(
            "seed {seed:>4}: {:>3} blocks, {:>2} transactions, {:>6} events, {:>5} lost, {} crashes, {:?}; \
             {:.1} s for {:.0} s",
            summary.block_ids.len(),
            summary.transactions,
            summary.events,
            summary.lost,
            summary.crashes,
            summary.counts,
            started.elapsed().as_secs_f64(),
            summary.virtual_ms as f64 / 1_000.0,
        );
        total.add(&summary);
    }
    if number("SIM_SEED").is_none() && seeds().end >= SEEDS {
        total.assert_that_the_faults_bite();
    }
}

/// Sums over runs: a fault that never happens tests nothing.
#[derive(Default)]
struct Total {
    lost: u64,
    crashes: u64,
    crashes_within_a_step: u64,
    replayed: u64,
    synced: u64,
    later_rounds: u64,
    restreamed: u64,
}

impl Total {
    fn add(&mut self, summary: &Summary) {
        self.lost += summary.lost;
        self.crashes += summary.crashes;
        self.crashes_within_a_step += summary.crashes_within_a_step;
        self.replayed += summary.counts.replayed;
        self.synced += summary.counts.synced;
        self.later_rounds += summary.counts.later_rounds;
        self.restreamed += summary.counts.restreamed;
    }

    fn assert_that_the_faults_bite(&self) {
        assert!(self.lost > 1_000, "messages lost: {}", self.lost);
        assert!(self.crashes > 50, "losses of power: {}", self.crashes);
        assert!(self.crashes_within_a_step > 20, "within a step: {}", self.crashes_within_a_step);
        assert!(self.replayed > 100, "entries of logs replayed: {}", self.replayed);
        assert!(self.synced > 20, "blocks synced: {}", self.synced);
        assert!(self.later_rounds > 50, "later rounds: {}", self.later_rounds);
        assert!(self.restreamed > 0, "blocks proposed again: {}", self.restreamed);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 17] {
        assert_eq!(succeed(seed), succeed(seed), "seed {seed}");
    }
    assert_ne!(succeed(1).block_ids, succeed(2).block_ids);
}

#[test]
fn a_node_that_commits_another_block_is_caught() {
    for seed in 0..3 {
        let sabotage = Sabotage::CommitsAnotherBlock { node: 1, height: 3 };
        let failure = run(seed, Some(sabotage)).unwrap_err();
        assert!(matches!(failure.violation, Violation::Disagreement { .. }), "{failure}");
        assert!(!failure.trace.is_empty() && failure.to_string().contains(&format!("make sim SEED={seed}")));
    }
}

/// A seed in which this node loses power, late enough to have committed something.
fn seed_with_a_crash_of(node: usize) -> u64 {
    let crashes = |seed: &u64| {
        let plan = yilian_tests::simulator::plan::Plan::draw(*seed);
        plan.crashes.iter().any(|crash| crash.node == node && crash.at_ms > 9_000)
    };
    (0..).find(crashes).expect("one of the first seeds crashes a node")
}

#[test]
fn a_node_that_forgets_what_it_committed_is_caught() {
    for node in [0, 2] {
        let seed = seed_with_a_crash_of(node);
        let failure = run(seed, Some(Sabotage::LosesItsLedger { node })).unwrap_err();
        assert!(
            matches!(failure.violation, Violation::Forgotten { node: found, .. } if found == node),
            "{failure}"
        );
    }
}

#[test]
fn a_changed_byte_on_a_disk_is_caught() {
    let failure = run(5, Some(Sabotage::ChangesAStoredRow { node: 3 })).unwrap_err();
    assert!(matches!(failure.violation, Violation::Audit { node: 3, .. }), "{failure}");
}

#[test]
fn validators_that_lose_their_log_of_votes_are_caught_signing_twice() {
    let caught = |seed| match run(seed, Some(Sabotage::LosesItsVotes)) {
        Err(failure) => match failure.violation {
            Violation::SignedTwice { .. } => true,
            Violation::Stopped { ref reason, .. } if reason.contains("signing twice") => true,
            _ => panic!("{failure}"),
        },
        Ok(_) => false,
    };
    assert!((0..60).any(caught), "no run in sixty shows it");
}
