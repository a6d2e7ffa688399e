//! The flooder: requests signed ahead, sent at a fixed rate to several nodes whatever they answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::bench::signed::Signed;
use crate::caller::{Answer, Caller};

const JSON: &str = "application/json";
/// How often the flooder sends what is due.
const TICK: Duration = Duration::from_millis(5);
/// Requests under way to one node at a time; what is due beyond it is not sent, and counted.
const REQUESTS_PER_NODE_MAX: usize = 32;
/// Transactions in one request: as many as a node takes.
const PER_REQUEST: usize = 256;

/// What became of a flood.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// How long it lasted in seconds.
    pub seconds: f64,
    /// Transactions sent.
    pub sent: u64,
    /// Transactions that were due while too many requests were under way, and so not sent.
    pub not_sent: u64,
    /// Transactions that a mempool took.
    pub accepted: u64,
    /// Transactions that a node knew already.
    pub repeated: u64,
    /// Transactions refused, by the name of the bound or rule.
    pub refused: BTreeMap<String, u64>,
    /// One sentence of each kind of refusal.
    pub sentences: BTreeMap<String, String>,
    /// Requests that got no answer.
    pub unanswered: u64,
}

impl Tally {
    /// Adds another flood's counts.
    pub fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.sent += other.sent;
        self.not_sent += other.not_sent;
        self.accepted += other.accepted;
        self.repeated += other.repeated;
        self.unanswered += other.unanswered;
        for (code, count) in &other.refused {
            *self.refused.entry(code.clone()).or_default() += count;
        }
        self.sentences.extend(other.sentences.clone());
    }

    /// All that were refused.
    pub fn refused_in_all(&self) -> u64 {
        self.refused.values().sum()
    }

    fn refuse(&mut self, error: &serde_json::Value, count: u64) {
        let code = error["code"].as_str().unwrap_or("no code").to_owned();
        let sentence = error["message"].as_str().unwrap_or_default();
        self.sentences.entry(code.clone()).or_insert_with(|| sentence.to_owned());
        *self.refused.entry(code).or_default() += count;
    }

    fn note(&mut self, transactions: u64, answer: Result<Answer>) {
        let Ok(answer) = answer else {
            self.unanswered += 1;
            return;
        };
        let Some(results) = answer.body["results"].as_array() else {
            self.refuse(&answer.body["error"], transactions);
            return;
        };
        for result in results {
            match result["status"].as_str() {
                Some("accepted") => self.accepted += 1,
                Some("pending" | "committed") => self.repeated += 1,
                _ => self.refuse(&result["error"], 1),
            }
        }
    }
}

/// A flood that goes on until it is stopped.
pub struct Flood {
    pouring: JoinHandle<Result<Tally>>,
    stop: Arc<AtomicBool>,
}

impl Flood {
    /// Pours these transactions over the nodes of these callers in turn, `rate` a second in all, again from the start when
    /// all have been sent.
    pub fn start(callers: Vec<Caller>, signed: &Signed, rate: f64) -> Self {
        let requests: Vec<(u64, Vec<u8>)> = (0..signed.len())
            .step_by(PER_REQUEST)
            .map(|at| (at, signed.len().min(at + PER_REQUEST)))
            .map(|(from, to)| ((to - from) as u64, signed.request(from..to)))
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let pouring = tokio::spawn(pour(callers, requests, rate, Arc::clone(&stop)));
        Self { pouring, stop }
    }

    /// Ends it and waits for the answers that are under way.
    ///
    /// # Errors
    /// When the flooder broke.
    pub async fn stop(self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        self.pouring.await.context("the flooder broke")?
    }
}

async fn pour(
    callers: Vec<Caller>,
    requests: Vec<(u64, Vec<u8>)>,
    rate: f64,
    stop: Arc<AtomicBool>,
) -> Result<Tally> {
    let places: Vec<Arc<Semaphore>> =
        callers.iter().map(|_| Arc::new(Semaphore::new(REQUESTS_PER_NODE_MAX))).collect();
    let mut tally = Tally::default();
    let mut under_way: JoinSet<(u64, Result<Answer>)> = JoinSet::new();
    let mut turns = (0..callers.len()).cycle();
    let mut requests = requests.iter().cycle();
    let mut ticks = tokio::time::interval(TICK);
    let began = Instant::now();
    let mut due = 0.0;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        while due < began.elapsed().as_secs_f64() * rate {
            let (Some((count, body)), Some(turn)) = (requests.next(), turns.next()) else { break };
            due += *count as f64;
            let Ok(place) = Arc::clone(&places[turn]).try_acquire_owned() else {
                tally.not_sent += count;
                continue;
            };
            tally.sent += count;
            let (caller, body, count) = (callers[turn].clone(), body.clone(), *count);
            under_way.spawn(async move {
                let answer = caller.submit(JSON, body).await;
                drop(place);
                (count, answer)
            });
        }
        while let Some(ended) = under_way.try_join_next() {
            let (count, answer) = ended.context("a request broke")?;
            tally.note(count, answer);
        }
    }
    tally.seconds = began.elapsed().as_secs_f64();
    while let Some(ended) = under_way.join_next().await {
        let (count, answer) = ended.context("a request broke")?;
        tally.note(count, answer);
    }
    Ok(tally)
}
