//! Starts and stops consensus: network, engine, driver and the watch over all three.

use std::path::PathBuf;
use std::sync::Arc;

use arc_malachitebft_app_channel::app::config::{
    ConsensusConfig as EngineConsensusConfig, NodeConfig, ValuePayload, ValueSyncConfig,
};
use arc_malachitebft_app_channel::app::metrics::export;
use arc_malachitebft_app_channel::{
    Channels, ConsensusContext, EngineBuilder, EngineHandle, RequestContext, SyncContext, WalContext,
};
use libp2p::PeerId;
use ractor::Actor;
use tokio::sync::{mpsc, oneshot, watch};
use yilian_spec::base::id::ChainId;
use yilian_spec::crypto::signature::{PublicKey, SecretKey};

use super::ConsensusConfig;
use super::bridge::{EngineNetwork, Port};
use super::codec::LedgerCodec;
use super::context::{Address, LedgerContext};
use super::driver::{Driver, Links};
use super::heights::Heard;
use super::own_key::OwnKey;
use super::pump::{EventPump, IsBlock};
use super::serving;
use super::signing::{LedgerSigner, LedgerVerifier, VerifiedSignatures};
use super::status::ConsensusStatus;
use crate::application::{Application, ApplicationError};
use crate::conduct::Conduct;
use crate::health::clocks::Clocks;
use crate::members::Members;
use crate::network::limits::{
    SYNC_BATCH, SYNC_PARALLEL_REQUESTS, SYNC_REQUEST_BYTES_MAX, SYNC_REQUEST_TIMEOUT, SYNC_RESPONSE_BYTES_MAX,
};
use crate::network::{
    self, AddressBook, NetworkConfig, NetworkError, NetworkHandle, NodeIdentity, TransactionBatch,
};

/// Why consensus did not start or cannot go on. The node stops with this message.
#[derive(Debug, thiserror::Error)]
pub enum ConsensusError {
    /// The network failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The application failed.
    #[error(transparent)]
    Application(#[from] ApplicationError),
    /// The engine could not be started.
    #[error("the consensus engine did not start: {reason}")]
    EngineStart {
        /// What it said.
        reason: String,
    },
    /// The engine could not write its log of votes. Going on could sign twice.
    #[error(
        "the consensus log at {path} could not be written or read, and without it this node could sign two \
         different votes; check the disk, then start the node again"
    )]
    VoteLog {
        /// Where the log is.
        path: PathBuf,
    },
    /// The engine ended unasked.
    #[error("the consensus engine ended unexpectedly; the log above says why, start the node again")]
    EngineEnded,
    /// The driver's thread could not be started or panicked.
    #[error("the consensus thread failed: {reason}")]
    Thread {
        /// Why.
        reason: String,
    },
}

/// All that consensus needs.
pub struct ConsensusSetup<A> {
    /// The node's name in metrics and logs.
    pub name: String,
    /// The ledger.
    pub chain_id: ChainId,
    /// The validator's key; `None` for an observer.
    pub validator_key: Option<SecretKey>,
    /// Who this node is on the network.
    pub identity: NodeIdentity,
    /// Where the other nodes say that they can be dialled.
    pub addresses: AddressBook,
    /// Who may connect, kept up to date by the ledger.
    pub members: watch::Receiver<Arc<Members>>,
    /// Where what peers do wrong is kept account of.
    pub conduct: Conduct,
    /// Where what the peers' clocks say is noted.
    pub clocks: Clocks,
    /// The file of the engine's log. On the same kind of durable disk as the ledger.
    pub vote_log: PathBuf,
    /// The network's settings.
    pub network: NetworkConfig,
    /// Consensus' settings.
    pub consensus: ConsensusConfig,
    /// The ledger behind it all.
    pub application: A,
    /// Whether bytes are the block of an id, as far as that can be told without state.
    pub is_block: IsBlock,
    /// Changes whenever the application may have got work: the mempool's count of pending transactions.
    pub work: watch::Receiver<usize>,
}

/// Running consensus.
pub struct Consensus {
    /// The network, for the mempool's gossip and for health.
    pub network: NetworkHandle,
    /// Transaction batches from peers, for the mempool.
    pub transactions: mpsc::Receiver<TransactionBatch>,
    /// Who has connected, each time, for the mempool.
    pub arrivals: mpsc::Receiver<PeerId>,
    /// Where consensus stands.
    pub status: watch::Receiver<ConsensusStatus>,
    /// What the connected peers say of the ledger's height.
    pub heard: watch::Receiver<Heard>,
    stop: Option<oneshot::Sender<()>>,
    /// `None` once it has been told.
    outcome: Option<oneshot::Receiver<Result<(), ConsensusError>>>,
}

impl Consensus {
    /// Waits until consensus ends: by [`Self::shutdown`] or because it cannot go on. May be dropped and called
    /// again; once it has told the reason, it returns at once.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub async fn ended(&mut self) -> Result<(), ConsensusError> {
        let Some(outcome) = self.outcome.as_mut() else { return Ok(()) };
        let lost = || ConsensusError::Thread { reason: "its supervisor was lost".to_owned() };
        let ended = outcome.await.unwrap_or_else(|_| Err(lost()));
        self.outcome = None;
        ended
    }

    /// Stops consensus in order: the application's current call ends, then the engine, then the network.
    ///
    /// # Errors
    /// Why it had ended before, if it had.
    pub async fn shutdown(mut self) -> Result<(), ConsensusError> {
        if let Some(stop) = self.stop.take() {
            // An error means that it has ended already.
            let _ = stop.send(());
        }
        self.ended().await
    }
}

/// The engine's own settings, fixed to what this node uses.
struct EngineSettings {
    name: String,
    consensus: EngineConsensusConfig,
    value_sync: ValueSyncConfig,
}

impl EngineSettings {
    fn new(name: String) -> Self {
        let consensus = EngineConsensusConfig {
            enabled: true,
            value_payload: ValuePayload::ProposalAndParts,
            ..EngineConsensusConfig::default()
        };
        let mut value_sync = ValueSyncConfig {
            // Zero: a status goes out with each decision and to each new peer, instead of by a timer.
            status_update_interval: std::time::Duration::ZERO,
            request_timeout: SYNC_REQUEST_TIMEOUT,
            parallel_requests: SYNC_PARALLEL_REQUESTS,
            batch_size: SYNC_BATCH,
            max_request_size: Default::default(),
            max_response_size: Default::default(),
            ..ValueSyncConfig::default()
        };
        // The type of sizes is not exported; zero and addition make one.
        value_sync.max_request_size += SYNC_REQUEST_BYTES_MAX as u64;
        value_sync.max_response_size += SYNC_RESPONSE_BYTES_MAX as u64;
        Self { name, consensus, value_sync }
    }
}

impl NodeConfig for EngineSettings {
    fn moniker(&self) -> &str {
        &self.name
    }

    fn consensus(&self) -> &EngineConsensusConfig {
        &self.consensus
    }

    fn consensus_mut(&mut self) -> &mut EngineConsensusConfig {
        &mut self.consensus
    }

    fn value_sync(&self) -> &ValueSyncConfig {
        &self.value_sync
    }

    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.value_sync
    }
}

/// Starts consensus on the current tokio runtime.
///
/// # Errors
/// When the network, the engine or the application does not start.
pub async fn start<A: Application>(setup: ConsensusSetup<A>) -> Result<Consensus, ConsensusError> {
    let chain_id = setup.chain_id;
    // Eight bytes separate ledgers well enough; signatures carry the whole id.
    let separator = hex::encode(&chain_id.0[..8]);
    let network = network::spawn(
        &setup.network,
        &separator,
        &setup.identity,
        setup.members,
        setup.conduct.clone(),
        setup.addresses,
    )
    .await?;
    let port = Port::new();
    let (window, window_receiver) = watch::channel(None);
    let (heard, heard_receiver) = watch::channel(Heard::default());
    let reported = heard_receiver.clone();
    let verified = VerifiedSignatures::default();
    let (status, status_receiver) = watch::channel(ConsensusStatus::starting());
    let (stop_driver, stop_driver_receiver) = oneshot::channel();

    let own = setup.validator_key.as_ref().map(|key| OwnKey::new(key.public_key()));
    let bridge = EngineNetwork::new(network.handle.clone(), Arc::clone(&port), setup.clocks.clone());
    let (channels, engine) = start_engine(
        setup.name.clone(),
        LedgerVerifier { chain_id, verified: verified.clone() },
        setup.validator_key.clone().zip(own.clone()),
        setup.vote_log.clone(),
        bridge,
    )
    .await?;
    let (failed, failures) = mpsc::channel(1);
    let (questions, server) = serving::server(setup.application.blocks(), failed);
    let server = tokio::spawn(server.run());
    let links = Links {
        messages: channels.consensus,
        network: network.handle.clone(),
        work: setup.work,
        heard: heard_receiver,
        window,
        status,
        own: own.clone(),
        conduct: setup.conduct.clone(),
        failed: failures,
        stop: stop_driver_receiver,
    };
    let heartbeat_ms = setup.consensus.heartbeat_ms;
    let (application, key) = (setup.application, setup.validator_key.clone());
    let driver = spawn_driver(move || Driver::new(application, chain_id, key, heartbeat_ms, links))?;
    let pump = EventPump {
        port,
        chain_id,
        window: window_receiver,
        heard,
        conduct: setup.conduct,
        network: network.handle.clone(),
        own,
        verified,
        is_block: setup.is_block,
        clocks: setup.clocks,
    };
    tokio::spawn(pump.run(network.events, questions));

    let (stop, stop_receiver) = oneshot::channel();
    let (outcome_sender, outcome) = oneshot::channel();
    let supervisor = Supervisor {
        name: setup.name,
        vote_log: setup.vote_log,
        network: network.handle.clone(),
        engine,
        driver,
        server,
        stop_driver: Some(stop_driver),
        requests: (channels.requests, channels.net_requests),
    };
    tokio::spawn(async move {
        let ended = supervisor.run(stop_receiver).await;
        // Nobody may wait for it; the status channel shows the end too.
        let _ = outcome_sender.send(ended);
    });
    Ok(Consensus {
        network: network.handle,
        transactions: network.transactions,
        arrivals: network.arrivals,
        status: status_receiver,
        heard: reported,
        stop: Some(stop),
        outcome: Some(outcome),
    })
}

async fn start_engine(
    name: String,
    verifier: LedgerVerifier,
    key: Option<(SecretKey, OwnKey)>,
    vote_log: PathBuf,
    bridge: EngineNetwork,
) -> Result<(Channels<LedgerContext>, EngineHandle), ConsensusError> {
    let failed = |reason: String| ConsensusError::EngineStart { reason };
    let (network, _) = Actor::spawn(None, bridge, ()).await.map_err(|error| failed(error.to_string()))?;
    // Parts leave by the driver's own handle, so the engine's channel for them stays unused.
    let (unused, _) = mpsc::channel(1);
    let (chain_id, verifier) = (verifier.chain_id, Box::new(verifier));
    let consensus = match key {
        Some((key, own)) => {
            let address = Address(key.public_key());
            ConsensusContext::new_validator(address, verifier, Box::new(LedgerSigner { chain_id, key, own }))
        }
        // The zero key has small order and can never be registered, so no validator has this address.
        None => ConsensusContext::new_full_node(Address(PublicKey::Ed25519([0; 32])), verifier),
    };
    EngineBuilder::new(LedgerContext, EngineSettings::new(name))
        .with_default_wal(WalContext::new(vote_log, LedgerCodec))
        .with_custom_network(network, unused)
        .with_default_sync(SyncContext::new(LedgerCodec))
        .with_default_consensus(consensus)
        .with_default_request(RequestContext::new(16))
        .build()
        .await
        .map_err(|error| failed(format!("{error:#}")))
}

/// Builds the driver and runs it on a thread of its own.
fn spawn_driver<A: Application>(
    build: impl FnOnce() -> Result<Driver<A>, ConsensusError> + Send + 'static,
) -> Result<oneshot::Receiver<Result<(), ConsensusError>>, ConsensusError> {
    let thread_error = |error: std::io::Error| ConsensusError::Thread { reason: error.to_string() };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(thread_error)?;
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        let ended = build().and_then(|driver| runtime.block_on(driver.run()));
        // The supervisor waits for it unless the whole process ends.
        let _ = sender.send(ended);
    };
    std::thread::Builder::new().name("consensus".to_owned()).spawn(work).map_err(thread_error)?;
    Ok(receiver)
}

/// Watches driver and engine, and stops everything when one of them ends or when asked to.
struct Supervisor {
    name: String,
    vote_log: PathBuf,
    network: NetworkHandle,
    engine: EngineHandle,
    driver: oneshot::Receiver<Result<(), ConsensusError>>,
    /// Ends after the network, and holds the ledger open until then.
    server: tokio::task::JoinHandle<()>,
    stop_driver: Option<oneshot::Sender<()>>,
    /// Kept open: the engine's request tasks end when nobody can ask any more.
    #[allow(dead_code, reason = "held only so that the channels stay open")]
    requests: (
        mpsc::Sender<arc_malachitebft_app_channel::ConsensusRequest<LedgerContext>>,
        mpsc::Sender<arc_malachitebft_app_channel::NetworkRequest>,
    ),
}

impl Supervisor {
    async fn run(mut self, stop: oneshot::Receiver<()>) -> Result<(), ConsensusError> {
        let ended = tokio::select! {
            // A dropped handle asks to stop as well.
            _ = stop => {
                self.ask_driver_to_stop();
                driver_outcome((&mut self.driver).await)
            }
            ended = &mut self.driver => driver_outcome(ended),
            _ = &mut self.engine.handle => {
                self.ask_driver_to_stop();
                driver_outcome((&mut self.driver).await).and(Err(ConsensusError::EngineEnded))
            }
        };
        let ended = match ended {
            // The engine stops its parts and keeps only this gauge when its log fails.
            Err(ConsensusError::EngineEnded) if vote_log_failed(&self.name) => {
                Err(ConsensusError::VoteLog { path: self.vote_log.clone() })
            }
            ended => ended,
        };
        if let Err(error) = &ended {
            tracing::error!(%error, "consensus stops");
        }
        self.stop_engine().await;
        self.network.shutdown().await;
        if tokio::time::timeout(STOP_TIMEOUT, &mut self.server).await.is_err() {
            tracing::warn!("blocks are still read for peers");
        }
        ended
    }

    fn ask_driver_to_stop(&mut self) {
        if let Some(stop) = self.stop_driver.take() {
            // An error means that the driver has ended already.
            let _ = stop.send(());
        }
    }

    async fn stop_engine(&mut self) {
        let node = self.engine.actor.get_cell();
        // Waits so that the log file is closed before somebody opens it again.
        node.stop_children_and_wait(Some("the node stops".to_owned()), Some(STOP_TIMEOUT)).await;
        self.engine.actor.stop(Some("the node stops".to_owned()));
        if !self.engine.handle.is_finished()
            && tokio::time::timeout(STOP_TIMEOUT, &mut self.engine.handle).await.is_err()
        {
            tracing::warn!("the consensus engine did not stop in time");
        }
    }
}

const STOP_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

fn driver_outcome(
    ended: Result<Result<(), ConsensusError>, oneshot::error::RecvError>,
) -> Result<(), ConsensusError> {
    ended.unwrap_or_else(|_| Err(ConsensusError::Thread { reason: "it panicked, see the log".to_owned() }))
}

/// Appends the engine's own metrics as text, in the format of Prometheus.
pub fn export_metrics(text: &mut String) {
    export(text);
}

/// Whether the engine reports that its log failed: its gauge `node_safety_failure` of this node is 1.
fn vote_log_failed(name: &str) -> bool {
    let mut text = String::new();
    export(&mut text);
    let label = format!("moniker=\"{name}\"");
    text.lines()
        .any(|line| line.contains("node_safety_failure{") && line.contains(&label) && line.ends_with(" 1"))
}

#[cfg(test)]
mod tests {
    use arc_malachitebft_app_channel::app::metrics::{Metrics, SharedRegistry};

    use super::vote_log_failed;

    #[test]
    fn the_engines_gauge_is_read_for_this_node_alone() {
        let register = |name: &str| Metrics::register(&SharedRegistry::global().with_moniker(name));
        let (healthy, failing) = (register("gauge-healthy"), register("gauge-failing"));
        assert!(!vote_log_failed("gauge-failing"));
        failing.set_safety_failure();
        assert!(vote_log_failed("gauge-failing"));
        assert!(!vote_log_failed("gauge-healthy"));
        drop(healthy);
    }
}
