//! The checker and the recomputation against histories that no run would give: each rule, broken once.

use yilian_spec::base::height::Height;
use yilian_spec::base::id::Hash;

use super::checker::{Checker, Violation};
use super::maker::Maker;
use super::replay::recompute;

#[test]
fn a_right_ledger_is_recomputed_and_a_wrong_root_is_found() {
    let mut maker = Maker::new();
    let some = maker.some_transactions(9, 9);
    maker.block(&some[..4], false);
    maker.block(&some[4..7], false);
    assert_eq!(recompute(&maker.genesis, &maker.blocks), Ok(()));
    let mut receipts = maker.blocks.clone();
    receipts[1].receipts.swap(0, 1);
    assert_eq!(recompute(&maker.genesis, &receipts).unwrap_err().height, Height(2));
    maker.block(&some[7..], true);
    let difference = recompute(&maker.genesis, &maker.blocks).unwrap_err();
    assert_eq!(difference.height, Height(3));
    assert!(difference.reason.contains("executing it gives"), "{difference}");
}

#[test]
fn a_certificate_of_too_few_and_a_gap_are_found() {
    let mut maker = Maker::new();
    let some = maker.some_transactions(4, 9);
    maker.block(&some[..2], false);
    maker.block(&some[2..], false);
    let mut few = maker.blocks.clone();
    few[1].certificate.signatures.truncate(2);
    assert_eq!(recompute(&maker.genesis, &few).unwrap_err().height, Height(2));
    assert_eq!(recompute(&maker.genesis, &maker.blocks[1..]).unwrap_err().height, Height(2));
    let mut checker = Checker::default();
    let violation = checker.committed(0, &maker.blocks[1]).unwrap_err();
    assert_eq!(violation, Violation::OutOfOrder { node: 0, last: Height(0), found: Height(2) });
}

#[test]
fn a_transaction_that_stands_there_twice_is_found() {
    let mut maker = Maker::new();
    let some = maker.some_transactions(3, 9);
    maker.block(&some, false);
    maker.block(&some[1..2], false);
    let mut checker = Checker::default();
    checker.committed(0, &maker.blocks[0]).unwrap();
    let violation = checker.committed(0, &maker.blocks[1]).unwrap_err();
    let id = some[1].id();
    assert_eq!(violation, Violation::Repeated { id, first: Height(1), again: Height(2) });
    assert!(recompute(&maker.genesis, &maker.blocks).unwrap_err().reason.contains("again"));
}

#[test]
fn other_blocks_other_bytes_and_lost_blocks_are_found() {
    let (mut one, mut other) = (Maker::new(), Maker::new());
    let some = one.some_transactions(4, 9);
    one.block(&some[..2], false);
    other.block(&some[2..], false);
    let mut checker = Checker::default();
    checker.committed(0, &one.blocks[0]).unwrap();
    checker.committed(1, &one.blocks[0]).unwrap();
    let violation = checker.committed(2, &other.blocks[0]).unwrap_err();
    assert!(matches!(violation, Violation::Disagreement { node: 2, other: 0, .. }));
    let mut changed = one.blocks[0].clone();
    changed.transactions[0].body.nonce[0] ^= 1;
    let violation = checker.committed(3, &changed).unwrap_err();
    assert_eq!(violation, Violation::DifferentBytes { height: Height(1), node: 3, other: 0 });
    checker.restarted(0, &one.blocks).unwrap();
    let violation = checker.restarted(1, &[]).unwrap_err();
    assert_eq!(violation, Violation::Forgotten { node: 1, committed: Height(1), held: Height(0) });
    assert_ne!(one.tip.state_root, Hash::default());
}
