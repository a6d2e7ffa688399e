//! Rules B-9, X-1 to: the same transactions give the same bytes, for whoever executes them.

use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::time::Window;
use yilian_spec::crypto::merkle::log::{self, Frontier};
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::{RotateKey, possession_bytes};
use yilian_spec::domain::referral::Capacity;
use yilian_spec::domain::referral::PublishCapacity;
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::state::key::{StateKey, StreamId};
use yilian_spec::state::overlay::{Overlay, Writes};
use yilian_spec::state::stream::EntryKind;

use crate::support::{CATCHING_UP, build, transactions, travelling, validate};
use crate::world::{COUNTY, DAY_MS, World, institution, secret, service_code};

#[test]
fn two_runs_and_the_validator_come_to_the_same_bytes() {
    let (mut first, mut second) = (World::new(), World::new());
    for _ in 0..3 {
        let (left, right) = (transactions(&mut first), transactions(&mut second));
        let (left, right) = (build(&first, left), build(&second, right));
        assert_eq!(codec::encode(&travelling(&left)), codec::encode(&travelling(&right)));
        assert_eq!(codec::encode(&left.receipts), codec::encode(&right.receipts));
        assert_eq!(codec::encode(&left.writes), codec::encode(&right.writes));
        let checked = validate(&second, travelling(&left), CATCHING_UP).unwrap();
        assert_eq!((&checked.header, &checked.tip), (&left.header, &left.tip));
        assert_eq!((&checked.writes, &checked.log_nodes), (&left.writes, &left.log_nodes));
        first.commit(left);
        second.commit(checked);
    }
    assert_eq!(first.tip, second.tip);
}

/// The roots of a block's lists and of the ledger's log, from the leaves (rule B-9).
#[test]
fn the_header_commits_to_transactions_and_receipts() {
    let mut world = World::new();
    let mut all = Frontier::default();
    for _ in 0..2 {
        let transactions = transactions(&mut world);
        let executed = build(&world, transactions.clone());
        let mut lists = [Frontier::default(), Frontier::default()];
        for (transaction, receipt) in transactions.iter().zip(&executed.receipts) {
            lists[0].append(log::leaf_hash(&codec::encode(transaction))).unwrap();
            lists[1].append(log::leaf_hash(&codec::encode(receipt))).unwrap();
            all.append(log::leaf_hash(&codec::encode(receipt))).unwrap();
        }
        let header = &executed.header;
        let roots = [header.transactions_root.0, header.receipts_root.0];
        assert_eq!(roots, lists.map(|list| list.root()));
        assert_eq!((header.log_size, header.log_root.0), (all.length(), all.root()));
        world.commit(executed);
    }
}

#[test]
fn a_receipt_says_what_became_of_its_transaction() {
    let mut world = World::new();
    let transactions = transactions(&mut world);
    let executed = build(&world, transactions.clone());
    let refused = Outcome::Refused { operation: 1, reason: Refusal::TooManySlots };
    let outcomes: Vec<Outcome> = executed.receipts.iter().map(|receipt| receipt.outcome).collect();
    assert_eq!(outcomes, [Outcome::Applied, Outcome::Applied, refused, Outcome::Applied]);
    let ids: Vec<_> = executed.receipts.iter().map(|receipt| receipt.transaction_id).collect();
    assert_eq!(ids, transactions.iter().map(Transaction::id).collect::<Vec<_>>());
    // A block of one transaction writes what that transaction's receipt commits to.
    let alone = build(&world, vec![transactions[0].clone()]);
    assert_eq!(alone.receipts[0].effects, codec::hash(Domain::Effects, &alone.writes));
    assert!(alone.writes.keys().any(|key| StateKey::is_proven(key)));
    assert!(alone.writes.keys().any(|key| !StateKey::is_proven(key)));
}

#[test]
fn later_transactions_build_on_earlier_ones_and_order_counts() {
    let mut world = World::new();
    let author = secret(COUNTY, Role::ReferralGateway);
    let mut publish = |slots| {
        let operation = PublishCapacity { service: service_code("cardiology"), slots };
        world.body(COUNTY, &author, vec![Operation::PublishCapacity(operation)]).sign(&author)
    };
    let (few, many) = (publish(1), publish(2));
    let slots = |order: Vec<Transaction>| {
        let executed = build(&world, order);
        let key = StateKey::Capacity(institution(COUNTY), service_code("cardiology"));
        let row = executed.writes[&key.bytes()].clone().unwrap();
        (codec::decode::<Capacity>(&row, 64).unwrap().slots, executed.header)
    };
    let (first, header) = slots(vec![few.clone(), many.clone()]);
    let (second, other) = slots(vec![many, few]);
    assert_eq!((first, second), (2, 1));
    assert_ne!(header.state_root, other.state_root);
}

/// Rule X-3: entries in the author's stream, and nothing else; for a key of somebody else, nothing at all.
#[test]
fn a_refused_transaction_leaves_its_entry_and_nothing_else() {
    let mut world = World::new();
    let refused = transactions(&mut world).swap_remove(2);
    let executed = build(&world, vec![refused.clone()]);
    let stream = StreamId::Institution(institution(COUNTY));
    let keys: Vec<Vec<u8>> = executed.writes.keys().cloned().collect();
    let head = StateKey::StreamHead(stream.clone()).bytes();
    assert_eq!(keys, [head, StateKey::StreamEntry(stream.clone(), 0).bytes()]);
    world.commit(executed);
    let entries = world.stream(stream);
    assert_eq!((entries[0].kind, entries[0].operation), (EntryKind::Refused, 1));
    assert_eq!(entries[0].transaction_id, refused.id());
    let stranger = SecretKey::from_seed(&[77; 32]);
    let body = world.body(COUNTY, &stranger, refused.body.operations).sign(&stranger);
    assert_eq!(build(&world, vec![body]).writes, Writes::new());
}

/// Rule X-2: the author's key counts as it stands before the transaction.
#[test]
fn a_transaction_may_rotate_its_own_key_and_go_on() {
    let mut world = World::new();
    let author = secret(COUNTY, Role::Administrator);
    let window = Window { starts: world.time(), expires: world.time().plus_ms(DAY_MS) };
    let rotate = |old: &SecretKey, new: &SecretKey| {
        let new_key = new.public_key();
        let bytes = possession_bytes(world.tip.chain_id, &institution(COUNTY), Role::Administrator, new_key);
        let possession = new.sign(&bytes);
        Operation::RotateKey(RotateKey { old_key: old.public_key(), new_key, window, possession })
    };
    let [second, third] = [1, 2].map(|seed| SecretKey::from_seed(&[seed; 32]));
    let operations = vec![rotate(&author, &second), rotate(&second, &third)];
    let transaction = world.body(COUNTY, &author, operations.clone()).sign(&author);
    assert_eq!(world.execute(transaction).1, Outcome::Applied);
    let late = world.body(COUNTY, &author, operations).sign(&author);
    let refused = Outcome::Refused { operation: 0, reason: Refusal::KeyRevoked };
    assert_eq!(world.execute(late).1, refused);
}

/// Rule R-3: what executes later sees the last write before it; deleting hides what lies below.
#[test]
fn a_layer_shows_its_last_write() {
    let world = World::new();
    let key = StateKey::Administrators(institution(COUNTY));
    let mut layer = Overlay::new(&world.rows);
    assert_eq!(layer.read::<u32>(&key), Ok(Some(1)));
    layer.write(&key, &2u32);
    layer.write(&key, &3u32);
    assert_eq!(layer.read::<u32>(&key), Ok(Some(3)));
    layer.delete(&key);
    assert_eq!(layer.contains(&key), Ok(false));
    assert_eq!(layer.into_writes(), Writes::from([(key.bytes(), None)]));
}
