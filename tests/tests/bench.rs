//! The benchmark runs small, so that it cannot rot: every figure is there and none is absurd.

use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use yilian_tests::programs::run_to_end;

const LIMIT: Duration = Duration::from_secs(300);

/// One benchmark at a time: each has a cluster of its own.
static TURN: Mutex<()> = Mutex::new(());

/// Runs the benchmark small with these arguments, and returns what it printed and its figures.
fn quick(arguments: &[&str]) -> Result<(String, Value)> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("figures.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_yilian-bench"));
    let ended = run_to_end(command.arg("--quick").args(arguments).arg("--json").arg(&file), LIMIT)?;
    ensure!(ended.code == Some(0), "{ended:?}");
    Ok((ended.stdout, serde_json::from_slice(&std::fs::read(&file)?)?))
}

fn require(figures: &Value, paths: &[&str]) -> Result<()> {
    for path in paths {
        let figure = figures.pointer(path).and_then(Value::as_f64).with_context(|| format!("no {path}"))?;
        ensure!(figure.is_finite() && figure > 0.0, "{path} is {figure}");
    }
    Ok(())
}

#[test]
fn a_quick_flood_gives_every_figure() -> Result<()> {
    let (printed, figures) = quick(&["--flood"])?;
    ensure!(printed.contains("valid flood") && printed.contains("worthless flood"), "{printed}");
    let paths = [
        "/quota_per_second",
        "/calm_latency_ms/median/p50",
        "/calm_latency_ms/median/p95",
        "/calm_latency_ms/median/p99",
        "/valid/latency_ms/median/p99",
        "/at_quota_latency_ms/median/p99",
        "/valid/p99_ratio_to_quota",
        "/valid/accepted_per_second",
        "/worthless/latency_ms/median/p99",
        "/worthless/p99_ratio_to_calm",
        "/memory_mib/0",
        "/memory_mib/1",
    ];
    require(&figures, &paths)
}

#[test]
fn a_quick_run_gives_every_figure() -> Result<()> {
    let (printed, figures) = quick(&[])?;
    ensure!(printed.contains("transactions/s") && printed.contains("records/s"), "{printed}");
    let paths = [
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
    ];
    require(&figures, &paths)?;
    let load = figures.pointer("/machine/load_average_at_start").and_then(Value::as_f64);
    ensure!(load.is_some_and(|load| load >= 0.0), "the load average is missing");
    Ok(())
}
