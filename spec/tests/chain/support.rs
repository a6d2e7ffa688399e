//! Builds and checks blocks of a small ledger with a real state tree.

use yilian_spec::base::limits::BLOCK_WORK_MAX;
use yilian_spec::base::time::Window;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::GrantAccess;
use yilian_spec::domain::referral::PublishCapacity;
use yilian_spec::ledger::block::Block;
use yilian_spec::ledger::chain::{self, BlockError, ExecutedBlock, Expectation, Made};
use yilian_spec::ledger::received::ReceivedBlock;
use yilian_spec::ledger::transaction::{CheckedTransaction, Transaction};
use yilian_spec::ledger::validation::semantic;

use crate::world::{
    COUNTY, DAY_MS, TEACHING, World, commitment, institution, scope, secret, service_code, subject,
};

/// What a node knows while it catches up.
pub const CATCHING_UP: Expectation = Expectation { proposer: None, clock: None };

/// The validator whose turn the first block is.
pub fn proposer() -> PublicKey {
    World::new().tip.turn()
}

/// A grant, a publication, one that the rules refuse, and another grant.
pub fn transactions(world: &mut World) -> Vec<Transaction> {
    let window = Window { starts: world.time(), expires: world.time().plus_ms(DAY_MS) };
    let grant = |number| {
        Operation::GrantAccess(GrantAccess {
            subject: subject(number),
            grantee: institution(TEACHING),
            scope: scope(),
            window,
            consent: commitment(1),
        })
    };
    let publish =
        |slots| Operation::PublishCapacity(PublishCapacity { service: service_code("cardiology"), slots });
    let mut signed = |operations: Vec<Operation>| {
        let author = secret(COUNTY, operations[0].role());
        world.body(COUNTY, &author, operations).sign(&author)
    };
    vec![
        signed(vec![grant(1), grant(2)]),
        signed(vec![publish(5)]),
        signed(vec![publish(6), publish(u32::MAX)]),
        signed(vec![grant(3)]),
    ]
}

/// Executes transactions as the next block.
pub fn build(world: &World, transactions: Vec<Transaction>) -> ExecutedBlock {
    let time = world.time().plus_ms(1_000);
    let checked = semantic::check_many(transactions, world.tip.chain_id)
        .into_iter()
        .collect::<Result<Vec<CheckedTransaction>, _>>()
        .unwrap();
    let made = Made { time, proposer: world.tip.turn() };
    let root_of = |writes: &_| world.rows.root_after(writes);
    chain::execute(&world.tip, &world.rows, made, checked, BLOCK_WORK_MAX, root_of).unwrap()
}

/// The block as it travels.
pub fn travelling(executed: &ExecutedBlock) -> Block {
    Block {
        header: executed.header.clone(),
        transactions: executed.transactions.iter().map(|entry| entry.transaction().clone()).collect(),
    }
}

pub fn validate(world: &World, block: Block, expectation: Expectation) -> Result<ExecutedBlock, BlockError> {
    validate_received(world, block.into(), expectation)
}

/// Checks a block of which some transactions may have been checked before.
pub fn validate_received(
    world: &World,
    block: ReceivedBlock,
    expectation: Expectation,
) -> Result<ExecutedBlock, BlockError> {
    let root_of = |writes: &_| world.rows.root_after(writes);
    let block = block.check(world.tip.chain_id);
    chain::validate(&world.tip, &world.rows, block, expectation, root_of)
}
