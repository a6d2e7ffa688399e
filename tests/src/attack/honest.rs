//! The members that work on while they are attacked: transactions at a steady rate, each followed to finality, and what
//! became of them. Nothing is tried twice: who attacks must not get a single one refused.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use crate::bench::report::Latency;
use crate::bench::scene::{LIFETIME_MS, Scene};
use crate::bench::signed::Signed;
use crate::caller::Caller;

/// Transactions of one member in a second.
pub const RATE: f64 = 5.0;
/// How long a transaction is waited for.
const FINAL_WITHIN: Duration = Duration::from_secs(40);
/// How long a node is asked to wait at a time.
const WAIT_MS: u64 = 10_000;

/// What became of the members' work.
#[derive(Debug, Clone, Default)]
pub struct Served {
    /// Transactions submitted.
    pub submitted: usize,
    /// When each was due and when its member knew that it is final.
    pub took: Vec<(Instant, Instant)>,
    /// Those that a node did not take, by what it said.
    pub refused: BTreeMap<String, usize>,
    /// Those taken and not final in time.
    pub unfinal: usize,
}

impl Served {
    /// Another turn's.
    pub fn add(&mut self, other: Self) {
        self.submitted += other.submitted;
        self.took.extend(other.took);
        self.unfinal += other.unfinal;
        for (reason, count) in other.refused {
            *self.refused.entry(reason).or_default() += count;
        }
    }

    /// Whether all became final.
    pub fn is_whole(&self) -> bool {
        self.took.len() == self.submitted
    }

    /// How long they took.
    pub fn latency(&self) -> Latency {
        Latency::of(self.took.iter().map(|(due, done)| *done - *due).collect())
    }

    /// The longest time in which something waited and nothing became final.
    pub fn stall(&self) -> Duration {
        let mut by_end = self.took.clone();
        by_end.sort_by_key(|(_, done)| *done);
        // The earliest that still waits at each moment.
        let mut waits: Vec<Instant> = by_end.iter().map(|(due, _)| *due).collect();
        for index in (1..waits.len()).rev() {
            waits[index - 1] = waits[index - 1].min(waits[index]);
        }
        let mut last: Option<Instant> = None;
        let mut longest = Duration::ZERO;
        for ((_, done), since) in by_end.iter().zip(waits) {
            let since = last.map_or(since, |last| last.max(since));
            longest = longest.max(done.saturating_duration_since(since));
            last = Some(*done);
        }
        longest
    }

    /// In one line.
    pub fn line(&self) -> String {
        let Latency { p50, p99, .. } = self.latency();
        format!(
            "{} of {} final, p50 {p50:.0} ms, p99 {p99:.0} ms, longest stall {:.1} s, refused {:?}, not final {}",
            self.took.len(),
            self.submitted,
            self.stall().as_secs_f64(),
            self.refused,
            self.unfinal
        )
    }
}

enum Fate {
    Final { due: Instant, done: Instant },
    Refused(String),
    Unfinal,
}

/// Has these members work for so many seconds, each through its own node.
///
/// # Errors
/// When transactions cannot be signed.
pub async fn work(scene: &mut Scene, members: &[usize], seconds: f64) -> Result<Served> {
    let count = (RATE * seconds).ceil() as usize;
    let mut fates = JoinSet::new();
    let began = Instant::now();
    for (place, member) in members.iter().enumerate() {
        let (caller, signed) = (scene.caller(*member, *member)?, scene.sign_of(*member, count, LIFETIME_MS)?);
        for index in 0..count {
            // Members take turns, so that their work comes evenly.
            let after = (index as f64 + place as f64 / members.len() as f64) / RATE;
            let due = began + Duration::from_secs_f64(after);
            fates.spawn(follow(caller.clone(), one(&signed, index), due));
        }
    }
    let mut served = Served { submitted: fates.len(), ..Served::default() };
    while let Some(fate) = fates.join_next().await {
        match fate.context("a member broke")? {
            Fate::Final { due, done } => served.took.push((due, done)),
            Fate::Refused(reason) => *served.refused.entry(reason).or_default() += 1,
            Fate::Unfinal => served.unfinal += 1,
        }
    }
    Ok(served)
}

fn one(signed: &Signed, index: usize) -> (String, Vec<u8>) {
    (signed.id(index).to_string(), signed.request(index..index + 1))
}

async fn follow(caller: Caller, (id, body): (String, Vec<u8>), due: Instant) -> Fate {
    tokio::time::sleep_until(due.into()).await;
    let answer = match caller.submit("application/json", body).await {
        Ok(answer) => answer,
        Err(error) => return Fate::Refused(error.to_string()),
    };
    if !answer.status.is_success() || !answer.body["results"][0]["error"].is_null() {
        return Fate::Refused(format!("{} {}", answer.status.as_u16(), answer.error_code()));
    }
    while due.elapsed() < FINAL_WITHIN {
        let answer = caller.get(&format!("/v1/transactions/{id}?wait_ms={WAIT_MS}")).await;
        if answer.is_ok_and(|answer| answer.body["status"] == "committed") {
            return Fate::Final { due, done: Instant::now() };
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Fate::Unfinal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_the_longest_time_in_which_something_waits_and_nothing_becomes_final() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let served = |took: &[(u64, u64)]| Served {
            took: took.iter().map(|(due, done)| (at(*due), at(*done))).collect(),
            ..Served::default()
        };
        assert_eq!(
            served(&[(0, 10), (5_000, 5_030)]).stall(),
            Duration::from_millis(30),
            "nothing waits between"
        );
        assert_eq!(served(&[(0, 10), (100, 900), (400, 1_000)]).stall(), Duration::from_millis(800));
        let overtaken = served(&[(0, 1_000), (100, 200), (500, 600)]);
        assert_eq!(
            overtaken.stall(),
            Duration::from_millis(400),
            "the first waits all the time, others go on"
        );
        assert_eq!(served(&[]).stall(), Duration::ZERO);
    }
}
