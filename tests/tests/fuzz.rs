//! Every fuzz target over its committed corpus and a bounded number of repeatable changes of it.
//!
//! An input that fails is printed in hexadecimal; put it into the target's folder of `tests/corpus/` with the repair.
//! `make fuzz` goes on from the same corpus guided by coverage.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use yilian_tests::fuzz::{INPUT_BYTES_MAX, TARGETS, Target, corpus, mutate};
use yilian_tests::simulator::random::Random;

/// Committed inputs of all targets together.
const FILES_MAX: usize = 300;
/// Their bytes.
const BYTES_MAX: usize = 1 << 20;

/// Writes seeds into the corpus of targets that have none.
const WRITE_SEEDS: &str = "YILIAN_WRITE_SEEDS";

fn inputs(target: &Target) -> Vec<Vec<u8>> {
    let folder = corpus(target.name);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[track_caller]
fn try_input(target: &Target, bytes: &[u8]) {
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    assert!(result.is_ok(), "{} fails on {}", target.name, hex::encode(bytes));
}

#[test]
fn no_input_breaks_a_target() {
    for target in TARGETS {
        let corpus = inputs(target);
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        for bytes in &corpus {
            try_input(target, bytes);
        }
        let mut random = Random::stream(3, target.name.bytes().map(u64::from).sum());
        for _ in 0..target.bounded_runs {
            try_input(target, &mutate::mutate(&corpus, &mut random));
        }
    }
}

#[test]
fn the_corpus_is_small_and_every_seed_runs() {
    let (mut files, mut bytes) = (0, 0);
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        if std::env::var_os(WRITE_SEEDS).is_some() {
            let folder = corpus(target.name);
            std::fs::create_dir_all(&folder).unwrap();
            for (number, seed) in seeds.iter().enumerate() {
                std::fs::write(folder.join(format!("seed-{number:02}")), seed).unwrap();
            }
        }
        for seed in &seeds {
            assert!(seed.len() <= INPUT_BYTES_MAX, "a seed of {} has {} bytes", target.name, seed.len());
            try_input(target, seed);
        }
        let inputs = inputs(target);
        files += inputs.len();
        bytes += inputs.iter().map(Vec::len).sum::<usize>();
    }
    assert!(files <= FILES_MAX && bytes <= BYTES_MAX, "the corpus has {files} files of {bytes} bytes");
}
