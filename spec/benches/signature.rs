//! Verification rates of this machine: one by one, and in batches of 1,024 by 1, 32 and 1,024 distinct keys.
//!
//! Prints a table of microseconds a signature on one core, the best of several rounds. `cargo bench` says `--bench`;
//! without it, as under `cargo test --benches`, it runs small and once, so that it cannot rot.

use std::time::{Duration, Instant};
use yilian_spec::crypto::signature::Workload;

const SIGNATURES: usize = 1_024;
const ROUNDS: usize = 9;

fn main() {
    let small = !std::env::args().any(|argument| argument == "--bench");
    let (signatures, rounds) = if small { (40, 1) } else { (SIGNATURES, ROUNDS) };
    println!("{:<10} {:>10} {:>6} {:>14}", "way", "signatures", "keys", "us/signature");
    for keys in [1, 32, signatures] {
        let workload = Workload::new(signatures, keys);
        report("batched", keys, &workload, rounds, Workload::verify_batched);
    }
    let workload = Workload::new(signatures, signatures);
    report("single", signatures, &workload, rounds, Workload::verify_singly);
}

/// Times the best of some rounds and prints a line.
fn report(way: &str, keys: usize, workload: &Workload, rounds: usize, run: fn(&Workload) -> usize) {
    let best = (0..rounds).map(|_| time(workload, run)).min().expect("at least one round");
    let us_each = best.as_secs_f64() * 1e6 / workload.len() as f64;
    println!("{way:<10} {:>10} {keys:>6} {us_each:>14.1}", workload.len());
}

fn time(workload: &Workload, run: fn(&Workload) -> usize) -> Duration {
    let start = Instant::now();
    let valid = run(workload);
    let elapsed = start.elapsed();
    assert_eq!(valid, workload.len(), "all signatures of the workload are valid");
    elapsed
}
