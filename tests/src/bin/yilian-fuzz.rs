//! `yilian-fuzz`: one fuzz target under LLVM's libFuzzer, guided by the coverage of the project's own crates.
//!
//! `YILIAN_FUZZ_TARGET` names the target, the arguments are libFuzzer's; `make fuzz` sets both.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use yilian_tests::fuzz::{TARGETS, Target, target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("YILIAN_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        panic!("YILIAN_FUZZ_TARGET is {name:?}; the targets are {}", names.join(", "))
    })
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
