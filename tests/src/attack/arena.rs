//! Where attacks are met: a consortium of real nodes, members at work, and an attacker on a thread of its own; quiet and
//! attack in turns, and what must hold then and afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use yilian_node::consortium::Options;
use yilian_spec::base::height::Height;
use yilian_spec::domain::membership::rotation::Attendance;
use yilian_spec::state::key::StateKey;

use super::field::{Field, Mood};
use super::honest::{self, Served};
use super::peer::substream::Deaf;
use super::{Attack, Name, Tally, Who};
use crate::bench::cost;
use crate::bench::scene::Scene;
use crate::cluster::{COUNTY, Cluster, PATIENCE, VALIDATORS};

/// Nothing may wait for longer than this while nothing becomes final.
pub const STALL_MAX: Duration = Duration::from_secs(10);
/// So soon after an attack all is as before.
pub const RECOVERY_MAX: Duration = Duration::from_secs(10);
/// The honest members' p99 stays below so many times its quiet value.
pub const P99_FACTOR_MAX: f64 = 3.0;
/// Turns that others miss because of an attack, for each hundred transactions.
pub const MISSED_PER_CENT_MAX: f64 = 1.0;
/// What an attacker may add to the log of a node in a second, beside what the node says anyway.
const LOG_BYTES_PER_SECOND_MAX: u64 = 64 << 10;
/// What an attacker may cost a node in memory, beside the honest work done meanwhile.
const MEMORY_BYTES_MAX: u64 = 256 << 20;
/// The attack is under way so long before the members' work counts.
const LEAD: Duration = Duration::from_millis(300);
/// Work that does not count: the first after a change of who is there is slower than what follows.
const WARM_UP_SECONDS: f64 = 1.0;
const POLL: Duration = Duration::from_millis(50);
/// The others wait for a validator in an attacker's hands when it has used so many turns.
const TURNS_TO_BE_TRUSTED: u64 = 3;
/// So long may that take.
const TRUSTED_WITHIN: Duration = Duration::from_secs(10);
/// So many consortia are made until it is trusted in one.
const CONSORTIA_MAX: usize = 12;

/// A consortium that is attacked again and again.
pub struct Arena {
    scene: Scene,
}

/// What an attack did, and what became of the others.
#[derive(Debug, Clone)]
pub struct Report {
    /// Which.
    pub name: Name,
    /// The members' work without it.
    pub quiet: Served,
    /// The members' work beside it.
    pub attacked: Served,
    /// What the attacker did.
    pub tally: Tally,
    /// The longest time after an attack until every node was healthy and something of every member became final.
    pub recovery: Duration,
    /// Whether the validator that came back during the attack was healthy before it ended; `None` where none did.
    pub laggard_back: Option<bool>,
    /// How often nodes counted against the institution what the attack consists of.
    pub refused: f64,
    /// Whether a node's `/health` names the attacker's institution.
    pub named_in_health: bool,
    /// Whether a node's log does, for what it did.
    pub named_in_log: bool,
    /// The most that a node's log grew by in the attacks.
    pub log_bytes: u64,
    /// The same for each second of them.
    pub log_bytes_per_second: u64,
    /// By how much the largest node's memory grew.
    pub memory_bytes: u64,
    /// Nodes that ended or were started anew.
    pub ended: Vec<usize>,
    /// Turns to propose that other institutions missed meanwhile.
    pub missed_by_others: u64,
    /// The same in quiet, as a busy machine has it.
    pub missed_in_quiet: u64,
}

impl Report {
    fn new(name: Name) -> Self {
        Self {
            name,
            quiet: Served::default(),
            attacked: Served::default(),
            tally: Tally::new(),
            recovery: Duration::ZERO,
            laggard_back: None,
            refused: 0.0,
            named_in_health: false,
            named_in_log: false,
            log_bytes: 0,
            log_bytes_per_second: 0,
            memory_bytes: 0,
            ended: Vec::new(),
            missed_by_others: 0,
            missed_in_quiet: 0,
        }
    }

    /// In some lines, for people.
    pub fn lines(&self) -> String {
        let recovery = self.recovery.as_secs_f64();
        let laggard = match self.laggard_back {
            Some(true) => ", the validator that came back was healthy during it",
            Some(false) => ", the validator that came back was NOT healthy during it",
            None => "",
        };
        format!(
            "{}\n  quiet:    {}\n  attacked: {}\n  as before after {recovery:.1} s{laggard}; counted against the \
             institution: {}, named in health: {}, in the log: {}; log {} bytes/s, memory +{} MiB; ended: {:?}; turns that others \
             missed: {}, in quiet {}\n  attacker: {:?}",
            self.name.name(),
            self.quiet.line(),
            self.attacked.line(),
            self.refused,
            self.named_in_health,
            self.named_in_log,
            self.log_bytes_per_second,
            self.memory_bytes >> 20,
            self.ended,
            self.missed_by_others,
            self.missed_in_quiet,
            self.tally
        )
    }

    /// What does not hold of all that must, whatever the machine is busy with.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut demand = |holds: bool, fault: String| {
            if !holds {
                faults.push(format!("{}: {fault}", self.name.name()));
            }
        };
        demand(self.quiet.is_whole(), format!("not all became final in quiet: {}", self.quiet.line()));
        demand(self.attacked.is_whole(), format!("not all became final: {}", self.attacked.line()));
        demand(self.attacked.stall() <= STALL_MAX, format!("a stall: {}", self.attacked.line()));
        demand(self.ended.is_empty(), format!("nodes {:?} ended", self.ended));
        demand(self.recovery <= RECOVERY_MAX, format!("as before only after {:?}", self.recovery));
        demand(self.laggard_back != Some(false), "a validator could not come back during it".to_owned());
        if !self.name.offences().is_empty() {
            let offences = self.name.offences();
            demand(self.refused > 0.0, format!("no node counts any of {offences:?}"));
            demand(self.named_in_health, "no node's /health names the institution".to_owned());
            demand(self.named_in_log, format!("no node's log names the institution for {offences:?}"));
        }
        let log = self.log_bytes_per_second;
        demand(log <= LOG_BYTES_PER_SECOND_MAX, format!("a log grew by {log} bytes a second"));
        demand(self.memory_bytes <= MEMORY_BYTES_MAX, format!("{} MiB of memory", self.memory_bytes >> 20));
        demand(!self.tally.is_empty(), "the attacker did nothing".to_owned());
        faults
    }

    /// Turns that others missed under attack beyond those in quiet, for each hundred transactions, of which each is a block or a
    /// part of one.
    pub fn missed_per_cent(&self) -> f64 {
        let more = self.missed_by_others.saturating_sub(self.missed_in_quiet);
        100.0 * more as f64 / self.attacked.submitted.max(1) as f64
    }

    /// The p99 under attack over the quiet one.
    pub fn p99_factor(&self) -> f64 {
        self.attacked.latency().p99 / self.quiet.latency().p99.max(1.0)
    }
}

impl Arena {
    /// Starts the validators; the regulator's node does not run, so that its key is free.
    ///
    /// # Errors
    /// When the consortium does not start.
    pub async fn open() -> Result<Self> {
        let mut cluster = Cluster::prepare(&Options::default()).await?;
        cluster.start_nodes(&VALIDATORS).await?;
        let scene = Scene::over(cluster, (1, 5)).await?;
        Ok(Self { scene })
    }

    /// The consortium.
    pub fn cluster(&mut self) -> &mut Cluster {
        &mut self.scene.cluster
    }

    fn field(&self, name: Name) -> Result<Field> {
        Field::new(&self.scene.cluster, name.attacker(), name.has_laggard().then_some(COUNTY))
    }

    /// Whether some node lets the attacker in no more, for what it did before.
    async fn is_shut_out(&self, field: &Field) -> bool {
        for to in field.targets.values() {
            let door = field.door_as(&field.node_key, *to, Arc::new(Deaf));
            let Ok(mut connection) = door.connect().await else { return true };
            if connection.closed_within(POLL).await {
                return true;
            }
        }
        false
    }

    /// Everybody runs, and nobody holds against the attacker what it did before: that is in the nodes' memory alone.
    async fn fresh(&mut self, name: Name, field: &Field) -> Result<()> {
        let knows = name.who() != Who::Stranger && self.is_shut_out(field).await;
        if knows {
            self.scene.cluster.stop_all()?;
        }
        let running = self.scene.cluster.running();
        let missing: Vec<usize> = VALIDATORS.into_iter().filter(|node| !running.contains(node)).collect();
        self.scene.cluster.start_nodes(&missing).await
    }

    /// Quiet and attack in turns, so many of each, and what became of it.
    ///
    /// # Errors
    /// When a node cannot be started, or the attack cannot be prepared.
    pub async fn meet(&mut self, name: Name, turns: usize, seconds: f64) -> Result<Report> {
        let field = self.field(name)?;
        self.fresh(name, &field).await?;
        let mut attack = name.attack();
        attack.prepare(&self.scene.cluster).await?;
        let mut report = Report::new(name);
        for _ in 0..turns {
            self.fresh(name, &field).await?;
            attack = self.turn((attack, &field), seconds, &mut report).await?;
        }
        report.log_bytes_per_second = (report.log_bytes as f64 / (turns as f64 * seconds)) as u64;
        Ok(report)
    }

    /// One turn in quiet and one with the attack, which is given back for the next.
    async fn turn(
        &mut self,
        (attack, field): (Box<dyn Attack>, &Field),
        seconds: f64,
        report: &mut Report,
    ) -> Result<Box<dyn Attack>> {
        let name = report.name;
        let members: Vec<usize> =
            VALIDATORS.into_iter().filter(|node| Some(*node) != name.absent()).take(3).collect();
        honest::work(&mut self.scene, &members, WARM_UP_SECONDS).await?;
        let missed = Before::missed_by_others(&self.scene.cluster, field).await?;
        report.quiet.add(honest::work(&mut self.scene, &members, seconds).await?);
        report.missed_in_quiet +=
            Before::missed_by_others(&self.scene.cluster, field).await?.saturating_sub(missed);
        if let Some(absent) = name.absent() {
            self.scene.cluster.stop(absent)?;
        }
        if field.laggard.is_some() {
            // What it will lack.
            honest::work(&mut self.scene, &members, WARM_UP_SECONDS).await?;
        }
        let before = Before::look(&self.scene.cluster, &members, (name, field)).await?;
        field.mood.send_replace(Mood::Attacking);
        let duel = Duel::begin(attack, field.clone(), LEAD + Duration::from_secs_f64(seconds));
        tokio::time::sleep(LEAD).await;
        if let Some(laggard) = field.laggard {
            self.scene.cluster.start_process(laggard)?;
        }
        report.attacked.add(honest::work(&mut self.scene, &members, seconds).await?);
        if let Some(laggard) = field.laggard {
            let back = self.healthy_within(laggard, RECOVERY_MAX).await;
            report.laggard_back = Some(back && report.laggard_back != Some(false));
        }
        let (attack, tally) = duel.end().await?;
        for (what, count) in tally {
            *report.tally.entry(what).or_default() += count;
        }
        let recovery = self.recover(&members).await.unwrap_or(PATIENCE);
        report.recovery = report.recovery.max(recovery);
        before.compare(&self.scene.cluster, &members, (name, field), report).await?;
        Ok(attack)
    }

    /// Quiet and attack in one new consortium, for an attack that plays a validator: it is there from the first block on and
    /// honest in quiet, so that the others wait for it at its turns. One that has missed a turn could not make good: using
    /// a turn is then written into the state, whose root only who has the ledger can compute.
    ///
    /// # Errors
    /// As [`Arena::meet`], and when it gets no turns.
    pub async fn meet_trusted(name: Name, seconds: f64) -> Result<Report> {
        let (mut arena, duel, field) = Self::open_with(name, seconds).await?;
        let members: Vec<usize> = field.targets.keys().copied().collect();
        let mut report = Report::new(name);
        report.quiet = honest::work(&mut arena.scene, &members, seconds).await?;
        let before = Before::look(&arena.scene.cluster, &members, (name, &field)).await?;
        field.mood.send_replace(Mood::Attacking);
        report.attacked = honest::work(&mut arena.scene, &members, seconds).await?;
        field.mood.send_replace(Mood::Over);
        report.tally = duel.end().await?.1;
        report.recovery = arena.recover(&members).await.unwrap_or(PATIENCE);
        before.compare(&arena.scene.cluster, &members, (name, &field), &mut report).await?;
        report.log_bytes_per_second = (report.log_bytes as f64 / seconds) as u64;
        arena.close().await?;
        Ok(report)
    }

    /// A consortium in which an honest puppet stands for the attacker's validator from the start, and uses its turns. A busy
    /// machine may make it miss one, so that nobody waits for it any more: then another consortium is made.
    async fn open_with(name: Name, seconds: f64) -> Result<(Self, Duel, Field)> {
        for _ in 0..CONSORTIA_MAX {
            let mut cluster = Cluster::prepare(&Options::default()).await?;
            let mut field = Field::new(&cluster, name.attacker(), None)?;
            let first = Attendance::default().turn(&field.validators, Height::FIRST).key;
            if first == field.validator_key.public_key() {
                // It could not build on the genesis. Other keys have other turns.
                continue;
            }
            field.mood.send_replace(Mood::Honest);
            field.is_there_from_the_start = true;
            let lasts = TRUSTED_WITHIN + Duration::from_secs_f64(4.0 * seconds) + 2 * PATIENCE;
            let duel = Duel::begin(name.attack(), field.clone(), lasts);
            let nodes: Vec<usize> = field.targets.keys().copied().collect();
            cluster.start_nodes(&nodes).await?;
            // The others, and the puppet: the first blocks must not be made without it.
            for node in &nodes {
                while cluster.health(*node).await?.peers < Some(nodes.len() as u64) {
                    tokio::time::sleep(POLL).await;
                }
            }
            let mut scene = Scene::over_nodes(cluster, &nodes, (1, 5)).await?;
            let began = Instant::now();
            while began.elapsed() < TRUSTED_WITHIN {
                if *field.turns_used.borrow() >= TURNS_TO_BE_TRUSTED {
                    return Ok((Self { scene }, duel, field));
                }
                honest::work(&mut scene, &nodes, WARM_UP_SECONDS).await?;
            }
        }
        bail!("in none of {CONSORTIA_MAX} consortia the others wait for the attacker's validator")
    }

    async fn healthy_within(&self, node: usize, limit: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < limit {
            if self.says_healthy(node).await {
                return true;
            }
            tokio::time::sleep(POLL).await;
        }
        false
    }

    async fn says_healthy(&self, node: usize) -> bool {
        let asked = tokio::time::timeout(Duration::from_secs(2), self.scene.cluster.health(node));
        matches!(asked.await, Ok(Ok(health)) if health.status == "healthy")
    }

    /// Waits until every node is healthy and something of every member has become final.
    async fn recover(&mut self, members: &[usize]) -> Option<Duration> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let mut healthy = true;
            for node in self.scene.cluster.running() {
                healthy &= self.says_healthy(node).await;
            }
            if healthy && honest::work(&mut self.scene, members, 1.0 / honest::RATE).await.ok()?.is_whole() {
                return Some(began.elapsed());
            }
            tokio::time::sleep(POLL).await;
        }
        None
    }

    /// Stops everything and has every ledger read independently.
    ///
    /// # Errors
    /// What is not right with them.
    pub async fn close(mut self) -> Result<()> {
        self.scene.cluster.check_all_nodes().await.map(drop)
    }
}

/// What a node says at a path that needs no token, word for word, whatever its status.
async fn text_of(url: &str, path: &str) -> Result<String> {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
    Ok(http.get(format!("{url}{path}")).send().await?.text().await?)
}

/// How often a node has refused something of the institution for one of these reasons.
fn refused(metrics: &str, institution: &str, offences: &[&str]) -> f64 {
    let is_one = |line: &&str| {
        line.contains("conduct_refused")
            && line.contains(&format!("institution=\"{institution}\""))
            && offences.iter().any(|offence| line.contains(&format!("offence=\"{offence}\"")))
    };
    let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
    metrics.lines().filter(is_one).filter_map(value).sum()
}

fn log_length(cluster: &Cluster, node: usize) -> u64 {
    std::fs::metadata(cluster.log_file(node)).map_or(0, |file| file.len())
}

/// What stood before an attack.
struct Before {
    processes: BTreeMap<usize, Option<u32>>,
    logs: BTreeMap<usize, u64>,
    memory: u64,
    refused: f64,
    missed_by_others: u64,
}

impl Before {
    async fn look(cluster: &Cluster, nodes: &[usize], attacker: (Name, &Field)) -> Result<Self> {
        Ok(Self {
            processes: nodes.iter().map(|node| (*node, cluster.process_id(*node))).collect(),
            logs: nodes.iter().map(|node| (*node, log_length(cluster, *node))).collect(),
            memory: cost::memory_peak_bytes(cluster, nodes)?,
            refused: Self::refused(cluster, attacker).await,
            missed_by_others: Self::missed_by_others(cluster, attacker.1).await?,
        })
    }

    /// The turns that institutions other than the attacker's have missed, as the ledger has them.
    async fn missed_by_others(cluster: &Cluster, field: &Field) -> Result<u64> {
        let node = *cluster.running().first().context("no node runs")?;
        let client = cluster.client(node, &[node]).await?;
        let row = client.row::<Attendance>(&StateKey::Attendance).await?;
        let attendance = row.value.unwrap_or_default();
        let others = attendance.absences().iter().filter(|absence| absence.institution != field.institution);
        Ok(others.map(|absence| u64::from(absence.missed)).sum())
    }

    /// What all running nodes have refused so far of what the attack consists of.
    async fn refused(cluster: &Cluster, (name, field): (Name, &Field)) -> f64 {
        let mut sum = 0.0;
        for node in cluster.running() {
            let metrics = text_of(&cluster.url(node), "/metrics").await.unwrap_or_default();
            sum += refused(&metrics, field.institution.as_str(), name.offences());
        }
        sum
    }

    /// Says in the report what has changed, and whether the nodes say whose doing it is.
    async fn compare(
        &self,
        cluster: &Cluster,
        nodes: &[usize],
        (name, field): (Name, &Field),
        report: &mut Report,
    ) -> Result<()> {
        let alive = |process: u32| std::path::Path::new(&format!("/proc/{process}/exe")).exists();
        for (node, process) in &self.processes {
            if cluster.process_id(*node) != *process || !process.is_some_and(alive) {
                report.ended.push(*node);
            }
        }
        if !report.ended.is_empty() {
            return Ok(());
        }
        let grown = self.logs.iter().map(|(node, length)| log_length(cluster, *node).saturating_sub(*length));
        report.log_bytes += grown.max().unwrap_or(0);
        let memory = cost::memory_peak_bytes(cluster, nodes)?;
        report.memory_bytes = report.memory_bytes.max(memory.saturating_sub(self.memory));
        report.refused += Self::refused(cluster, (name, field)).await - self.refused;
        let missed = Self::missed_by_others(cluster, field).await?;
        report.missed_by_others += missed.saturating_sub(self.missed_by_others);
        let slug = field.institution.as_str();
        for node in cluster.running() {
            let health = text_of(&cluster.url(node), "/health").await.unwrap_or_default();
            report.named_in_health |= health.contains(slug);
            // One line of each kind in a while, so it may have been written in an earlier turn.
            let log = cluster.log(node);
            let mut lines = log.lines().filter(|line| line.contains(slug));
            report.named_in_log |= lines.any(|line| name.words().iter().any(|words| line.contains(words)));
        }
        Ok(())
    }
}

/// An attack under way, on a thread and a runtime of its own, so that it takes nothing from those who measure but its share
/// of the machine.
struct Duel {
    running: JoinHandle<Result<(Box<dyn Attack>, Tally)>>,
    over: OnceOver,
}

/// Tells the attacker that it is over, also when those who measure have failed: else nobody could leave before its time.
struct OnceOver(watch::Sender<Mood>);

impl Drop for OnceOver {
    fn drop(&mut self) {
        self.0.send_replace(Mood::Over);
    }
}

impl Duel {
    fn begin(mut attack: Box<dyn Attack>, field: Field, lasts: Duration) -> Self {
        let over = OnceOver(field.mood.clone());
        let running = tokio::task::spawn_blocking(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            let until = Instant::now() + lasts;
            let tally = runtime.block_on(async {
                let limit = lasts + PATIENCE;
                tokio::time::timeout(limit, attack.run(&field, until))
                    .await
                    .context("the attack does not end")?
            })?;
            runtime.shutdown_timeout(Duration::from_secs(2));
            Ok((attack, tally))
        });
        Self { running, over }
    }

    async fn end(self) -> Result<(Box<dyn Attack>, Tally)> {
        let ended = self.running.await.context("the attacker broke")?;
        drop(self.over);
        ended
    }
}
