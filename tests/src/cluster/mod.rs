//! A whole consortium on this machine for a test: real node processes that are started, killed, stopped, wiped and
//! waited for, clients for every institution, and an independent reading of every ledger at the end.
//!
//! Only one cluster lives at a time within a test program, because five nodes fill a small machine. Processes and
//! directories go with the [`Cluster`], also when a test panics.

mod desk;
mod reading;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};
use yilian_client::client::{self, Client, Settings, Signers};
use yilian_client::health::Health;
use yilian_node::config::Config;
use yilian_node::consortium::{self, ConsortiumFiles, MemberFiles, NodeProcess, Options};
use yilian_node::home::Home;
use yilian_node::network::NodeIdentity;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::crypto::token::Audience;
use yilian_spec::proof::Checkpoint;

use crate::programs;
use crate::proxy::Network;

pub use desk::{Acknowledged, Desk, Recorded};
pub use reading::Reading;

/// The provincial teaching hospital, a validator.
pub const TEACHING: usize = 0;
/// The county hospital, a validator.
pub const COUNTY: usize = 1;
/// The township health centre, a validator.
pub const TOWNSHIP: usize = 2;
/// The insurer, a validator.
pub const INSURER: usize = 3;
/// The regulator, an observer.
pub const REGULATOR: usize = 4;
/// The nodes that vote.
pub const VALIDATORS: [usize; 4] = [TEACHING, COUNTY, TOWNSHIP, INSURER];
/// All nodes.
pub const ALL: [usize; 5] = [TEACHING, COUNTY, TOWNSHIP, INSURER, REGULATOR];

/// Far beyond what any step takes, also on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// One cluster at a time.
static TURN: Semaphore = Semaphore::const_new(1);

/// A consortium on this machine.
pub struct Cluster {
    // Fields drop in this order: first the processes, then their files, then the turn.
    running: BTreeMap<usize, NodeProcess>,
    /// Its files: keys, genesis, homes, the client's configuration.
    pub files: ConsortiumFiles,
    /// What clients were told is final.
    pub acknowledged: Acknowledged,
    program: PathBuf,
    _directory: TempDir,
    _turn: SemaphorePermit<'static>,
}

impl Cluster {
    /// Makes the files; nothing runs yet.
    ///
    /// # Errors
    /// When `yilian-node` is not built, or the files cannot be made.
    pub async fn prepare(options: &Options) -> Result<Self> {
        let program = programs::program("yilian-node")?;
        let turn = TURN.acquire().await.context("the turn is never closed")?;
        let directory = tempfile::Builder::new().prefix("yilian-tests-").tempdir()?;
        let files = consortium::create(&directory.path().join("consortium"), options)?;
        let (running, acknowledged) = (BTreeMap::new(), Acknowledged::default());
        Ok(Self { running, files, acknowledged, program, _directory: directory, _turn: turn })
    }

    /// Makes a consortium and starts some of its nodes; returns when they are healthy.
    ///
    /// # Errors
    /// As [`Cluster::prepare`], or when a node does not become healthy.
    pub async fn start(nodes: &[usize]) -> Result<Self> {
        let mut cluster = Self::prepare(&Options::default()).await?;
        cluster.start_nodes(nodes).await?;
        Ok(cluster)
    }

    /// Starts nodes and waits until they are healthy.
    ///
    /// # Errors
    /// When one cannot be started, ends, or is not healthy in time; with the end of its log.
    pub async fn start_nodes(&mut self, nodes: &[usize]) -> Result<()> {
        for node in nodes {
            self.start_process(*node)?;
        }
        for node in nodes {
            self.wait_for_status(*node, "healthy").await?;
        }
        Ok(())
    }

    /// Starts a node's process and returns at once.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub fn start_process(&mut self, node: usize) -> Result<()> {
        self.start_process_with(node, &[])
    }

    /// [`Cluster::start_process`] with further arguments of `yilian-node run`.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub fn start_process_with(&mut self, node: usize, arguments: &[&str]) -> Result<()> {
        ensure!(!self.running.contains_key(&node), "node {node} runs already");
        let member = &self.files.members[node];
        let process = NodeProcess::start_with(&self.program, &member.home, member.api, arguments)?;
        self.running.insert(node, process);
        Ok(())
    }

    /// The program that the nodes run.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// One institution's files.
    pub fn member(&self, node: usize) -> &MemberFiles {
        &self.files.members[node]
    }

    /// One institution's name on the ledger.
    pub fn institution(&self, node: usize) -> InstitutionId {
        self.files.members[node].id.clone()
    }

    /// The address of a node's API.
    pub fn url(&self, node: usize) -> String {
        format!("http://{}", self.files.members[node].api)
    }

    /// The nodes that run.
    pub fn running(&self) -> Vec<usize> {
        self.running.keys().copied().collect()
    }

    /// The operating system's number of a running node's process.
    pub fn process_id(&self, node: usize) -> Option<u32> {
        self.running.get(&node).map(NodeProcess::process_id)
    }

    fn take(&mut self, node: usize) -> Result<NodeProcess> {
        self.running.remove(&node).with_context(|| format!("node {node} does not run"))
    }

    /// Kills a node as `kill -9` does.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self, node: usize) -> Result<()> {
        self.take(node)?.kill().map(drop)
    }

    /// Waits until a node ends by itself, and returns how it did.
    ///
    /// # Errors
    /// When it does not run, or does not end in time.
    pub fn wait_for_end(&mut self, node: usize) -> Result<ExitStatus> {
        self.take(node)?.wait(PATIENCE)
    }

    /// Changes the configuration of a node that does not run.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn configure(&self, node: usize, change: impl FnOnce(&mut Config)) -> Result<()> {
        let home = &self.files.members[node].home;
        let mut config = Config::load(home)?;
        change(&mut config);
        config.check()?;
        Ok(std::fs::write(home.join("config.toml"), toml::to_string(&config)?)?)
    }

    /// Leads all ways between the nodes, none of which may run yet, through a network that can be made to misbehave.
    ///
    /// # Errors
    /// When a configuration cannot be changed, or no port is free.
    pub async fn route_through_network(&self) -> Result<Network> {
        let mut network = Network::default();
        let mut listens = BTreeMap::new();
        for (node, member) in self.files.members.iter().enumerate() {
            let identity = NodeIdentity::from_ed25519_seed(*member.network.seed())?;
            listens.insert(identity.peer_id(), (node, Config::load(&member.home)?.network.listen));
        }
        for (node, member) in self.files.members.iter().enumerate() {
            let mut peers = Config::load(&member.home)?.network.peers;
            for peer in &mut peers {
                let (to, address) = listens.get(&peer.peer).context("a peer that is no member")?;
                let detour = network.open((node, *to), *address).await?;
                *peer = format!("{}@{detour}", peer.peer).parse()?;
            }
            self.configure(node, |config| {
                config.network.peers = peers;
                // Told where the others are, a node would dial them past the network.
                config.network.advertise = Some(Vec::new());
            })?;
        }
        Ok(network)
    }

    /// Stops a node as an operator does and returns how it ended.
    ///
    /// # Errors
    /// When it does not run, or does not stop in time.
    pub fn stop(&mut self, node: usize) -> Result<ExitStatus> {
        self.take(node)?.stop()
    }

    /// Stops all that run; every one must end in good order.
    ///
    /// # Errors
    /// When one does not.
    pub fn stop_all(&mut self) -> Result<()> {
        for node in self.running() {
            let status = self.stop(node)?;
            ensure!(status.success(), "node {node} ended with {status}:\n{}", self.log_tail(node));
        }
        Ok(())
    }

    /// Where a node's log is.
    pub fn log_file(&self, node: usize) -> PathBuf {
        self.files.members[node].home.join("node.log")
    }

    /// Where a node keeps its ledger and its votes.
    ///
    /// # Errors
    /// When its configuration cannot be read.
    pub fn data_directory(&self, node: usize) -> Result<PathBuf> {
        let home = &self.files.members[node].home;
        Ok(home.join(yilian_node::config::Config::load(home)?.node.data))
    }

    /// Where a node keeps its ledger.
    ///
    /// # Errors
    /// When its configuration cannot be read.
    pub fn ledger_directory(&self, node: usize) -> Result<PathBuf> {
        Ok(Home::open(&self.files.members[node].home)?.ledger_directory())
    }

    /// Takes a stopped node's disk away.
    ///
    /// # Errors
    /// When it runs, or the files cannot be removed.
    pub fn wipe(&self, node: usize) -> Result<()> {
        ensure!(!self.running.contains_key(&node), "node {node} runs: stop it before its data goes");
        let data = self.data_directory(node)?;
        std::fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))
    }

    /// The last lines of a node's log.
    pub fn log_tail(&self, node: usize) -> String {
        let text = self.log(node);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// A node's whole log.
    pub fn log(&self, node: usize) -> String {
        let path = self.files.members[node].home.join("node.log");
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// A client of one institution that speaks to these nodes, has all of the institution's keys, and verifies every
    /// answer from the genesis on.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub async fn client(&self, institution: usize, nodes: &[usize]) -> Result<Client> {
        let member = &self.files.members[institution];
        let settings = Settings {
            nodes: nodes.iter().map(|node| self.url(*node)).collect(),
            institution: Some(member.id.clone()),
            signers: Signers { by_role: member.secrets.clone(), other: None },
            checkpoint: Some(Checkpoint::of_genesis(&self.files.genesis)),
            ..Settings::default()
        };
        Ok(Client::connect(settings).await?)
    }

    /// The desk of an institution at its own node.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub async fn desk(&self, institution: usize) -> Result<Desk> {
        self.desk_at(institution, &[institution]).await
    }

    /// The desk of an institution that speaks to these nodes, in this order.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub async fn desk_at(&self, institution: usize, nodes: &[usize]) -> Result<Desk> {
        let client = self.client(institution, nodes).await?;
        let (id, acknowledged) = (self.institution(institution), self.acknowledged.clone());
        Ok(Desk { id, client, acknowledged })
    }

    /// Whom a token for a node must be for.
    pub fn audience(&self, node: usize) -> Audience {
        let node = self.files.members[node].network.public_key();
        Audience { chain_id: self.files.genesis.chain_id(), node }
    }

    /// What a node says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn health(&self, node: usize) -> Result<Health> {
        let settings = Settings { nodes: vec![self.url(node)], ..Settings::default() };
        Ok(client::health(settings).await?)
    }

    /// A node's last height, as it says.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn height(&self, node: usize) -> Result<Height> {
        Ok(self.client(node, &[node]).await?.chain().await?.height)
    }

    /// Waits until a node's `/health` says this, and returns what it said.
    ///
    /// # Errors
    /// When it ends or says something else for too long; with the end of its log.
    pub async fn wait_for_status(&mut self, node: usize, status: &str) -> Result<Health> {
        let began = Instant::now();
        let mut last = "nothing".to_owned();
        loop {
            if let Some(process) = self.running.get_mut(&node) {
                process.check_alive()?;
            }
            // Asking a node that is not up yet is given up only after some rounds; so bound each question.
            match tokio::time::timeout(Duration::from_secs(2), self.health(node)).await {
                Ok(Ok(health)) if health.status == status => return Ok(health),
                Ok(Ok(health)) => last = format!("{} ({})", health.status, health.reason.unwrap_or_default()),
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => {}
            }
            if began.elapsed() > PATIENCE {
                bail!(
                    "node {node} is not {status} after {PATIENCE:?}; it says {last}:\n{}",
                    self.log_tail(node)
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until these nodes have reached a height.
    ///
    /// # Errors
    /// When one does not in time; with the end of its log.
    pub async fn wait_for_height(&self, nodes: &[usize], height: Height) -> Result<()> {
        let began = Instant::now();
        for node in nodes {
            loop {
                let reached = self.height(*node).await;
                if reached.as_ref().is_ok_and(|reached| *reached >= height) {
                    break;
                }
                if began.elapsed() > PATIENCE {
                    bail!(
                        "node {node} is not at height {height} after {PATIENCE:?} but {reached:?}:\n{}",
                        self.log_tail(*node)
                    );
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Waits until these nodes have all that any running node has now.
    ///
    /// # Errors
    /// When one does not catch up in time.
    pub async fn wait_until_caught_up(&self, nodes: &[usize]) -> Result<Height> {
        let mut highest = Height::default();
        for node in self.running() {
            highest = highest.max(self.height(node).await?);
        }
        self.wait_for_height(nodes, highest).await?;
        Ok(highest)
    }

    /// Stops all nodes in good order and reads the ledgers of all that ever ran independently of the nodes: each must
    /// be right in itself, all must hold the same bytes at equal heights, and everything that clients were told is
    /// final must stand in all of them.
    ///
    /// # Errors
    /// What is not so.
    pub async fn check_all_nodes(&mut self) -> Result<Vec<Reading>> {
        let nodes = self.running();
        self.wait_until_caught_up(&nodes).await?;
        self.stop_all()?;
        reading::check(self, &nodes)
    }
}
