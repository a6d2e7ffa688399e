//! Keys that expire, are replaced or run out, on real nodes: nothing of it stops the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use yilian_node::config::Config;
use yilian_node::consortium::Options;
use yilian_node::network::PeerId;
use yilian_node::network::address_record::AddressRecord;
use yilian_node::network::limits::ADDRESS_FILE_BYTES_MAX;
use yilian_spec::base::codec;
use yilian_spec::domain::membership::Role;
use yilian_tests::cluster::{ALL, COUNTY, Cluster, INSURER, PATIENCE, TEACHING, TOWNSHIP, VALIDATORS};
use yilian_tests::command_line::Shell;
use yilian_tests::programs::{Ended, run_to_end};
use yilian_tests::work;

/// How long a command of `yilian-node` may take; replacing a key waits for blocks and for a start.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs `yilian-node` for a home of the cluster.
fn node(cluster: &Cluster, of: usize, words: &[&str]) -> Result<Ended> {
    let home = &cluster.member(of).home;
    run_to_end(Command::new(cluster.program()).args(words).arg("--home").arg(home), LIMIT)
}

fn status(cluster: &Cluster, of: usize) -> Result<Value> {
    let ended = node(cluster, of, &["status", "--json"])?;
    let answer: Value = serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))?;
    Ok(answer["health"].clone())
}

fn peer_id(cluster: &Cluster, of: usize) -> Result<PeerId> {
    let ended = node(cluster, of, &["status", "--json"])?;
    let answer: Value = serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))?;
    Ok(answer["peer_id"].as_str().context("a peer id")?.parse()?)
}

/// Replaces a node's key on the network with its institution's own administrator; the peer ids before and after.
fn rotate_own(cluster: &Cluster, of: usize) -> Result<(PeerId, PeerId)> {
    let old = peer_id(cluster, of)?;
    let id = cluster.institution(of);
    let administrator = cluster.files.directory.join("keys").join(id.as_str()).join("administrator.key");
    let ended = rotate(cluster, of, &administrator)?;
    ensure!(ended.code == Some(0) && ended.stdout.contains("revoked"), "{ended:?}");
    let new = peer_id(cluster, of)?;
    ensure!(new != old, "it has another key: {ended:?}");
    Ok((old, new))
}

/// Replaces a node's key on the network with an administrator's key, whose passphrase lies in `passphrase`.
fn rotate(cluster: &Cluster, of: usize, administrator: &Path) -> Result<Ended> {
    let passphrase = format!("file:{}", cluster.files.directory.join("passphrase").display());
    let key = administrator.to_str().context("a path of text")?;
    let words = ["key", "rotate", "network", "--administrator", key, "--passphrase", &passphrase];
    node(cluster, of, &words)
}

async fn record_one(cluster: &Cluster, at: usize) -> Result<()> {
    let to = if at == COUNTY { TEACHING } else { COUNTY };
    let grant = work::grant(work::subject(&cluster.institution(at))?, &cluster.institution(to))?;
    cluster.desk(at).await?.record(vec![grant]).await?;
    Ok(())
}

#[tokio::test]
async fn keys_that_have_expired_stop_nothing_and_can_be_replaced() -> Result<()> {
    let expired_roles = BTreeSet::from([Role::Node, Role::Validator, Role::Administrator]);
    let mut cluster = Cluster::prepare(&Options { expired_roles, ..Options::default() }).await?;
    cluster.start_nodes(&ALL).await?;
    record_one(&cluster, COUNTY).await?;

    // It is said, with what to do.
    let health = status(&cluster, COUNTY)?;
    let alarms = health["alarms"].as_array().context("alarms")?;
    let own = cluster.institution(COUNTY).to_string();
    let of_ours = alarms.iter().filter(|alarm| alarm["kind"] == "key_expiry" && alarm["about"] == own);
    ensure!(of_ours.count() == 3, "its node's, its validator's and its administrator's: {health}");
    let log = cluster.log(COUNTY);
    ensure!(log.contains("expired on") && log.contains("key rotate network"), "{log}");

    // The administrator, which has expired, is replaced by its own signature; then it replaces the node's key.
    let directory = tempfile::tempdir()?;
    let shell = Shell::of(&cluster, COUNTY, directory.path())?;
    shell.json("key generate --role administrator --out next.key")?;
    let old = cluster.member(COUNTY).secrets[&Role::Administrator].public_key();
    let applied = shell.json(&format!("key rotate next.key --old {old} --expires +365d"))?;
    ensure!(applied["status"] == "applied", "{applied}");
    // Its desk asks with another key from here on.
    cluster.files.members[COUNTY].secrets.remove(&Role::Administrator);
    let before = status(&cluster, COUNTY)?["height"].clone();
    let ended = rotate(&cluster, COUNTY, &directory.path().join("next.key"))?;
    ensure!(ended.code == Some(0), "{ended:?}");
    record_one(&cluster, COUNTY).await?;
    let health = status(&cluster, COUNTY)?;
    ensure!(health["status"] == "healthy" && health["height"].as_u64() > before.as_u64(), "{health}");
    cluster.check_all_nodes().await?;
    Ok(())
}

#[tokio::test]
async fn two_nodes_replace_their_keys_and_find_each_other_again() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    for of in [COUNTY, INSURER] {
        rotate_own(&cluster, of)?;
        record_one(&cluster, of).await?;
    }
    // Each of the two knows the other only by the key that was revoked; so does everybody else's configuration.
    for of in [COUNTY, INSURER] {
        cluster.stop(of)?;
    }
    cluster.start_nodes(&[COUNTY, INSURER]).await?;
    let began = Instant::now();
    while status(&cluster, COUNTY)?["peers"] != 3 || status(&cluster, INSURER)?["peers"] != 3 {
        ensure!(began.elapsed() < PATIENCE, "{}", cluster.log_tail(COUNTY));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    record_one(&cluster, INSURER).await?;
    cluster.check_all_nodes().await?;
    Ok(())
}

/// The ledger that it begins with names none of the keys by which the others are known by now, and only they can give it the
/// blocks that do. So it takes its operator's word for them.
#[tokio::test]
async fn a_validator_that_lost_its_disk_comes_back_to_peers_that_have_new_keys() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let mut new_keys = BTreeMap::new();
    for of in [TEACHING, COUNTY, INSURER] {
        let (old, new) = rotate_own(&cluster, of)?;
        new_keys.insert(old, new);
    }
    cluster.stop(TOWNSHIP)?;
    cluster.wipe(TOWNSHIP)?;
    let _ = std::fs::remove_file(cluster.files.members[TOWNSHIP].home.join("addresses.bin"));
    cluster.configure(TOWNSHIP, |config| {
        for peer in &mut config.network.peers {
            peer.peer = *new_keys.get(&peer.peer).unwrap_or(&peer.peer);
        }
    })?;
    cluster.start_process(TOWNSHIP)?;
    let began = Instant::now();
    loop {
        // It listens a moment after its start.
        let own = status(&cluster, TOWNSHIP).unwrap_or_default();
        let other = status(&cluster, TEACHING)?;
        if own["peers"] == 3 && own["height"].as_u64() >= other["height"].as_u64() {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "{own} {}", cluster.log_tail(TOWNSHIP));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    record_one(&cluster, TOWNSHIP).await?;
    // By now the ledger itself names them, and nobody is there by the operator's word alone.
    let vouched = |cluster: &Cluster| -> Result<bool> {
        let accounts: Value = serde_json::from_str(&node(cluster, TOWNSHIP, &["peers", "--json"])?.stdout)?;
        let mut accounts = accounts.as_array().context("accounts")?.iter();
        Ok(accounts.any(|one| one["institution"] == "configured-peer" && one["connected"] != json!([])))
    };
    let began = Instant::now();
    while vouched(&cluster)? || status(&cluster, TOWNSHIP)?["peers"] != 3 {
        ensure!(began.elapsed() < PATIENCE, "{}", cluster.log_tail(TOWNSHIP));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    cluster.check_all_nodes().await?;
    Ok(())
}

/// Ports that are free now, all different.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// Moves nodes, which must not run, to other ports; nobody else's configuration changes.
fn move_nodes(cluster: &Cluster, nodes: &[usize]) -> Result<()> {
    for (node, port) in nodes.iter().zip(free_ports(nodes.len())?) {
        cluster.configure(*node, |config| config.network.listen.set_port(port))?;
    }
    Ok(())
}

/// Waits until a node has kept where another one listens now.
async fn wait_until_kept(cluster: &Cluster, at: usize, of: usize) -> Result<()> {
    let port = Config::load(&cluster.member(of).home)?.network.listen.port();
    let file = cluster.member(at).home.join("addresses.bin");
    let began = Instant::now();
    loop {
        let records: Vec<AddressRecord> = codec::decode(&std::fs::read(&file)?, ADDRESS_FILE_BYTES_MAX)?;
        let mut addresses = records.iter().flat_map(AddressRecord::addresses);
        if addresses.any(|address| address.to_string().ends_with(&format!(":{port}"))) {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "{at} has not kept port {port}: {records:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn wait_until_all_are_connected(cluster: &Cluster, peers: usize) -> Result<()> {
    let began = Instant::now();
    for node in cluster.running() {
        while status(cluster, node)?["peers"] != peers {
            ensure!(began.elapsed() < PATIENCE, "{node}: {}", cluster.log_tail(node));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

#[tokio::test]
async fn two_nodes_that_have_both_moved_find_each_other_by_what_the_others_pass_on() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    wait_until_all_are_connected(&cluster, 3).await?;
    let moved = [COUNTY, INSURER];
    for of in moved {
        cluster.stop(of)?;
    }
    move_nodes(&cluster, &moved)?;
    cluster.start_nodes(&moved).await?;
    wait_until_all_are_connected(&cluster, 3).await?;
    for of in moved {
        record_one(&cluster, of).await?;
        for other in [TEACHING, TOWNSHIP] {
            wait_until_kept(&cluster, other, of).await?;
        }
    }

    // Then the other two move while all are stopped: what each configuration says is wrong of three nodes by now, and only
    // the records that were kept say where the first two are.
    cluster.stop_all()?;
    move_nodes(&cluster, &[TEACHING, TOWNSHIP])?;
    cluster.start_nodes(&VALIDATORS).await?;
    wait_until_all_are_connected(&cluster, 3).await?;
    record_one(&cluster, TEACHING).await?;

    // Where one of them was tried last is where its record says; a damaged file is no more than a warning.
    cluster.stop(INSURER)?;
    let port = Config::load(&cluster.member(INSURER).home)?.network.listen.port();
    let began = Instant::now();
    loop {
        let listed = node(&cluster, TEACHING, &["peers"])?.stdout;
        let health = status(&cluster, TEACHING)?;
        let is_shown = |text: &str| text.contains(&format!("/tcp/{port}"));
        if is_shown(&listed) && is_shown(&health["missing"].to_string()) {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "{listed}\n{health}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    std::fs::write(cluster.member(INSURER).home.join("addresses.bin"), b"damaged")?;
    cluster.start_nodes(&[INSURER]).await?;
    wait_until_all_are_connected(&cluster, 3).await?;
    ensure!(cluster.log(INSURER).contains("address records cannot be used"), "{}", cluster.log(INSURER));
    record_one(&cluster, INSURER).await?;
    cluster.check_all_nodes().await?;
    Ok(())
}

#[tokio::test]
async fn a_node_says_which_validators_are_missing_and_so_does_the_answer_to_a_submission() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    for of in [COUNTY, INSURER] {
        cluster.kill(of)?;
    }
    cluster.wait_for_status(TEACHING, "no_quorum").await?;
    let began = Instant::now();
    // A dial must have failed once, so that there is a reason.
    let health = loop {
        let health = status(&cluster, TEACHING)?;
        if health["reason"].as_str().is_some_and(|reason| reason.contains("refused")) {
            break health;
        }
        ensure!(began.elapsed() < PATIENCE, "{health}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let missing = health["missing"].as_array().context("who is missing")?;
    let names: BTreeSet<&str> = missing.iter().filter_map(|entry| entry["institution"].as_str()).collect();
    let [county, insurer] = [COUNTY, INSURER].map(|of| cluster.institution(of).to_string());
    ensure!(names == BTreeSet::from([county.as_str(), insurer.as_str()]), "{health}");
    ensure!(missing.iter().all(|entry| entry["last_address"].is_string() && entry["since_ms"].is_u64()));
    let client = cluster.client(TEACHING, &[TEACHING]).await?;
    let grant = work::grant(work::subject(&cluster.institution(TEACHING))?, &cluster.institution(COUNTY))?;
    let submitted = client.submit(vec![grant]).await?;
    let notice = submitted.notice.clone().context("what keeps it from being final")?;
    ensure!(
        notice.contains("no_quorum") && notice.contains(&county) && notice.contains(&insurer),
        "{notice}"
    );
    while !cluster.log(TEACHING).lines().any(|line| line.contains("missing: ") && line.contains(&insurer)) {
        ensure!(began.elapsed() < PATIENCE, "{}", cluster.log_tail(TEACHING));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Nothing was lost of it.
    cluster.start_nodes(&[COUNTY, INSURER]).await?;
    client.confirm(&submitted, 60_000).await?;
    cluster.check_all_nodes().await?;
    Ok(())
}

#[tokio::test]
async fn a_home_is_its_owners_alone() -> Result<()> {
    let mut cluster = Cluster::prepare(&Options::default()).await?;
    let home = cluster.member(TEACHING).home.clone();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o755))?;
    cluster.start_nodes(&VALIDATORS).await?;
    record_one(&cluster, TEACHING).await?;
    ensure!(cluster.log(TEACHING).contains("was open to others"), "{}", cluster.log(TEACHING));
    let mut found = 0;
    let mut open = vec![home];
    while let Some(path) = open.pop() {
        let metadata = std::fs::symlink_metadata(&path)?;
        let mode = metadata.permissions().mode() & 0o777;
        ensure!(mode & 0o077 == 0, "{} has mode {mode:03o}", path.display());
        found += 1;
        if metadata.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        }
    }
    ensure!(found > 10, "the home has its files");
    cluster.check_all_nodes().await?;
    Ok(())
}
