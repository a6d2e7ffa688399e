//! Bytes as a play: blocks of operations of several institutions on one small ledger, with oracles beside it.
//!
//! The ledger is that of the specification's own tests. After each block: building it twice gives the same bytes, a
//! validator's check gives what the builder got, and a block of refused transactions wrote nothing but entries of
//! streams. At the end: streams are complete, and what is counted or owed is what the rows say ([`oracles`]).

mod operations;
mod oracles;
pub mod script;
#[allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::new_without_default,
    reason = "written for the tests of the specification"
)]
#[path = "../../../../spec/tests/support/world.rs"]
pub mod world;

use yilian_spec::base::id::{Hash, InstitutionId};
use yilian_spec::base::{codec, limits};
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::Role;
use yilian_spec::ledger::block::Block;
use yilian_spec::ledger::chain::{self, ExecutedBlock, Expectation, Made};
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::received::ReceivedBlock;
use yilian_spec::ledger::transaction::{CheckedTransaction, Transaction, TransactionBody};
use yilian_spec::ledger::validation::{contextual, semantic, structural};

use super::input::Input;
use operations::Known;
use world::{DAY_MS, World, secret};

/// Blocks of a play.
const BLOCKS_MAX: usize = 40;

/// Who acts; the last is nobody that the ledger knows.
const ACTORS: [&str; 6] =
    [world::TEACHING, world::COUNTY, world::TOWNSHIP, world::INSURER, world::REGULATOR, "nobody"];

struct Play {
    world: World,
    known: Known,
    nonce: u128,
    played: Played,
}

/// What came of a play.
#[derive(Debug, Default)]
pub struct Played {
    /// Transactions that took effect.
    pub applied: usize,
    /// Transactions that the rules refused.
    pub refused: usize,
    /// All that were signed.
    pub transactions: Vec<Transaction>,
}

/// Plays an input.
pub fn run(bytes: &[u8]) {
    play(bytes);
}

/// Plays an input.
///
/// # Panics
/// When an oracle disagrees.
pub fn play(bytes: &[u8]) -> Played {
    let mut input = Input::new(bytes);
    let mut play = Play { world: World::new(), known: Known::default(), nonce: 0, played: Played::default() };
    for _ in 0..BLOCKS_MAX {
        if input.is_empty() {
            break;
        }
        for outcome in play.block(&mut input) {
            match outcome {
                Outcome::Applied => play.played.applied += 1,
                Outcome::Refused { .. } => play.played.refused += 1,
            }
        }
    }
    oracles::assert_consistent(&play.world.rows.rows);
    play.played
}

impl Play {
    fn block(&mut self, input: &mut Input<'_>) -> Vec<Outcome> {
        let pause_ms = match input.byte() {
            byte @ 0..200 => u64::from(byte),
            byte @ 200..240 => u64::from(byte - 199) * DAY_MS / 24,
            byte => u64::from(byte - 239) * 10 * DAY_MS,
        };
        self.world.pass(pause_ms);
        let count = 1 + usize::from(input.one_in(4)) + usize::from(input.one_in(16));
        let transactions: Vec<Transaction> = (0..count).map(|_| self.transaction(input)).collect();
        let time = self.world.time().plus_ms(1 + u64::from(input.byte()));
        let version = self.world.tip.next_version().expect("the genesis lists versions that exist");
        let mut checked: Vec<CheckedTransaction> = Vec::new();
        for transaction in transactions {
            let encoded = codec::encode(&transaction);
            match semantic::check(transaction.clone(), self.world.tip.chain_id) {
                Err(_) => continue,
                Ok(passed) => {
                    assert!(structural::decode(&encoded).is_ok_and(|again| again == transaction));
                    let is_new = checked.iter().all(|other| other.id() != passed.id());
                    if is_new && contextual::check(&passed, &self.world.rows, version, time).is_ok() {
                        checked.push(passed);
                    }
                }
            }
        }
        let executed = self.execute(checked, time);
        let outcomes: Vec<Outcome> = executed.receipts.iter().map(|receipt| receipt.outcome).collect();
        if !outcomes.contains(&Outcome::Applied) {
            oracles::assert_only_streams(&executed.writes);
        }
        self.world.commit(executed);
        outcomes
    }

    /// Builds the block twice and validates it as another node would: all three must be one.
    fn execute(
        &self,
        transactions: Vec<CheckedTransaction>,
        time: yilian_spec::base::time::LedgerTime,
    ) -> ExecutedBlock {
        let World { rows, tip, .. } = &self.world;
        let proposer = tip.turn();
        let made = Made { time, proposer };
        let build = || {
            chain::execute(tip, rows, made, transactions.clone(), limits::BLOCK_WORK_MAX, |_| {
                Ok(Hash::default())
            })
            .expect("rows in memory can be read, and the machine finds in them what it wrote")
        };
        let (first, second) = (build(), build());
        assert!(first.header == second.header && first.writes == second.writes, "two executions differ");
        assert!(first.receipts == second.receipts && first.log_nodes == second.log_nodes);
        let block = Block {
            header: first.header.clone(),
            transactions: transactions.iter().map(|entry| entry.transaction().clone()).collect(),
        };
        let encoded = codec::encode(&block);
        let known = |id| transactions.iter().find(|entry| entry.id() == id).cloned();
        let block = ReceivedBlock::decode(&encoded, limits::BLOCK_BYTES_MAX, known)
            .expect("a block that was built decodes")
            .check(tip.chain_id);
        let expectation = Expectation { proposer: Some(proposer), clock: None };
        let validated = chain::validate(tip, rows, block, expectation, |_| Ok(Hash::default()));
        match validated {
            Ok(validated) => assert!(validated.writes == first.writes, "a validator writes other rows"),
            Err(error) => panic!("a validator refuses what the proposer built: {error}"),
        }
        first
    }

    /// A signed transaction, mostly by whom its first operation asks for.
    fn transaction(&mut self, input: &mut Input<'_>) -> Transaction {
        let actor = input.of(&ACTORS);
        let count = if input.one_in(3) { 1 + input.position(4) } else { 1 };
        let time = self.world.time();
        let chain_id = self.world.tip.chain_id;
        let operations: Vec<Operation> =
            (0..count).map(|_| self.known.operation(input, actor, time, chain_id)).collect();
        let role = if input.one_in(24) { input.of(&Role::ALL) } else { operations[0].role() };
        let signer = if input.one_in(24) { input.of(&ACTORS) } else { actor };
        let author = secret(signer, role);
        self.nonce += 1;
        let body = TransactionBody {
            chain_id,
            author: author.public_key(),
            institution: InstitutionId::new(actor).expect("the actors' names are well-formed"),
            created: time,
            expires: time.plus_ms(600_000),
            nonce: self.nonce.to_le_bytes(),
            operations,
        };
        let transaction = body.sign(&author);
        let id = transaction.id();
        for (index, operation) in (0u16..).zip(&transaction.body.operations) {
            self.known.remember(operation, operation.object_id(id, index));
        }
        self.played.transactions.push(transaction.clone());
        transaction
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::seeds;

    #[test]
    fn the_seeds_reach_what_they_are_for() {
        let (mut applied, mut refused) = (0, 0);
        for bytes in seeds::plays() {
            let played = play(&bytes);
            println!("{} applied, {} refused", played.applied, played.refused);
            applied += played.applied;
            refused += played.refused;
        }
        assert!(applied > 35, "the plays apply only {applied} transactions");
        assert!(refused > 20, "the plays refuse only {refused} transactions");
    }
}
