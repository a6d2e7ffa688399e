//! Nodes in one process, started and stopped at will.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{ChainId, InstitutionId};
use yilian_spec::crypto::signature::{SecretKey, verify};
use yilian_spec::ledger::block::precommit_signing_bytes;

use super::ledger::{Fields, SharedDisk, TestLedger};
use crate::base::clock::SystemClock;
use crate::conduct::Conduct;
use crate::consensus::{Consensus, ConsensusConfig, ConsensusError, ConsensusSetup, Phase, start};
use crate::health::clocks::Clocks;
use crate::members::Members;
use crate::network::{AddressBook, NetworkConfig, NodeIdentity, PeerAddress};

/// Far beyond what any step here needs, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until a condition holds; fails with what was waited for.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct Node {
    name: String,
    key: Option<SecretKey>,
    identity: NodeIdentity,
    disk: SharedDisk,
    work: watch::Sender<usize>,
    directory: TempDir,
    running: Option<Consensus>,
    address: Option<PeerAddress>,
}

/// The institution of the node with this number.
pub fn institution_of(number: usize) -> InstitutionId {
    InstitutionId::new(&format!("member-{number}")).unwrap()
}

/// A ledger's nodes.
pub struct Cluster {
    chain_id: ChainId,
    members: watch::Sender<Arc<Members>>,
    nodes: Vec<Node>,
    validators: usize,
}

impl Cluster {
    /// Validators that are not started yet.
    pub fn new(validators: usize) -> Self {
        let chain_id = ChainId([0x51; 32]);
        let mut cluster =
            Self { chain_id, members: watch::channel(Arc::default()).0, nodes: Vec::new(), validators };
        for number in 0..validators {
            let key = SecretKey::from_seed(&[u8::try_from(number + 1).unwrap(); 32]);
            cluster.add(Some(key));
        }
        cluster
    }

    fn add(&mut self, key: Option<SecretKey>) -> usize {
        let number = self.nodes.len();
        let identity = NodeIdentity::from_ed25519_seed([u8::try_from(number + 101).unwrap(); 32]).unwrap();
        let institution = institution_of(number);
        self.members.send_modify(|members| {
            Arc::make_mut(members).insert(identity.peer_id(), institution);
        });
        // Metrics are per process and name, so names differ between tests.
        let name = format!("{:?}-{number}", std::thread::current().id());
        self.nodes.push(Node {
            name,
            key,
            identity,
            disk: SharedDisk::default(),
            work: watch::channel(0).0,
            directory: tempfile::tempdir().unwrap(),
            running: None,
            address: None,
        });
        number
    }

    /// A member without a vote.
    pub fn add_observer(&mut self) -> usize {
        self.add(None)
    }

    pub async fn start_all(&mut self) {
        for number in 0..self.nodes.len() {
            self.start(number).await;
        }
    }

    /// Starts a node on a free port; it dials those that run.
    pub async fn start(&mut self, number: usize) {
        let peers = self.nodes.iter().filter(|node| node.running.is_some());
        let peers = peers.filter_map(|node| node.address.clone()).collect();
        let keys = self.nodes[..self.validators].iter().filter_map(|node| node.key.as_ref());
        let validators = keys.map(SecretKey::public_key).collect();
        let node = &mut self.nodes[number];
        let application = TestLedger {
            disk: node.disk.clone(),
            key: node.key.as_ref().map(SecretKey::public_key),
            validators,
        };
        let consensus = start(ConsensusSetup {
            name: node.name.clone(),
            chain_id: self.chain_id,
            validator_key: node.key.clone(),
            identity: node.identity.clone(),
            addresses: AddressBook::in_memory(node.identity.clone(), self.chain_id),
            members: self.members.subscribe(),
            is_block: super::ledger::is_block,
            conduct: Conduct::new(self.members.subscribe(), Arc::new(SystemClock)),
            clocks: Clocks::new(Arc::new(SystemClock)),
            vote_log: node.directory.path().join("consensus.wal"),
            network: NetworkConfig { listen: ([127, 0, 0, 1], 0).into(), peers, ..NetworkConfig::default() },
            consensus: ConsensusConfig { heartbeat_ms: 3_600_000 },
            application,
            work: node.work.subscribe(),
        })
        .await
        .unwrap();
        let listening = consensus.network.listening().borrow()[0].clone();
        node.address = Some(PeerAddress { peer: node.identity.peer_id(), address: listening });
        node.running = Some(consensus);
    }

    pub async fn stop(&mut self, number: usize) {
        if let Some(running) = self.nodes[number].running.take() {
            running.shutdown().await.unwrap();
        }
    }

    /// Stops all that run. Those that ended by a failure are left as they are.
    pub async fn stop_all(&mut self) {
        for number in 0..self.nodes.len() {
            self.stop(number).await;
        }
    }

    /// The node lost its disk.
    pub fn wipe(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        assert!(node.running.is_none());
        node.disk = SharedDisk::default();
        node.directory = tempfile::tempdir().unwrap();
    }

    pub fn fail_commits(&mut self, number: usize) {
        self.nodes[number].disk.lock().commits_fail = true;
    }

    /// Makes a node's disk hang where peers are to be served, or lets it go on.
    pub fn hang_reads(&self, number: usize, hang: bool) {
        self.nodes[number].disk.hang_reads(hang);
    }

    pub fn reads_waiting(&self, number: usize) -> usize {
        self.nodes[number].disk.lock().reads_waiting
    }

    /// Waits until a node ends by itself.
    pub async fn wait_for_end(&mut self, number: usize) -> ConsensusError {
        let mut running = self.nodes[number].running.take().unwrap();
        tokio::time::timeout(PATIENCE, running.ended()).await.unwrap().unwrap_err()
    }

    /// Puts an item into one node's queue, as a mempool would.
    pub fn submit(&self, number: usize, item: Vec<u8>) {
        let node = &self.nodes[number];
        node.disk.lock().queue.push_back(item);
        node.work.send_modify(|pending| *pending += 1);
    }

    pub fn items(&self, number: usize) -> usize {
        let disk = self.nodes[number].disk.lock();
        disk.decided.iter().map(|block| Fields::decode(&block.bytes).unwrap().items.len()).sum()
    }

    pub fn tip(&self, number: usize) -> Height {
        self.nodes[number].disk.lock().decided.last().map_or(Height(0), |block| block.certificate.height)
    }

    fn phase(&self, number: usize) -> Phase {
        self.nodes[number].running.as_ref().unwrap().status.borrow().phase
    }

    pub fn is_resting(&self, number: usize) -> bool {
        self.phase(number) == Phase::Resting
    }

    pub fn is_validator(&self, number: usize) -> bool {
        self.nodes[number].running.as_ref().unwrap().status.borrow().is_validator
    }

    pub async fn wait_for_items(&self, numbers: &[usize], items: usize) {
        let have = || numbers.iter().all(|number| self.items(*number) >= items);
        eventually(&format!("{items} items on nodes {numbers:?}"), have).await;
    }

    /// All hold the same blocks up to the lowest tip, and no item twice.
    pub fn assert_same_ledgers(&self, numbers: &[usize]) {
        let chains: Vec<Vec<_>> = numbers
            .iter()
            .map(|number| {
                let disk = self.nodes[*number].disk.lock();
                disk.decided.iter().map(|block| (block.certificate.block_id, block.bytes.clone())).collect()
            })
            .collect();
        let shortest = chains.iter().map(Vec::len).min().unwrap();
        assert!(shortest > 0);
        for chain in &chains {
            assert_eq!(chain[..shortest], chains[0][..shortest]);
            let mut items: Vec<_> =
                chain.iter().flat_map(|(_, bytes)| Fields::decode(bytes).unwrap().items).collect();
            let count = items.len();
            items.sort();
            items.dedup();
            assert_eq!(items.len(), count, "an item was committed twice");
        }
    }

    /// Every certificate of a node carries valid signatures of more than two thirds, as a light client checks.
    pub fn assert_certificates(&self, number: usize) {
        let disk = self.nodes[number].disk.lock();
        for block in &disk.decided {
            let certificate = &block.certificate;
            let (height, round) = (certificate.height, certificate.round);
            let message = precommit_signing_bytes(self.chain_id, height, round, certificate.block_id);
            assert!(certificate.signatures.windows(2).all(|pair| pair[0].validator < pair[1].validator));
            assert!(certificate.signatures.len() * 3 > self.validators * 2);
            for signed in &certificate.signatures {
                verify(&signed.validator, &message, &signed.signature).unwrap();
            }
        }
    }
}
