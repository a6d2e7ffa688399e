//! Random batches of inserts, updates and removals against the oracle; order does not matter; proofs for all keys.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

/// Key hashes of every kind of crowding: spread out, and sharing 2, 5, 6, 7 or 31 leading bytes. Few enough that
/// batches meet again.
fn any_key() -> impl Strategy<Value = KeyHash> {
    let shared = prop_oneof![
        6 => Just(0usize), 1 => Just(2usize), 1 => Just(5usize), 2 => Just(6usize), 1 => Just(7usize), 1 => Just(31usize)
    ];
    (shared, 0..400u64).prop_map(|(shared, number)| {
        let mut hash = key(number).0;
        hash[..shared].fill(0xa5);
        KeyHash(hash)
    })
}

fn any_changes(size: usize) -> impl Strategy<Value = Changes> {
    let change = prop_oneof![3 => (0..4u64).prop_map(|number| Some(value(number))), 2 => Just(None)];
    btree_map(any_key(), change, 0..size)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn random_batches_agree_with_the_oracle(batches in vec(any_changes(150), 1..8)) {
        let mut fixture = Fixture::default();
        for batch in &batches {
            fixture.change(batch);
        }
        // Removing everything leaves no row behind.
        let all = fixture.model.keys().map(|key| (*key, None)).collect();
        fixture.change(&all);
        prop_assert_eq!(fixture.tree.root(), EMPTY);
        prop_assert!(fixture.store.rows.is_empty());
    }

    #[test]
    fn order_does_not_matter(changes in any_changes(200), seed in any::<u64>()) {
        let kept: Vec<_> = changes.iter().filter(|(_, value)| value.is_some()).collect();
        let mut at_once = Fixture::default();
        at_once.change(&kept.iter().map(|(key, value)| (**key, **value)).collect());
        // One by one in another order, with detours over other values and removals.
        let mut shuffled = kept.clone();
        shuffled.sort_by_key(|(key, _)| ValueHash::of(&[&key.0[..], &seed.to_le_bytes()].concat()));
        let mut one_by_one = Fixture::default();
        for (key, _) in &kept {
            one_by_one.change(&Changes::from([(**key, Some(value(99)))]));
        }
        for (key, held) in shuffled {
            one_by_one.change(&Changes::from([(*key, None)]));
            one_by_one.change(&Changes::from([(*key, *held)]));
        }
        prop_assert_eq!(at_once.tree.root(), one_by_one.tree.root());
    }

    #[test]
    fn proofs_show_what_the_map_holds(batch in any_changes(200), asked in vec(any_key(), 50)) {
        let mut fixture = Fixture::default();
        fixture.change(&batch);
        for key in batch.keys().chain(&asked) {
            let proof = fixture.prove_and_verify(key);
            let bytes = wincode::serialize(&proof).unwrap();
            prop_assert_eq!(&wincode::deserialize_exact::<StateProof>(&bytes).unwrap(), &proof);
            let json = serde_json::to_string(&proof).unwrap();
            prop_assert_eq!(&serde_json::from_str::<StateProof>(&json).unwrap(), &proof);
        }
    }
}

#[test]
fn every_size_up_to_200_one_key_at_a_time() {
    let mut fixture = Fixture::default();
    for number in 0..200 {
        fixture.change(&Changes::from([(key(number), Some(value(number)))]));
        fixture.prove_and_verify(&key(number));
        fixture.prove_and_verify(&key(number + 1));
    }
    for number in 0..200 {
        fixture.change(&Changes::from([(key(number), None)]));
        fixture.prove_and_verify(&key(number));
    }
    assert_eq!(fixture.tree.root(), EMPTY);
}

#[test]
fn several_candidates_on_one_base_do_not_disturb_each_other() {
    let mut fixture = filled(500);
    let base = fixture.tree.root();
    let first: Changes = (0..50).map(|number| (key(number), None)).collect();
    let second: Changes = (400..600).map(|number| (key(number), Some(value(1)))).collect();
    let prepared_first = fixture.tree.prepare(&fixture.store, &first).unwrap();
    let prepared_second = fixture.tree.prepare(&fixture.store, &second).unwrap();
    assert_eq!(fixture.tree.root(), base);
    let again = fixture.tree.prepare(&fixture.store, &first).unwrap();
    assert_eq!((again.root(), again.rows()), (prepared_first.root(), prepared_first.rows()));
    let old_tree = fixture.tree.clone();
    let old_store = fixture.store.clone();
    fixture.change(&second);
    assert_eq!(fixture.tree.root(), prepared_second.root());
    assert_eq!(fixture.tree.apply(prepared_first), Err(OtherBase));
    assert_eq!(fixture.tree.root(), prepared_second.root());
    // A reader of the old state still proves from it.
    let proof = old_tree.prove(&old_store, &key(10)).unwrap();
    assert_eq!(proof.verify_hashed(&base, &key(10), Some(value(10))), Ok(()));
}

#[test]
fn changes_that_change_nothing_write_nothing() {
    let fixture = filled(300);
    let same: Changes = (0..10).map(|number| (key(number), Some(value(number)))).collect();
    let absent: Changes = (1_000..1_010).map(|number| (key(number), None)).collect();
    for changes in [same, absent, Changes::new()] {
        let update = fixture.tree.prepare(&fixture.store, &changes).unwrap();
        assert_eq!(update.root(), fixture.tree.root());
        assert!(update.rows().is_empty());
    }
}
