//! The checker and the recomputation against histories that no run would give: each rule, broken once.

use yilian_node::application::reader::StoredBlock;
use yilian_spec::block::{CommitCertificate, CommitSignature, Header, precommit_signing_bytes};
use yilian_spec::chain::{self, Tip};
use yilian_spec::genesis::Genesis;
use yilian_spec::height::Height;
use yilian_spec::id::Hash;
use yilian_spec::time::LedgerTime;
use yilian_spec::transaction::{CheckedTransaction, Transaction};
use yilian_spec::validation::semantic;

use super::checker::{Checker, Violation};
use super::consortium::{START_MS, genesis, transactions, validator_key};
use super::plan::VALIDATORS;
use super::random::Random;
use super::replay::{Rows, recompute};

/// A ledger that is made block by block, without any of the checks that a node makes.
struct Maker {
    genesis: Genesis,
    state: Rows,
    tip: Tip,
    blocks: Vec<StoredBlock>,
}

impl Maker {
    fn new() -> Self {
        let genesis = genesis();
        let mut state = Rows::default();
        state.apply(&chain::genesis_writes(&genesis));
        let tip = Tip::genesis(&genesis, state.root());
        Self { genesis, state, tip, blocks: Vec::new() }
    }

    fn some_transactions(&self, count: usize) -> Vec<Transaction> {
        transactions(self.genesis.chain_id(), count, &mut Random::new(9))
    }

    fn block(&mut self, transactions: &[Transaction], wrong_root: bool) {
        let checked = semantic::check_many(transactions.to_vec(), self.tip.chain_id);
        let checked: Vec<CheckedTransaction> = checked.into_iter().map(Result::unwrap).collect();
        let time = LedgerTime(START_MS + self.tip.height.0);
        let proposer = validator_key(0).public_key();
        let state = &self.state;
        let executed = chain::execute(&self.tip, state, time, proposer, checked, |writes| {
            let mut after = state.clone();
            after.apply(writes);
            let mut root = after.root();
            root.0[31] ^= u8::from(wrong_root);
            Ok(root)
        });
        let executed = executed.unwrap();
        self.state.apply(&executed.writes);
        self.tip = executed.tip;
        self.blocks.push(StoredBlock {
            certificate: certify(&executed.header),
            header: executed.header,
            transactions: transactions.to_vec(),
            receipts: executed.receipts,
        });
    }
}

fn certify(header: &Header) -> CommitCertificate {
    let message = precommit_signing_bytes(header.chain_id, header.height, 0, header.id());
    let sign = |member| {
        let key = validator_key(member);
        CommitSignature { validator: key.public_key(), signature: key.sign(&message) }
    };
    let mut signatures: Vec<CommitSignature> = (0..VALIDATORS).map(sign).collect();
    signatures.sort();
    CommitCertificate { height: header.height, round: 0, block_id: header.id(), signatures }
}

#[test]
fn a_right_ledger_is_recomputed_and_a_wrong_root_is_found() {
    let mut maker = Maker::new();
    let some = maker.some_transactions(9);
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
    let some = maker.some_transactions(4);
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
    let some = maker.some_transactions(3);
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
    let some = one.some_transactions(4);
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
