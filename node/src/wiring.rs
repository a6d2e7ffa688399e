//! Puts the node together; the only file that does. What runs in a node, each part with what it talks to:
//!
//! | task | thread | what it does |
//! |---|---|---|
//! | consensus | its own, and the engine's tasks | decides blocks; drives the ledger, the one writer |
//! | network | tokio | one swarm: consensus frames, block parts, sync, transactions |
//! | verify-N | N of its own | the mempool's workers: signatures in batches, admission |
//! | gossip out | tokio | batches of accepted transactions, from the mempool to the network |
//! | gossip in | tokio | batches of peers, from the network to the mempool |
//! | members | tokio | reads the ledger's node keys; tells the network whom to admit |
//! | maintenance | tokio | expires and repeats transactions, once a second |
//! | disk watch | tokio | measures free space; below the bound no transactions are accepted |
//! | API | tokio, blocking threads for storage | answers callers |
//! | control | tokio | answers the operator through a socket in the home |
//!
//! ```text
//! API ─► mempool ─► consensus ─► ledger ─► storage        storage ─► views, proofs ─► API
//! ```
//!
//! It stops in the order of the data: no new requests, then consensus (the commit in progress ends), then the mempool's
//! workers; RocksDB closes when the last handle is gone.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use libp2p::PeerId;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use yilian_spec::signature::PublicKey;
use yilian_spec::time::LedgerTime;

use crate::api::server::{ApiServer, ListenOptions};
use crate::api::{self, Api, ApiOptions, ApiParts};
use crate::application::ledger::{Ledger, LedgerOptions};
use crate::application::reader::LedgerReader;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::consensus::{self, Consensus, ConsensusSetup, ConsensusStatus, Phase};
use crate::control::{self, Controlled};
use crate::health::{Gathered, HealthMonitor};
use crate::home::{Home, HomeLock};
use crate::measures;
use crate::members::Members;
use crate::mempool::Mempool;
use crate::mempool::pool::PoolBounds;
use crate::metrics::Metrics;
use crate::network::{NetworkHandle, NodeIdentity, TransactionBatch};
use crate::storage::{StorageOptions, Store};

/// How often the mempool is maintained.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(1);
/// How often members are read while blocks come; keys expire also without blocks, so also without them.
const MEMBERS_INTERVAL: Duration = Duration::from_secs(2);
/// How many rounds and heartbeats may pass without a block before the node counts as stalled.
const STALL_GRACE_MS: u64 = 30_000;

/// A node that runs.
pub struct Node {
    /// Where its API listens.
    pub api_address: SocketAddr,
    /// Its peer id.
    pub peer_id: PeerId,
    consensus: Consensus,
    server: ApiServer,
    mempool: Mempool,
    health: Arc<HealthMonitor>,
    workers: Vec<JoinHandle<()>>,
    tasks: JoinSet<()>,
    stopping: watch::Sender<bool>,
    _lock: HomeLock,
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
        let config = &home.config;
        let validator_key = home.validator_key()?;
        let own = validator_key.as_ref().map(|key| key.public_key());
        let identity = NodeIdentity::from_ed25519_seed(*home.network_seed()?).context("the network key")?;
        let stage = open_ledger(home, own)?;
        let workers =
            stage.mempool.spawn_workers(config.mempool.verify_threads).context("the verifying threads")?;

        let members = Members::read(&stage.reader, LedgerTime(stage.clock.now_ms()))?;
        let (member_set, member_peers) = watch::channel(members.peers());
        let known = Arc::new(Mutex::new(members));
        let timings = stage.ledger.timings();
        let mut consensus = consensus::start(ConsensusSetup {
            name: identity.peer_id().to_string(),
            chain_id: stage.reader.chain_id(),
            validator_key,
            identity: identity.clone(),
            members: member_peers,
            vote_log: home.vote_log(),
            network: config.network.clone(),
            consensus: config.consensus.clone(),
            application: stage.ledger,
            work: stage.mempool.work(),
        })
        .await?;

        let health = Arc::new(monitor(config, &stage.clock, &stage.reader, &consensus, &known, own));
        let sources = measures::Sources {
            reader: stage.reader.clone(),
            mempool: stage.mempool.clone(),
            network: consensus.network.clone(),
            timings,
            health: Arc::clone(&health),
        };
        let metrics = Arc::new(Metrics::new(move || sources.read(), Some(consensus::export_metrics)));
        let (stopping, stops) = watch::channel(false);
        let parts = ApiParts {
            reader: stage.reader.clone(),
            mempool: stage.mempool.clone(),
            clock: Arc::clone(&stage.clock),
            health: Arc::clone(&health),
            metrics,
            options: api_options(config),
            stopping: stops,
        };
        let server = ApiServer::start(api::router(Api::new(parts)), &listen_options(home)).await?;

        let mut tasks = JoinSet::new();
        let incoming = std::mem::replace(&mut consensus.transactions, mpsc::channel(1).1);
        tasks.spawn(gossip_out(stage.batches, consensus.network.clone()));
        tasks.spawn(gossip_in(incoming, stage.mempool.clone()));
        tasks.spawn(follow_members(stage.reader.clone(), Arc::clone(&stage.clock), member_set, known));
        tasks.spawn(maintain(stage.mempool.clone()));
        tasks.spawn(watch_disk(home.ledger_directory(), config.clone(), Arc::clone(&health)));
        let controlled = Controlled {
            health: Arc::clone(&health),
            store: stage.store,
            api: server.address.to_string(),
            peer_id: identity.peer_id().to_string(),
        };
        tasks.spawn(control::serve(control::listen(&home.path)?, controlled));

        tracing::info!(
            chain_id = %stage.reader.chain_id(), peer_id = %identity.peer_id(), api = %server.address,
            network = %config.network.listen, validator = own.is_some(), height = stage.reader.tip().tip.height.0,
            "the node runs"
        );
        Ok(Self {
            api_address: server.address,
            peer_id: identity.peer_id(),
            consensus,
            server,
            mempool: stage.mempool,
            health,
            workers,
            tasks,
            stopping,
            _lock: lock,
        })
    }

    /// Waits until the node cannot go on.
    ///
    /// # Errors
    /// Why.
    pub async fn ended(&mut self) -> Result<()> {
        Ok(self.consensus.ended().await?)
    }

    /// Stops the node in order; what was acknowledged is on the disk.
    ///
    /// # Errors
    /// Why consensus had ended before, if it had.
    pub async fn shutdown(mut self) -> Result<()> {
        self.health.set_stopping();
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

fn open_ledger(home: &Home, proposer: Option<PublicKey>) -> Result<Stage> {
    let config = &home.config;
    let genesis = home.genesis()?;
    let directory = home.ledger_directory();
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let options = StorageOptions {
        block_cache_bytes: config.storage.cache_mib << 20,
        write_buffers_bytes: config.storage.write_buffer_mib << 20,
    };
    let store = Arc::new(Store::open_or_create(&directory, &genesis, options)?);
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
    ledger.set_mempool(mempool.clone());
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
        header_timeout_ms: api.header_timeout_ms,
    }
}

fn monitor(
    config: &Config,
    clock: &Arc<dyn Clock>,
    reader: &LedgerReader,
    consensus: &Consensus,
    members: &Arc<Mutex<Members>>,
    own: Option<PublicKey>,
) -> HealthMonitor {
    let (reader, members) = (reader.clone(), Arc::clone(members));
    let (connected, peer_height) = (consensus.network.connected(), consensus.peer_height.clone());
    let status = consensus.status.clone();
    let age_ms_max = config.consensus.heartbeat_ms.saturating_mul(2).saturating_add(STALL_GRACE_MS);
    HealthMonitor::new(Arc::clone(clock), config.disk_free_bytes_min(), age_ms_max, move || {
        let published = reader.tip();
        let tip = &published.tip;
        let peers: BTreeSet<PeerId> = connected.borrow().clone();
        let members = members.lock().unwrap_or_else(PoisonError::into_inner);
        Gathered {
            height: tip.height.0,
            block_time_ms: tip.time.0,
            behind_by: peer_height.borrow().0.saturating_sub(tip.height.0),
            peers: peers.len(),
            power_reachable: members.power_reachable(&peers, &tip.validators, own),
            power_total: tip.validators.total_power(),
            undecided_ms: undecided_ms(*status.borrow()),
        }
    })
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

async fn follow_members(
    reader: LedgerReader,
    clock: Arc<dyn Clock>,
    peers: watch::Sender<BTreeSet<PeerId>>,
    known: Arc<Mutex<Members>>,
) {
    loop {
        tokio::time::sleep(MEMBERS_INTERVAL).await;
        let (from, now) = (reader.clone(), LedgerTime(clock.now_ms()));
        match tokio::task::spawn_blocking(move || Members::read(&from, now)).await {
            Ok(Ok(members)) => {
                let set = members.peers();
                *known.lock().unwrap_or_else(PoisonError::into_inner) = members;
                peers.send_if_modified(|shown| {
                    let changed = *shown != set;
                    *shown = set;
                    changed
                });
            }
            // The writer meets the same disk; it stops the node when it must.
            Ok(Err(error)) => tracing::error!(%error, "the members could not be read"),
            Err(error) => tracing::error!(%error, "reading the members broke"),
        }
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

async fn watch_disk(directory: std::path::PathBuf, config: Config, health: Arc<HealthMonitor>) {
    let mut was_low = false;
    loop {
        match free_bytes(&directory) {
            Ok(bytes) => {
                health.set_disk_free_bytes(bytes);
                let is_low = bytes < config.disk_free_bytes_min();
                if is_low != was_low {
                    tracing::warn!(
                        free_mib = bytes >> 20,
                        is_low,
                        "free space on the ledger's disk passed its bound"
                    );
                }
                was_low = is_low;
            }
            Err(error) => tracing::warn!(%error, "free space on the ledger's disk could not be measured"),
        }
        tokio::time::sleep(Duration::from_millis(config.storage.disk_check_interval_ms)).await;
    }
}

/// Space on the disk of a directory that this process may use.
fn free_bytes(directory: &Path) -> std::io::Result<u64> {
    let space = rustix::fs::statvfs(directory)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}
