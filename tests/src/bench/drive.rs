//! Submits over the API to all validators in turn: as fast as it goes with a bounded number in flight, at a fixed rate
//! whatever the answers do, or one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use yilian_spec::base::id::TransactionId;
use yilian_spec::crypto::token::Audience;
use yilian_spec::domain::membership::Role;

use super::follow::Follower;
use super::plan::Plan;
use super::progress;
use super::scene::Scene;
use super::signed::Signed;
use crate::caller::{self, Caller};
use crate::cluster::{REGULATOR, VALIDATORS};

const JSON: &str = "application/json";
/// Connections to each validator that submit at the same time.
const SUBMITTERS_PER_NODE: usize = 2;
/// How often the fixed rate sends what is due.
const TICK: Duration = Duration::from_millis(10);
/// Requests of the fixed rate under way at a time.
const REQUESTS_MAX: usize = 256;
/// Samples of latency per second at the fixed rate; each holds a connection until its transaction is final.
const SAMPLES_PER_SECOND: f64 = 40.0;
/// How long a node is asked to wait for finality.
const WAIT_MS: u64 = 30_000;
/// Times a request is sent again because a pool is full.
const ATTEMPTS_MAX: usize = 600;
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// What was submitted and became final.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Driven {
    /// Transactions.
    pub transactions: usize,
    /// Operations in each.
    pub operations: usize,
    /// From the first request until the last transaction was final, in seconds.
    pub seconds: f64,
    /// Blocks that carried them.
    pub blocks: u64,
}

impl Driven {
    /// Transactions per second.
    pub fn rate(&self) -> f64 {
        self.transactions as f64 / self.seconds.max(f64::EPSILON)
    }
}

/// Submits and follows.
pub struct Driver {
    callers: Vec<Caller>,
    follower: Follower,
    /// Makes a fresh caller for each run: a token does not last for all of them.
    fresh: Box<dyn Fn() -> Result<Vec<Caller>> + Send + Sync>,
}

impl Driver {
    /// Callers for all validators, and a follower of the first.
    ///
    /// # Errors
    /// When a validator does not answer.
    pub async fn start(scene: &Scene) -> Result<Self> {
        let cluster = &scene.cluster;
        let follower = Follower::start(cluster.client(REGULATOR, &[VALIDATORS[0]]).await?).await?;
        // The regulator may carry other people's transactions and read all of them.
        let institution = cluster.institution(REGULATOR);
        let key = cluster.member(REGULATOR).secrets[&Role::Administrator].clone();
        let made = VALIDATORS
            .iter()
            .map(|node| Ok((Caller::new(&cluster.url(*node), None)?, cluster.audience(*node))))
            .collect::<Result<Vec<_>>>()?;
        let callers = made.iter().map(|(caller, _)| caller.clone()).collect();
        let fresh = move || {
            let with_token = |(caller, audience): &(Caller, Audience)| {
                Ok(caller.with_token(Some(caller::token(&institution, audience, &key, 0)?)))
            };
            made.iter().map(with_token).collect()
        };
        Ok(Self { callers, follower, fresh: Box::new(fresh) })
    }

    /// Submits all, with a bounded number in flight, and waits until the last is final.
    ///
    /// # Errors
    /// When a node refuses one or they do not become final.
    pub async fn as_fast_as_it_goes(&self, signed: Signed, plan: &Plan) -> Result<Driven> {
        let (total, operations) = (signed.len(), signed.operations);
        let per_request = plan.per_request_of(operations);
        let requests: Arc<Vec<Vec<u8>>> = Arc::new(
            (0..total)
                .step_by(per_request)
                .map(|at| signed.request(at..total.min(at + per_request)))
                .collect(),
        );
        drop(signed);
        let in_flight = Arc::new(Semaphore::new(plan.in_flight_of(operations).div_ceil(per_request)));
        let next = Arc::new(AtomicUsize::new(0));
        let before = self.follower.now();
        let began = Instant::now();
        let mut submitters = JoinSet::new();
        let callers = (self.fresh)()?;
        for caller in callers.iter().cycle().take(SUBMITTERS_PER_NODE * self.callers.len()) {
            let (caller, requests) = (caller.clone(), Arc::clone(&requests));
            let (next, in_flight) = (Arc::clone(&next), Arc::clone(&in_flight));
            submitters.spawn(async move {
                while let Some(body) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    in_flight.acquire().await.context("never closed")?.forget();
                    submit(&caller, body).await?;
                }
                anyhow::Ok(())
            });
        }
        let bar = progress(total as u64);
        let mut released = 0;
        let mut final_now = 0;
        while final_now < total {
            let wanted = (before.transactions + final_now as u64 + 1).min(before.transactions + total as u64);
            let seen = tokio::select! {
                seen = self.follower.wait_for(wanted) => seen?,
                Some(ended) = submitters.join_next() => { ended.context("a submitter broke")??; continue }
            };
            final_now = usize::try_from(seen.transactions - before.transactions)?;
            // What is final makes room for as many requests.
            let room = final_now / per_request - released;
            in_flight.add_permits(room);
            released += room;
            bar.set_position(final_now as u64);
        }
        bar.finish_and_clear();
        let end = self.follower.now();
        let blocks = end.blocks - before.blocks;
        let seconds = end.at.saturating_duration_since(began).as_secs_f64();
        Ok(Driven { transactions: total, operations, seconds, blocks })
    }

    /// Submits at a fixed rate, whatever the answers do, and measures some of them from when they were due until they
    /// were known to be final.
    ///
    /// # Errors
    /// When a node refuses one, more than [`REQUESTS_MAX`] requests are under way, or they do not become final.
    pub async fn at_rate(&self, signed: Signed, rate: f64) -> Result<Vec<Duration>> {
        let signed = Arc::new(signed);
        let callers = (self.fresh)()?;
        let under_way = Arc::new(Semaphore::new(REQUESTS_MAX));
        let before = self.follower.now();
        let bar = progress(signed.len() as u64);
        let mut tasks: JoinSet<Result<Option<Duration>>> = JoinSet::new();
        let mut latencies = Vec::new();
        let began = Instant::now();
        let mut ticks = tokio::time::interval(TICK);
        let (mut sent, mut samples) = (0, 0);
        for caller in callers.iter().cycle() {
            ticks.tick().await;
            let due = ((began.elapsed().as_secs_f64() * rate) as usize).min(signed.len()).min(sent + 256);
            if due == sent {
                continue;
            }
            let permit = Arc::clone(&under_way).try_acquire_owned().with_context(|| {
                format!(
                    "the nodes fall behind {rate:.0} transactions/s: {REQUESTS_MAX} requests are under way"
                )
            })?;
            let is_sample = f64::from(samples) < began.elapsed().as_secs_f64() * SAMPLES_PER_SECOND;
            samples += u32::from(is_sample);
            let middle = sent + (due - sent) / 2;
            let sample =
                is_sample.then(|| (signed.id(middle), began + Duration::from_secs_f64(middle as f64 / rate)));
            let (caller, signed_too, range) = (caller.clone(), Arc::clone(&signed), sent..due);
            tasks.spawn(async move {
                submit(&caller, &signed_too.request(range)).await?;
                drop(permit);
                let Some((id, since)) = sample else { return Ok(None) };
                wait_until_final(&caller, id).await?;
                Ok(Some(since.elapsed()))
            });
            sent = due;
            bar.set_position(sent as u64);
            while let Some(ended) = tasks.try_join_next() {
                latencies.extend(ended.context("a request broke")??);
            }
            if sent == signed.len() {
                break;
            }
        }
        while let Some(ended) = tasks.join_next().await {
            latencies.extend(ended.context("a request broke")??);
        }
        bar.finish_and_clear();
        self.follower.wait_for(before.transactions + signed.len() as u64).await?;
        Ok(latencies)
    }

    /// Submits one after the other, each once the one before is final.
    ///
    /// # Errors
    /// When a node refuses one or it does not become final.
    pub async fn one_by_one(&self, signed: Signed) -> Result<Vec<Duration>> {
        let callers = (self.fresh)()?;
        let mut latencies = Vec::new();
        for (index, caller) in (0..signed.len()).zip(callers.iter().cycle()) {
            let body = signed.request(index..index + 1);
            let began = Instant::now();
            submit(caller, &body).await?;
            wait_until_final(caller, signed.id(index)).await?;
            latencies.push(began.elapsed());
        }
        Ok(latencies)
    }
}

/// Submits until a node has taken every transaction of a request; a full pool is asked again.
async fn submit(caller: &Caller, body: &[u8]) -> Result<()> {
    for _ in 0..ATTEMPTS_MAX {
        let answer = caller.submit(JSON, body.to_vec()).await?;
        let results = answer.body["results"].as_array().map(Vec::as_slice).unwrap_or_default();
        let refused: Vec<_> = results.iter().filter(|result| result["status"] == "rejected").collect();
        if answer.status.is_success() && refused.is_empty() && !results.is_empty() {
            return Ok(());
        }
        let is_full = answer.status.as_u16() == 429
            || (!refused.is_empty() && refused.iter().all(|result| is_bound(&result["error"]["code"])));
        ensure!(is_full, "a node refuses: {} {} {:?}", answer.status, answer.error_code(), refused.first());
        tokio::time::sleep(FULL_PAUSE).await;
    }
    bail!("a pool stayed full for {:?}", FULL_PAUSE * u32::try_from(ATTEMPTS_MAX)?)
}

/// Whether a refusal passes with the next blocks.
fn is_bound(code: &serde_json::Value) -> bool {
    code == "pool_full" || code == "over_quota"
}

async fn wait_until_final(caller: &Caller, id: TransactionId) -> Result<()> {
    let answer = caller.get(&format!("/v1/transactions/{id}?wait_ms={WAIT_MS}")).await?;
    ensure!(answer.body["status"] == "committed", "transaction {id} is not final: {:?}", answer.body);
    let outcome = &answer.body["receipt"]["outcome"];
    ensure!(outcome == "applied", "transaction {id} was refused: {outcome}");
    Ok(())
}
