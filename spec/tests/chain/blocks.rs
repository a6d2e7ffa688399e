//! Rules B-10 to B-15: every way in which a received block is not the next one.

use yilian_spec::base::codec::{self, DecodeError};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId, Hash};
use yilian_spec::base::limits;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::Signature;
use yilian_spec::domain::membership::Role;
use yilian_spec::ledger::block::Block;
use yilian_spec::ledger::chain::{self, BlockError, Expectation, Made};
use yilian_spec::ledger::received::ReceivedBlock;
use yilian_spec::ledger::validation::contextual::ContextualError;
use yilian_spec::ledger::validation::semantic::SemanticError;

use crate::support::{CATCHING_UP, build, proposer, transactions, travelling, validate, validate_received};
use crate::world::{COUNTY, REGULATOR, Unreadable, World, secret};

fn block(world: &mut World) -> Block {
    let transactions = transactions(world);
    travelling(&build(world, transactions))
}

/// The refusal after one change of a block that is in order.
fn refusal(change: impl FnOnce(&mut Block)) -> BlockError {
    let mut world = World::new();
    let mut block = block(&mut world);
    assert!(validate(&world, block.clone(), CATCHING_UP).is_ok());
    change(&mut block);
    validate(&world, block, CATCHING_UP).expect_err("the block breaks a rule")
}

#[test]
fn rule_b10_the_header_continues_the_tip() {
    let errors = [
        refusal(|block| block.header.version = 1),
        refusal(|block| block.header.chain_id = ChainId([9; 32])),
        refusal(|block| block.header.height = Height(2)),
        refusal(|block| block.header.previous = BlockId([9; 32])),
    ];
    assert!(errors.iter().all(|error| *error == BlockError::NotTheNext), "{errors:?}");
}

#[test]
fn rule_b11_time_rises_and_does_not_run_ahead() {
    let previous = World::new().time();
    for found in [previous, previous.minus_ms(1)] {
        let error = refusal(|block| block.header.time = found);
        assert_eq!(error, BlockError::Time { found, previous });
    }
    let mut world = World::new();
    let block = block(&mut world);
    let time = block.header.time;
    let by = |clock: LedgerTime| {
        validate(&world, block.clone(), Expectation { proposer: None, clock: Some(clock) }).map(drop)
    };
    let latest = time.minus_ms(limits::BLOCK_TIME_AHEAD_MS_MAX);
    assert_eq!(by(latest), Ok(()));
    let previous = world.tip.time;
    assert_eq!(by(latest.minus_ms(1)), Err(BlockError::Time { found: time, previous }));
}

#[test]
fn rule_b11_a_clock_that_is_behind_the_ledger_does_not_stop_it() {
    let world = World::new();
    let time = world.tip.next_time_min();
    let root_of = |writes: &_| world.rows.root_after(writes);
    let made = Made { time, proposer: proposer() };
    let next =
        chain::execute(&world.tip, &world.rows, made, vec![], limits::BLOCK_WORK_MAX, root_of).unwrap();
    let expectation = Expectation { proposer: None, clock: Some(LedgerTime(0)) };
    assert!(validate(&world, travelling(&next), expectation).is_ok());
}

#[test]
fn rule_b12_the_proposer_is_the_validator_of_the_round() {
    let stranger = secret(REGULATOR, Role::Validator).public_key();
    assert_eq!(refusal(|block| block.header.proposer = stranger), BlockError::Proposer);
    let mut world = World::new();
    let block = block(&mut world);
    let by = |chosen| {
        let expectation = Expectation { proposer: Some(chosen), clock: None };
        validate(&world, block.clone(), expectation).map(drop)
    };
    assert_eq!(by(proposer()), Ok(()));
    assert_eq!(by(secret(COUNTY, Role::Validator).public_key()), Err(BlockError::Proposer));
}

#[test]
fn rule_b13_a_block_is_within_the_parameters() {
    let mut world = World::new();
    let block = block(&mut world);
    let bytes = block.transactions.iter().map(|entry| yilian_spec::base::codec::encode(entry).len()).sum();
    let too_large = Err(BlockError::TooLarge { count: 4, bytes });
    world.tip.parameters.block_transactions_max = 3;
    assert_eq!(validate(&world, block.clone(), CATCHING_UP).map(drop), too_large);
    world.tip.parameters.block_transactions_max = 4;
    world.tip.parameters.block_bytes_max = u32::try_from(bytes).unwrap() - 1;
    assert_eq!(validate(&world, block.clone(), CATCHING_UP).map(drop), too_large);
    world.tip.parameters.block_bytes_max += 1;
    assert!(validate(&world, block, CATCHING_UP).is_ok());
}

#[test]
fn rule_b14_every_transaction_is_valid_and_in_its_place() {
    let forged = refusal(|block| block.transactions[2].signature = Signature::Ed25519([0; 64]));
    assert_eq!(forged, BlockError::Semantic { index: 2, reason: SemanticError::BadSignature });
    let twice = refusal(|block| {
        let again = block.transactions[0].clone();
        block.transactions.push(again);
    });
    assert_eq!(twice, BlockError::Contextual { index: 4, reason: ContextualError::Repeated });
    let mut world = World::new();
    let block = block(&mut world);
    let executed = validate(&world, block.clone(), CATCHING_UP).unwrap();
    world.commit(executed);
    let again = build(&world, vec![]);
    let replayed = Block { header: again.header, transactions: vec![block.transactions[1].clone()] };
    let error = validate(&world, replayed, CATCHING_UP).unwrap_err();
    assert_eq!(error, BlockError::Contextual { index: 0, reason: ContextualError::Repeated });
}

#[test]
fn rule_b15_each_result_in_the_header_is_computed_again() {
    let other = Hash([9; 32]);
    let fields = [
        ("transaction_count", refusal(|block| block.header.transaction_count += 1)),
        ("transactions_root", refusal(|block| block.header.transactions_root = other)),
        ("receipts_root", refusal(|block| block.header.receipts_root = other)),
        ("log_size", refusal(|block| block.header.log_size += 1)),
        ("log_root", refusal(|block| block.header.log_root = other)),
        ("state_root", refusal(|block| block.header.state_root = other)),
        ("validators_hash", refusal(|block| block.header.validators_hash = other)),
        ("next_validators_hash", refusal(|block| block.header.next_validators_hash = other)),
    ];
    for (field, error) in fields {
        assert_eq!(error, BlockError::HeaderMismatch { field });
    }
}

#[test]
fn rule_b15_transactions_that_are_left_out_added_or_swapped_show() {
    let fewer = refusal(|block| drop(block.transactions.pop()));
    assert_eq!(fewer, BlockError::HeaderMismatch { field: "transaction_count" });
    let swapped = refusal(|block| block.transactions.swap(0, 1));
    assert_eq!(swapped, BlockError::HeaderMismatch { field: "transactions_root" });
}

#[test]
fn a_state_that_cannot_be_read_says_nothing_about_the_block() {
    let mut world = World::new();
    let block = block(&mut world);
    let failing = |_: &_| Err(Unreadable::error());
    let block = ReceivedBlock::from(block).check(world.tip.chain_id);
    let found = chain::validate(&world.tip, &world.rows, block, CATCHING_UP, failing);
    assert_eq!(found.map(drop), Err(BlockError::View(Unreadable::error())));
}

#[test]
fn a_row_that_cannot_be_read_while_transactions_are_checked_says_nothing_about_the_block() {
    let mut world = World::new();
    let block = ReceivedBlock::from(block(&mut world)).check(world.tip.chain_id);
    let found = chain::validate(&world.tip, &Unreadable, block, CATCHING_UP, |_| Ok(Hash::default()));
    assert_eq!(found.map(drop), Err(BlockError::View(Unreadable::error())));
}

#[test]
fn a_transaction_checked_before_counts_only_if_it_is_the_same_in_every_byte() {
    let mut world = World::new();
    let executed = {
        let transactions = transactions(&mut world);
        build(&world, transactions)
    };
    let block = travelling(&executed);
    let cache = |id| executed.transactions.iter().find(|entry| entry.id() == id).cloned();
    let received = |block: &Block| ReceivedBlock::decode(&codec::encode(block), usize::MAX, cache).unwrap();
    let cached = validate_received(&world, received(&block), CATCHING_UP).unwrap();
    let uncached = validate(&world, block.clone(), CATCHING_UP).unwrap();
    assert_eq!(cached.header, uncached.header);
    assert_eq!((cached.receipts, cached.writes), (uncached.receipts, uncached.writes));
    // The same id under another signature: the cache knows the id, and must not vouch for it.
    let mut forged = block;
    forged.transactions[1].signature = Signature::Ed25519([7; 64]);
    assert_eq!(forged.transactions[1].id(), executed.transactions[1].id());
    let error = validate_received(&world, received(&forged), CATCHING_UP).unwrap_err();
    assert_eq!(error, BlockError::Semantic { index: 1, reason: SemanticError::BadSignature });
}

/// Rule B-17.
#[test]
fn an_altered_body_is_told_from_a_block_that_breaks_the_rules() {
    let mut world = World::new();
    let good = block(&mut world);
    let named = |block: &Block| {
        let bytes = codec::encode(block);
        let read = ReceivedBlock::decode(&bytes, usize::MAX, |_| None).unwrap();
        assert_eq!(read, ReceivedBlock::from(block.clone()), "both readers see one body");
        read.has_the_body_of_its_header()
    };
    assert!(good.transactions.len() > 1 && named(&good));
    let altered = |alter: fn(&mut Block)| {
        let mut block = good.clone();
        alter(&mut block);
        block
    };
    assert!(
        !named(&altered(|block| block.transactions[1].signature = Signature::Ed25519([7; 64]))),
        "another signature"
    );
    assert!(!named(&altered(|block| block.transactions.swap(0, 1))), "another order");
    assert!(!named(&altered(|block| drop(block.transactions.pop()))), "one left out");
    assert!(!named(&altered(|block| block.transactions.clear())), "all left out");
    assert!(!named(&altered(|block| block.transactions.push(block.transactions[0].clone()))), "one twice");
    assert!(!named(&altered(|block| block.header.transaction_count += 1)), "another count");
    assert!(
        named(&altered(|block| block.header.state_root.0[0] ^= 1)),
        "the proposer's own lie is part of the block"
    );
}

#[test]
fn a_received_block_decodes_as_strictly_as_any_value() {
    let mut world = World::new();
    let block = block(&mut world);
    let bytes = codec::encode(&block);
    let decode = |bytes: &[u8], limit| ReceivedBlock::decode(bytes, limit, |_| None);
    assert_eq!(decode(&bytes, bytes.len()), Ok(ReceivedBlock::from(block)));
    let too_long = DecodeError::TooLong { length: bytes.len(), limit: bytes.len() - 1 };
    assert_eq!(decode(&bytes, bytes.len() - 1), Err(too_long));
    for length in 0..bytes.len() {
        let strict = codec::decode::<Block>(&bytes[..length], usize::MAX).unwrap_err();
        let found = decode(&bytes[..length], usize::MAX).unwrap_err();
        assert!(
            matches!((&strict, &found), (DecodeError::Malformed(_), DecodeError::Malformed(_))),
            "{found}"
        );
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(decode(&longer, usize::MAX), Err(DecodeError::Malformed(_))));
}
