//! The benchmark runs small, so that it cannot rot: every figure is there and none is absurd.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use yilian_tests::programs::run_to_end;

const LIMIT: Duration = Duration::from_secs(300);

#[test]
fn a_quick_run_gives_every_figure() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("figures.json");
    let program = env!("CARGO_BIN_EXE_yilian-bench");
    let ended = run_to_end(Command::new(program).arg("--quick").arg("--json").arg(&file), LIMIT)?;
    ensure!(ended.code == Some(0), "{ended:?}");
    ensure!(
        ended.stdout.contains("transactions/s") && ended.stdout.contains("records/s"),
        "{}",
        ended.stdout
    );
    let figures: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    for path in [
        "/transactions_per_second",
        "/records_per_second",
        "/idle_latency_ms/p50",
        "/idle_latency_ms/p95",
        "/idle_latency_ms/p99",
        "/loaded_latency_ms/p50",
        "/loaded_latency_ms/p99",
        "/verification_floor_per_second",
        "/verification_floor_share",
        "/verification/single_per_second",
        "/verification/batched_per_second",
        "/state_tree_us_per_key",
        "/cpu_us_per_transaction/verification",
        "/cpu_us_per_transaction/execution",
        "/cpu_us_per_transaction/state_root",
        "/cpu_us_per_transaction/storage",
        "/cpu_us_per_transaction/other",
        "/cpu_us_per_transaction/total",
        "/bytes_per_transaction",
        "/memory_mib",
        "/machine/cores",
    ] {
        let figure = figures.pointer(path).and_then(Value::as_f64).with_context(|| format!("no {path}"))?;
        ensure!(figure.is_finite() && figure > 0.0, "{path} is {figure}");
    }
    let load = figures.pointer("/machine/load_average_at_start").and_then(Value::as_f64);
    ensure!(load.is_some_and(|load| load >= 0.0), "the load average is missing");
    Ok(())
}
