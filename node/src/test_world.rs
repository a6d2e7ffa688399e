//! What the node's own tests share: a consortium of four, its keys, real stores in temporary directories, and blocks
//! certified with the validators' real signatures.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::mpsc;
use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, Hash, InstitutionId, ServiceCode};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::crypto::merkle::log::{Frontier, leaf_hash};
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::domain::membership::{Institution, InstitutionKind, Role, Tier};
use yilian_spec::domain::parameters::Parameters;
use yilian_spec::domain::referral::PublishCapacity;
use yilian_spec::ledger::block::{Block, CommitCertificate, CommitSignature, precommit_signing_bytes};
use yilian_spec::ledger::genesis::{Genesis, GenesisInstitution, GenesisKey};
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};

use crate::application::{Application, BuiltBlock, Ledger, LedgerOptions, UndecidedBlock};
use crate::base::clock::{Clock, ManualClock};
use crate::mempool::Mempool;
use crate::mempool::pool::PoolBounds;
use crate::storage::{StorageOptions, Store};

/// Genesis time of the test ledger.
pub const GENESIS_MS: u64 = 1_760_000_000_000;
/// Institutions, each with one validator.
pub const MEMBERS: u8 = 4;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// A member's key for a role.
pub fn secret(member: u8, role: Role) -> SecretKey {
    let mut seed = [7; 32];
    (seed[0], seed[1]) = (member, role as u8);
    SecretKey::from_seed(&seed)
}

/// A member's id.
pub fn member(number: u8) -> InstitutionId {
    InstitutionId::new(&format!("member-{number}")).unwrap()
}

/// The genesis of the consortium.
pub fn genesis() -> Genesis {
    let window = Window { starts: LedgerTime(GENESIS_MS), expires: LedgerTime(GENESIS_MS + 365 * DAY_MS) };
    let keys = |number| {
        [Role::Validator, Role::ReferralGateway, Role::Administrator].map(|role| GenesisKey {
            key: secret(number, role).public_key(),
            role,
            window,
        })
    };
    let institution = |number| GenesisInstitution {
        institution: Institution {
            id: member(number),
            name: format!("Member {number}"),
            kind: InstitutionKind::Hospital,
            tier: Some(Tier::County),
            consortia: Default::default(),
        },
        keys: keys(number).to_vec(),
    };
    let validator = |number| Validator {
        key: secret(number, Role::Validator).public_key(),
        institution: member(number),
        power: 1,
    };
    let genesis = Genesis {
        network: "test".into(),
        time: LedgerTime(GENESIS_MS),
        parameters: Parameters::default(),
        institutions: (0..MEMBERS).map(institution).collect(),
        validators: ValidatorSet::new((0..MEMBERS).map(validator).collect()),
    };
    genesis.check().unwrap();
    genesis
}

/// A signed transaction of a member, made at `created_ms`; each `number` is another one.
pub fn transaction_at(number_of_member: u8, number: u32, created_ms: u64) -> Transaction {
    let key = secret(number_of_member, Role::ReferralGateway);
    let mut nonce = [0; 16];
    nonce[..4].copy_from_slice(&number.to_le_bytes());
    let service = ServiceCode::new(&format!("service-{}", number % 50)).unwrap();
    let operation = Operation::PublishCapacity(PublishCapacity { service, slots: number % 1_000 });
    TransactionBody {
        chain_id: genesis().chain_id(),
        author: key.public_key(),
        institution: member(number_of_member),
        created: LedgerTime(created_ms),
        expires: LedgerTime(created_ms + 60_000),
        nonce,
        operations: vec![operation],
    }
    .sign(&key)
}

/// [`transaction_at`] the genesis time.
pub fn transaction(number_of_member: u8, number: u32) -> Transaction {
    transaction_at(number_of_member, number, GENESIS_MS)
}

/// The certificate of the validators 0, 1 and 2 for a block.
pub fn certificate(height: Height, block_id: BlockId) -> CommitCertificate {
    let bytes = precommit_signing_bytes(genesis().chain_id(), height, 0, block_id);
    let sign = |number| {
        let key = secret(number, Role::Validator);
        CommitSignature { validator: key.public_key(), signature: key.sign(&bytes) }
    };
    let mut signatures: Vec<CommitSignature> = (0..3).map(sign).collect();
    signatures.sort();
    CommitCertificate { height, round: 0, block_id, signatures }
}

/// A node without network and consensus: the test is both.
pub struct TestNode {
    pub ledger: Ledger,
    pub mempool: Mempool,
    pub batches: mpsc::Receiver<Bytes>,
    pub clock: Arc<ManualClock>,
    number: u8,
}

impl TestNode {
    /// Member `number`'s node with its ledger in `dir`, which is made when there is none.
    pub fn open(dir: &Path, number: u8) -> Self {
        Self::open_bounded(dir, number, PoolBounds::default())
    }

    /// [`TestNode::open`] with other bounds of the mempool.
    pub fn open_bounded(dir: &Path, number: u8, bounds: PoolBounds) -> Self {
        let store = Arc::new(Store::open_or_create(dir, &genesis(), StorageOptions::default()).unwrap());
        let proposer = Some(secret(number, Role::Validator).public_key());
        let mut ledger = Ledger::open(store, LedgerOptions { proposer, ..Default::default() }).unwrap();
        let clock = Arc::new(ManualClock::at(GENESIS_MS + 1_000));
        let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let (mempool, batches) = Mempool::new(ledger.reader(), shared, ledger.timings(), bounds);
        ledger.set_source(mempool.clone());
        Self { ledger, mempool, batches, clock, number }
    }

    /// Submits, and sees every transaction accepted.
    pub fn submit(&self, transactions: impl IntoIterator<Item = Transaction>) {
        for verdict in self.mempool.submit_now(transactions.into_iter().collect()) {
            verdict.unwrap();
        }
    }

    /// Builds the next block in round 0 and remembers it.
    pub fn propose(&mut self) -> BuiltBlock {
        let height = self.ledger.tip().height.next();
        let built = self.ledger.build(height, 0, self.clock.now_ms()).unwrap();
        let block = UndecidedBlock {
            height,
            round: 0,
            valid_round: None,
            proposer: secret(self.number, Role::Validator).public_key(),
            block_id: built.block_id,
            bytes: built.bytes.clone(),
        };
        self.ledger.remember(block).unwrap();
        built
    }

    /// Commits a block of the next height.
    pub fn decide(&mut self, block_id: BlockId) {
        let height = self.ledger.tip().height.next();
        self.ledger.commit(&certificate(height, block_id)).unwrap();
    }

    /// One whole block of these transactions, a second after the last.
    pub fn block(&mut self, transactions: impl IntoIterator<Item = Transaction>) -> BuiltBlock {
        self.submit(transactions);
        self.clock.advance(1_000);
        let built = self.propose();
        self.decide(built.block_id);
        built
    }

    /// Some blocks of some transactions of each member.
    pub fn blocks(&mut self, count: u32) {
        for block in 0..count {
            let base = self.ledger.tip().height.0 as u32 * 100 + block;
            let now_ms = self.clock.now_ms();
            self.block((0..12u32).map(|n| transaction_at((n % 4) as u8, base * 100 + n, now_ms)));
        }
    }
}

/// A directory that goes away.
pub fn temporary() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Has a block's header name the transactions that are there: otherwise a receiver looks no further.
pub fn name_its_body(block: &mut Block) {
    let mut leaves = Frontier::default();
    for transaction in &block.transactions {
        leaves.append(leaf_hash(&codec::encode(transaction))).unwrap();
    }
    block.header.transaction_count = u32::try_from(block.transactions.len()).unwrap();
    block.header.transactions_root = Hash(leaves.root());
}
