//! Blocks by the work that they cost (rules, B-16): what this node builds, and what it refuses of others.

use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::{RegisterKey, possession_bytes};
use yilian_spec::ledger::block::Block;
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};

use super::{Application, Arrival, Candidate, Verdict};
use crate::base::limits::{BLOCK_DECODE_BYTES_MAX, BLOCK_WORK_TARGET};
use crate::test_world::{GENESIS_MS, TestNode, genesis, member, name_its_body, secret, temporary};

/// Units of a new key, and keys in one of these transactions.
const KEY_WORK: u64 = 8;
const KEYS: u64 = 100;

/// New keys of a member: the operations that cost most by themselves.
fn keys(number_of_member: u8, number: u8) -> Transaction {
    let administrator = secret(number_of_member, Role::Administrator);
    let window = Window { starts: LedgerTime(GENESIS_MS), expires: LedgerTime(GENESIS_MS + 1_000_000_000) };
    let register = |one: u8| {
        let mut seed = [9; 32];
        (seed[0], seed[1], seed[2]) = (number_of_member, number, one);
        let new = SecretKey::from_seed(&seed);
        let (role, key) = (Role::AccessGateway, new.public_key());
        let bytes = possession_bytes(genesis().chain_id(), &member(number_of_member), role, key);
        Operation::RegisterKey(RegisterKey { key, role, window, possession: new.sign(&bytes) })
    };
    TransactionBody {
        chain_id: genesis().chain_id(),
        author: administrator.public_key(),
        institution: member(number_of_member),
        created: LedgerTime(GENESIS_MS),
        expires: LedgerTime(GENESIS_MS + 60_000),
        nonce: [number; 16],
        operations: (0..KEYS as u8).map(register).collect(),
    }
    .sign(&administrator)
}

#[test]
fn a_block_is_filled_by_work_and_not_by_operations() {
    let (dir, other_dir) = (temporary(), temporary());
    let (mut node, mut other) = (TestNode::open(dir.path(), 0), TestNode::open(other_dir.path(), 1));
    let all: Vec<Transaction> =
        (0..4u8).flat_map(|of| (0..4u8).map(move |number| keys(of, number))).collect();
    node.submit(all.clone());
    let fit = (BLOCK_WORK_TARGET / (KEYS * KEY_WORK)) as usize;
    assert!(fit < all.len() && (fit as u64) * KEYS < BLOCK_WORK_TARGET);
    let built = node.propose();
    let block: Block = codec::decode(&built.bytes, BLOCK_DECODE_BYTES_MAX).unwrap();
    assert_eq!(block.transactions.len(), fit);

    // One who puts all of them into its block is refused, whatever its header says.
    let mut lie = Block { header: block.header, transactions: all };
    name_its_body(&mut lie);
    let bytes = codec::encode(&lie);
    let candidate = Candidate {
        height: Height(1),
        round: 0,
        proposer: secret(0, Role::Validator).public_key(),
        valid_round: None,
        arrival: Arrival::Proposed { now_ms: GENESIS_MS + 1_000 },
        bytes: &bytes,
    };
    let Verdict::Invalid { reason, .. } = other.ledger.validate(candidate).unwrap() else {
        panic!("a block of too much work is valid");
    };
    assert!(reason.contains("units of work") && reason.contains("8192"), "{reason}");

    node.decide(built.block_id);
    assert_eq!(node.mempool.pending(), 16 - fit, "what did not fit waits");
    node.clock.advance(1_000);
    let built = node.propose();
    node.decide(built.block_id);
    assert_eq!(node.mempool.pending(), 16 - 2 * fit);
}
