//! How many transactions a second `yilian-node check` reads: makes a ledger of four validators, whose gateways grant access,
//! and audits it.
//!
//! `cargo bench -p yilian-node --bench audit -- [TRANSACTIONS [PER_BLOCK [DIRECTORY]]]`; small by default. A directory is kept,
//! and read again if it holds a ledger.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use yilian_node::application::ledger::{Ledger, LedgerOptions};
use yilian_node::application::{Application, UndecidedBlock};
use yilian_node::base::clock::{Clock, ManualClock};
use yilian_node::mempool::Mempool;
use yilian_node::mempool::pool::PoolBounds;
use yilian_node::storage::{StorageOptions, Store, audit};
use yilian_spec::base::id::{Commitment, InstitutionId, SubjectTag};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{AccessScope, Category, GrantAccess, Purpose, Sensitivity};
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::domain::membership::{Institution, InstitutionKind, Role, Tier};
use yilian_spec::domain::parameters::Parameters;
use yilian_spec::ledger::block::{CommitCertificate, CommitSignature, precommit_signing_bytes};
use yilian_spec::ledger::genesis::{Genesis, GenesisInstitution, GenesisKey};
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};

const START_MS: u64 = 1_790_000_000_000;
const DAY_MS: u64 = 86_400_000;
const MEMBERS: [&str; 4] = ["bench-one", "bench-two", "bench-three", "bench-four"];

fn member(position: usize) -> InstitutionId {
    InstitutionId::new(MEMBERS[position % MEMBERS.len()]).expect("the names are well formed")
}

fn secret(position: usize, role: Role) -> SecretKey {
    SecretKey::from_seed(&[(16 * (position % MEMBERS.len()) + role as usize + 1) as u8; 32])
}

fn genesis() -> Genesis {
    let window =
        Window { starts: LedgerTime(START_MS - DAY_MS), expires: LedgerTime(START_MS + 400 * DAY_MS) };
    let institution = |position| GenesisInstitution {
        institution: Institution {
            id: member(position),
            name: MEMBERS[position].to_owned(),
            kind: InstitutionKind::Hospital,
            tier: Some(Tier::County),
            consortia: BTreeSet::new(),
        },
        keys: [Role::Validator, Role::Administrator, Role::AccessGateway, Role::Node]
            .map(|role| GenesisKey { key: secret(position, role).public_key(), role, window })
            .to_vec(),
    };
    let mut institutions: Vec<GenesisInstitution> = (0..MEMBERS.len()).map(institution).collect();
    institutions.sort_by(|one, other| one.institution.id.cmp(&other.institution.id));
    let validator = |position| Validator {
        key: secret(position, Role::Validator).public_key(),
        institution: member(position),
        power: 1,
    };
    Genesis {
        network: "bench".to_owned(),
        time: LedgerTime(START_MS - 1_000),
        parameters: Parameters { quota_work_per_s: 1_000_000, ..Parameters::default() },
        institutions,
        validators: ValidatorSet::new((0..MEMBERS.len()).map(validator).collect()),
    }
}

/// The transaction of a number: one in four is about a subject that the ledger does not know yet.
fn transaction(genesis: &Genesis, number: u64, now_ms: u64) -> Transaction {
    let position = number as usize % MEMBERS.len();
    let subject = number - 4 * (number / 4 % 4);
    let mut tag = [0; 16];
    tag[..8].copy_from_slice(&subject.to_le_bytes());
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    let key = secret(position, Role::AccessGateway);
    let now = LedgerTime(now_ms);
    let grant = GrantAccess {
        subject: SubjectTag::of(&member(position), tag),
        grantee: member(position + 1),
        scope: AccessScope {
            categories: BTreeSet::from([Category::Laboratory]),
            highest_sensitivity: Sensitivity::N,
            purposes: BTreeSet::from([Purpose::Treat]),
        },
        window: Window { starts: now, expires: now.plus_ms(DAY_MS) },
        consent: Commitment([7; 32]),
    };
    let body = TransactionBody {
        chain_id: genesis.chain_id(),
        author: key.public_key(),
        institution: member(position),
        created: now,
        expires: now.plus_ms(60_000),
        nonce,
        operations: vec![Operation::GrantAccess(grant)],
    };
    body.sign(&key)
}

/// Makes blocks of `per_block` transactions until there are `transactions`.
fn fill(directory: &Path, transactions: u64, per_block: u64) -> Result<()> {
    let genesis = genesis();
    genesis.check()?;
    let store = Arc::new(Store::open_or_create(directory, &genesis, StorageOptions::default())?);
    let proposer = secret(0, Role::Validator).public_key();
    let mut ledger =
        Ledger::open(store, LedgerOptions { proposer: Some(proposer), ..LedgerOptions::default() })?;
    let clock = Arc::new(ManualClock::at(START_MS));
    let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let (mempool, _) = Mempool::new(ledger.reader(), shared, ledger.timings(), PoolBounds::default());
    ledger.set_source(mempool.clone());
    let mut made = 0;
    while made < transactions {
        clock.advance(1_000);
        let block = (made..transactions.min(made + per_block))
            .map(|number| transaction(&genesis, number, clock.now_ms()))
            .collect();
        for verdict in mempool.submit_now(block) {
            verdict.context("the mempool takes it")?;
        }
        let height = ledger.tip().height.next();
        let built = ledger.build(height, 0, clock.now_ms())?;
        ledger.remember(UndecidedBlock {
            height,
            round: 0,
            valid_round: None,
            proposer,
            block_id: built.block_id,
            bytes: built.bytes,
        })?;
        let bytes = precommit_signing_bytes(genesis.chain_id(), height, 0, built.block_id);
        let mut signatures: Vec<CommitSignature> = (0..MEMBERS.len())
            .map(|position| secret(position, Role::Validator))
            .map(|key| CommitSignature { validator: key.public_key(), signature: key.sign(&bytes) })
            .collect();
        signatures.sort();
        ledger.commit(&CommitCertificate { height, round: 0, block_id: built.block_id, signatures })?;
        let grown = ledger.tip().log.length();
        ensure!(grown > made, "a block took no transaction");
        made = grown;
    }
    mempool.stop();
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |text| text.parse::<u64>());
    let (transactions, per_block) = (number(0, 2_000)?, number(1, 250)?);
    let scratch = tempfile::tempdir()?;
    let directory = arguments.get(2).map_or_else(|| scratch.path().join("ledger"), PathBuf::from);
    if !directory.join("CURRENT").exists() {
        fill(&directory, transactions, per_block)?;
    }
    let began = Instant::now();
    let report = audit::check(&directory, |_, _| {})?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(report.is_clean(), "{:?}", report.findings);
    println!("blocks                   {}", report.height);
    println!("transactions             {}", report.transactions);
    println!("read and executed        {:.0} transactions a second", report.transactions as f64 / seconds);
    println!("state root               {}", report.state_root);
    Ok(())
}
