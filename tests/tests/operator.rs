//! What an operator does at a terminal: reads a running node's files, kills what started nodes, closes a pipe, forgets limits,
//! renews a certificate.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use yilian_node::config::Config;
use yilian_node::consortium::{NodeProcess, Options, free_ports};
use yilian_tests::cluster::{COUNTY, Cluster, INSURER, PATIENCE, TEACHING, TOWNSHIP, VALIDATORS};
use yilian_tests::load::Load;
use yilian_tests::programs::{self, run_to_end};
use yilian_tests::work;

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
    for arguments in [&["repair"][..], &["restore", "nowhere"]] {
        let mut command = Command::new(cluster.program());
        let ended = run_to_end(command.args(arguments).arg("--home").arg(&home), LIMIT)?;
        ensure!(ended.code == Some(1) && ended.stderr.contains("is running: stop it first"), "{ended:?}");
    }
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

/// The files of a directory as a plain copy takes them; sockets are none.
fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    std::fs::set_permissions(to, std::fs::metadata(from)?.permissions())?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// What a node's `/health` says of another process with its validator's key, if it does.
fn own_key_alarm(program: &Path, home: &Path) -> Result<Option<Value>> {
    let ended = run_to_end(Command::new(program).args(["status", "--json", "--home"]).arg(home), LIMIT)?;
    let answer: Value = serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))?;
    let alarms = answer["health"]["alarms"].as_array().context("alarms")?;
    Ok(alarms.iter().find(|alarm| alarm["kind"] == "own_key").cloned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_home_that_is_started_is_told_and_a_restarted_node_is_none() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let (program, home) = (cluster.program().to_owned(), cluster.member(COUNTY).home.clone());
    // A validator that was killed replays its log of votes and fetches blocks that carry its own precommits.
    let mut load = Load::start(&cluster, &[INSURER, TEACHING]).await?;
    load.wait_for_more(10).await?;
    for _ in 0..2 {
        cluster.kill(COUNTY)?;
        load.wait_for_more(10).await?;
        cluster.start_nodes(&[COUNTY]).await?;
        load.wait_for_more(10).await?;
    }
    load.finish().await?;
    cluster.wait_until_caught_up(&VALIDATORS).await?;
    for node in VALIDATORS {
        let alarm = own_key_alarm(&program, &cluster.member(node).home)?;
        ensure!(alarm.is_none(), "node {node}: {alarm:?}");
    }

    // While nothing is written, so that the copy is whole; then it falls behind.
    let copy = cluster.files.directory.join("copy");
    copy_directory(&home, &copy)?;
    let mut load = Load::start(&cluster, &[INSURER, TEACHING]).await?;
    load.wait_for_more(10).await?;
    let mut config = Config::load(&copy)?;
    let ports = free_ports(2)?;
    config.network.listen.set_port(ports[0]);
    config.api.listen.set_port(ports[1]);
    std::fs::write(copy.join("config.toml"), toml::to_string(&config)?)?;
    let mut double = NodeProcess::start(&program, &copy, config.api.listen)?;
    let began = Instant::now();
    let alarm = loop {
        double.check_alive()?;
        let told = own_key_alarm(&program, &home)?;
        // It answers from when it runs on.
        if let Some(alarm) = told.or(own_key_alarm(&program, &copy).unwrap_or_default()) {
            break alarm;
        }
        ensure!(began.elapsed() < PATIENCE, "nobody told:\n{}", double.last_log_lines());
        load.wait_for_more(1).await?;
    };
    let says = |field: &str, words: &str| alarm[field].as_str().is_some_and(|text| text.contains(words));
    ensure!(says("reason", "another process votes with this validator's key since block"), "{alarm}");
    ensure!(says("remedy", "stop all but one"), "{alarm}");

    // What the remedy says.
    double.stop()?;
    cluster.stop(COUNTY)?;
    cluster.start_nodes(&[COUNTY]).await?;
    load.wait_for_more(10).await?;
    load.finish().await?;
    cluster.wait_until_caught_up(&VALIDATORS).await?;
    let alarm = own_key_alarm(&program, &home)?;
    ensure!(alarm.is_none(), "{alarm:?}");
    cluster.check_all_nodes().await?;
    Ok(())
}

fn signal(cluster: &Cluster, node: usize, name: &str) -> Result<()> {
    let process = cluster.process_id(node).context("it runs")?.to_string();
    ensure!(Command::new("kill").args([&format!("-{name}"), &process]).status()?.success(), "kill -{name}");
    Ok(())
}

async fn wait_for_log(cluster: &Cluster, node: usize, words: &[&str]) -> Result<()> {
    let began = Instant::now();
    while !cluster.log(node).lines().any(|line| words.iter().all(|word| line.contains(word))) {
        ensure!(began.elapsed() < PATIENCE, "{words:?} is not in the log:\n{}", cluster.log_tail(node));
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_whose_turn_was_missed_and_tells_of_a_slow_block() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let mut load = Load::start(&cluster, &[INSURER, TEACHING]).await?;
    load.wait_for_more(10).await?;
    let missing = format!("validator=\"{}\"", cluster.institution(COUNTY));
    signal(&cluster, COUNTY, "STOP")?;
    wait_for_log(&cluster, TEACHING, &["missed its turn", &missing]).await?;
    signal(&cluster, COUNTY, "CONT")?;
    load.finish().await?;
    cluster.wait_until_caught_up(&VALIDATORS).await?;

    // Two of four that stand still for longer than a block may take.
    for node in [COUNTY, TOWNSHIP] {
        signal(&cluster, node, "STOP")?;
    }
    let grant = work::grant(work::subject(&cluster.institution(TEACHING))?, &cluster.institution(INSURER))?;
    let desk = cluster.desk(TEACHING).await?;
    let submitted = desk.submit(vec![grant]).await?;
    wait_for_log(&cluster, TEACHING, &["a block is slow"]).await?;
    for node in [COUNTY, TOWNSHIP] {
        signal(&cluster, node, "CONT")?;
    }
    desk.follow(submitted).await?;
    wait_for_log(&cluster, TEACHING, &["a slow block is decided"]).await?;
    cluster.check_all_nodes().await?;
    Ok(())
}
