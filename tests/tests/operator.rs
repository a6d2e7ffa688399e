//! What an operator does at a terminal: reads a running node's files, kills what started nodes, closes a pipe, forgets limits,
//! renews a certificate.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use yilian_node::consortium::Options;
use yilian_tests::cluster::{COUNTY, Cluster, INSURER, PATIENCE, TEACHING, TOWNSHIP, VALIDATORS};
use yilian_tests::load::Load;
use yilian_tests::programs::{self, run_to_end};

const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn a_running_nodes_ledger_is_read_in_full_while_it_grows() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let mut load = Load::start(&cluster, &[INSURER, TEACHING]).await?;
    load.wait_for_more(20).await?;
    let home = cluster.member(TOWNSHIP).home.clone();
    let before = cluster.height(TOWNSHIP).await?;
    // What a command leaves that is killed goes with the next one.
    let leftover = cluster.data_directory(TOWNSHIP)?.join(format!("check-{}", u32::MAX));
    std::fs::create_dir(&leftover)?;
    for _ in 0..2 {
        let check = run_to_end(Command::new(cluster.program()).arg("check").arg("--home").arg(&home), LIMIT)?;
        ensure!(check.code == Some(0), "{check:?}");
        ensure!(check.stdout.contains("everything is as it must be"), "{check:?}");
        let blocks = check.stdout.split(", ").nth(1).and_then(|part| part.strip_suffix(" blocks"));
        let blocks: u64 = blocks.context("it says how many blocks it read")?.parse()?;
        ensure!(blocks >= before.0, "{blocks} blocks, the node had {before}");
        load.wait_for_more(5).await?;
    }
    for entry in std::fs::read_dir(cluster.data_directory(TOWNSHIP)?)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(!name.starts_with("check-"), "{name} was left behind");
    }
    load.finish().await?;
    cluster.check_all_nodes().await?;
    Ok(())
}

/// The processes that `parent` started and that still run.
fn children(parent: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // The name stands in brackets and may hold anything; state and parent follow it.
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        if fields.get(1) == Some(&parent.to_string().as_str()) && runs(number) {
            found.push(number);
        }
    }
    Ok(found)
}

/// Whether a process runs; one that has ended and that nobody has asked about has no command line any more.
fn runs(number: u32) -> bool {
    std::fs::read(format!("/proc/{number}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Waits until a program has started `count` others, kills it without warning, and waits until they have gone, too.
fn kills_leave_nothing(mut starter: Child, count: usize) -> Result<()> {
    let began = Instant::now();
    let started = loop {
        let started = children(starter.id())?;
        if started.len() >= count {
            break started;
        }
        if began.elapsed() > PATIENCE || starter.try_wait()?.is_some() {
            bail!("it has started {} processes, not {count}", started.len());
        }
        std::thread::sleep(POLL);
    };
    starter.kill()?;
    starter.wait()?;
    while started.iter().any(|number| runs(*number)) {
        ensure!(began.elapsed() < 2 * PATIENCE, "nodes run on although what started them was killed");
        std::thread::sleep(POLL);
    }
    Ok(())
}

#[test]
fn a_killed_demo_leaves_no_nodes() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let demo = Command::new(programs::program("yilian-node")?)
        .args(["demo", "--keep"])
        .env("TMPDIR", directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    kills_leave_nothing(demo, 5)
}

#[test]
fn a_killed_benchmark_leaves_no_nodes() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let bench = Command::new(env!("CARGO_BIN_EXE_yilian-bench"))
        .arg("--quick")
        .env("TMPDIR", directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    kills_leave_nothing(bench, 4)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_ends_a_command_quietly_and_its_exit_code_stays_true() -> Result<()> {
    let cluster = Cluster::start(&VALIDATORS).await?;
    let home = &cluster.member(COUNTY).home;
    for arguments in [&["status", "--json"][..], &["status"], &["check"], &["peers"]] {
        let mut command = Command::new(cluster.program());
        command.args(arguments).arg("--home").arg(home).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().context("it is piped")?.read_to_string(&mut said)?;
        let status = child.wait()?;
        ensure!(said.is_empty() && status.success(), "{arguments:?} ended with {status}: {said}");
    }
    Ok(())
}

fn shell(script: &str, program: &Path, home: &Path) -> Result<programs::Ended> {
    run_to_end(Command::new("sh").arg("-c").arg(script).arg("sh").arg(program).arg(home), LIMIT)
}

#[tokio::test]
async fn too_few_files_are_refused_at_the_start_with_the_remedy() -> Result<()> {
    let cluster = Cluster::prepare(&Options::default()).await?;
    let home = &cluster.member(COUNTY).home;
    let ended = shell("ulimit -n 200 && exec \"$1\" run --home \"$2\"", cluster.program(), home)?;
    ensure!(ended.code == Some(1), "{ended:?}");
    ensure!(ended.stderr.contains("200") && ended.stderr.contains("LimitNOFILE"), "{ended:?}");
    ensure!(!home.join("data/ledger").exists(), "it had begun to work");
    Ok(())
}
