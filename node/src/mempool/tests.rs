//! The mempool: bounds, fairness, repeats, expiry, waiting, gossip; and the pure pool against a plain model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use libp2p::PeerId;
use proptest::prelude::*;
use tokio::sync::watch;
use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::{SecretKey, Signature};
use yilian_spec::domain::membership::Role;
use yilian_spec::ledger::transaction::{CheckedTransaction, Transaction};
use yilian_spec::ledger::validation::contextual::ContextualError;
use yilian_spec::ledger::validation::semantic::{self, SemanticError};

use super::pool::{Pool, PoolBounds, PoolError};
use super::{Admission, GossipOutcome, Rejection, SubmitError, WaitOutcome};
use crate::application::source::{BlockRoom, TransactionSource as _};
use crate::base::clock::Clock;
use crate::base::limits;
use crate::conduct::{Conduct, Offence};
use crate::members::Members;
use crate::test_world::{
    GENESIS_MS, TestNode, genesis, member, secret, temporary, transaction, transaction_at,
};

const NOW: LedgerTime = LedgerTime(GENESIS_MS);

/// Spoils a signature.
fn flip(signature: &mut Signature, place: usize) {
    let Signature::Ed25519(bytes) = signature;
    bytes[place] ^= 1;
}

fn checked(transaction: Transaction) -> CheckedTransaction {
    semantic::check(transaction, genesis().chain_id()).unwrap()
}

#[test]
fn a_transaction_is_accepted_then_pending_then_committed() {
    let dir = temporary();
    let mut node = TestNode::open(dir.path(), 0);
    let submit = |node: &TestNode| node.mempool.submit_now(vec![transaction(1, 1)]).remove(0);
    assert_eq!(submit(&node), Ok(Admission::Accepted));
    assert_eq!(submit(&node), Ok(Admission::Pending));
    node.block([]);
    assert_eq!(submit(&node), Ok(Admission::Committed { height: Height(1), index: 0 }));
    assert_eq!(node.mempool.pending(), 0);
    let statistics = node.mempool.statistics();
    assert_eq!((statistics.accepted, statistics.repeated, statistics.rejected), (1, 2, 0));
}

#[test]
fn each_kind_of_bad_transaction_is_refused_by_its_name() {
    let dir = temporary();
    let node = TestNode::open(dir.path(), 0);
    let refuse = |transaction| node.mempool.submit_now(vec![transaction]).remove(0).unwrap_err();
    let mut forged = transaction(1, 1);
    flip(&mut forged.signature, 0);
    assert!(matches!(refuse(forged), Rejection::Semantic(SemanticError::BadSignature)));
    let gateway = secret(1, Role::ReferralGateway);
    let mut elsewhere = transaction(1, 1).body;
    elsewhere.chain_id.0[0] ^= 1;
    let elsewhere = elsewhere.sign(&gateway);
    assert!(matches!(refuse(elsewhere), Rejection::Semantic(SemanticError::WrongChain { .. })));
    let stranger = secret(9, Role::ReferralGateway);
    let mut unknown = transaction(1, 1).body;
    unknown.author = stranger.public_key();
    let unknown = refuse(unknown.sign(&stranger));
    assert!(matches!(unknown, Rejection::Contextual(ContextualError::UnknownAuthor)));
    let expired = refuse(transaction_at(1, 1, GENESIS_MS - 100_000));
    assert!(matches!(expired, Rejection::Contextual(ContextualError::Expired)));
    let future = refuse(transaction_at(1, 1, GENESIS_MS + 100_000));
    assert!(matches!(future, Rejection::Contextual(ContextualError::FromTheFuture)));
    // One bad transaction among good ones leaves the others alone.
    let mut forged = transaction(2, 2);
    flip(&mut forged.signature, 0);
    let verdicts = node.mempool.submit_now(vec![transaction(1, 3), forged, transaction(3, 4)]);
    assert!(verdicts[0].is_ok() && verdicts[1].is_err() && verdicts[2].is_ok());
}

#[test]
fn what_expires_leaves_and_is_never_proposed() {
    let dir = temporary();
    let mut node = TestNode::open(dir.path(), 0);
    node.submit([transaction(1, 1), transaction(1, 2)]);
    node.clock.advance(120_000);
    assert_eq!(node.mempool.pending(), 2);
    let built = node.propose();
    node.decide(built.block_id);
    assert_eq!(node.ledger.reader().block(Height(1)).unwrap().unwrap().transactions, []);
    assert_eq!(node.mempool.pending(), 0);

    node.submit([transaction_at(1, 3, GENESIS_MS + 120_000)]);
    node.clock.advance(120_000);
    node.mempool.maintain();
    assert_eq!(node.mempool.pending(), 0);
}

/// Room for so many transactions of any size.
fn room(transactions: usize) -> BlockRoom {
    BlockRoom { transactions, bytes: usize::MAX, work: u64::MAX }
}

#[test]
fn a_flood_of_one_member_meets_its_own_bound_and_the_others_are_served_first() {
    let dir = temporary();
    let bounds = PoolBounds { institution_transactions: 10, ..PoolBounds::default() };
    let mut node = TestNode::open_bounded(dir.path(), 0, bounds);
    let verdicts = node.mempool.submit_now((0..15).map(|number| transaction(1, number)).collect());
    assert_eq!(verdicts.iter().filter(|verdict| verdict.is_ok()).count(), 10);
    let expected = PoolError::InstitutionFull { institution: member(1), bound: 10 };
    assert_eq!(verdicts[14], Err(Rejection::Pool(expected)));
    node.submit([transaction(2, 100), transaction(3, 101)]);
    let taken: Vec<_> =
        node.mempool.take(room(4), NOW).iter().map(|entry| entry.body().institution.clone()).collect();
    assert_eq!(taken, [member(1), member(2), member(3), member(1)]);
    let built = node.propose();
    node.decide(built.block_id);
    assert_eq!(node.mempool.pending(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_answer_and_waiting_callers_are_told_when_it_is_final() {
    let dir = temporary();
    let mut node = TestNode::open(dir.path(), 0);
    let workers = node.mempool.spawn_workers(2).unwrap();
    let verdicts = node.mempool.submit(&member(1), vec![transaction(1, 1), transaction(2, 2)]).await.unwrap();
    assert_eq!(verdicts, [Ok(Admission::Accepted), Ok(Admission::Accepted)]);
    let many = vec![transaction(1, 1); limits::SUBMISSION_TRANSACTIONS_MAX + 1];
    assert!(matches!(node.mempool.submit(&member(1), many).await, Err(SubmitError::TooMany { .. })));

    let id = transaction(2, 2).id();
    let now = Duration::ZERO;
    assert_eq!(node.mempool.wait(id, now).await.unwrap(), WaitOutcome::Pending);
    assert_eq!(node.mempool.wait(transaction(3, 3).id(), now).await.unwrap(), WaitOutcome::Unknown);
    let mempool = node.mempool.clone();
    let waiting = tokio::spawn(async move { mempool.wait(id, Duration::from_secs(60)).await });
    let mut work = node.mempool.work();
    assert_eq!(*work.borrow_and_update(), 2);
    let built = node.propose();
    node.decide(built.block_id);
    let WaitOutcome::Committed(committed) = waiting.await.unwrap().unwrap() else {
        panic!("the caller should be told");
    };
    assert_eq!((committed.height, committed.receipt.transaction_id), (Height(1), id));
    let again = node.mempool.wait(id, now).await.unwrap();
    assert_eq!(again, WaitOutcome::Committed(committed), "also for who asks later");
    assert_eq!(*work.borrow_and_update(), 0);
    node.mempool.stop();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert!(node.mempool.submit(&member(1), vec![transaction(1, 9)]).await.is_err());
}

#[test]
fn accepted_transactions_travel_to_a_peer_and_are_repeated_until_committed() {
    let (dir, other_dir) = (temporary(), temporary());
    let mut node = TestNode::open(dir.path(), 0);
    let mut other = TestNode::open(other_dir.path(), 1);
    node.submit([transaction(1, 1), transaction(2, 2)]);
    let batch = node.batches.try_recv().unwrap();
    let peer = PeerId::random();
    assert_eq!(other.mempool.gossip_now(peer, batch.clone()), GossipOutcome::Queued);
    assert_eq!(other.mempool.pending(), 2);
    assert!(other.batches.try_recv().is_err(), "what came from a peer is not sent on");

    node.mempool.maintain();
    assert!(node.batches.try_recv().is_err(), "not due yet");
    node.clock.advance(limits::GOSSIP_REPEAT_MS);
    node.mempool.maintain();
    assert_eq!(node.batches.try_recv().unwrap().len(), batch.len());
    assert_eq!(other.mempool.gossip_now(peer, batch), GossipOutcome::Queued);
    assert_eq!(other.mempool.pending(), 2);
    node.block([]);
    node.clock.advance(limits::GOSSIP_REPEAT_MS);
    node.mempool.maintain();
    while let Ok(late) = node.batches.try_recv() {
        assert!(late.is_empty(), "nothing is left to repeat");
    }
}

#[test]
fn a_peer_that_connects_is_greeted_with_what_waits_whoever_submitted_it() {
    let (dir, other_dir) = (temporary(), temporary());
    let mut node = TestNode::open(dir.path(), 0);
    let mut other = TestNode::open(other_dir.path(), 1);
    node.submit([transaction(1, 1)]);
    let batch = node.batches.try_recv().unwrap();
    let greeting = std::slice::from_ref(&batch);
    assert_eq!(node.mempool.greeting(), greeting);
    assert!(other.mempool.greeting().is_empty());
    other.mempool.gossip_now(PeerId::random(), batch.clone());
    assert_eq!(other.mempool.greeting(), greeting);

    // All hear of it only from the node whose caller submitted it: also when it had come from a peer before.
    other.clock.advance(limits::GOSSIP_REPEAT_MS);
    other.mempool.maintain();
    assert!(other.batches.try_recv().is_err());
    assert_eq!(other.mempool.submit_now(vec![transaction(1, 1)]), [Ok(Admission::Pending)]);
    other.mempool.maintain();
    assert_eq!(other.batches.try_recv().unwrap(), batch);
}

#[test]
fn what_has_expired_or_is_of_nobody_counts_against_the_institution_that_sends_it() {
    let dir = temporary();
    let node = TestNode::open(dir.path(), 0);
    let institution = InstitutionId::new("rude-hospital").unwrap();
    let [first, second, honest] = [PeerId::random(), PeerId::random(), PeerId::random()];
    let other = InstitutionId::new("honest-hospital").unwrap();
    let members = Members::of([(first, institution.clone()), (second, institution), (honest, other)]);
    let watch = watch::channel(Arc::new(members)).1;
    let conduct = Conduct::new(watch, Arc::clone(&node.clock) as Arc<dyn Clock>);
    node.mempool.set_conduct(conduct.clone());
    let half = limits::GOSSIP_INVALID_MAX / 2;
    let stranger = SecretKey::from_seed(&[0xee; 32]);
    let of_nobody = |number| {
        let mut body = transaction(1, number).body;
        body.author = stranger.public_key();
        body.sign(&stranger)
    };
    let batch = |transactions: Vec<Transaction>| Bytes::from(codec::encode(&transactions));
    assert_eq!(
        node.mempool.gossip_now(first, batch((0..half).map(of_nobody).collect())),
        GossipOutcome::Queued
    );
    let expired: Vec<Transaction> = (0..half).map(|number| transaction(1, number)).collect();
    let expires = expired[0].body.expires;
    node.clock.set(expires.0 + limits::GOSSIP_EXPIRED_GRACE_MS);
    // Time has forgiven the first half; twice the other half is too much, whichever of its nodes sends it.
    assert_eq!(node.mempool.gossip_now(second, batch(expired.clone())), GossipOutcome::Queued);
    assert_eq!(node.mempool.gossip_now(first, batch(expired.clone())), GossipOutcome::Queued);
    assert_eq!(node.mempool.gossip_now(second, batch(expired.clone())), GossipOutcome::Muted);
    assert_eq!(node.mempool.gossip_now(honest, batch(Vec::new())), GossipOutcome::Queued);
    assert_eq!(node.mempool.pending(), 0);
    let refused: BTreeMap<Offence, u64> = conduct
        .report()
        .iter()
        .flat_map(|account| &account.refused)
        .map(|row| (row.offence, row.count))
        .collect();
    let half = u64::from(half);
    assert_eq!(refused, [(Offence::ExpiredTransaction, 2 * half), (Offence::UnknownAuthor, half)].into());
}

#[test]
fn a_peer_that_sends_forgeries_or_garbage_is_muted_and_nothing_enters() {
    let dir = temporary();
    let node = TestNode::open(dir.path(), 0);
    let (forger, babbler) = (PeerId::random(), PeerId::random());
    let forged: Vec<Transaction> = (0..limits::GOSSIP_INVALID_MAX)
        .map(|number| {
            let mut transaction = transaction(1, number);
            flip(&mut transaction.signature, 1);
            transaction
        })
        .collect();
    let batch = Bytes::from(codec::encode(&forged));
    assert_eq!(node.mempool.gossip_now(forger, batch.clone()), GossipOutcome::Queued);
    assert_eq!(node.mempool.gossip_now(forger, batch), GossipOutcome::Muted);
    let garbage = Bytes::from_static(b"garbage");
    assert_eq!(node.mempool.gossip_now(babbler, garbage.clone()), GossipOutcome::Queued);
    assert_eq!(node.mempool.gossip_now(babbler, garbage), GossipOutcome::Muted);
    assert_eq!(node.mempool.pending(), 0);
    node.clock.advance(limits::GOSSIP_MUTE_MS);
    let good = Bytes::from(codec::encode(&vec![transaction_at(1, 1, GENESIS_MS + 60_000)]));
    assert_eq!(node.mempool.gossip_now(forger, good), GossipOutcome::Queued);
    assert_eq!(node.mempool.pending(), 1);
}

/// What a property test does to a pool.
#[derive(Debug, Clone)]
enum Step {
    Insert { member: u8, number: u32 },
    Remove { member: u8, number: u32 },
    Expire { after_ms: u64 },
    Take(BlockRoom),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..4, 0u32..24).prop_map(|(member, number)| Step::Insert { member, number }),
        2 => (0u8..4, 0u32..24).prop_map(|(member, number)| Step::Remove { member, number }),
        1 => (0u64..40).prop_map(|after_ms| Step::Expire { after_ms }),
        2 => (0usize..12, 0usize..4_000, 0u64..20).prop_map(|(transactions, bytes, work)| {
            Step::Take(BlockRoom { transactions, bytes, work })
        }),
    ]
}

const BOUNDS: PoolBounds =
    PoolBounds { transactions: 20, bytes: 5_000, institution_transactions: 8, institution_bytes: 2_200 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_pool_keeps_its_bounds_and_forgets_nothing(steps in prop::collection::vec(step(), 1..80)) {
        let mut pool = Pool::new(BOUNDS, 100);
        let mut model: BTreeMap<(u8, u32), CheckedTransaction> = BTreeMap::new();
        let make = |member: u8, number: u32| {
            checked(transaction_at(member, number, GENESIS_MS + u64::from(number)))
        };
        for step in steps {
            match step {
                Step::Insert { member: of, number } => {
                    let entry = make(of, number);
                    let room = has_room(&model, of, entry.encoded().len());
                    let known = model.contains_key(&(of, number));
                    let result = pool.insert(entry.clone(), member(of), 1, None);
                    prop_assert_eq!(result.is_ok(), known || room);
                    if result.is_ok() {
                        model.insert((of, number), entry);
                    }
                }
                Step::Remove { member, number } => {
                    pool.remove(&[make(member, number).id()]);
                    model.remove(&(member, number));
                }
                Step::Expire { after_ms } => {
                    let time = LedgerTime(GENESIS_MS + 60_000 + after_ms);
                    let before = model.len();
                    model.retain(|_, entry| entry.body().expires > time);
                    prop_assert_eq!(pool.expire(time), before - model.len());
                }
                Step::Take(room) => check_taken(&pool.take(room, NOW), &model, room)?,
            }
            let bytes: usize = model.values().map(|entry| entry.encoded().len()).sum();
            prop_assert_eq!((pool.length(), pool.bytes()), (model.len(), bytes));
        }
        let all = pool.take(room(usize::MAX), NOW);
        prop_assert_eq!(all.len(), model.len(), "everything can be taken");
    }
}

fn has_room(model: &BTreeMap<(u8, u32), CheckedTransaction>, member: u8, length: usize) -> bool {
    let sizes = |only: Option<u8>| {
        let of = model.iter().filter(move |((of, _), _)| only.is_none_or(|only| *of == only));
        of.fold((0, 0), |(count, bytes), (_, entry)| (count + 1, bytes + entry.encoded().len()))
    };
    let ((count, bytes), (own_count, own_bytes)) = (sizes(None), sizes(Some(member)));
    count < BOUNDS.transactions
        && bytes + length <= BOUNDS.bytes
        && own_count < BOUNDS.institution_transactions
        && own_bytes + length <= BOUNDS.institution_bytes
}

fn check_taken(
    taken: &[CheckedTransaction],
    model: &BTreeMap<(u8, u32), CheckedTransaction>,
    room: BlockRoom,
) -> Result<(), TestCaseError> {
    prop_assert!(taken.len() <= room.transactions);
    prop_assert!(taken.iter().map(|entry| entry.encoded().len()).sum::<usize>() <= room.bytes);
    prop_assert!(taken.len() as u64 <= room.work);
    let ids: std::collections::BTreeSet<_> = taken.iter().map(CheckedTransaction::id).collect();
    prop_assert_eq!(ids.len(), taken.len(), "none twice");
    let waiting = |number: u8| model.keys().filter(|(of, _)| *of == number).count();
    let served = |number: u8| taken.iter().filter(|entry| entry.body().institution == member(number)).count();
    // Fairness: while bytes are no matter, nobody gets two more than somebody who still waits.
    if room.bytes > 3_900 && taken.len() == room.transactions {
        for (one, other) in (0..4).flat_map(|one| (0..4).map(move |other| (one, other))) {
            prop_assert!(served(other) == waiting(other) || served(one) <= served(other) + 1);
        }
    }
    Ok(())
}

#[test]
fn the_next_block_begins_behind_whom_the_last_one_served_last() {
    let mut pool = Pool::new(PoolBounds::default(), 100);
    for number in 0..3 {
        pool.insert(checked(transaction(number, 1)), member(number), 1, None).unwrap();
        pool.insert(checked(transaction(number, 2)), member(number), 1, None).unwrap();
    }
    let first = |pool: &mut Pool| pool.take(room(1), NOW)[0].body().institution.clone();
    assert_eq!([first(&mut pool), first(&mut pool), first(&mut pool)], [member(0), member(1), member(2)]);
    assert_eq!(first(&mut pool), member(0));
    assert!(pool.take(BlockRoom { bytes: 10, ..room(5) }, NOW).is_empty(), "nothing fits into ten bytes");
    let one = BlockRoom { work: 1, ..room(5) };
    assert_eq!(pool.take(one, NOW).len(), 1, "each of them costs one unit");
}

/// The institutions of a block of `ms` after the genesis, in order; each operation in it is charged.
fn block_of(pool: &mut Pool, ms: u64) -> Vec<InstitutionId> {
    let time = LedgerTime(GENESIS_MS + ms);
    let taken = pool.take(room(50), time);
    for transaction in &taken {
        pool.charge(&transaction.body().institution, transaction.body().operations.len() as u64, time);
        pool.remove(&[transaction.id()]);
    }
    taken.iter().map(|transaction| transaction.body().institution.clone()).collect()
}

#[test]
fn beyond_its_quota_a_member_waits_for_those_within_and_alone_for_nobody() {
    let mut pool = Pool::new(PoolBounds::default(), 10);
    for number in 0..200 {
        pool.insert(checked(transaction(1, number)), member(1), 1, None).unwrap();
    }
    assert_eq!(block_of(&mut pool, 0).len(), 50, "alone it has the whole block");
    assert!(pool.admits(&member(1), LedgerTime(GENESIS_MS)).is_ok());

    pool.insert(checked(transaction(2, 1_000)), member(2), 1, None).unwrap();
    assert_eq!(block_of(&mut pool, 100), [member(2)]);
    assert!(!pool.is_ready(LedgerTime(GENESIS_MS + 200)), "what is beyond its quota makes no block");
    let refused = pool.admits(&member(1), LedgerTime(GENESIS_MS + 200));
    assert_eq!(refused, Err(PoolError::OverQuota { institution: member(1), quota: 10 }));
    assert!(pool.admits(&member(2), LedgerTime(GENESIS_MS + 200)).is_ok());

    // Its debt is paid, and the other still at work.
    assert_eq!(block_of(&mut pool, 4_500).len(), 1, "a tenth of a second's quota");
    assert!(pool.is_ready(LedgerTime(GENESIS_MS + 4_700)));
    // The other has done nothing for long.
    assert_eq!(block_of(&mut pool, 100 + limits::QUOTA_AT_WORK_MS).len(), 50);
    // Two that are both beyond their quota share the block.
    for number in 0..200 {
        pool.insert(checked(transaction(3, 2_000 + number)), member(3), 1, None).unwrap();
    }
    let shared = block_of(&mut pool, 200 + limits::QUOTA_AT_WORK_MS);
    let of = |one: u8| shared.iter().filter(|owner| **owner == member(one)).count();
    assert_eq!((of(1), of(3)), (25, 25));
}

#[test]
fn who_has_no_place_left_is_refused_before_the_signature_is_verified() {
    let dir = temporary();
    let bounds = PoolBounds { institution_transactions: 10, ..PoolBounds::default() };
    let node = TestNode::open_bounded(dir.path(), 0, bounds);
    node.submit((0..10).map(|number| transaction(1, number)));
    let mut forged = transaction(1, 11);
    flip(&mut forged.signature, 0);
    let verdict = node.mempool.submit_now(vec![forged.clone()]).remove(0);
    assert!(matches!(verdict, Err(Rejection::Pool(PoolError::InstitutionFull { .. }))), "{verdict:?}");
    let known = node.mempool.submit_now(vec![transaction(1, 3)]).remove(0);
    assert_eq!(known, Ok(Admission::Pending), "what is known is still told so");
}
