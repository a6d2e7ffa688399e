//! A member that floods, with valid keys, through its own node and another's: the others are served as before, every
//! node's memory stays bounded, and the flooder is told which bound it meets and what to do.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use yilian_node::base::limits::QUOTA_WAITING_SECONDS_MAX;
use yilian_spec::domain::parameters::Parameters;
use yilian_tests::bench::cost::memory_peak_bytes;
use yilian_tests::bench::flood::{FLOODED, FLOODER, MEMBERS, TIMES_QUOTA, wait_until_nothing_waits};
use yilian_tests::bench::scene::{LIFETIME_MS, Scene};
use yilian_tests::bench::signed::Signed;
use yilian_tests::cluster::{PATIENCE, VALIDATORS};
use yilian_tests::flood::{Flood, Member, Tally, members};

/// The quota of each member in this test.
const QUOTA: usize = 20;
/// Transactions of each other member in a turn, and how many in a second.
const TURN: usize = 25;
const RATE: f64 = 10.0;
/// How long the flood's transactions are valid: what still waits then leaves.
const FLOOD_LIFETIME_MS: u64 = 15_000;
/// What the floods may cost a node in memory, beside the work done meanwhile: its bounds are a mempool of 64 MiB, and the
/// bodies of some dozen requests.
const MEMORY_BYTES_MAX: u64 = 192 << 20;

async fn scene() -> Result<Scene> {
    let parameters = Parameters { quota_work_per_s: QUOTA as u64, ..Parameters::default() };
    Scene::open_with((2, 5), parameters).await
}

/// The others' work; nothing of it may be refused.
async fn work(scene: &mut Scene) -> Result<()> {
    let mut working = Vec::new();
    for member in MEMBERS {
        let signed = scene.sign_of(member, TURN, LIFETIME_MS)?;
        working.push(Member { caller: scene.caller(member, member)?, signed });
    }
    let took = members::work(working, RATE, &scene.cluster.acknowledged).await?;
    ensure!(took.len() == MEMBERS.len() * TURN);
    Ok(())
}

/// The others' work in turns without and with the flood; returns what became of it.
async fn turns(scene: &mut Scene, flood: impl Fn(&mut Scene) -> Result<Signed>) -> Result<Tally> {
    work(scene).await?;
    let before = memory_peak_bytes(&scene.cluster, &VALIDATORS)?;
    let mut tally = Tally::default();
    for _ in 0..2 {
        let signed = flood(scene)?;
        let callers = vec![scene.caller(FLOODER, FLOODER)?, scene.caller(FLOODER, FLOODED)?];
        let flood = Flood::start(callers, &signed, QUOTA as f64 * TIMES_QUOTA as f64);
        work(scene).await?;
        tally.add(&flood.stop().await?);
        wait_until_nothing_waits(&scene.cluster).await?;
        work(scene).await?;
    }
    let after = memory_peak_bytes(&scene.cluster, &VALIDATORS)?;
    println!(
        "memory of the largest node: {} MiB before, {} MiB at most; {tally:?}",
        before >> 20,
        after >> 20
    );
    ensure!(after < before + MEMORY_BYTES_MAX, "{before} bytes before the floods, {after} at most in them");
    ensure!(tally.unanswered == 0, "{tally:?}");
    Ok(tally)
}

/// Submits until a node takes it: the flooder waits as it is told to.
async fn served_again(scene: &mut Scene) -> Result<()> {
    let began = Instant::now();
    let one = scene.sign_of(FLOODER, 1, LIFETIME_MS)?;
    let caller = scene.caller(FLOODER, FLOODER)?;
    loop {
        let answer = caller.submit("application/json", one.request(0..1)).await?;
        if answer.status.is_success() && answer.body["results"][0]["error"].is_null() {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "the flooder is never served again: {}", answer.body);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let answer = caller.get(&format!("/v1/transactions/{}?wait_ms=30000", one.id(0))).await?;
    ensure!(answer.body["status"] == "committed", "{}", answer.body);
    Ok(())
}

fn sentence<'a>(tally: &'a Tally, code: &str) -> Result<&'a str> {
    ensure!(
        tally.refused.get(code).is_some_and(|count| *count > 0),
        "nothing was refused as {code}: {tally:?}"
    );
    tally.sentences.get(code).map(String::as_str).context("every refusal has a sentence")
}

async fn check(scene: &mut Scene) -> Result<()> {
    for node in VALIDATORS {
        ensure!(!scene.cluster.log(node).contains("muted"), "node {node} holds the flood against a peer");
    }
    let readings = scene.cluster.check_all_nodes().await?;
    ensure!(readings.len() == VALIDATORS.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_times_the_quota_of_one_takes_nothing_from_the_others() -> Result<()> {
    let mut scene = scene().await?;
    let flood = |scene: &mut Scene| scene.sign_of(FLOODER, 5_120, FLOOD_LIFETIME_MS);
    let tally = turns(&mut scene, flood).await?;
    ensure!(tally.accepted > 0, "its quota it has: {tally:?}");
    let name = scene.cluster.institution(FLOODER);
    let refusal = sentence(&tally, "over_quota")?;
    let bound = format!("quota of {QUOTA} units of work per second");
    ensure!(refusal.contains(name.as_str()) && refusal.contains(&bound), "{refusal}");
    ensure!(refusal.contains("submit less"), "what to do: {refusal}");
    let all = tally.accepted + tally.repeated + tally.refused_in_all();
    ensure!(tally.sent == all, "every transaction has an answer: {tally:?}");
    served_again(&mut scene).await?;
    check(&mut scene).await
}

#[tokio::test(flavor = "multi_thread")]
async fn forgeries_and_repeats_of_one_take_nothing_from_the_others() -> Result<()> {
    let mut scene = scene().await?;
    // As many as may wait beyond a quota.
    let repeated = scene.sign_of(FLOODER, QUOTA * QUOTA_WAITING_SECONDS_MAX as usize, LIFETIME_MS)?;
    let caller = scene.caller(FLOODER, FLOODER)?;
    let answer = caller.submit("application/json", repeated.request(0..repeated.len())).await?;
    let results = answer.body["results"].as_array().context("a result for each")?;
    ensure!(results.iter().all(|result| result["status"] == "accepted"), "{}", answer.body);
    wait_until_nothing_waits(&scene.cluster).await?;
    let flood = |scene: &mut Scene| {
        let mut all = scene.forge_of(FLOODER, 512, FLOOD_LIFETIME_MS)?;
        all.append(repeated.clone());
        Ok(all)
    };
    let tally = turns(&mut scene, flood).await?;
    ensure!(tally.accepted == 0 && tally.repeated > 0, "{tally:?}");
    sentence(&tally, "bad_signature")?;
    let refusal = sentence(&tally, "too_much_in_vain")?;
    ensure!(refusal.contains(scene.cluster.institution(FLOODER).as_str()), "{refusal}");
    ensure!(refusal.contains("128 times a second") && refusal.contains("submit less"), "{refusal}");
    served_again(&mut scene).await?;
    check(&mut scene).await
}
