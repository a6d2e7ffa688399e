//! A few dozen seeds of the simulator, and that its checker sees what it must.
//!
//! `SIM_SEED=n` runs one seed alone, `SIM_SEEDS=n` the first `n`, `SIM_FAULTS=name,name` with these faults only.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use yilian_tests::simulator::disk::Backing;
use yilian_tests::simulator::faults::FaultSet;
use yilian_tests::simulator::oracles::Happened;
use yilian_tests::simulator::{Failure, Options, Sabotage, Summary, Violation, run, run_with};

const SEEDS: u64 = 60;
/// Seeds that failed once, each with the reason; they are always run.
const FAILED_ONCE: &str = include_str!("simulator_seeds.txt");

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; give a number")))
}

fn faults() -> FaultSet {
    match std::env::var("SIM_FAULTS") {
        Ok(names) => FaultSet::parse(&names).unwrap_or_else(|error| panic!("SIM_FAULTS: {error}")),
        Err(_) => FaultSet::default(),
    }
}

fn seeds() -> Vec<u64> {
    if let Some(seed) = number("SIM_SEED") {
        return vec![seed];
    }
    let first = 0..number("SIM_SEEDS").unwrap_or(SEEDS);
    let failed_once = FAILED_ONCE.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let seed = line.split_whitespace().next().expect("no line of the list is empty");
        seed.parse().expect("a line of the list begins with a seed")
    });
    let more: Vec<u64> = failed_once.filter(|seed| !first.contains(seed)).collect();
    first.chain(more).collect()
}

fn succeed(seed: u64) -> Summary {
    run(seed, None).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Runs seeds, each on one thread, as many at once as there are processors, until one fails. What each came to, and its
/// seconds.
fn run_all(seeds: &[u64], faults: &FaultSet) -> Result<Vec<(Summary, f64)>, Box<Failure>> {
    let style = ProgressStyle::with_template("{pos} of {len} seeds, {per_sec}, {eta} left");
    let progress = ProgressBar::new(seeds.len() as u64).with_style(style.expect("the template is fixed"));
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let started = Instant::now();
            let result = run_with(*seed, Options { faults: faults.clone(), ..Options::default() });
            if result.is_err() {
                next.store(seeds.len(), Ordering::Relaxed);
            }
            let result = result.map(|summary| (summary, started.elapsed().as_secs_f64()));
            results.lock().expect("no thread fails with it").push(result);
            progress.inc(1);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    progress.finish_and_clear();
    results.into_inner().expect("no thread fails with it").into_iter().collect()
}

#[test]
fn agreement_durability_and_progress_survive_every_fault_of_the_model() {
    let seeds = seeds();
    let results = run_all(&seeds, &faults()).unwrap_or_else(|failure| panic!("{failure}"));
    let mut total = Total::default();
    let (mut virtual_s, mut thread_s) = (0.0, 0.0);
    for (summary, seconds) in &results {
        total.add(summary);
        virtual_s += summary.virtual_ms as f64 / 1_000.0;
        thread_s += seconds;
    }
    println!(
        "{} seeds: {virtual_s:.0} s of virtual time in {thread_s:.1} s of one thread, {:.0} times real time; {total:?}",
        results.len(),
        virtual_s / thread_s,
    );
    if seeds.len() as u64 >= SEEDS && std::env::var_os("SIM_FAULTS").is_none() {
        total.assert_that_the_faults_bite();
    }
}

#[test]
fn a_real_database_gives_the_same_runs_as_memory() {
    for seed in [3, 8] {
        let options = Options { backing: Backing::RocksDb, ..Options::default() };
        let real = run_with(seed, options).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(real, succeed(seed), "seed {seed}");
    }
}

/// Sums over runs: a fault that never happens tests nothing.
#[derive(Debug, Default)]
struct Total {
    lost: u64,
    crashes: u64,
    crashes_within_a_step: u64,
    replayed: u64,
    synced: u64,
    later_rounds: u64,
    restreamed: u64,
    torn: u64,
    refused: u64,
    slow_ms: u64,
    lost_disks: u64,
    votes_again: u64,
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
        self.torn += summary.torn;
        self.refused += summary.refused;
        self.slow_ms += summary.slow_ms;
        self.lost_disks += summary.lost_disks;
        self.votes_again += summary.votes_again;
    }

    fn assert_that_the_faults_bite(&self) {
        assert!(self.lost > 1_000, "messages lost: {}", self.lost);
        assert!(self.crashes > 50, "losses of power: {}", self.crashes);
        assert!(self.crashes_within_a_step > 20, "within a step: {}", self.crashes_within_a_step);
        assert!(self.replayed > 100, "entries of logs replayed: {}", self.replayed);
        assert!(self.synced > 20, "blocks synced: {}", self.synced);
        assert!(self.later_rounds > 50, "later rounds: {}", self.later_rounds);
        assert!(self.torn > 5, "losses of power within a batch: {}", self.torn);
        assert!(self.refused > 5, "writes refused: {}", self.refused);
        assert!(self.slow_ms > 10_000, "milliseconds on slow disks: {}", self.slow_ms);
        assert!(self.lost_disks > 5, "disks lost: {}", self.lost_disks);
        assert!(self.votes_again > 0, "validators that vote again: {}", self.votes_again);
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
        let plan = yilian_tests::simulator::plan::Plan::draw(*seed, &FaultSet::default());
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

#[test]
fn what_the_oracles_look_at_really_happens() {
    let seeds: Vec<u64> = (1_000..1_020).collect();
    let results = run_all(&seeds, &FaultSet::default()).unwrap_or_else(|failure| panic!("{failure}"));
    let mut happened = Happened::default();
    results.iter().for_each(|(summary, _)| happened.add(&summary.happened));
    println!("{happened:#?}");
    let applied = |name: &str| happened.applied.get(name).copied().unwrap_or_default();
    for (name, least) in [
        ("record_disclosure", 20),
        ("record_receipt", 5),
        ("revoke_grant", 5),
        ("accept_referral", 10),
        ("close_administratively", 3),
        ("sign_agreement", 30),
        ("deliver_service", 80),
        ("reverse_service", 10),
        ("close_period", 30),
    ] {
        assert!(applied(name) >= least, "{name}: {}", applied(name));
    }
    assert!(happened.services_counted > 50, "services counted: {}", happened.services_counted);
    let statements = happened.statements_with_amounts;
    assert!(statements > 15, "statements with amounts: {statements}");
    assert!(happened.late_reversals > 3, "late reversals: {}", happened.late_reversals);
    assert!(
        happened.applied_together > 20,
        "transactions of several operations: {}",
        happened.applied_together
    );
    assert!(happened.refused.len() > 15, "reasons of refusals: {:?}", happened.refused);
}

#[test]
fn a_changed_byte_is_caught_on_every_node_whichever_disk_is_audited() {
    for (seed, node) in (40..48).zip([0, 1, 2, 3, 4, 0, 2, 4]) {
        let failure = run(seed, Some(Sabotage::ChangesAStoredRow { node })).unwrap_err();
        let found = matches!(failure.violation, Violation::Audit { node: found, .. } if found == node);
        assert!(found, "seed {seed}, node {node}: {failure}");
    }
}
