//! The ledger behind consensus: two nodes that must agree, blocks that must be refused, readers beside the writer.

use std::sync::atomic::{AtomicBool, Ordering};

use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::Hash;
use yilian_spec::crypto::merkle::log;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::membership::{Institution, Role};
use yilian_spec::ledger::block::Block;
use yilian_spec::state::key::{StateKey, StreamId};

use super::timings::Stage;
use super::{Application, ApplicationError, Arrival, Candidate, DecidedBlocks, UndecidedBlock, Verdict};
use crate::base::clock::Clock;
use crate::base::limits;
use crate::test_world::{
    GENESIS_MS, TestNode, certificate, member, name_its_body, secret, temporary, transaction,
};

fn validator(number: u8) -> PublicKey {
    secret(number, Role::Validator).public_key()
}

fn proposed(bytes: &[u8]) -> Candidate<'_> {
    Candidate {
        height: Height(1),
        round: 0,
        proposer: validator(0),
        valid_round: None,
        arrival: Arrival::Proposed { now_ms: GENESIS_MS + 1_000 },
        bytes,
    }
}

fn reason(verdict: Verdict) -> String {
    match verdict {
        Verdict::Invalid { reason, .. } => reason,
        Verdict::Valid { block_id } => panic!("block {block_id} should be refused"),
    }
}

#[test]
fn what_one_node_builds_another_finds_valid_and_both_end_at_the_same_tip() {
    let (dir, other_dir) = (temporary(), temporary());
    let (mut node, mut other) = (TestNode::open(dir.path(), 0), TestNode::open(other_dir.path(), 1));
    node.submit((0..40).map(|number| transaction((number % 4) as u8, number)));
    // Some the other has verified already, most it has not.
    other.submit((0..5).map(|number| transaction((number % 4) as u8, number)));
    let built = node.propose();
    let verdict = other.ledger.validate(proposed(&built.bytes)).unwrap();
    assert_eq!(verdict, Verdict::Valid { block_id: built.block_id });
    node.decide(built.block_id);
    other.decide(built.block_id);
    assert_eq!(node.ledger.tip(), other.ledger.tip());
    assert_eq!((node.mempool.pending(), other.mempool.pending()), (0, 0));
    let timings = other.ledger.timings();
    assert!(Stage::ALL.iter().all(|stage| timings.taken(*stage).wall_ns > 0));
}

#[test]
fn blocks_that_break_a_rule_are_refused_and_change_nothing() {
    let (dir, other_dir) = (temporary(), temporary());
    let (mut node, mut other) = (TestNode::open(dir.path(), 0), TestNode::open(other_dir.path(), 1));
    node.submit([transaction(0, 1)]);
    let built = node.propose();
    let mut validate = |candidate| reason(other.ledger.validate(candidate).unwrap());

    assert!(validate(proposed(b"garbage")).contains("not an encoding"));
    let oversized = vec![0; limits::BLOCK_DECODE_BYTES_MAX + 1];
    assert!(validate(proposed(&oversized)).contains("more than"));
    let truncated = built.bytes[..built.bytes.len() - 1].to_vec();
    assert!(validate(proposed(&truncated)).contains("not an encoding"));
    let early = Arrival::Proposed { now_ms: GENESIS_MS - 60_000 };
    assert!(validate(Candidate { arrival: early, ..proposed(&built.bytes) }).contains("ahead of the clock"));
    let stranger = Candidate { proposer: validator(2), ..proposed(&built.bytes) };
    assert!(validate(stranger).contains("proposer"));
    assert!(validate(Candidate { height: Height(2), ..proposed(&built.bytes) }).contains("not the next"));

    let mut block: Block = codec::decode(&built.bytes, limits::BLOCK_DECODE_BYTES_MAX).unwrap();
    block.header.state_root = Hash([1; 32]);
    let other_root = codec::encode(&block);
    assert!(validate(proposed(&other_root)).contains("state_root"));
    let mut block: Block = codec::decode(&built.bytes, limits::BLOCK_DECODE_BYTES_MAX).unwrap();
    block.transactions[0].body.nonce[15] ^= 1;
    let altered = other.ledger.validate(proposed(&codec::encode(&block))).unwrap();
    assert!(
        matches!(altered, Verdict::Invalid { block_id: None, .. }),
        "nothing is said of the block: {altered:?}"
    );
    let mut validate = |candidate| reason(other.ledger.validate(candidate).unwrap());
    name_its_body(&mut block);
    assert!(validate(proposed(&codec::encode(&block))).contains("signature"));

    let again = Candidate { proposer: validator(2), valid_round: Some(0), ..proposed(&built.bytes) };
    let verdict = other.ledger.validate(again).unwrap();
    assert_eq!(verdict, Verdict::Valid { block_id: built.block_id }, "proposed again by another");
    assert_eq!(other.ledger.tip().height, Height(0));
}

#[test]
fn of_several_blocks_of_a_height_any_can_be_decided_also_one_long_forgotten() {
    let (dir, other_dir) = (temporary(), temporary());
    let mut node = TestNode::open(dir.path(), 0);
    let mut other = TestNode::open(other_dir.path(), 1);
    let mut ids = Vec::new();
    for round in 0..(limits::CANDIDATES_MAX as u32 + 2) {
        node.submit([transaction(0, round)]);
        let built = node.ledger.build(Height(1), round, node.clock.now_ms() + u64::from(round)).unwrap();
        let valid = other.ledger.validate(proposed(&built.bytes)).unwrap();
        assert_eq!(valid, Verdict::Valid { block_id: built.block_id });
        for ledger in [&mut node.ledger, &mut other.ledger] {
            let block = UndecidedBlock {
                height: Height(1),
                round,
                valid_round: None,
                proposer: validator(0),
                block_id: built.block_id,
                bytes: built.bytes.clone(),
            };
            ledger.remember(block.clone()).unwrap();
            ledger.remember(block).unwrap();
        }
        ids.push(built.block_id);
    }
    let kept: Vec<_> = other.ledger.undecided(Height(1), None).unwrap();
    assert_eq!(kept.iter().map(|block| block.block_id).collect::<Vec<_>>(), ids, "oldest first, each once");
    assert_eq!(other.ledger.undecided(Height(1), Some(2)).unwrap().len(), 1);
    node.decide(ids[0]);
    other.decide(ids[0]);
    assert_eq!(node.ledger.tip(), other.ledger.tip());
    assert_eq!(node.mempool.pending(), ids.len() - 1, "what the decided block did not carry still waits");
}

#[test]
fn a_commit_needs_a_certificate_and_the_same_one_twice_changes_nothing() {
    let dir = temporary();
    let mut node = TestNode::open(dir.path(), 0);
    let built = node.propose();
    let mut weak = certificate(Height(1), built.block_id);
    weak.signatures.pop();
    let error = node.ledger.commit(&weak).unwrap_err();
    assert!(error.to_string().contains("two thirds"), "{error}");
    assert_eq!(node.ledger.tip().height, Height(0));
    node.decide(built.block_id);
    let tip = node.ledger.tip().clone();
    node.ledger.commit(&certificate(Height(1), built.block_id)).unwrap();
    assert_eq!(*node.ledger.tip(), tip);
    let ahead = certificate(Height(5), built.block_id);
    assert!(matches!(node.ledger.commit(&ahead), Err(ApplicationError::Broken { .. })));
}

#[test]
fn decided_blocks_are_served_within_the_bound_and_followed_by_another_node() {
    let (dir, other_dir) = (temporary(), temporary());
    let mut node = TestNode::open(dir.path(), 0);
    node.blocks(6);
    let blocks = node.ledger.blocks();
    let all = blocks.decided(Height(1)..=Height(100), usize::MAX).unwrap();
    assert_eq!(all.len(), 6);
    assert_eq!(blocks.decided(Height(3)..=Height(6), 1).unwrap().len(), 1, "at least the first");
    assert_eq!(blocks.decided(Height(7)..=Height(9), usize::MAX).unwrap(), []);
    assert_eq!(blocks.lowest_height().unwrap(), Height(1));

    let mut other = TestNode::open(other_dir.path(), 1);
    for block in all {
        let height = block.certificate.height;
        let synced = Candidate { height, arrival: Arrival::Synced, ..proposed(&block.bytes) };
        let verdict = other.ledger.validate(synced).unwrap();
        assert_eq!(verdict, Verdict::Valid { block_id: block.certificate.block_id });
        other.ledger.commit(&block.certificate).unwrap();
    }
    assert_eq!(node.ledger.tip(), other.ledger.tip());
}

#[test]
fn absent_proposers_are_passed_over_also_after_a_restart() {
    let dir = temporary();
    let mut node = TestNode::open(dir.path(), 0);
    node.blocks(6);
    let rotation = node.ledger.start().unwrap().rotation;
    assert!(rotation.contains(&validator(0)) && rotation.len() < 4, "only member 0 proposes");
    let tip = node.ledger.tip().clone();
    drop(node);
    let mut again = TestNode::open(dir.path(), 0);
    assert_eq!(again.ledger.start().unwrap().rotation, rotation);
    assert_eq!(*again.ledger.tip(), tip);
}

#[test]
fn rows_and_proofs_of_a_view_fit_its_header_while_the_writer_goes_on() {
    let dir = temporary();
    let mut node = TestNode::open(dir.path(), 0);
    node.blocks(1);
    let reader = node.ledger.reader();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let check = scope.spawn(|| {
            let mut heights = std::collections::BTreeSet::new();
            while !done.load(Ordering::SeqCst) || heights.is_empty() {
                let view = reader.view().unwrap();
                let (header, certificate) = view.certified_tip().unwrap().unwrap();
                certificate.verify(&header, &view.tip().validators).unwrap();
                for number in 0..4 {
                    let stream = StateKey::StreamHead(StreamId::Institution(member(number)));
                    let row = view.prove_row(&stream).unwrap();
                    row.proof.verify(&header.state_root.0, &row.key, row.value.as_deref()).unwrap();
                }
                heights.insert(header.height);
            }
            heights.len()
        });
        for _ in 0..20 {
            node.blocks(1);
        }
        done.store(true, Ordering::SeqCst);
        assert!(check.join().unwrap() > 0);
    });
}

#[test]
fn a_view_lists_proves_and_denies() {
    let dir = temporary();
    let mut node = TestNode::open(dir.path(), 0);
    node.block((0..6).map(|number| transaction((number % 4) as u8, number)));
    node.blocks(2);
    let reader = node.ledger.reader();
    let view = reader.view().unwrap();
    let (header, _) = view.certified_tip().unwrap().unwrap();

    let page = view.rows(&[0x01], None, 3).unwrap();
    assert_eq!(page.items.len(), 3);
    let rest = view.rows(&[0x01], page.next.as_deref(), 3).unwrap();
    assert_eq!((rest.items.len(), rest.next), (1, None));
    let institution: Institution = view.record(&StateKey::Institution(member(2))).unwrap().unwrap();
    assert_eq!(institution.id, member(2));

    let absent = view.prove_row(&StateKey::Institution(member(9))).unwrap();
    assert_eq!(absent.value, None);
    absent.proof.verify(&header.state_root.0, &absent.key, None).unwrap();
    assert!(view.prove_row(&StateKey::Administrators(member(1))).is_err(), "a plain row has no place");

    let proven = view.prove_transaction(transaction(1, 5).id()).unwrap().unwrap();
    let leaf = log::leaf_hash(&codec::encode(&proven.transaction));
    let size = u64::from(proven.header.transaction_count);
    proven.transaction_path.verify(&leaf, size, &proven.header.transactions_root.0).unwrap();
    let leaf = log::leaf_hash(&codec::encode(&proven.receipt));
    proven.receipt_path.verify(&leaf, size, &proven.header.receipts_root.0).unwrap();
    assert_eq!(view.prove_transaction(transaction(1, 999).id()).unwrap(), None);

    let old = reader.header(Height(1)).unwrap().unwrap();
    let growth = view.prove_growth(Height(1)).unwrap();
    growth.verify((old.log_size, &old.log_root.0), (header.log_size, &header.log_root.0)).unwrap();

    let stream = StreamId::Institution(member(1));
    let head = view.stream_head(&stream).unwrap();
    let entries = view.stream_entries(&stream, 0, 1_000).unwrap();
    assert_eq!(entries.len() as u64, head.length());
    let leaves: Vec<[u8; 32]> = entries.iter().map(|entry| entry.leaf_hash()).collect();
    assert_eq!(log::LogTree::from_leaf_hashes(&leaves).root(), head.root());
    assert_eq!(view.stream_entries(&stream, 1, 2).unwrap(), entries[1..3]);

    let stored = reader.transaction(transaction(1, 5).id()).unwrap().unwrap();
    assert_eq!((stored.height, stored.transaction.id()), (Height(1), transaction(1, 5).id()));
    let block = reader.block(Height(1)).unwrap().unwrap();
    assert_eq!(block.transactions.len(), block.receipts.len());
    assert_eq!(reader.block(Height(9)).unwrap(), None);
}
