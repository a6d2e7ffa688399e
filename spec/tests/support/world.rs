//! A small ledger in memory: five institutions, a key for each role, one transaction a block.

use std::collections::{BTreeMap, BTreeSet};

use yilian_spec::base::codec::{self, Canonical};
use yilian_spec::base::id::{Commitment, Hash, InstitutionId, ServiceCode, SubjectTag, TransactionId};
use yilian_spec::base::limits::BLOCK_WORK_MAX;
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::crypto::merkle::log::{self, Frontier};
use yilian_spec::crypto::merkle::state_tree::workload::MemoryStore;
use yilian_spec::crypto::merkle::state_tree::{KeyHash, StateTree, ValueHash};
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{AccessScope, Category, Purpose, Sensitivity};
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::domain::membership::{Institution, InstitutionKind, Role, Tier};
use yilian_spec::domain::parameters::Parameters;
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::ledger::chain::{self, ExecutedBlock, Made, Tip};
use yilian_spec::ledger::genesis::{Genesis, GenesisInstitution, GenesisKey};
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::{CheckedTransaction, Transaction, TransactionBody};
use yilian_spec::ledger::validation::semantic;
use yilian_spec::state::key::{StateKey, StreamId};
use yilian_spec::state::overlay::Writes;
use yilian_spec::state::stream::Entry;
use yilian_spec::state::{StateView, ViewError};

pub const TEACHING: &str = "renhe-hospital";
pub const COUNTY: &str = "qinghe-county-hospital";
pub const TOWNSHIP: &str = "liulin-health-centre";
pub const INSURER: &str = "anping-insurer";
pub const REGULATOR: &str = "health-commission";
const START_MS: u64 = 1_790_000_000_000;
pub const DAY_MS: u64 = 86_400_000;

/// A state in memory.
#[derive(Default)]
pub struct Rows {
    pub rows: BTreeMap<Vec<u8>, Vec<u8>>,
    transactions: BTreeSet<TransactionId>,
}

impl StateView for Rows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.rows.get(key).cloned())
    }

    fn contains_transaction(&self, id: TransactionId) -> Result<bool, ViewError> {
        Ok(self.transactions.contains(&id))
    }
}

/// A state on a disk that cannot be read.
pub struct Unreadable;

impl Unreadable {
    /// What it says.
    pub fn error() -> ViewError {
        ViewError("the disk is gone".into())
    }
}

impl StateView for Unreadable {
    fn get(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        Err(Self::error())
    }

    fn contains_transaction(&self, _id: TransactionId) -> Result<bool, ViewError> {
        Ok(false)
    }
}

impl Rows {
    /// The root of the state tree over the proven rows after these writes, built anew.
    pub fn root_after(&self, writes: &Writes) -> Result<Hash, ViewError> {
        let mut rows = self.rows.clone();
        put(&mut rows, writes);
        let proven = rows.iter().filter(|(key, _)| StateKey::is_proven(key));
        let leaves = proven.map(|(key, row)| (KeyHash::of(key), Some(ValueHash::of(row)))).collect();
        let update = StateTree::new().prepare(&MemoryStore::default(), &leaves);
        Ok(Hash(update.map_err(|error| ViewError(error.to_string()))?.root()))
    }
}

fn put(rows: &mut BTreeMap<Vec<u8>, Vec<u8>>, writes: &Writes) {
    for (key, row) in writes {
        match row {
            Some(row) => rows.insert(key.clone(), row.clone()),
            None => rows.remove(key),
        };
    }
}

pub struct World {
    pub rows: Rows,
    pub tip: Tip,
    nonce: u128,
}

pub fn institution(id: &str) -> InstitutionId {
    InstitutionId::new(id).unwrap()
}

/// A day long ago.
pub fn performed() -> Window {
    Window { starts: LedgerTime(0), expires: LedgerTime(DAY_MS) }
}

pub fn service_code(code: &str) -> ServiceCode {
    ServiceCode::new(code).unwrap()
}

pub fn secret(id: &str, role: Role) -> SecretKey {
    let seed = codec::hash_bytes(codec::Domain::Object, format!("{id}/{role:?}").as_bytes());
    SecretKey::from_seed(&seed.0)
}

/// A subject whose records COUNTY keeps.
pub fn subject(number: u8) -> SubjectTag {
    subject_of(COUNTY, number)
}

pub fn subject_of(custodian: &str, number: u8) -> SubjectTag {
    SubjectTag::of(&institution(custodian), [number; 16])
}

pub fn commitment(number: u8) -> Commitment {
    Commitment([number; 32])
}

pub fn scope() -> AccessScope {
    AccessScope {
        categories: BTreeSet::from([Category::Laboratory, Category::Imaging]),
        highest_sensitivity: Sensitivity::N,
        purposes: BTreeSet::from([Purpose::Treat]),
    }
}

/// A member with a key of each role.
pub fn entry(id: &str, kind: InstitutionKind, tier: Option<Tier>) -> GenesisInstitution {
    let window =
        Window { starts: LedgerTime(START_MS - DAY_MS), expires: LedgerTime(START_MS + 400 * DAY_MS) };
    let keys = Role::ALL
        .into_iter()
        .map(|role| GenesisKey { key: secret(id, role).public_key(), role, window })
        .collect();
    let consortia = BTreeSet::from([yilian_spec::base::id::ConsortiumId::new("qinghe-community").unwrap()]);
    GenesisInstitution {
        institution: Institution { id: institution(id), name: id.to_owned(), kind, tier, consortia },
        keys,
    }
}

pub fn genesis() -> Genesis {
    use InstitutionKind::{Hospital, Insurer, PrimaryCare, Regulator};
    let mut institutions = vec![
        entry(TEACHING, Hospital, Some(Tier::Province)),
        entry(COUNTY, Hospital, Some(Tier::County)),
        entry(TOWNSHIP, PrimaryCare, Some(Tier::Township)),
        entry(INSURER, Insurer, None),
        entry(REGULATOR, Regulator, None),
    ];
    institutions.sort_by(|left, right| left.institution.id.cmp(&right.institution.id));
    let validator = |id: &str| Validator {
        key: secret(id, Role::Validator).public_key(),
        institution: institution(id),
        power: 1,
    };
    Genesis {
        network: "test consortium".into(),
        time: LedgerTime(START_MS),
        parameters: Parameters::default(),
        institutions,
        validators: ValidatorSet::new([TEACHING, COUNTY, TOWNSHIP, INSURER].map(validator).to_vec()),
    }
}

impl World {
    pub fn new() -> Self {
        Self::of(genesis())
    }

    /// A ledger of other members.
    pub fn of(genesis: Genesis) -> Self {
        genesis.check().unwrap();
        let tip = Tip::genesis(&genesis, Hash::default());
        let mut world = Self { rows: Rows::default(), tip, nonce: 0 };
        world.apply(&chain::genesis_writes(&genesis));
        world
    }

    /// Takes over rows alone.
    pub fn apply(&mut self, writes: &Writes) {
        put(&mut self.rows.rows, writes);
    }

    /// Takes over a block that was executed.
    pub fn commit(&mut self, block: ExecutedBlock) {
        self.apply(&block.writes);
        self.rows.transactions.extend(block.transactions.iter().map(CheckedTransaction::id));
        self.tip = block.tip;
    }

    /// Lets time pass before the next block.
    pub fn pass(&mut self, milliseconds: u64) {
        self.tip.time = self.tip.time.plus_ms(milliseconds);
    }

    pub fn time(&self) -> LedgerTime {
        self.tip.time
    }

    pub fn body(&mut self, id: &str, author: &SecretKey, operations: Vec<Operation>) -> TransactionBody {
        self.nonce += 1;
        TransactionBody {
            chain_id: self.tip.chain_id,
            author: author.public_key(),
            institution: institution(id),
            created: self.time(),
            expires: self.time().plus_ms(600_000),
            nonce: self.nonce.to_le_bytes(),
            operations,
        }
    }

    /// Puts one transaction, signed with the key of the role that its first operation needs, into a block of its own.
    pub fn submit(&mut self, id: &str, operations: Vec<Operation>) -> (TransactionId, Outcome) {
        let author = secret(id, operations[0].role());
        let transaction = self.body(id, &author, operations).sign(&author);
        self.execute(transaction)
    }

    pub fn execute(&mut self, transaction: Transaction) -> (TransactionId, Outcome) {
        let checked = semantic::check(transaction, self.tip.chain_id).unwrap();
        let id = checked.id();
        let time = self.time().plus_ms(1_000);
        let made = Made { time, proposer: self.tip.turn() };
        let before = self.rows.rows.clone();
        let root_of = |_: &Writes| Ok(Hash::default());
        let block =
            chain::execute(&self.tip, &self.rows, made, vec![checked], BLOCK_WORK_MAX, root_of).unwrap();
        let outcome = block.receipts[0].outcome;
        self.commit(block);
        if let Outcome::Refused { .. } = outcome {
            self.assert_only_streams_changed(&before);
        }
        (id, outcome)
    }

    /// A refused transaction may leave entries in streams and nothing else.
    fn assert_only_streams_changed(&self, before: &BTreeMap<Vec<u8>, Vec<u8>>) {
        let changed = self.rows.rows.iter().filter(|(key, row)| before.get(*key) != Some(row));
        for (key, _) in changed {
            assert!([0x20, 0x80, 0x8a].contains(&key[0]), "a refused transaction wrote row {key:02x?}");
        }
        assert!(before.keys().all(|key| self.rows.rows.contains_key(key)));
    }

    /// [`World::submit`] of one operation that must take effect; gives the id of the object it creates.
    pub fn apply_one(&mut self, id: &str, operation: Operation) -> [u8; 32] {
        let name = operation.name();
        let (transaction, outcome) = self.submit(id, vec![operation.clone()]);
        assert_eq!(outcome, Outcome::Applied, "{name}");
        operation.object_id(transaction, 0)
    }

    /// [`World::submit`] of one operation that must be refused for this reason.
    pub fn refuse_one(&mut self, id: &str, operation: Operation, reason: Refusal) {
        let name = operation.name();
        let (_, outcome) = self.submit(id, vec![operation]);
        assert_eq!(outcome, Outcome::Refused { operation: 0, reason }, "{name}");
    }

    pub fn read<T: Canonical>(&self, key: &StateKey) -> Option<T> {
        self.rows.rows.get(&key.bytes()).map(|row| codec::decode(row, 1 << 20).unwrap())
    }

    pub fn contains(&self, key: &StateKey) -> bool {
        self.rows.rows.contains_key(&key.bytes())
    }

    /// All entries of a stream, checked against its head: length and root are computed here anew.
    pub fn stream(&self, stream: StreamId) -> Vec<Entry> {
        let head: Frontier = self.read(&StateKey::StreamHead(stream.clone())).unwrap_or_default();
        let entries: Vec<Entry> =
            (0..).map_while(|index| self.read(&StateKey::StreamEntry(stream.clone(), index))).collect();
        let mut again = Frontier::default();
        entries.iter().for_each(|entry| again.append(entry.leaf_hash()).unwrap());
        assert_eq!(head, again, "the head of {stream:?} does not match its entries");
        let leaves: Vec<_> = entries.iter().map(Entry::leaf_hash).collect();
        for level in 7..10u8 {
            let mut subtrees = leaves.chunks_exact(1 << level).map(|leaves| Hash(log::root(leaves)));
            for index in 0..=(leaves.len() >> level) as u64 {
                let row: Option<Hash> = self.read(&StateKey::StreamNode(stream.clone(), level, index));
                assert_eq!(row, subtrees.next().filter(|_| level >= 8), "subtree {index} of level {level}");
            }
        }
        entries
    }
}
