//! Real processes over a network that misbehaves, on disks that fill up or lie, killed at random: progress stops only where it
//! must, comes back, and every node's ledger is right afterwards.
//!
//! `YILIAN_CHAOS_SECONDS` and `YILIAN_CHAOS_SEED` set how long and with which seed the last test kills, `YILIAN_CHAOS_MISHAP`
//! names the kinds of mishaps, and into `YILIAN_CHAOS_LOGS` go the nodes' logs of whatever took long; `make chaos` sets them.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use yilian_node::consortium::Options;
use yilian_tests::cluster::{COUNTY, Cluster, INSURER, PATIENCE, TEACHING, TOWNSHIP, VALIDATORS};
use yilian_tests::load::Load;
use yilian_tests::proxy::Network;

const CHAOS_SECONDS: u64 = 15;
const CHAOS_SEED: u64 = 1;
/// After a mishap that held things up for longer than this, somebody may want to read the logs.
const LONG: Duration = Duration::from_secs(5);

/// A cluster whose nodes reach each other only through a network that can be made to misbehave.
async fn networked() -> Result<(Cluster, Network)> {
    let mut cluster = Cluster::prepare(&Options::default()).await?;
    let network = cluster.route_through_network().await?;
    cluster.start_nodes(&VALIDATORS).await?;
    Ok((cluster, network))
}

/// Heals the network, and says how long it took until something became final.
async fn heal(network: &Network, load: &mut Load, what: &str) -> Result<()> {
    let began = Instant::now();
    network.heal();
    load.wait_for_more(1).await?;
    println!("{what}: the first block {:.1} s after the network was healed", began.elapsed().as_secs_f64());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_halves_decide_nothing_say_so_and_go_on_together() -> Result<()> {
    let (mut cluster, network) = networked().await?;
    let mut load = Load::start(&cluster, &VALIDATORS).await?;
    load.wait_for_more(20).await?;
    network.part(&[TEACHING, COUNTY], &[TOWNSHIP, INSURER]);
    for node in VALIDATORS {
        let health = cluster.wait_for_status(node, "no_quorum").await?;
        ensure!(health.reason.is_some_and(|reason| reason.contains("2 of 4")));
        ensure!(health.remedy.is_some_and(|remedy| !remedy.is_empty()), "it says what to do");
    }
    let recorded = load.recorded();
    let mut heights = Vec::new();
    for node in VALIDATORS {
        heights.push(cluster.height(node).await?);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    for (node, height) in heights.into_iter().enumerate() {
        ensure!(cluster.height(node).await? == height, "node {node} decided without a quorum");
    }
    ensure!(load.recorded() == recorded, "something became final without a quorum");
    heal(&network, &mut load, "two halves").await?;
    load.wait_for_more(20).await?;
    load.finish().await?;
    cluster.check_all_nodes().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_heard_by_nobody_or_hears_nobody_stops_no_other() -> Result<()> {
    let (mut cluster, network) = networked().await?;
    let mut load = Load::start(&cluster, &[TEACHING, COUNTY, TOWNSHIP]).await?;
    load.wait_for_more(20).await?;
    network.mute(INSURER, &[TEACHING, COUNTY, TOWNSHIP]);
    load.wait_for_more(20).await?;
    heal(&network, &mut load, "one heard by nobody").await?;
    for other in [TEACHING, COUNTY, TOWNSHIP] {
        network.mute(other, &[INSURER]);
    }
    load.wait_for_more(20).await?;
    heal(&network, &mut load, "one that hears nobody").await?;
    let began = Instant::now();
    cluster.wait_until_caught_up(&VALIDATORS).await?;
    println!("one that hears nobody: caught up after {:.1} s more", began.elapsed().as_secs_f64());
    // Both halves of a ring: each hears two of the others, and no two hear the same.
    network.mute(TEACHING, &[COUNTY]);
    network.mute(COUNTY, &[TOWNSHIP]);
    network.mute(TOWNSHIP, &[INSURER]);
    network.mute(INSURER, &[TEACHING]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    heal(&network, &mut load, "a ring").await?;
    load.finish().await?;
    cluster.check_all_nodes().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_narrow_network_that_is_cut_again_and_again_still_decides() -> Result<()> {
    let (mut cluster, network) = networked().await?;
    let mut load = Load::start(&cluster, &VALIDATORS).await?;
    network.slow(Duration::from_millis(60), Some(1 << 20));
    load.wait_for_more(10).await?;
    for _ in 0..3 {
        network.cut();
        load.wait_for_more(5).await?;
    }
    network.slow(Duration::ZERO, None);
    load.finish().await?;
    cluster.check_all_nodes().await?;
    Ok(())
}

/// A small file system in memory, as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, mib: u64) -> Option<Self> {
        let size = format!("size={mib}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output().ok()?;
        mounted.status.success().then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Takes all the room there is, but for so many bytes.
fn fill(disk: &Path, leave_bytes: usize) -> Result<PathBuf> {
    use std::io::Write as _;
    let ballast = disk.join("ballast");
    let mut file = std::fs::File::create(&ballast)?;
    while file.write_all(&[1; 4096]).is_ok() {}
    let length = file.metadata()?.len();
    file.set_len(length.saturating_sub(leave_bytes as u64))?;
    Ok(ballast)
}

/// Takes what the node gives back by removing files of its own, until it is over.
fn keep_full(ballast: &Path, is_over: &AtomicBool) {
    use std::io::Write as _;
    let mut file = std::fs::File::options().append(true).open(ballast).expect("the ballast is there");
    while !is_over.load(Ordering::Relaxed) {
        while file.write_all(&[1; 4096]).is_ok() {}
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_stops_one_node_with_a_word_and_no_other() -> Result<()> {
    let mut cluster = Cluster::prepare(&Options::default()).await?;
    cluster.configure(INSURER, |config| {
        config.storage.disk_free_mib_min = 64;
        config.storage.disk_check_interval_ms = 1_000;
    })?;
    let data = cluster.data_directory(INSURER)?;
    std::fs::create_dir_all(&data)?;
    let Some(_disk) = SmallDisk::mount(&data, 192) else {
        eprintln!("skipped: no small file system can be mounted here (it needs the rights of root)");
        return Ok(());
    };
    cluster.start_nodes(&VALIDATORS).await?;
    let mut load = Load::start(&cluster, &[TEACHING, COUNTY, TOWNSHIP]).await?;
    load.wait_for_more(20).await?;
    // Little is left: it says so, takes no transactions, and goes on voting.
    let ballast = fill(&data, 8 << 20)?;
    let health = cluster.wait_for_status(INSURER, "disk").await?;
    ensure!(health.remedy.is_some_and(|remedy| remedy.contains("free space")));
    load.wait_for_more(20).await?;
    // Nothing is left: it ends.
    std::fs::remove_file(&ballast)?;
    let ballast = fill(&data, 0)?;
    let is_over = AtomicBool::new(false);
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| keep_full(&ballast, &is_over));
        let ended = cluster.wait_for_end(INSURER);
        is_over.store(true, Ordering::Relaxed);
        ended
    })?;
    ensure!(ended.code() == Some(1), "it ended with {ended}:\n{}", cluster.log_tail(INSURER));
    ensure!(cluster.log_tail(INSURER).contains("check the disk"), "{}", cluster.log_tail(INSURER));
    load.wait_for_more(20).await?;
    // There is room again, and nothing was lost.
    std::fs::remove_file(&ballast)?;
    cluster.start_nodes(&[INSURER]).await?;
    load.wait_for_more(10).await?;
    load.finish().await?;
    cluster.check_all_nodes().await?;
    Ok(())
}

/// Alters a byte in the middle of every file of a ledger that holds rows.
fn damage(ledger: &Path) -> Result<usize> {
    let mut altered = 0;
    for entry in std::fs::read_dir(ledger)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let length = path.metadata().map_or(0, |data| data.len());
        if length == 0 || !(name.ends_with(".sst") || name.ends_with(".log")) {
            continue;
        }
        let file = std::fs::File::options().read(true).write(true).open(&path)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, length / 2)?;
        file.write_all_at(&[byte[0] ^ 0x40], length / 2)?;
        altered += 1;
    }
    Ok(altered)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_damaged_under_a_running_node_stops_no_other_and_is_rebuilt() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let mut load = Load::start(&cluster, &[TEACHING, COUNTY, TOWNSHIP]).await?;
    load.wait_for_more(20).await?;
    // So that there are sorted files beside the log.
    cluster.stop(INSURER)?;
    cluster.start_nodes(&[INSURER]).await?;
    load.wait_for_more(20).await?;
    let altered = damage(&cluster.ledger_directory(INSURER)?)?;
    ensure!(altered >= 2, "there is a log and a sorted file: {altered}");
    load.wait_for_more(20).await?;
    // Whatever it has noticed, it starts again only with its ledger set aside, and has all of it soon.
    cluster.kill(INSURER)?;
    load.wait_for_more(20).await?;
    let began = Instant::now();
    cluster.start_process_with(INSURER, &["--repair"])?;
    cluster.wait_for_status(INSURER, "healthy").await?;
    cluster.wait_until_caught_up(&[INSURER]).await?;
    println!("a damaged store: rebuilt {:.1} s after the start", began.elapsed().as_secs_f64());
    let home = &cluster.member(INSURER).home;
    ensure!(home.join("data/ledger.damaged-1").is_dir(), "the damaged ledger is evidence and stays");
    ensure!(cluster.log(INSURER).contains("ledger.damaged-1"), "it says what it has done");
    load.wait_for_more(20).await?;
    load.finish().await?;
    cluster.check_all_nodes().await?;
    Ok(())
}

fn setting(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} must be a number, it is {text}")),
        Err(_) => Ok(default),
    }
}

/// What goes wrong in the last test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mishap {
    OneKilled,
    TwoKilled,
    AllKilled,
    CutAndKilled,
    CutAndMuted,
}

impl Mishap {
    const ALL: [Self; 5] =
        [Self::OneKilled, Self::TwoKilled, Self::AllKilled, Self::CutAndKilled, Self::CutAndMuted];

    fn name(self) -> &'static str {
        match self {
            Self::OneKilled => "one-killed",
            Self::TwoKilled => "two-killed",
            Self::AllKilled => "all-killed",
            Self::CutAndKilled => "cut-and-killed",
            Self::CutAndMuted => "cut-and-muted",
        }
    }

    /// Half of all are kills of one.
    fn draw(random: &mut StdRng) -> Self {
        match random.random_range(0..8) {
            0..=3 => Self::OneKilled,
            4 => Self::TwoKilled,
            5 => Self::AllKilled,
            6 => Self::CutAndKilled,
            _ => Self::CutAndMuted,
        }
    }

    /// Those that `YILIAN_CHAOS_MISHAP` names, or all.
    fn wanted() -> Result<Vec<Self>> {
        let Ok(names) = std::env::var("YILIAN_CHAOS_MISHAP") else { return Ok(Self::ALL.to_vec()) };
        let named = |name: &str| Self::ALL.into_iter().find(|mishap| mishap.name() == name);
        let known = Self::ALL.map(Self::name).join(", ");
        let wanted =
            names.split(',').map(|name| named(name).with_context(|| format!("{name:?} is none of {known}")));
        wanted.collect()
    }

    /// Lets it happen, for as long as chance has it.
    async fn happen(self, random: &mut StdRng, cluster: &mut Cluster, network: &Network) -> Result<()> {
        let victim = VALIDATORS[random.random_range(0..VALIDATORS.len())];
        let others: Vec<usize> = VALIDATORS.into_iter().filter(|node| *node != victim).collect();
        let second = others[random.random_range(0..others.len())];
        let pause = Duration::from_millis(random.random_range(0..1_500));
        match self {
            Self::OneKilled => killed(cluster, &[victim], pause).await,
            Self::TwoKilled => killed(cluster, &[victim, second], pause).await,
            Self::AllKilled => killed(cluster, &VALIDATORS, Duration::ZERO).await,
            Self::CutAndKilled => {
                network.part(&[victim], &others);
                killed(cluster, &[second], pause).await?;
                network.heal();
                Ok(())
            }
            Self::CutAndMuted => {
                network.cut();
                network.mute(victim, &others);
                tokio::time::sleep(pause).await;
                network.heal();
                Ok(())
            }
        }
    }
}

/// Kills nodes and starts them again.
async fn killed(cluster: &mut Cluster, victims: &[usize], pause: Duration) -> Result<()> {
    for node in victims {
        cluster.kill(*node)?;
    }
    tokio::time::sleep(pause).await;
    for node in victims {
        cluster.start_process(*node)?;
    }
    Ok(())
}

/// Copies the nodes' logs to where `YILIAN_CHAOS_LOGS` says, if it does.
fn keep_logs(cluster: &Cluster, mishap: usize) -> Result<()> {
    let Some(directory) = std::env::var_os("YILIAN_CHAOS_LOGS") else { return Ok(()) };
    let directory = PathBuf::from(directory).join(format!("mishap-{mishap}"));
    std::fs::create_dir_all(&directory)?;
    for node in VALIDATORS {
        std::fs::copy(cluster.log_file(node), directory.join(format!("{node}.log")))?;
    }
    println!("  the nodes' logs: {}", directory.display());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_killed_at_random_under_load_lose_nothing() -> Result<()> {
    let seconds = setting("YILIAN_CHAOS_SECONDS", CHAOS_SECONDS)?;
    let seed = setting("YILIAN_CHAOS_SEED", CHAOS_SEED)?;
    println!("chaos for {seconds} s, seed {seed}");
    let wanted = Mishap::wanted()?;
    let mut random = StdRng::seed_from_u64(seed);
    let (mut cluster, network) = networked().await?;
    let mut load = Load::start(&cluster, &VALIDATORS).await?;
    load.wait_for_more(10).await?;
    let began = Instant::now();
    let (mut mishaps, mut back) = (0, BTreeMap::<Mishap, Vec<Duration>>::new());
    while began.elapsed() < Duration::from_secs(seconds) {
        let what = Mishap::draw(&mut random);
        if !wanted.contains(&what) {
            continue;
        }
        what.happen(&mut random, &mut cluster, &network).await?;
        let healed = Instant::now();
        let failed = || format!("mishap {mishaps} of seed {seed}: {}; patience {PATIENCE:?}", what.name());
        load.wait_for_more(1).await.with_context(failed)?;
        let took = healed.elapsed();
        println!("{mishaps} {}: {:.1} s", what.name(), took.as_secs_f64());
        if took > LONG {
            keep_logs(&cluster, mishaps)?;
        }
        back.entry(what).or_default().push(took);
        load.wait_for_more(4).await.with_context(failed)?;
        mishaps += 1;
    }
    for node in VALIDATORS {
        // A start that was in vain, say on a store that the kill had damaged, would show here.
        cluster.wait_for_status(node, "healthy").await?;
    }
    let recorded = load.finish().await?;
    println!("{mishaps} mishaps, {recorded} disclosures final; from a mishap's end to the next one final:");
    for (what, mut took) in back {
        took.sort();
        let (median, longest) =
            (took[(took.len() - 1) / 2].as_secs_f64(), took[took.len() - 1].as_secs_f64());
        println!("  {}, {} times: median {median:.1} s, longest {longest:.1} s", what.name(), took.len());
    }
    ensure!(mishaps > 0);
    let readings = cluster.check_all_nodes().await?;
    ensure!(readings.len() == VALIDATORS.len());
    Ok(())
}
