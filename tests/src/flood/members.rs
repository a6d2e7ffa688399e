//! The members that work on: each submits its transactions one by one at a steady rate to its own node, and follows each
//! to finality.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use yilian_spec::height::Height;
use yilian_spec::receipt::{Outcome, Receipt};

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

/// Has all members work, each at `rate` transactions a second, and returns for each transaction how long it took from when
/// it was due until its member knew that it is final. What they are told goes to `acknowledged`.
///
/// # Errors
/// When a node refuses one for whatever reason, or one does not become final or takes no effect.
pub async fn work(members: Vec<Member>, rate: f64, acknowledged: &Acknowledged) -> Result<Vec<Duration>> {
    let apart = Duration::from_secs_f64(1.0 / rate);
    // Members do not work in step.
    let offset = apart / u32::try_from(members.len().max(1))?;
    let began = Instant::now();
    let mut working = JoinSet::new();
    for (member, number) in members.into_iter().zip(0u32..) {
        working.spawn(work_on(member, began + offset * number, apart, acknowledged.clone()));
    }
    let mut took = Vec::new();
    while let Some(ended) = working.join_next().await {
        took.extend(ended.context("a member broke")??);
    }
    Ok(took)
}

async fn work_on(
    member: Member,
    first: Instant,
    apart: Duration,
    acknowledged: Acknowledged,
) -> Result<Vec<Duration>> {
    let mut following = JoinSet::new();
    for (index, number) in (0..member.signed.len()).zip(0u32..) {
        let due = first + apart * number;
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
