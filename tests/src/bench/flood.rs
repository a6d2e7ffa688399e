//! What one member's flood does to the others: their latency in turns without and with it, and the nodes' memory.
//!
//! Three members submit single transactions at a rate far below what the machine carries, each to its own node and at random
//! moments, the same in every turn. The fourth does nothing in the first turn of a round and works at its quota in the
//! second. In the other two it sends [`TIMES_QUOTA`] times its quota, half of it to its own node and half to that of another
//! member: first valid transactions, then forged and repeated ones. The flood is signed before the turn begins, but sending
//! it takes its share of the same cores; so does what the flooder's own node does, which in a real consortium has a
//! machine of its own.

use anyhow::{Context, Result, ensure};
use yilian_node::base::limits::{QUOTA_WAITING_SECONDS_MAX, SUBMISSION_TRANSACTIONS_MAX};

use yilian_spec::domain::parameters::Parameters;

use super::cost::{self, memory_peak_bytes};
use super::flood_report::{FloodReport, Turn};
use super::machine::Machine;
use super::plan::FloodPlan;
use super::report::Latency;
use super::scene::{LIFETIME_MS, Scene};
use super::signed::Signed;
use super::step;
use crate::caller::Caller;
use crate::cluster::{COUNTY, Cluster, INSURER, PATIENCE, TEACHING, TOWNSHIP, VALIDATORS};
use crate::flood::{Flood, Member, Tally, members};

/// The member that floods.
pub const FLOODER: usize = COUNTY;
/// Whose node it floods beside its own.
pub const FLOODED: usize = TEACHING;
/// The members that work on.
pub const MEMBERS: [usize; 3] = [TEACHING, TOWNSHIP, INSURER];
/// The flood's rate over the quota.
pub const TIMES_QUOTA: usize = 100;
/// How long the flood's transactions stay valid behind the turn's end: what still waits then expires.
const LIFETIME_SLACK_MS: u64 = 3_000;
/// How long the members are at work before the flood begins and anything is measured.
const LEAD_SECONDS: f64 = 2.0;
/// How often it is asked whether anything waits.
const POLL: std::time::Duration = std::time::Duration::from_millis(200);

/// What the flooder sends in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Calm,
    /// Its quota and no more, one operation a transaction: what every member may do at any time.
    AtQuota,
    /// Transactions as good as the others'.
    Valid,
    /// Half with signatures that do not verify, half that the ledger holds already.
    Worthless,
}

/// The turns of a round.
const ROUND: [Kind; 4] = [Kind::Calm, Kind::AtQuota, Kind::Valid, Kind::Worthless];

/// Runs the measurement.
///
/// # Errors
/// When the cluster cannot be started, a node ends, or a member's transaction is refused or lost.
pub async fn run(plan: &FloodPlan) -> Result<FloodReport> {
    let machine = Machine::look()?;
    step("a consortium of four validators: keys, gateways, grants");
    let mut scene = Scene::open_with((plan.gateways, plan.grants), Parameters::default()).await?;
    let quota = quota(&scene.cluster);
    step("the members alone, to warm up");
    turn(&mut scene, plan, Kind::Calm, quota as f64).await?;
    let memory_before = memory_peak_bytes(&scene.cluster, &VALIDATORS)?;
    let mut turns = Vec::new();
    for round in 1..=plan.rounds {
        for kind in ROUND {
            let done = turn(&mut scene, plan, kind, quota as f64).await?;
            step(&format!("round {round} of {}: {}", plan.rounds, done.line()));
            turns.push(done);
        }
    }
    let memory = (memory_before, memory_peak_bytes(&scene.cluster, &VALIDATORS)?);
    step("stopping the nodes and reading their ledgers");
    scene.cluster.check_all_nodes().await?;
    FloodReport::new(plan, machine, quota, turns, memory).context("every kind of turn was measured")
}

/// The flooder's quota in units of work per second, as the genesis says.
fn quota(cluster: &Cluster) -> u64 {
    cluster.files.genesis.parameters.quota_work_per_s
}

/// The members' work, with or without the flood beside it; ends when no transaction waits any more.
async fn turn(scene: &mut Scene, plan: &FloodPlan, kind: Kind, quota: f64) -> Result<Turn> {
    let lifetime_ms = ((LEAD_SECONDS + plan.seconds) * 1_000.0) as u64 + LIFETIME_SLACK_MS;
    let flood = match kind {
        Kind::Calm | Kind::AtQuota => None,
        Kind::Valid => Some(scene.sign_of(FLOODER, plan.flood_transactions, lifetime_ms)?),
        Kind::Worthless => Some(worthless(scene, plan, quota, lifetime_ms).await?),
    };
    let callers = [FLOODER, FLOODED].map(|node| scene.caller(FLOODER, node));
    let callers: Vec<Caller> = callers.into_iter().collect::<Result<_>>()?;
    let lead = working(scene, &MEMBERS, plan.member_rate, LEAD_SECONDS)?;
    let measured = working(scene, &MEMBERS, plan.member_rate, plan.seconds)?;
    let fourth: &[usize] = if kind == Kind::AtQuota { &[FLOODER] } else { &[] };
    let fourth = working(scene, fourth, quota, plan.seconds)?;
    let acknowledged = scene.cluster.acknowledged.clone();
    // The flood begins while the members are at work.
    members::work(lead, plan.member_rate, &acknowledged).await?;
    let flood = flood.map(|signed| Flood::start(callers, &signed, quota * TIMES_QUOTA as f64));
    let before = cost::cpu_seconds_of(&scene.cluster, &VALIDATORS)?;
    let (took, _) = tokio::try_join!(
        members::work(measured, plan.member_rate, &acknowledged),
        members::work(fourth, quota, &acknowledged),
    )?;
    let after = cost::cpu_seconds_of(&scene.cluster, &VALIDATORS)?;
    let mut tally = Tally::default();
    if let Some(flood) = flood {
        tally = flood.stop().await?;
    }
    wait_until_nothing_waits(&scene.cluster).await?;
    let cpu_cores = (after - before) / plan.seconds;
    Ok(Turn { kind, latency: Latency::of(took), cpu_cores, tally })
}

/// Members with as much work as they do in so many seconds.
fn working(scene: &mut Scene, members: &[usize], rate: f64, seconds: f64) -> Result<Vec<Member>> {
    let count = (rate * seconds).ceil() as usize;
    let member = |member: &usize| {
        let signed = scene.sign_of(*member, count, LIFETIME_MS)?;
        Ok(Member { caller: scene.caller(*member, *member)?, signed })
    };
    members.iter().map(member).collect()
}

/// Forged transactions, and as many that are final.
async fn worthless(scene: &mut Scene, plan: &FloodPlan, quota: f64, lifetime_ms: u64) -> Result<Signed> {
    let mut all = scene.forge_of(FLOODER, plan.worthless_transactions, lifetime_ms)?;
    let repeated = scene.sign_of(FLOODER, plan.worthless_transactions, LIFETIME_MS)?;
    let caller = scene.caller(FLOODER, FLOODER)?;
    // As many as may wait at a time: what is refused would be new in the flood.
    let at_once = (quota as usize * QUOTA_WAITING_SECONDS_MAX as usize).min(SUBMISSION_TRANSACTIONS_MAX);
    for from in (0..repeated.len()).step_by(at_once) {
        let body = repeated.request(from..repeated.len().min(from + at_once));
        // What the last flood has used up comes back with time.
        let began = std::time::Instant::now();
        loop {
            let answer = caller.submit("application/json", body.clone()).await?;
            let results = answer.body["results"].as_array();
            if results.is_some_and(|results| results.iter().all(|result| result["error"].is_null())) {
                break;
            }
            ensure!(began.elapsed() < PATIENCE, "{} {}", answer.status, answer.body);
            tokio::time::sleep(POLL).await;
        }
        wait_until_nothing_waits(&scene.cluster).await?;
    }
    all.append(repeated);
    Ok(all)
}

/// Waits until no transaction waits at any node.
///
/// # Errors
/// When one still does after long.
pub async fn wait_until_nothing_waits(cluster: &Cluster) -> Result<()> {
    let began = std::time::Instant::now();
    for node in VALIDATORS {
        while cost::waiting_transactions(&cluster.url(node)).await? > 0 {
            ensure!(began.elapsed() < PATIENCE, "transactions still wait at node {node} after {PATIENCE:?}");
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}
