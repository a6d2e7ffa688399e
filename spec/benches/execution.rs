//! Cost of executing disclosures, state in memory. Prints microseconds per operation, and the hash of the last
//! receipt, which must be the same on every machine for the same arguments.
//!
//! `cargo bench -p yilian-spec --bench execution -- [TRANSACTIONS [OPERATIONS [BLOCKS]]]`; small by default.

use std::time::{Duration, Instant};

#[path = "../tests/support/world.rs"]
#[allow(dead_code, missing_docs, clippy::unwrap_used)]
mod world;

use world::{COUNTY, DAY_MS, TEACHING, World, commitment, institution, scope};
use yilian_spec::base::codec;
use yilian_spec::base::id::{Commitment, GrantId, SubjectTag};
use yilian_spec::base::time::Window;
use yilian_spec::base::version::ProtocolVersion;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{Category, Decision, GrantAccess, Purpose, RecordDisclosure, Sensitivity};
use yilian_spec::domain::membership::Role;
use yilian_spec::ledger::machine::{self, BlockContext};
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::{CheckedTransaction, TransactionBody};
use yilian_spec::ledger::validation::semantic;

/// Grants that the disclosures go round.
const GRANTS: usize = 100;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let mut next = |default: usize| numbers.next().unwrap_or(default);
    let (transactions, operations, blocks) = (next(20), next(10), next(2));
    let mut world = World::new();
    let grants = grants(&mut world);
    let mut fastest = Duration::MAX;
    let mut last = None;
    for block in 0..blocks {
        let list: Vec<CheckedTransaction> = (0..transactions)
            .map(|number| disclosures(&world, &grants, block * transactions + number, operations))
            .collect();
        let context = BlockContext {
            chain_id: world.tip.chain_id,
            height: world.tip.height.next(),
            version: ProtocolVersion::LATEST,
            time: world.tip.next_time_min(),
        };
        let began = Instant::now();
        let executed = machine::execute(&world.rows, &context, &list, u64::MAX).expect("memory can be read");
        fastest = fastest.min(began.elapsed());
        assert!(executed.receipts.iter().all(|receipt| receipt.outcome == Outcome::Applied));
        last = executed.receipts.last().cloned();
        world.apply(&executed.writes);
    }
    let each = fastest.as_secs_f64() * 1e6 / (transactions * operations) as f64;
    println!(
        "{transactions} transactions of {operations} disclosures: {each:.2} us per operation (fastest block of {blocks})"
    );
    println!("last receipt {:?}", last.map(|receipt| codec::hash(codec::Domain::Effects, &receipt)));
}

/// Grants of the teaching hospital to the county hospital.
fn grants(world: &mut World) -> Vec<(SubjectTag, GrantId)> {
    let window = Window { starts: world.time(), expires: world.time().plus_ms(DAY_MS) };
    let subjects: Vec<SubjectTag> =
        (0..GRANTS).map(|number| SubjectTag::of(&institution(TEACHING), filled(number))).collect();
    let operation = |subject: &SubjectTag| {
        Operation::GrantAccess(GrantAccess {
            grantee: institution(COUNTY),
            subject: *subject,
            scope: scope(),
            window,
            consent: commitment(1),
        })
    };
    let operations: Vec<Operation> = subjects.iter().map(operation).collect();
    let (id, outcome) = world.submit(TEACHING, operations.clone());
    assert_eq!(outcome, Outcome::Applied);
    let grants =
        operations.iter().zip(0u16..).map(|(operation, index)| GrantId(operation.object_id(id, index)));
    subjects.into_iter().zip(grants).collect()
}

/// A transaction of disclosures, under one grant after the other.
fn disclosures(
    world: &World,
    grants: &[(SubjectTag, GrantId)],
    number: usize,
    operations: usize,
) -> CheckedTransaction {
    let gateway = world::secret(TEACHING, Role::AccessGateway);
    let operation = |index: usize| {
        let (subject, grant) = grants[(number * operations + index) % grants.len()];
        Operation::RecordDisclosure(RecordDisclosure {
            subject,
            recipient: institution(COUNTY),
            category: Category::Laboratory,
            sensitivity: Sensitivity::N,
            purpose: Purpose::Treat,
            content: Commitment(filled(number * operations + index)),
            decision: Decision::Permit { grant },
            acting_person: None,
            origin: None,
        })
    };
    let body = TransactionBody {
        chain_id: world.tip.chain_id,
        author: gateway.public_key(),
        institution: institution(TEACHING),
        created: world.time(),
        expires: world.time().plus_ms(DAY_MS / 24),
        nonce: (number as u128).to_le_bytes(),
        operations: (0..operations).map(operation).collect(),
    };
    semantic::check(body.sign(&gateway), world.tip.chain_id).expect("the transaction is well formed")
}

/// 32 bytes that differ for every number, as random ones do.
fn filled<const N: usize>(number: usize) -> [u8; N] {
    let hash = codec::hash_bytes(codec::Domain::Object, &number.to_le_bytes());
    hash.0[..N].try_into().expect("no more bytes than a hash has")
}
