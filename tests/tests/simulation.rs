//! A few dozen seeds of the simulator, and that its checker sees what it must.
//!
//! `SIM_SEED=n` runs one seed alone, `SIM_SEEDS=n` the first `n`, `SIM_FAULTS=name,name` with these faults only, `SIM_LIAR=name`
//! with a validator that lies in this way. A failure says which faults suffice for it.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use yilian_tests::simulator::consortium::validator_key;
use yilian_tests::simulator::disk::Backing;
use yilian_tests::simulator::faults::{Fault, FaultSet};
use yilian_tests::simulator::host::Counts;
use yilian_tests::simulator::liars::{Behaviour, INVALID_BLOCKS_SAY, twins};
use yilian_tests::simulator::oracles::Happened;
use yilian_tests::simulator::plan::{FAULTS_END_MS, Plan, VALIDATORS};
use yilian_tests::simulator::{
    Cut, Failure, Options, Sabotage, Summary, Tally, Violation, narrowed, run_plan, run_with,
};

const SEEDS: u64 = 60;
/// Seeds that failed once, each with the reason; they are always run.
const FAILED_ONCE: &str = include_str!("simulator_seeds.txt");

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; give a number")))
}

/// What the environment asks for.
fn options(seed: u64) -> Options {
    let faults = match std::env::var("SIM_FAULTS") {
        Ok(names) => FaultSet::parse(&names).unwrap_or_else(|error| panic!("SIM_FAULTS: {error}")),
        Err(_) => FaultSet::default(),
    };
    let liar = std::env::var("SIM_LIAR").ok().map(|name| {
        let behaviour = Behaviour::named(&name).unwrap_or_else(|error| panic!("SIM_LIAR: {error}"));
        (liar_of(seed), behaviour)
    });
    Options { faults, liar, ..Options::default() }
}

/// Which validator lies, where the way is given.
fn liar_of(seed: u64) -> usize {
    // Below four, so it fits.
    (seed % VALIDATORS as u64) as usize
}

/// All faults but these.
fn without(left_out: &[Fault]) -> Options {
    Options { faults: FaultSet::default().without(left_out), ..Options::default() }
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

fn succeed(seed: u64, options: &Options) -> Summary {
    run_with(seed, options).unwrap_or_else(|failure| panic!("{}", narrowed(failure, options)))
}

/// What this thread has used of a processor; other processes on the machine do not count.
fn processor_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// Runs seeds, each on one thread, as many at once as there are processors, until one fails. What each came to, and its
/// seconds of a processor.
fn run_all(
    seeds: &[u64],
    options: impl Fn(u64) -> Options + Sync,
) -> Result<Vec<(Summary, f64)>, Box<Failure>> {
    let style = ProgressStyle::with_template("{pos} of {len} seeds, {per_sec}, {eta} left");
    let progress = ProgressBar::new(seeds.len() as u64).with_style(style.expect("the template is fixed"));
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let started = processor_seconds();
            let options = options(*seed);
            let result = run_with(*seed, &options).map_err(|failure| {
                next.store(seeds.len(), Ordering::Relaxed);
                narrowed(failure, &options)
            });
            let result = result.map(|summary| (summary, processor_seconds() - started));
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

/// The median of times in milliseconds, and the longest ones with their seeds.
fn longest(mut times: Vec<(u64, u64)>) -> String {
    times.sort_unstable_by(|left, right| right.cmp(left));
    let Some((median, _)) = times.get(times.len() / 2) else { return "in no run".to_owned() };
    let longest: Vec<String> =
        times.iter().take(5).map(|(time_ms, seed)| format!("{time_ms} (seed {seed})")).collect();
    format!("median {median} ms, longest {}", longest.join(", "))
}

/// Sums over runs: a fault that never happens tests nothing.
#[derive(Debug, Default)]
struct Total {
    tally: Tally,
    counts: Counts,
    refusals: BTreeSet<String>,
}

impl Total {
    fn of<'s>(summaries: impl IntoIterator<Item = &'s Summary>) -> Self {
        let mut total = Self::default();
        for summary in summaries {
            total.tally.add(&summary.tally);
            total.counts.add(summary.counts);
            total.refusals.extend(summary.refusals.iter().cloned());
        }
        total
    }

    fn assert_that_the_faults_bite(&self) {
        let Self { tally, counts, .. } = self;
        assert!(tally.lost > 1_000, "messages lost: {}", tally.lost);
        assert!(tally.crashes > 50, "losses of power: {}", tally.crashes);
        assert!(tally.crashes_within_a_step > 20, "within a step: {}", tally.crashes_within_a_step);
        assert!(counts.replayed > 100, "entries of logs replayed: {}", counts.replayed);
        assert!(counts.synced > 20, "blocks synced: {}", counts.synced);
        assert!(counts.later_rounds > 50, "later rounds: {}", counts.later_rounds);
        assert!(tally.torn > 5, "losses of power within a batch: {}", tally.torn);
        assert!(tally.full > 5, "writes refused: {}", tally.full);
        assert!(tally.slow_ms > 10_000, "milliseconds on slow disks: {}", tally.slow_ms);
        assert!(tally.lost_disks > 3, "disks lost: {}", tally.lost_disks);
        assert!(tally.lost_writes > 3, "disks that forgot: {}", tally.lost_writes);
        assert!(tally.flips_read > 0, "turned bits read: {}", tally.flips_read);
        assert!(tally.flips_audited > 0, "turned bits audited: {}", tally.flips_audited);
        assert!(tally.votes_again > 0, "validators that vote again: {}", tally.votes_again);
        assert!(tally.lies > 500, "lies: {}", tally.lies);
        assert!(counts.restreamed > 0, "blocks proposed again: {}", counts.restreamed);
    }
}

#[test]
fn agreement_durability_and_progress_survive_every_fault_of_the_model() {
    let seeds = seeds();
    let results = run_all(&seeds, options).unwrap_or_else(|failure| panic!("{failure}"));
    let total = Total::of(results.iter().map(|(summary, _)| summary));
    let virtual_s: f64 = results.iter().map(|(summary, _)| summary.virtual_ms as f64 / 1_000.0).sum();
    let thread_s: f64 = results.iter().map(|(_, seconds)| seconds).sum();
    let of_all = |what: fn(&Summary) -> Option<u64>| {
        let times = results.iter().filter_map(|(summary, _)| Some((what(summary)?, summary.seed)));
        longest(times.collect())
    };
    println!("from the end of the faults to the next block: {}", of_all(|run| run.back_ms));
    let end = of_all(|run| Some(run.virtual_ms.saturating_sub(FAULTS_END_MS)));
    println!("until every node holds every transaction: {end}");
    println!(
        "{} seeds: {virtual_s:.0} s of virtual time in {thread_s:.1} s of a processor, {:.0} times real time\n{:?}\n{:?}",
        results.len(),
        virtual_s / thread_s,
        total.tally,
        total.counts,
    );
    let all = std::env::var_os("SIM_FAULTS").is_none() && std::env::var_os("SIM_LIAR").is_none();
    if seeds.len() as u64 >= SEEDS && all {
        total.assert_that_the_faults_bite();
    }
}

#[test]
fn a_real_database_gives_the_same_runs_as_memory() {
    for seed in [3, 8] {
        // Rows of a real database are not at hand.
        let memory = without(&[Fault::LostWrite, Fault::BitFlip]);
        let real = Options { backing: Backing::RocksDb, ..memory.clone() };
        assert_eq!(succeed(seed, &real), succeed(seed, &memory), "seed {seed}");
    }
}

#[test]
fn the_power_may_go_at_every_act() {
    let calm = Options { faults: FaultSet::none(), ..Options::default() };
    let acts = succeed(1, &calm).first_acts;
    for node in [0, 4] {
        // A prime step, so that every kind of act is met at some height.
        for after_acts in (0..acts[node].min(120)).chain((120..acts[node]).step_by(7)) {
            let summary = succeed(1, &Options { cut: Some(Cut { node, after_acts }), ..calm.clone() });
            assert_eq!(summary.tally.crashes, 1, "node {node} after {after_acts} acts");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let all = Options::default();
    for seed in [1, 17] {
        assert_eq!(succeed(seed, &all), succeed(seed, &all), "seed {seed}");
    }
    assert_ne!(succeed(1, &all).block_ids, succeed(2, &all).block_ids);
}

/// Runs of a validator that lies in this way, beside these faults.
fn with_liar(behaviour: Behaviour, seeds: u64, faults: &FaultSet) -> Total {
    let seeds: Vec<u64> = (0..seeds).collect();
    let options = |seed| {
        let liar = Some((liar_of(seed), behaviour));
        Options { liar, faults: faults.clone(), ..Options::default() }
    };
    let results = run_all(&seeds, options);
    let results = results.unwrap_or_else(|failure| panic!("{}: {failure}", behaviour.name()));
    let total = Total::of(results.iter().map(|(summary, _)| summary));
    println!("{}: {:?} {:?} {:#?}", behaviour.name(), total.tally, total.counts, total.refusals);
    total
}

#[test]
fn one_liar_of_four_changes_nothing() {
    for behaviour in Behaviour::ALL {
        let total = with_liar(behaviour, 8, &FaultSet::default());
        // A twin says nothing that an honest node would not.
        assert!(total.tally.lies > 10 || behaviour == Behaviour::Twins, "{}", behaviour.name());
    }
}

#[test]
fn lies_are_told_from_the_truth_by_the_rule_they_break() {
    let is_said = |total: &Total, words: &str| total.refusals.iter().any(|reason| reason.contains(words));
    let lies = FaultSet::parse("lie").unwrap();
    let invalid = with_liar(Behaviour::InvalidBlocks, 120, &lies);
    for words in INVALID_BLOCKS_SAY {
        assert!(is_said(&invalid, words), "nobody said {words:?}: {:#?}", invalid.refusals);
    }
    assert!(is_said(&with_liar(Behaviour::WrongStateRoot, 4, &lies), "another state_root"));
    assert!(is_said(&with_liar(Behaviour::WrongTimes, 4, &lies), "block time"));
    let sync = with_liar(Behaviour::LyingSyncPeer, 60, &FaultSet::default());
    for words in
        ["garbage in place of the block", "another block than the certified one", "certificate of height"]
    {
        assert!(is_said(&sync, words), "nobody said {words:?}: {:#?}", sync.refusals);
    }
}

#[test]
fn signing_twice_is_seen_and_names_the_liar() {
    // That nobody else is named, every run checks.
    for behaviour in
        [Behaviour::EquivocatingProposer, Behaviour::EquivocatingVoter, Behaviour::Amnesia, Behaviour::Twins]
    {
        let total = with_liar(behaviour, 16, &FaultSet::default());
        assert!(total.counts.misbehaviour > 0, "{}", behaviour.name());
    }
}

#[test]
fn two_liars_of_four_fork_the_ledger_and_are_named() {
    let liars: BTreeSet<_> = [0, 1].map(|member| validator_key(member).public_key()).into();
    for seed in 0..3 {
        let failure = run_plan(seed, &twins::fork(seed), &Options::default()).unwrap_err();
        match &failure.violation {
            Violation::Disagreement { signers, .. } => {
                assert_eq!(signers.iter().copied().collect::<BTreeSet<_>>(), liars, "{failure}");
            }
            other => panic!("the fork was not seen: {other}"),
        }
    }
}

#[test]
fn a_node_that_commits_another_block_is_caught() {
    for seed in 0..3 {
        let sabotage = Some(Sabotage::CommitsAnotherBlock { node: 1, height: 3 });
        let failure = run_with(seed, &Options { sabotage, ..without(&[Fault::Lie]) }).unwrap_err();
        assert!(matches!(failure.violation, Violation::Disagreement { .. }), "{failure}");
        assert!(!failure.trace.is_empty() && failure.to_string().contains(&format!("make sim SEED={seed}")));
    }
}

/// A seed in which this node loses power, late enough to have committed something.
fn seed_with_a_crash_of(node: usize) -> u64 {
    let crashes = |seed: &u64| {
        let plan = Plan::draw(*seed);
        plan.crashes.iter().any(|crash| crash.node == node && crash.at_ms > 9_000)
    };
    (0..).find(crashes).expect("one of the first seeds crashes a node")
}

#[test]
fn a_node_that_forgets_what_it_committed_is_caught_and_the_reason_is_found() {
    for node in [0, 2] {
        let seed = seed_with_a_crash_of(node);
        let sabotage = Some(Sabotage::LosesItsLedger { node });
        let options = Options { sabotage, ..without(&[Fault::Lie, Fault::LostDisk, Fault::LostWrite]) };
        let failure = run_with(seed, &options).unwrap_err();
        assert!(
            matches!(failure.violation, Violation::Forgotten { node: found, .. } if found == node),
            "{failure}"
        );
        let narrowed = narrowed(failure, &options);
        let faults = narrowed.narrowed.as_ref().expect("the network's faults have nothing to do with it");
        assert!(faults.to_string().starts_with("crash.") && !faults.to_string().contains(','), "{faults}");
        assert!(narrowed.to_string().contains(&format!("FAULTS={faults}")), "{narrowed}");
    }
}

#[test]
fn validators_that_lose_their_log_of_votes_are_caught_signing_twice() {
    let options = Options { sabotage: Some(Sabotage::LosesItsVotes), ..without(&[Fault::Lie]) };
    let caught = |seed| match run_with(seed, &options) {
        Err(failure) => match failure.violation {
            Violation::SignedTwice { .. } | Violation::Accused { .. } => true,
            _ => panic!("{failure}"),
        },
        Ok(_) => false,
    };
    assert!((0..60).any(caught), "no run in sixty shows it");
}

#[test]
fn what_the_oracles_look_at_really_happens() {
    let seeds: Vec<u64> = (1_000..1_040).collect();
    let results = run_all(&seeds, |_| Options::default()).unwrap_or_else(|failure| panic!("{failure}"));
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
    assert!(happened.strangers > 10, "refusals of strangers: {}", happened.strangers);
    assert!(happened.refused.len() > 15, "reasons of refusals: {:?}", happened.refused);
}

#[test]
fn a_changed_byte_is_caught_on_every_node_whichever_disk_is_audited() {
    for (seed, node) in (40..48).zip([0, 1, 2, 3, 4, 0, 2, 4]) {
        let sabotage = Some(Sabotage::ChangesAStoredRow { node });
        let failure = run_with(seed, &Options { sabotage, ..without(&[Fault::Lie]) }).unwrap_err();
        let found = matches!(failure.violation, Violation::Audit { node: found, .. } if found == node);
        assert!(found, "seed {seed}, node {node}: {failure}");
    }
}
