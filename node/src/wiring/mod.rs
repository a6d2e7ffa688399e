//! Puts the node together; the only file that does. What runs in a node, each part with what it talks to:
//!
//! | task | thread | what it does |
//! |---|---|---|
//! | consensus | its own, and the engine's tasks | decides blocks; drives the ledger, the one writer |
//! | network | tokio | one swarm: consensus frames, block parts, sync, transactions |
//! | serving | tokio, blocking threads for storage | reads decided blocks for peers that catch up, few at once |
//! | verify-N | N of its own | the mempool's workers: signatures in batches, admission |
//! | gossip out | tokio | batches of accepted transactions, from the mempool to the network |
//! | gossip in | tokio | batches of peers, from the network to the mempool |
//! | members | tokio | follows the ledger's keys; tells the network whom to admit |
//! | health | tokio | says in the log when the status changes, and what keeps the node from its work |
//! | expiries | tokio | says in the log which keys expire |
//! | maintenance | tokio | expires and repeats transactions, once a second |
//! | greeting | tokio | sends what waits to peers that connect |
//! | disk watch | tokio | measures free space; below the bound no transactions are accepted |
//! | chronicle | tokio | says in the log what changes: peers, slow blocks, missed turns, alarms |
//! | API | tokio, blocking threads for storage | answers callers |
//! | control | tokio | answers the operator through a socket in the home |
//! | abstaining | tokio | on a validator that must not vote yet: waits until it may |
//!
//! ```text
//! API ─► mempool ─► consensus ─► ledger ─► storage        storage ─► views, proofs ─► API
//! ```
//!
//! It stops in the order of the data: no new requests, then consensus (the commit in progress ends), then the mempool's
//! workers; RocksDB closes when the last handle is gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use libp2p::PeerId;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use yilian_spec::base::height::Height;
use yilian_spec::crypto::signature::PublicKey;

use crate::api::server::{ApiListener, ApiServer, ListenOptions};
use crate::api::tls::Certificate;
use crate::api::{self, Api, ApiOptions, ApiParts};
use crate::application::ledger::{Ledger, LedgerOptions};
use crate::application::reader::LedgerReader;
use crate::base::clock::{Clock, SystemClock};
use crate::base::descriptors;
use crate::base::limits;
use crate::conduct::{Conduct, absence, disconnected};
use crate::config::Config;
use crate::consensus::{self, Consensus, ConsensusSetup, ConsensusStatus, Phase};
use crate::health::chronicle::Chronicle;
use crate::health::clocks::Clocks;
use crate::health::disk::DiskWatch;
use crate::health::upgrade;
use crate::health::{self, Gathered, HealthMonitor};
use crate::home::{Home, HomeLock, private};
use crate::members::roll::{self, Roll};
use crate::members::{Members, expiry};
use crate::mempool::Mempool;
use crate::mempool::pool::PoolBounds;
use crate::metrics::Metrics;
use crate::metrics::sources;
use crate::network::{AddressBook, NetworkHandle, NodeIdentity, TransactionBatch};
use crate::operator::control::{self, Controlled};
use crate::storage::{StorageOptions, Store};
use crate::voting;
use crate::voting::abstaining::Abstaining;

/// How often the mempool is maintained.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(1);
/// How many rounds and heartbeats may pass without a block before the node counts as stalled.
const STALL_GRACE_MS: u64 = 30_000;

/// A node that runs.
pub struct Node {
    consensus: Consensus,
    server: ApiServer,
    certificate: Option<Arc<Certificate>>,
    mempool: Mempool,
    health: Arc<HealthMonitor>,
    /// Ends when a validator that abstains may vote.
    votes_again: Option<tokio::task::JoinHandle<Result<()>>>,
    /// Told when the operator has given the node another key on the network.
    start_again: Arc<Notify>,
    workers: Vec<JoinHandle<()>>,
    tasks: JoinSet<()>,
    stopping: watch::Sender<bool>,
    _lock: HomeLock,
}

/// Why a node ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was stopped.
    Stopped,
    /// It goes on, but it abstained and may vote now: stop it and start it again.
    MayVote,
    /// It goes on, but has another key on the network: stop it and start it again.
    HasNewKey,
    /// It goes on, but a row of its ledger could not be read.
    Damaged {
        /// What is damaged.
        damage: String,
    },
}

/// The parts that hold the ledger.
struct Stage {
    store: Arc<Store>,
    ledger: Ledger,
    reader: LedgerReader,
    mempool: Mempool,
    batches: mpsc::Receiver<Bytes>,
    clock: Arc<dyn Clock>,
}

impl Node {
    /// Starts a node from its home.
    ///
    /// # Errors
    /// Whatever keeps it from running, with the remedy.
    pub async fn start(home: &Home) -> Result<Self> {
        let lock = home.lock()?;
        home.close_to_others()?;
        let config = &home.config;
        // Whatever the operator must mend shows before the ledger is opened and votes are cast.
        descriptors::require(config)?;
        let listener = ApiListener::bind(&listen_options(home)).await?;
        let validator_key = home.validator_key()?;
        let holder = validator_key.as_ref().map(|key| key.public_key());
        let network_key = home.network_key()?.secret;
        let node_key = network_key.public_key();
        let identity = NodeIdentity::from_ed25519_seed(*network_key.seed()).context("the network key")?;
        let store = open_store(home)?;
        let abstention = match &validator_key {
            Some(_) => voting::at_start(home, store.tables().tip()?.0)?,
            None => voting::require_whole_log(home).map(|()| None)?,
        };
        let validator_key = validator_key.filter(|_| abstention.is_none());
        let own = holder.filter(|_| abstention.is_none());
        let stage = open_ledger(home, store, own)?;
        stage.reader.tip().tip.next_version()?;
        let workers =
            stage.mempool.spawn_workers(config.mempool.verify_threads).context("the verifying threads")?;

        let roll = Roll::read(&stage.reader, node_key)?.vouching_for(vouched(&stage, config));
        let members = roll.members(&stage.reader.tip().tip.validators)?;
        if members.institution(&identity.peer_id()).is_none() {
            tracing::warn!(
                peer_id = %identity.peer_id(),
                "the ledger names no node with this network key, so peers refuse this node: restore the key's file, or \
                 have an administrator register the key"
            );
        }
        let (known, members) = watch::channel(Arc::new(members));
        let conduct = Conduct::new(members.clone(), Arc::clone(&stage.clock));
        stage.mempool.set_conduct(conduct.clone());
        conduct.set_disconnected(disconnected::read(&home.path)?);
        let clocks = Clocks::new(Arc::clone(&stage.clock));
        let timings = stage.ledger.timings();
        let mut consensus = consensus::start(ConsensusSetup {
            name: identity.peer_id().to_string(),
            chain_id: stage.reader.chain_id(),
            validator_key,
            identity: identity.clone(),
            addresses: AddressBook::open(
                identity.clone(),
                stage.reader.chain_id(),
                home.address_file(),
                stage.clock.now_ms(),
            ),
            members: members.clone(),
            conduct: conduct.clone(),
            clocks: clocks.clone(),
            vote_log: home.vote_log(),
            network: config.network.clone(),
            consensus: config.consensus.clone(),
            application: stage.ledger,
            is_block: crate::application::ledger::is_block,
            work: stage.mempool.work(),
        })
        .await?;

        let certificate = listener.certificate();
        let alarming = certificate.clone();
        let health = monitor(config, &stage.clock, &stage.reader, &consensus, &members, &conduct, own)
            .with_alarms(move |now_ms| alarming.iter().flat_map(|one| one.alarms(now_ms)).collect());
        let comparing = {
            let (connected, members) = (consensus.network.connected(), members.clone());
            move || clocks.compare(&connected.borrow(), &members.borrow())
        };
        let (compare, reader) = (comparing.clone(), stage.reader.clone());
        let health =
            Arc::new(health.with_alarms(move |now_ms| compare().alarms(now_ms, reader.tip().tip.time.0)));
        let sources = sources::Sources {
            reader: stage.reader.clone(),
            mempool: stage.mempool.clone(),
            network: consensus.network.clone(),
            timings,
            health: Arc::clone(&health),
            conduct: conduct.clone(),
            members: members.clone(),
            clocks: Box::new(move || comparing().readings()),
        };
        let metrics = Arc::new(Metrics::new(move || sources.read(), Some(consensus::export_metrics)));
        let (stopping, stops) = watch::channel(false);
        let parts = ApiParts {
            reader: stage.reader.clone(),
            mempool: stage.mempool.clone(),
            node: home.network_key()?.secret.public_key(),
            clock: Arc::clone(&stage.clock),
            health: Arc::clone(&health),
            metrics,
            options: api_options(config),
            stopping: stops,
        };
        // What `/health` says is complete before the API answers: no answer calls a node healthy whose disk is full, or that
        // does not vote.
        let mut disk = DiskWatch {
            directory: home.ledger_directory(),
            free_bytes_min: config.disk_free_bytes_min(),
            interval: Duration::from_millis(config.storage.disk_check_interval_ms),
            health: Arc::clone(&health),
            is_low: false,
        };
        disk.measure();
        let abstaining = match (abstention, holder) {
            (Some(abstention), Some(own)) => {
                let abstaining = Abstaining {
                    home: home.clone(),
                    own,
                    reader: stage.reader.clone(),
                    heard: consensus.heard.clone(),
                    health: Arc::clone(&health),
                };
                abstaining.announce(abstention)?;
                Some(abstaining.until_over(abstention))
            }
            _ => None,
        };
        let server = listener.serve(api::router(Api::new(parts)));

        let mut tasks = JoinSet::new();
        let incoming = std::mem::replace(&mut consensus.transactions, mpsc::channel(1).1);
        tasks.spawn(gossip_out(stage.batches, consensus.network.clone()));
        tasks.spawn(gossip_in(incoming, stage.mempool.clone()));
        tasks.spawn(roll::follow(stage.reader.clone(), roll, known));
        tasks.spawn(health::watch(Arc::clone(&health)));
        tasks.spawn(expiry::watch(members.clone(), Arc::clone(&stage.clock)));
        tasks.spawn(maintain(stage.mempool.clone()));
        let arrivals = std::mem::replace(&mut consensus.arrivals, mpsc::channel(1).1);
        tasks.spawn(greet(arrivals, stage.mempool.clone(), consensus.network.clone()));
        tasks.spawn(disk.run());
        let chronicle = Chronicle {
            reader: stage.reader.clone(),
            members: members.clone(),
            connected: consensus.network.connected(),
            health: Arc::clone(&health),
        };
        tasks.spawn(chronicle.run());
        let start_again = Arc::new(Notify::new());
        let controlled = Controlled {
            health: Arc::clone(&health),
            store: stage.store,
            api: server.address.to_string(),
            peer_id: identity.peer_id(),
            home: home.clone(),
            reader: stage.reader.clone(),
            mempool: stage.mempool.clone(),
            start_again: Arc::clone(&start_again),
            conduct,
        };
        tasks.spawn(control::serve(control::listen(&home.path)?, controlled));
        tracing::info!(
            chain_id = %stage.reader.chain_id(), peer_id = %identity.peer_id(), api = %server.address,
            network = %config.network.listen, validator = own.is_some(), height = stage.reader.tip().tip.height.0,
            "the node runs"
        );
        Ok(Self {
            consensus,
            server,
            certificate,
            mempool: stage.mempool,
            health,
            votes_again: abstaining.map(tokio::spawn),
            start_again,
            workers,
            tasks,
            stopping,
            _lock: lock,
        })
    }

    /// Waits until the node cannot or should not go on as it is; a damaged row counts only with `until_damaged`. May be
    /// dropped and called again.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn ended(&mut self, until_damaged: bool) -> Result<Ended> {
        let (health, votes_again, start_again) = (&self.health, &mut self.votes_again, &self.start_again);
        tokio::select! {
            ended = self.consensus.ended() => Ok(ended.map(|()| Ended::Stopped)?),
            over = may_vote(votes_again) => over.map(|()| Ended::MayVote),
            () = start_again.notified() => Ok(Ended::HasNewKey),
            damage = damage(health), if until_damaged => Ok(Ended::Damaged { damage }),
        }
    }

    /// What its API speaks TLS with, if it does.
    pub fn certificate(&self) -> Option<Arc<Certificate>> {
        self.certificate.clone()
    }

    /// Stops the node in order; what was acknowledged is on the disk.
    ///
    /// # Errors
    /// Why consensus had ended before, if it had.
    pub async fn shutdown(mut self) -> Result<()> {
        self.health.set_stopping();
        if let Some(waiting) = self.votes_again.take() {
            waiting.abort();
        }
        // Nobody may listen any more; then there is nothing to tell.
        let _ = self.stopping.send(true);
        self.server.shutdown().await;
        let ended = self.consensus.shutdown().await;
        self.mempool.stop();
        self.tasks.shutdown().await;
        for worker in self.workers {
            if worker.join().is_err() {
                tracing::error!("a verifying thread had panicked");
            }
        }
        tracing::info!("the node has stopped");
        Ok(ended?)
    }
}

async fn may_vote(votes_again: &mut Option<tokio::task::JoinHandle<Result<()>>>) -> Result<()> {
    let Some(waiting) = votes_again.as_mut() else { return std::future::pending().await };
    let over = waiting.await.context("waiting to vote again")?;
    *votes_again = None;
    over
}

async fn damage(health: &HealthMonitor) -> String {
    loop {
        if let Some(damage) = health.damage() {
            return damage.to_owned();
        }
        tokio::time::sleep(MAINTENANCE_INTERVAL).await;
    }
}

fn open_store(home: &Home) -> Result<Arc<Store>> {
    let config = &home.config;
    let genesis = home.genesis()?;
    let directory = home.ledger_directory();
    private::make_directory(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let options = StorageOptions {
        block_cache_bytes: config.storage.cache_mib << 20,
        write_buffers_bytes: config.storage.write_buffer_mib << 20,
    };
    Ok(Arc::new(Store::open_or_create(&directory, &genesis, options)?))
}

fn open_ledger(home: &Home, store: Arc<Store>, proposer: Option<PublicKey>) -> Result<Stage> {
    let config = &home.config;
    let mut ledger =
        Ledger::open(Arc::clone(&store), LedgerOptions { proposer, ..LedgerOptions::default() })?;
    let reader = ledger.reader();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let bounds = PoolBounds {
        transactions: config.mempool.transactions_max,
        bytes: config.mempool.size_mib_max << 20,
        institution_transactions: config.mempool.institution_transactions_max,
        institution_bytes: config.mempool.institution_size_mib_max << 20,
    };
    let (mempool, batches) = Mempool::new(reader.clone(), Arc::clone(&clock), ledger.timings(), bounds);
    ledger.set_source(mempool.clone());
    Ok(Stage { store, ledger, reader, mempool, batches, clock })
}

fn api_options(config: &Config) -> ApiOptions {
    ApiOptions {
        body_bytes_max: config.api.body_kib_max << 10,
        request_timeout_ms: config.api.request_timeout_ms,
        waiters_max: config.api.waiters_max,
        event_streams_max: config.api.event_streams_max,
    }
}

fn listen_options(home: &Home) -> ListenOptions {
    let api = &home.config.api;
    ListenOptions {
        listen: api.listen,
        tls: api.tls(&home.path),
        connections_max: api.connections_max,
        connections_per_address_max: api.connections_per_address_max,
        header_timeout_ms: api.header_timeout_ms,
    }
}

/// The peers of the configuration, where the ledger is empty or so old that it may not know their keys. One that is up to date
/// names everybody who may connect.
fn vouched(stage: &Stage, config: &Config) -> Vec<PeerId> {
    let published = stage.reader.tip();
    let age_ms = stage.clock.now_ms().saturating_sub(published.tip.time.0);
    if published.tip.height == Height(0) || age_ms > limits::VOUCHING_AGE_MS {
        config.network.peers.iter().map(|peer| peer.peer).collect()
    } else {
        Vec::new()
    }
}

fn monitor(
    config: &Config,
    clock: &Arc<dyn Clock>,
    reader: &LedgerReader,
    consensus: &Consensus,
    members: &watch::Receiver<Arc<Members>>,
    conduct: &Conduct,
    own: Option<PublicKey>,
) -> HealthMonitor {
    let (reader, members, conduct) = (reader.clone(), members.clone(), conduct.clone());
    let (connected, heard) = (consensus.network.connected(), consensus.heard.clone());
    let (status, alarming, accused) = (consensus.status.clone(), members.clone(), conduct.clone());
    let (attending, outdated) = (reader.clone(), reader.clone());
    let age_ms_max = config.consensus.heartbeat_ms.saturating_mul(2).saturating_add(STALL_GRACE_MS);
    let gather = move || {
        let published = reader.tip();
        let tip = &published.tip;
        let peers: BTreeSet<PeerId> = connected.borrow().clone();
        let members = Arc::clone(&members.borrow());
        Gathered {
            height: tip.height.0,
            block_time_ms: tip.time.0,
            behind_by: heard.borrow().decided.0.saturating_sub(tip.height.0),
            peers: peers.len(),
            power_reachable: members.power_reachable(&peers, &tip.validators, own),
            power_total: tip.validators.total_power(),
            undecided_ms: undecided_ms(*status.borrow()),
            missing: conduct.missing(&tip.validators, own.as_ref()),
        }
    };
    HealthMonitor::new(Arc::clone(clock), config.disk_free_bytes_min(), age_ms_max, gather)
        .with_alarms(move |now_ms| expiry::alarms(&Arc::clone(&alarming.borrow()), now_ms))
        .with_alarms(move |_| accused.alarms())
        .with_alarms(move |_| absence::alarms(&attending.tip().tip))
        .with_alarms(move |_| upgrade::alarms(&outdated.tip().tip))
}

/// For how long the height of `status` has been under way.
fn undecided_ms(status: ConsensusStatus) -> u64 {
    match status.phase {
        Phase::Deciding { .. } => u64::try_from(status.since.elapsed().as_millis()).unwrap_or(u64::MAX),
        Phase::Starting | Phase::Resting | Phase::Stopped => 0,
    }
}

async fn gossip_out(mut batches: mpsc::Receiver<Bytes>, network: NetworkHandle) {
    while let Some(batch) = batches.recv().await {
        // A batch that finds no room is sent again by the mempool's maintenance while it waits.
        if !network.gossip_transactions(batch) {
            tracing::debug!("a batch of transactions found no room towards the peers");
        }
    }
}

async fn gossip_in(mut batches: mpsc::Receiver<TransactionBatch>, mempool: Mempool) {
    while let Some(batch) = batches.recv().await {
        let outcome = mempool.gossip(batch.from, batch.bytes);
        tracing::trace!(peer = %batch.from, ?outcome, "a batch of transactions came");
    }
}

async fn maintain(mempool: Mempool) {
    let mut interval = tokio::time::interval(MAINTENANCE_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        mempool.maintain();
    }
}

/// Sends what waits to every peer that connects.
async fn greet(mut arrivals: mpsc::Receiver<PeerId>, mempool: Mempool, network: NetworkHandle) {
    while let Some(peer) = arrivals.recv().await {
        for batch in mempool.greeting() {
            if !network.send_transactions(peer, batch) {
                tracing::debug!(%peer, "a batch of transactions found no room towards a peer that has connected");
            }
            // So that a peer that comes and goes all the time costs no more than this.
            tokio::time::sleep(Duration::from_millis(limits::GOSSIP_GREETING_PAUSE_MS)).await;
        }
    }
}

#[cfg(test)]
mod tests;
