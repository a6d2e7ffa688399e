//! Rows: dividing and joining, and every kind of damage by its name.

use super::*;

fn ids(fixture: &Fixture) -> Vec<u8> {
    fixture.store.rows.keys().map(BucketId::depth).collect()
}

/// Keys with these first bytes.
fn change(fixture: &mut Fixture, firsts: impl Iterator<Item = u8>, held: Option<ValueHash>) {
    fixture.change(&firsts.map(|first| (raw_key(&[first]), held)).collect());
}

#[test]
fn a_bucket_divides_when_over_its_bound_and_joins_far_below() {
    let mut fixture = Fixture::default();
    let max = BUCKET_LEAVES_MAX as u8;
    let step = u8::MAX / max + 1;
    change(&mut fixture, (0..max).map(|number| number * step), Some(value(1)));
    assert_eq!(ids(&fixture), [0]);
    change(&mut fixture, std::iter::once(1), Some(value(1)));
    assert_eq!(ids(&fixture), [1, 1]);
    // Removing the one again does not join them.
    change(&mut fixture, std::iter::once(1), None);
    assert_eq!(ids(&fixture), [1, 1]);
    let keep = BUCKET_LEAVES_JOIN as u8;
    change(&mut fixture, (keep + 1..max).map(|number| number * step), None);
    assert_eq!(ids(&fixture), [1], "the right half is empty and has no row");
    change(&mut fixture, std::iter::once(keep * step), None);
    assert_eq!(ids(&fixture), [0]);
}

#[test]
fn halves_that_shrink_in_one_update_join() {
    let mut fixture = filled(1_000);
    fixture.change(&(3..1_000).map(|number| (key(number), None)).collect());
    assert_eq!(ids(&fixture), [0]);
    fixture.change(&(0..1_000).map(|number| (key(number), Some(value(7)))).collect());
    assert!(fixture.store.rows.len() > 1_000 / BUCKET_LEAVES_MAX);
}

#[test]
fn a_bucket_at_the_greatest_depth_grows_beyond_the_bound() {
    let mut fixture = Fixture::default();
    let crowded = |number: u8| raw_key(&[9, 9, 9, 9, 9, 9, number]);
    fixture.change(&(0..100).map(|number| (crowded(number), Some(value(1)))).collect());
    assert_eq!(ids(&fixture), [BUCKET_DEPTH_MAX]);
    for number in 0..110 {
        fixture.prove_and_verify(&crowded(number));
    }
    fixture.change(&(BUCKET_LEAVES_JOIN as u8..100).map(|number| (crowded(number), None)).collect());
    assert_eq!(ids(&fixture), [0]);
}

#[test]
fn damaged_rows_are_refused_by_name() {
    let mut fixture = Fixture::default();
    change(&mut fixture, [10, 20, 30].into_iter(), Some(value(1)));
    let row = &fixture.store.rows[&BucketId::ROOT];
    assert_eq!(row.len(), 36 + 3 * 64 + 2 * 32);
    let audit = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut row = row.clone();
        change(&mut row);
        audit_row(BucketId::ROOT, &row)
    };
    assert_eq!(audit(&|_| ()), Ok(()));
    assert_eq!(audit(&|row| row.truncate(35)), Err(RowError::NoHeader { length: 35 }));
    let length = row.len();
    assert_eq!(audit(&|row| row.push(0)), Err(RowError::Length { leaves: 3, length: length + 1 }));
    assert_eq!(audit(&|row| row[0] = 0), Err(RowError::Length { leaves: 0, length }));
    assert_eq!(audit(&|row| row[3] = 255), Err(RowError::Length { leaves: 0xff00_0003, length }));
    assert_eq!(audit(&|row| row[36] = 20), Err(RowError::Order { index: 1 }));
    assert_eq!(audit(&|row| row[36] = 25), Err(RowError::Order { index: 1 }));
    assert_eq!(audit(&|row| row[4] ^= 1), Err(RowError::Root));
    assert_eq!(audit(&|row| row[36 + 63] ^= 1), Err(RowError::Hashes));
    assert!(audit(&|row| row[length - 33] ^= 1).is_err());
    let right = BucketId::from_bytes(&[0x80, 0, 0, 0, 0, 0, 1]).unwrap();
    assert_eq!(audit_row(right, row), Err(RowError::Prefix { index: 0 }));
    // Every flipped bit is found by an audit.
    for bit in 0..length * 8 {
        assert!(audit(&|row| row[bit / 8] ^= 1 << (bit % 8)).is_err(), "bit {bit}");
    }
}

#[test]
fn a_store_that_does_not_fit_the_tree_is_noticed() {
    let fixture = filled(200);
    let changes = Changes::from([(key(0), None)]);
    let (id, row) = fixture
        .store
        .rows
        .iter()
        .find(|(id, _)| id.holds(&key(0).0))
        .map(|(id, row)| (*id, row.clone()))
        .unwrap();

    let mut missing = fixture.store.clone();
    missing.rows.remove(&id);
    assert_eq!(fixture.tree.prepare(&missing, &changes).unwrap_err(), StateTreeError::MissingRow { id });
    assert_eq!(fixture.tree.prove(&missing, &key(0)), Err(StateTreeError::MissingRow { id }));

    let mut damaged = fixture.store.clone();
    damaged.rows.insert(id, row[..10].to_vec());
    let error = RowError::NoHeader { length: 10 };
    assert_eq!(fixture.tree.prove(&damaged, &key(0)), Err(StateTreeError::Row { id, error: error.clone() }));
    assert_eq!(
        StateTree::open(damaged.rows.into_iter().map(Ok::<_, Infallible>)).unwrap_err(),
        OpenError::Row { id, error }
    );

    let mut ahead = fixture.clone();
    ahead.change(&changes);
    assert_eq!(fixture.tree.prove(&ahead.store, &key(0)), Err(StateTreeError::OtherState { id }));
}

#[test]
fn rows_that_do_not_fit_together_do_not_open() {
    let open = |rows: Vec<(BucketId, Vec<u8>)>| StateTree::open(rows.into_iter().map(Ok::<_, Infallible>));
    let mut small = Fixture::default();
    change(&mut small, 0..3, Some(value(1)));
    let outer = small.store.rows[&BucketId::ROOT].clone();
    let big = filled(200);
    let rows: Vec<_> = big.store.rows.into_iter().collect();
    let overlapping = rows.iter().cloned().chain([(BucketId::ROOT, outer.clone())]).collect();
    assert_eq!(open(overlapping).unwrap_err(), OpenError::Overlap { id: BucketId::ROOT });
    let twice = vec![rows[0].clone(), rows[0].clone()];
    assert!(matches!(open(twice).unwrap_err(), OpenError::Overlap { .. } | OpenError::TooFew { .. }));
    let inside = BucketId::ROOT.child(false);
    assert_eq!(open(vec![(inside, outer)]).unwrap_err(), OpenError::TooFew { id: BucketId::ROOT });
    assert_eq!(open(Vec::new()).unwrap().root(), EMPTY);
    let failing = StateTree::open([Err("disk")]);
    assert_eq!(failing.unwrap_err(), OpenError::Store("disk"));
}
