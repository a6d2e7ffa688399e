//! A ledger in memory with a real state tree and real certificates: five blocks with a refused disclosure, a grant and
//! a closed period in them, and a proof of every kind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::id::{
    AgreementId, Commitment, ConsortiumId, GrantId, Hash, InstitutionId, ServiceCode,
};
use yilian_spec::base::id::{SubjectTag, TransactionId};
use yilian_spec::base::limits::BLOCK_WORK_MAX;
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::crypto::merkle::log::{self, Frontier, LogTree};
use yilian_spec::crypto::merkle::state_tree::workload::{BucketStoreMut as _, MemoryStore};
use yilian_spec::crypto::merkle::state_tree::{KeyHash, StateTree, ValueHash};
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{
    AccessScope, Category, Decision, GrantAccess, Purpose, RecordDisclosure, Sensitivity,
};
use yilian_spec::domain::agreement::{ClosePeriod, ProposeAgreement, Schedule, SignAgreement};
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::domain::membership::{Institution, InstitutionKind, Role};
use yilian_spec::domain::parameters::Parameters;
use yilian_spec::domain::service::{DeliverService, PlayedPart};
use yilian_spec::ledger::block::{CommitCertificate, CommitSignature, Header, precommit_signing_bytes};
use yilian_spec::ledger::chain::{self, Made, Tip};
use yilian_spec::ledger::genesis::{Genesis, GenesisInstitution, GenesisKey};
use yilian_spec::ledger::receipt::{Outcome, Receipt};
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};
use yilian_spec::ledger::trial::trial;
use yilian_spec::ledger::validation::semantic;
use yilian_spec::proof::{
    CertifiedHeader, Checkpoint, LogConsistencyProof, LogInclusionProof, ProofDocument, ProvenRow,
    StateProof, StatementProof, StreamProof, TransactionProof,
};
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::templates::{Frame, fixed_price};
use yilian_spec::settlement::terms::Terms;
use yilian_spec::state::key::{StateKey, StreamId};
use yilian_spec::state::overlay::Writes;
use yilian_spec::state::stream::Entry;
use yilian_spec::state::{StateView, ViewError};

const START_MS: u64 = 1_790_000_000_000;
const DAY_MS: u64 = 86_400_000;
const HOSPITALS: [&str; 4] = ["anping-hospital", "heping-hospital", "qinghe-hospital", "renhe-hospital"];
/// A patient of Qinghe's.
pub static SUBJECT: LazyLock<SubjectTag> =
    LazyLock::new(|| SubjectTag::of(&institution("qinghe-hospital"), [7; 16]));

#[derive(Default)]
struct Rows {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
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

struct Stored {
    block: CertifiedHeader,
    transactions: Vec<Transaction>,
    receipts: Vec<Receipt>,
}

pub struct Ledger {
    rows: Rows,
    tree: StateTree,
    buckets: MemoryStore,
    tip: Tip,
    blocks: Vec<Stored>,
    genesis: Genesis,
    nonce: u128,
}

pub fn institution(id: &str) -> InstitutionId {
    InstitutionId::new(id).unwrap()
}

pub fn secret(id: &str, role: Role) -> SecretKey {
    SecretKey::from_seed(&codec::hash_bytes(Domain::Object, format!("{id}/{role:?}").as_bytes()).0)
}

fn genesis() -> Genesis {
    let window =
        Window { starts: LedgerTime(START_MS - DAY_MS), expires: LedgerTime(START_MS + 300 * DAY_MS) };
    let entry = |id: &str| GenesisInstitution {
        institution: Institution {
            id: institution(id),
            name: id.to_owned(),
            kind: InstitutionKind::Hospital,
            tier: None,
            consortia: BTreeSet::from([ConsortiumId::new("alliance").unwrap()]),
        },
        keys: [Role::Validator, Role::AccessGateway, Role::Finance]
            .map(|role| GenesisKey { key: secret(id, role).public_key(), role, window })
            .to_vec(),
    };
    let validator = |id: &str| Validator {
        key: secret(id, Role::Validator).public_key(),
        institution: institution(id),
        power: 1,
    };
    Genesis {
        network: "proofs".to_owned(),
        time: LedgerTime(START_MS),
        parameters: Parameters::default(),
        institutions: HOSPITALS.map(entry).to_vec(),
        validators: ValidatorSet::new(HOSPITALS.map(validator).to_vec()),
    }
}

/// The certificate that these hospitals give a header.
pub fn certificate(header: &Header, signers: &[&str]) -> CommitCertificate {
    let (height, block_id, round) = (header.height, header.id(), 0);
    let bytes = precommit_signing_bytes(header.chain_id, height, round, block_id);
    let sign = |id: &&str| {
        let key = secret(id, Role::Validator);
        CommitSignature { validator: key.public_key(), signature: key.sign(&bytes) }
    };
    let mut signatures: Vec<CommitSignature> = signers.iter().map(sign).collect();
    signatures.sort();
    CommitCertificate { height, round, block_id, signatures }
}

impl Ledger {
    pub fn new() -> Self {
        let genesis = genesis();
        genesis.check().unwrap();
        let mut ledger = Self {
            rows: Rows::default(),
            tree: StateTree::new(),
            buckets: MemoryStore::default(),
            tip: Tip::genesis(&genesis, Hash::default()),
            blocks: Vec::new(),
            genesis: genesis.clone(),
            nonce: 0,
        };
        let writes = chain::genesis_writes(&genesis);
        ledger.apply(&writes);
        ledger.tip.state_root = Hash(ledger.tree.root());
        ledger
    }

    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint::of_genesis(&self.genesis)
    }

    fn changes(writes: &Writes) -> BTreeMap<KeyHash, Option<ValueHash>> {
        let proven = writes.iter().filter(|(key, _)| StateKey::is_proven(key));
        proven.map(|(key, row)| (KeyHash::of(key), row.as_deref().map(ValueHash::of))).collect()
    }

    fn apply(&mut self, writes: &Writes) {
        let update = self.tree.prepare(&self.buckets, &Self::changes(writes)).unwrap();
        self.buckets.write(update.rows()).unwrap();
        self.tree.apply(update).unwrap();
        for (key, row) in writes {
            match row {
                Some(row) => self.rows.rows.insert(key.clone(), row.clone()),
                None => self.rows.rows.remove(key),
            };
        }
    }

    pub fn sign(&mut self, id: &str, operation: Operation) -> Transaction {
        self.nonce += 1;
        let key = secret(id, operation.role());
        TransactionBody {
            chain_id: self.tip.chain_id,
            author: key.public_key(),
            institution: institution(id),
            created: self.tip.time,
            expires: self.tip.time.plus_ms(600_000),
            nonce: self.nonce.to_le_bytes(),
            operations: vec![operation],
        }
        .sign(&key)
    }

    /// One block with these transactions, certified by three of the four validators.
    pub fn block(&mut self, transactions: Vec<Transaction>) {
        let check = |transaction| semantic::check(transaction, self.tip.chain_id).unwrap();
        let checked = transactions.iter().cloned().map(check).collect();
        let made = Made {
            time: self.tip.time.plus_ms(1_000),
            proposer: secret(HOSPITALS[0], Role::Validator).public_key(),
        };
        let root = |writes: &Writes| {
            Ok(Hash(self.tree.prepare(&self.buckets, &Self::changes(writes)).unwrap().root()))
        };
        let block = chain::execute(&self.tip, &self.rows, made, checked, BLOCK_WORK_MAX, root).unwrap();
        self.apply(&block.writes);
        self.rows.transactions.extend(transactions.iter().map(Transaction::id));
        let certificate = certificate(&block.header, &HOSPITALS[..3]);
        self.blocks.push(Stored {
            block: CertifiedHeader { header: block.header, certificate },
            transactions,
            receipts: block.receipts,
        });
        self.tip = block.tip;
    }

    /// What the rules would say to a transaction in the next block, made in the time of this ledger.
    #[allow(dead_code, reason = "the client's tests try transactions out, those of proofs do not")]
    pub fn trial(&self, body: TransactionBody) -> Outcome {
        let (created, expires) = (self.tip.time, self.tip.time.plus_ms(600_000));
        let body = TransactionBody { created, expires, ..body };
        trial(&self.tip, &self.rows, self.tip.next_time_min(), body).unwrap()
    }

    #[allow(dead_code, reason = "the client's tests ask for blocks by height, those of proofs do not")]
    pub fn block_at(&self, height: u64) -> Option<CertifiedHeader> {
        let position = usize::try_from(height).ok()?.checked_sub(1)?;
        self.blocks.get(position).map(|stored| stored.block.clone())
    }

    pub fn tip_block(&self) -> CertifiedHeader {
        self.blocks.last().unwrap().block.clone()
    }

    /// Height, index and id of every transaction.
    pub fn transactions(&self) -> impl Iterator<Item = (usize, usize, TransactionId)> {
        self.blocks.iter().zip(1..).flat_map(|(block, height)| {
            block.transactions.iter().zip(0..).map(move |(entry, index)| (height, index, entry.id()))
        })
    }

    pub fn tip(&self) -> &Tip {
        &self.tip
    }

    pub fn transaction_proof(&self, height: usize, index: usize) -> TransactionProof {
        let Stored { block, transactions, receipts } = &self.blocks[height - 1];
        let leaf = |bytes: Vec<u8>| log::leaf_hash(&bytes);
        let transaction_leaves: Vec<_> =
            transactions.iter().map(|transaction| leaf(codec::encode(transaction))).collect();
        let receipt_leaves: Vec<_> = receipts.iter().map(|receipt| leaf(codec::encode(receipt))).collect();
        let prove =
            |leaves: &[[u8; 32]]| LogTree::from_leaf_hashes(leaves).prove_inclusion(index as u64).unwrap();
        TransactionProof {
            transaction: transactions[index].clone(),
            receipt: receipts[index].clone(),
            transaction_inclusion: prove(&transaction_leaves),
            receipt_inclusion: prove(&receipt_leaves),
            block: block.clone(),
        }
    }

    pub fn row(&self, key: &StateKey) -> ProvenRow {
        self.row_under(key.bytes())
    }

    pub fn row_under(&self, key: Vec<u8>) -> ProvenRow {
        let path = self.tree.prove(&self.buckets, &KeyHash::of(&key)).unwrap();
        ProvenRow { value: self.rows.rows.get(&key).cloned(), key, path }
    }

    pub fn state_proof(&self, key: &StateKey) -> StateProof {
        StateProof { row: self.row(key), block: self.tip_block() }
    }

    /// The stream from an entry on to its end.
    pub fn stream_proof(&self, stream: StreamId, from: usize) -> StreamProof {
        self.stream_part(stream, from, usize::MAX)
    }

    /// So many entries of the stream, or as many as there are.
    pub fn stream_part(&self, stream: StreamId, from: usize, count: usize) -> StreamProof {
        let read = |index| {
            let key = StateKey::StreamEntry(stream.clone(), index).bytes();
            let row = self.rows.rows.get(&key)?;
            Some(codec::decode::<Entry>(row, 1 << 10).unwrap())
        };
        let all: Vec<Entry> = (0..).map_while(read).collect();
        let end = from.saturating_add(count).min(all.len());
        let mut before = Frontier::new();
        all[..from].iter().for_each(|entry| before.append(entry.leaf_hash()).unwrap());
        let leaves: Vec<_> = all.iter().map(Entry::leaf_hash).collect();
        let tree = LogTree::from_leaf_hashes(&leaves);
        let path = (end > 0).then(|| tree.prove_consistency(end as u64).unwrap().path);
        StreamProof {
            head: self.row(&StateKey::StreamHead(stream.clone())),
            stream,
            before,
            entries: all[from..end].to_vec(),
            consistency: path.unwrap_or_default(),
            block: self.tip_block(),
        }
    }

    /// The receipts of all blocks up to a height, as leaves of the log.
    fn log_up_to(&self, height: usize) -> Vec<[u8; 32]> {
        let receipts = self.blocks[..height].iter().flat_map(|stored| &stored.receipts);
        receipts.map(|receipt| log::leaf_hash(&codec::encode(receipt))).collect()
    }

    /// A transaction in the log of the tip.
    pub fn inclusion_proof(&self, height: usize, index: usize) -> LogInclusionProof {
        let Stored { transactions, receipts, .. } = &self.blocks[height - 1];
        let leaf = self.log_up_to(height - 1).len() + index;
        let tree = LogTree::from_leaf_hashes(&self.log_up_to(self.blocks.len()));
        LogInclusionProof {
            transaction: transactions[index].clone(),
            receipt: receipts[index].clone(),
            inclusion: tree.prove_inclusion(leaf as u64).unwrap(),
            block: self.tip_block(),
        }
    }

    /// That the log of the tip begins with that of an earlier block.
    pub fn consistency_proof(&self, height: usize) -> LogConsistencyProof {
        let all = self.log_up_to(self.blocks.len());
        let old = self.log_up_to(height).len() as u64;
        let tree = LogTree::from_leaf_hashes(&all);
        LogConsistencyProof {
            earlier: self.blocks[height - 1].block.clone(),
            consistency: tree.prove_consistency(old).unwrap(),
            block: self.tip_block(),
        }
    }

    pub fn statement_proof(&self, agreement: AgreementId, period: u32) -> StatementProof {
        let row = &self.rows.rows[&StateKey::Statement(agreement, period).bytes()];
        StatementProof {
            statement: codec::decode(row, 1 << 20).unwrap(),
            closed_period: self.row(&StateKey::ClosedPeriod(agreement, period)),
            agreement_row: self.row(&StateKey::Agreement(agreement)),
            block: self.tip_block(),
        }
    }
}

/// What the day left behind.
pub struct Day {
    pub ledger: Ledger,
    pub grant: GrantId,
    pub agreement: AgreementId,
}

fn grant(ledger: &Ledger) -> Operation {
    Operation::GrantAccess(GrantAccess {
        subject: *SUBJECT,
        grantee: institution("renhe-hospital"),
        scope: AccessScope {
            categories: BTreeSet::from([Category::Laboratory]),
            highest_sensitivity: Sensitivity::N,
            purposes: BTreeSet::from([Purpose::Treat]),
        },
        window: Window { starts: ledger.tip.time, expires: ledger.tip.time.plus_ms(3_600_000) },
        consent: Commitment([1; 32]),
    })
}

fn disclosure(grant: GrantId, category: Category) -> Operation {
    Operation::RecordDisclosure(RecordDisclosure {
        subject: *SUBJECT,
        recipient: institution("renhe-hospital"),
        category,
        sensitivity: Sensitivity::N,
        purpose: Purpose::Treat,
        content: Commitment([2; 32]),
        decision: Decision::Permit { grant },
        acting_person: None,
        origin: None,
    })
}

fn terms() -> Terms {
    let frame = Frame {
        currency: Currency::CNY,
        services: BTreeSet::from([ServiceCode::new("teleconsultation").unwrap()]),
        payer: institution("qinghe-hospital"),
    };
    fixed_price(&frame, &[institution("renhe-hospital")], PartRole::Expert, AmountMinor(18_000)).unwrap()
}

fn service(number: u8) -> Operation {
    Operation::DeliverService(DeliverService {
        service: ServiceCode::new("teleconsultation").unwrap(),
        performed: Window::day_of(LedgerTime(0)),
        parts: vec![PlayedPart { role: PartRole::Expert, institution: institution("renhe-hospital") }],
        payer: institution("qinghe-hospital"),
        gross_minor: AmountMinor(18_000),
        currency: Currency::CNY,
        evidence: Commitment([number; 32]),
    })
}

impl Day {
    pub fn play() -> Self {
        let mut ledger = Ledger::new();
        let operation = grant(&ledger);
        let given = ledger.sign("qinghe-hospital", operation);
        let grant = GrantId(given.object_id(0).unwrap());
        let consortium = ConsortiumId::new("alliance").unwrap();
        let window = Window { starts: ledger.tip.time, expires: ledger.tip.time.plus_ms(3_600_000) };
        let schedule = Schedule::OnDemand;
        let proposal = ProposeAgreement { consortium, terms: terms(), window, schedule };
        let proposed = ledger.sign("renhe-hospital", Operation::ProposeAgreement(proposal));
        let agreement = AgreementId(proposed.object_id(0).unwrap());
        ledger.block(vec![given, proposed]);
        let terms_hash = codec::hash(Domain::Terms, &terms());
        let signed = SignAgreement { agreement, terms_hash };
        let signed = ledger.sign("qinghe-hospital", Operation::SignAgreement(signed));
        ledger.block(vec![signed]);
        let mut transactions = vec![
            ledger.sign("qinghe-hospital", disclosure(grant, Category::Laboratory)),
            ledger.sign("qinghe-hospital", disclosure(grant, Category::Genomic)),
        ];
        for number in 10..13 {
            transactions.push(ledger.sign("renhe-hospital", service(number)));
        }
        ledger.block(transactions);
        let close =
            ledger.sign("qinghe-hospital", Operation::ClosePeriod(ClosePeriod { agreement, period: 0 }));
        ledger.block(vec![close]);
        Self { ledger, grant, agreement }
    }

    /// A proof of every kind.
    pub fn documents(&self) -> Vec<ProofDocument> {
        let Self { ledger, grant, agreement } = self;
        let absent = StateKey::Grant(GrantId([9; 32]));
        vec![
            ledger.transaction_proof(1, 0).into(),
            ledger.transaction_proof(3, 1).into(),
            ledger.transaction_proof(3, 4).into(),
            ledger.state_proof(&StateKey::Grant(*grant)).into(),
            ledger.state_proof(&absent).into(),
            ledger.stream_proof(StreamId::Subject(*SUBJECT), 0).into(),
            ledger.stream_proof(StreamId::Institution(institution("renhe-hospital")), 3).into(),
            ledger.stream_proof(StreamId::Subject(SubjectTag([8; 32])), 0).into(),
            ledger.statement_proof(*agreement, 0).into(),
            ledger.stream_part(StreamId::Institution(institution("renhe-hospital")), 2, 3).into(),
            ledger.inclusion_proof(3, 1).into(),
            ledger.consistency_proof(2).into(),
        ]
    }
}
