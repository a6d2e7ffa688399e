//! Altered bytes in the files of a node: found or harmless, never served, and repaired from the peers.
//!
//! `YILIAN_FLIPS` sets how many bytes of each file are altered, `all` alters every byte of every file.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use yilian_node::home::Home;
use yilian_node::storage::backup;
use yilian_tests::cluster::{COUNTY, Cluster, INSURER, TOWNSHIP, VALIDATORS};
use yilian_tests::damage::{Kind, Outcome, Specimen, copy_directory, places};
use yilian_tests::load::Load;
use yilian_tests::programs::{Ended, run_to_end};

/// Bytes of each file that are altered, unless told otherwise.
const SAMPLES: u64 = 12;
/// How long a program that must end may take.
const LIMIT: Duration = Duration::from_secs(60);

fn samples() -> Option<u64> {
    match std::env::var("YILIAN_FLIPS").ok().as_deref() {
        Some("all") => None,
        Some(number) => number.parse().ok().or(Some(SAMPLES)),
        None => Some(SAMPLES),
    }
}

/// A cluster with work behind it. The township's node was killed in the middle of work after an earlier restart, so that
/// its ledger stands in sorted files as well as in a log.
async fn worked() -> Result<Cluster> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let mut load = Load::start(&cluster, &[INSURER, COUNTY]).await?;
    load.wait_for_more(30).await?;
    cluster.kill(TOWNSHIP)?;
    cluster.start_nodes(&[TOWNSHIP]).await?;
    load.wait_for_more(30).await?;
    cluster.wait_until_caught_up(&[TOWNSHIP]).await?;
    cluster.kill(TOWNSHIP)?;
    load.finish().await?;
    Ok(cluster)
}

fn node(cluster: &Cluster, command: &str, home: &Path) -> Result<Ended> {
    run_to_end(Command::new(cluster.program()).arg(command).arg("--home").arg(home), LIMIT)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_altered_byte_is_found_or_changes_nothing() -> Result<()> {
    let cluster = worked().await?;
    let specimen = Specimen::copy(&cluster.member(TOWNSHIP).home)?;
    drop(cluster);
    let (began, mut tally) = (Instant::now(), BTreeMap::<(Kind, String), (u64, u64)>::new());
    for (path, length) in specimen.files()? {
        let kind = Kind::of(&path);
        // The sealed key is opened each time, which costs; text for people is long and plays no part.
        let samples = if kind == Kind::NoTruth { Some(4) } else { samples() };
        for (place, pattern) in places(length, samples) {
            let outcome = specimen.alter(&path, place, pattern)?;
            let counts = tally.entry((kind, name(&path))).or_default();
            match outcome {
                Outcome::Found(reason) => {
                    ensure!(kind != Kind::NoTruth, "{} says something after all: {reason}", path.display());
                    ensure!(!reason.is_empty());
                    counts.0 += 1;
                }
                Outcome::Harmless => counts.1 += 1,
            }
        }
    }
    for ((kind, name), (found, harmless)) in &tally {
        println!("{kind:?} {name}: {found} found, {harmless} harmless");
    }
    let total: u64 = tally.values().map(|(found, harmless)| found + harmless).sum();
    println!("{total} bytes altered in {:?}", began.elapsed());
    let found = |wanted: Kind, part: &str| {
        tally.iter().any(|((kind, name), counts)| *kind == wanted && name.contains(part) && counts.0 > 0)
    };
    for part in ["sst", "log", "MANIFEST", "CURRENT", "votes.wal"] {
        ensure!(found(Kind::Truth, part), "no altered byte of {part} was found");
    }
    for part in ["genesis.json", "network.key", "validator.key"] {
        ensure!(found(Kind::Own, part), "no altered byte of {part} was found");
    }
    Ok(())
}

/// The name of a file with the numbers in it left out, so that equal kinds count together.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.trim_matches(|letter: char| letter.is_ascii_digit()).to_owned()
}

/// The first file of a ledger whose name ends or begins so.
fn file_of(ledger: &Path, part: &str) -> Result<PathBuf> {
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(ledger)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    names.sort();
    let fits = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains(part));
    let long = |path: &PathBuf| path.metadata().is_ok_and(|data| data.len() > 0);
    names
        .into_iter()
        .find(|path| fits(path) && long(path))
        .with_context(|| format!("no {part} with bytes in it"))
}

fn alter(path: &Path, place: u64) -> Result<()> {
    let file = std::fs::File::options().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, place)?;
    Ok(file.write_all_at(&[byte[0] ^ 0x40], place)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_programs_say_what_is_damaged_and_what_to_do() -> Result<()> {
    let cluster = worked().await?;
    let home = &cluster.member(TOWNSHIP).home;
    let scratch = tempfile::tempdir()?;
    // What does not let the node start, and what only a full reading finds.
    for (part, starts) in
        [("MANIFEST", false), ("CURRENT", false), (".log", false), ("votes.wal", false), (".sst", true)]
    {
        let copy = scratch.path().join(part.trim_start_matches('.'));
        copy_directory(home, &copy)?;
        let data = copy.join("data");
        let file = if part == "votes.wal" { data.join(part) } else { file_of(&data.join("ledger"), part)? };
        // A log of votes may just have begun its height: then it holds its version and the height alone.
        let place = if part == "votes.wal" { 3 } else { file.metadata()?.len() / 2 };
        alter(&file, place)?;
        let check = node(&cluster, "check", &copy)?;
        ensure!(check.code == Some(1), "{part}: {check:?}");
        let remedies = [
            format!("yilian-node repair --home {}`", copy.display()),
            format!("yilian-node run --home {} --repair`", copy.display()),
        ];
        let told_once = |said: &str| remedies.iter().all(|remedy| said.matches(remedy.as_str()).count() == 1);
        ensure!(told_once(&check.stdout), "{part}: what to do: {}", check.stdout);
        ensure!(check.stdout.contains("damaged") || check.stdout.contains(part), "{part}: {}", check.stdout);
        if starts {
            continue;
        }
        let run = node(&cluster, "run", &copy)?;
        let said = format!("{}{}", run.stdout, run.stderr);
        ensure!(run.code == Some(1) && told_once(&said), "{part}: {run:?}");
        let repair = node(&cluster, "repair", &copy)?;
        ensure!(repair.code == Some(0) && repair.stdout.contains(".damaged-1"), "{part}: {repair:?}");
        let again = node(&cluster, "repair", &copy)?;
        ensure!(again.code == Some(0) && again.stdout.contains("nothing is damaged"), "{part}: {again:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_node_is_repaired_from_its_peers_and_votes_again() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let mut load = Load::start(&cluster, &[TOWNSHIP, COUNTY]).await?;
    load.wait_for_more(30).await?;
    let home = cluster.member(INSURER).home.clone();
    let ledger = cluster.ledger_directory(INSURER)?;

    // An older copy of the log of votes: it is told, and the votes that are missing are not contradicted.
    let votes = home.join("data/votes.wal");
    cluster.stop(INSURER)?;
    let older = std::fs::read(&votes)?;
    cluster.start_nodes(&[INSURER]).await?;
    load.wait_for_more(30).await?;
    cluster.stop(INSURER)?;
    std::fs::write(&votes, older)?;
    let check = node(&cluster, "check", &home)?;
    ensure!(check.stdout.contains("the log was replaced by an older one"), "{check:?}");
    cluster.start_nodes(&[INSURER]).await?;
    let said = cluster.log(INSURER);
    ensure!(
        said.contains("log of votes is older than its ledger: it follows without voting up to"),
        "{said}"
    );
    load.wait_for_more(10).await?;
    ensure!(!home.join("data/abstention.json").exists(), "it votes again");

    // By hand: it refuses, is repaired, and rebuilds.
    cluster.stop(INSURER)?;
    let log = file_of(&ledger, ".log")?;
    alter(&log, log.metadata()?.len() / 3)?;
    cluster.start_process(INSURER)?;
    ensure!(cluster.wait_for_end(INSURER)?.code() == Some(1));
    ensure!(cluster.log_tail(INSURER).contains("yilian-node repair"), "{}", cluster.log_tail(INSURER));
    let repair = node(&cluster, "repair", &home)?;
    ensure!(repair.code == Some(0) && repair.stdout.contains("ledger.damaged-1"), "{repair:?}");
    cluster.start_nodes(&[INSURER]).await?;
    ensure!(home.join("data/ledger.damaged-1").is_dir(), "the damaged ledger is evidence and stays");
    load.wait_for_more(10).await?;

    // By itself: the log of votes, and then the ledger's list of files.
    for (part, moved) in [("votes.wal", "votes.wal.damaged-1"), ("MANIFEST", "ledger.damaged-2")] {
        cluster.stop(INSURER)?;
        let file = if part == "votes.wal" { home.join("data/votes.wal") } else { file_of(&ledger, part)? };
        alter(&file, 2)?;
        cluster.start_process_with(INSURER, &["--repair"])?;
        cluster.wait_for_status(INSURER, "healthy").await?;
        ensure!(home.join("data").join(moved).exists(), "{moved} is not there");
        ensure!(cluster.log(INSURER).contains(moved), "it says what it has done");
        load.wait_for_more(10).await?;
    }
    let said = cluster.log(INSURER);
    ensure!(said.contains("follows without voting"), "a validator that forgot its votes abstains: {said}");
    ensure!(!home.join("data/abstention.json").exists(), "it votes again");
    load.finish().await?;
    let readings = cluster.check_all_nodes().await?;
    ensure!(readings.len() == VALIDATORS.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_backup_restores_to_the_same_ledger_or_not_at_all() -> Result<()> {
    let cluster = worked().await?;
    let scratch = tempfile::tempdir()?;
    let copies = scratch.path().join("backups");
    let made = run_to_end(
        Command::new(cluster.program())
            .arg("backup")
            .arg(&copies)
            .arg("--home")
            .arg(&cluster.member(COUNTY).home),
        LIMIT,
    )?;
    ensure!(made.code == Some(0), "{made:?}");
    drop(cluster);
    let restore = |to: &Path| -> Result<String> {
        let restored = backup::restore(&copies, to)?;
        let report = yilian_node::storage::audit::check(to, |_, _| {})?;
        ensure!(report.is_clean(), "{:?}", report.findings);
        Ok(format!("{restored:?} {report:?}"))
    };
    let whole = restore(&scratch.path().join("whole"))?;
    let (mut found, mut same) = (0_u32, 0_u32);
    for path in files_below(&copies)? {
        let length = path.metadata()?.len();
        for (place, _) in places(length, Some(4)) {
            alter(&path, place)?;
            let target = scratch.path().join("trial");
            match restore(&target) {
                Err(error) => {
                    ensure!(!format!("{error:#}").is_empty());
                    found += 1;
                }
                Ok(restored) => {
                    ensure!(
                        restored == whole,
                        "{} byte {place}: another ledger was restored",
                        path.display()
                    );
                    same += 1;
                }
            }
            alter(&path, place)?;
            if target.exists() {
                std::fs::remove_dir_all(&target)?;
            }
        }
    }
    println!("backup: {found} altered bytes found, {same} harmless");
    ensure!(found > 0);
    ensure!(restore(&scratch.path().join("again"))? == whole, "every byte was put right again");
    Ok(())
}

fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files_below(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

#[test]
fn the_inspection_of_a_home_without_a_ledger_is_clean() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let options = yilian_node::consortium::Options::default();
    let files = yilian_node::consortium::create(&directory.path().join("consortium"), &options)?;
    let home = Home::open(&files.members[0].home)?;
    let found = yilian_node::operator::inspection::inspect(&home, |_, _| {})?;
    ensure!(found.is_clean() && matches!(found.ledger, Ok(None)), "{found:?}");
    Ok(())
}

/// The sorted files that hold rows of a column. RocksDB writes the column's name into each, under a property whose own
/// name ends in `name`.
fn files_of_column(ledger: &Path, column: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in
        files_below(ledger)?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "sst"))
    {
        let bytes = std::fs::read(&path)?;
        let named = [b"name", column.as_bytes()].concat();
        if bytes.windows(named.len()).any(|window| window == named) {
            found.push(path);
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_is_not_served_and_health_says_what_to_do() -> Result<()> {
    let mut cluster = worked().await?;
    let ledger = cluster.ledger_directory(TOWNSHIP)?;
    let receipts = files_of_column(&ledger, "receipt")?;
    ensure!(!receipts.is_empty(), "no file holds receipts: did the restart not sort them?");
    for file in &receipts {
        alter(file, 20)?;
    }
    cluster.start_nodes(&[TOWNSHIP]).await?;
    let desk = cluster.desk(TOWNSHIP).await?;
    let (mut refused, mut proven) = (Vec::new(), 0);
    for (id, (height, ..)) in cluster.acknowledged.all() {
        match desk.client.transaction_proof(id).await {
            Ok((proof, verified)) => {
                ensure!(verified && proof.block.header.height == height, "a wrong answer was served");
                proven += 1;
            }
            Err(error) => refused.push(error.to_string()),
        }
    }
    println!("{} answers refused, {proven} given and proven", refused.len());
    ensure!(refused.iter().any(|reason| reason.contains("damaged")), "{refused:?}");
    let health = cluster.wait_for_status(TOWNSHIP, "damaged").await?;
    ensure!(health.remedy.is_some_and(|remedy| remedy.contains("yilian-node repair")), "what to do");
    ensure!(cluster.log(TOWNSHIP).contains("yilian-node repair"), "the log says it, too");

    cluster.stop(TOWNSHIP)?;
    let repair = node(&cluster, "repair", &cluster.member(TOWNSHIP).home)?;
    ensure!(repair.code == Some(0) && repair.stdout.contains("ledger.damaged-1"), "{repair:?}");
    cluster.start_process(TOWNSHIP)?;
    cluster.wait_until_caught_up(&[TOWNSHIP]).await?;
    for id in cluster.acknowledged.all().into_keys() {
        let (_, verified) = desk.client.transaction_proof(id).await?;
        ensure!(verified);
    }
    cluster.check_all_nodes().await?;
    Ok(())
}
