//! The members that work on: each submits its transactions one by one to its own node, at random moments as callers who
//! do not know of each other do, and follows each to finality.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;
use yilian_spec::base::height::Height;
use yilian_spec::ledger::receipt::{Outcome, Receipt};

use crate::bench::signed::Signed;
use crate::caller::Caller;
use crate::cluster::Acknowledged;

const JSON: &str = "application/json";
/// How long a node is asked to wait for finality, at most.
const WAIT_MS: u64 = 30_000;

/// A member with work to do.
pub struct Member {
    /// Speaks to its node with its token.
    pub caller: Caller,
    /// Its transactions.
    pub signed: Signed,
}

/// Has all members work, each at `rate` transactions a second on average, and returns for each transaction how long it took
/// from when it was due until its member knew that it is final. What they are told goes to `acknowledged`. Moments are drawn
/// from a fixed seed, so that all turns of a comparison have the same.
///
/// # Errors
/// When a node refuses one for whatever reason, or one does not become final or takes no effect.
pub async fn work(members: Vec<Member>, rate: f64, acknowledged: &Acknowledged) -> Result<Vec<Duration>> {
    let began = Instant::now();
    let mut working = JoinSet::new();
    for (member, number) in members.into_iter().zip(0u64..) {
        let due = moments(began, rate, member.signed.len(), number);
        working.spawn(work_on(member, due, acknowledged.clone()));
    }
    let mut took = Vec::new();
    while let Some(ended) = working.join_next().await {
        took.extend(ended.context("a member broke")??);
    }
    Ok(took)
}

/// The arrivals of a Poisson process: the times between them are exponentially distributed.
fn moments(began: Instant, rate: f64, count: usize, seed: u64) -> Vec<Instant> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut at = began;
    let mut next = || {
        at += Duration::from_secs_f64(-(1.0 - random.random::<f64>()).ln() / rate);
        at
    };
    (0..count).map(|_| next()).collect()
}

async fn work_on(member: Member, due: Vec<Instant>, acknowledged: Acknowledged) -> Result<Vec<Duration>> {
    let mut following = JoinSet::new();
    for (index, due) in due.into_iter().enumerate() {
        tokio::time::sleep_until(due.into()).await;
        let (caller, body) = (member.caller.clone(), member.signed.request(index..index + 1));
        let (id, acknowledged) = (member.signed.id(index), acknowledged.clone());
        following.spawn(async move {
            let answer = caller.submit(JSON, body).await?;
            let result = &answer.body["results"][0];
            ensure!(
                answer.status.is_success() && result["error"].is_null(),
                "a member's transaction was refused: {} {}",
                answer.status,
                answer.body
            );
            let answer = caller.get(&format!("/v1/transactions/{id}?wait_ms={WAIT_MS}")).await?;
            ensure!(answer.body["status"] == "committed", "transaction {id} is not final: {}", answer.body);
            let took = due.elapsed();
            let receipt: Receipt = serde_json::from_value(answer.body["receipt"].clone())?;
            ensure!(receipt.outcome == Outcome::Applied, "transaction {id}: {:?}", receipt.outcome);
            let place = (answer.body["height"].as_u64(), answer.body["index"].as_u64());
            let (Some(height), Some(index)) = place else {
                anyhow::bail!("transaction {id} has no place: {}", answer.body);
            };
            acknowledged.note(Height(height), u32::try_from(index)?, receipt)?;
            Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(ended) = following.join_next().await {
        took.push(ended.context("a request broke")??);
    }
    Ok(took)
}
