//! Tests of the state tree by technique: against a naive oracle, by attack on its proofs, by damage to its rows.

mod adversary;
mod oracle;
mod prop;
mod rows;
mod vectors;

use std::collections::BTreeMap;
use std::convert::Infallible;

use super::workload::{BucketStoreMut, MemoryStore};
use super::*;

type Changes = BTreeMap<KeyHash, Option<ValueHash>>;

/// A tree with its store, and the map it should stand for.
#[derive(Debug, Clone, Default)]
struct Fixture {
    tree: StateTree,
    store: MemoryStore,
    model: BTreeMap<KeyHash, ValueHash>,
}

impl Fixture {
    /// Applies a batch and checks the tree against the model.
    fn change(&mut self, changes: &Changes) {
        let update = self.tree.prepare(&self.store, changes).unwrap();
        let root = update.root();
        self.store.write(update.rows()).unwrap();
        self.tree.apply(update).unwrap();
        for (key, value) in changes {
            match value {
                Some(value) => self.model.insert(*key, *value),
                None => self.model.remove(key),
            };
        }
        assert_eq!(self.tree.root(), root);
        self.check();
    }

    /// The root is the oracle's, every row is sound, and a tree opened from the rows is the same.
    fn check(&self) {
        assert_eq!(self.tree.root(), oracle::root(&self.model));
        assert_eq!(self.tree.length(), self.model.len() as u64);
        for (id, row) in &self.store.rows {
            assert_eq!(audit_row(*id, row), Ok(()), "{id:?}");
        }
        assert_eq!(shape(&self.reopened()), shape(&self.tree));
    }

    fn reopened(&self) -> StateTree {
        let rows = self.store.rows.iter().rev().map(|(id, row)| Ok::<_, Infallible>((*id, row.clone())));
        StateTree::open(rows).unwrap()
    }

    fn prove(&self, key: &KeyHash) -> StateProof {
        self.tree.prove(&self.store, key).unwrap()
    }

    /// Proves what the model holds for `key`, and checks that the proof shows exactly that.
    fn prove_and_verify(&self, key: &KeyHash) -> StateProof {
        let proof = self.prove(key);
        let held = self.model.get(key).copied();
        assert_eq!(proof.verify_hashed(&self.tree.root(), key, held), Ok(()));
        let opposite = if held.is_some() { None } else { Some(value(0)) };
        assert!(proof.verify_hashed(&self.tree.root(), key, opposite).is_err());
        proof
    }
}

/// Hash and size of every upper node, from the root down.
fn shape(tree: &StateTree) -> Vec<(NodeHash, u64)> {
    fn visit(node: &Node, out: &mut Vec<(NodeHash, u64)>) {
        out.push((node.hash, node.leaves));
        node.halves.iter().flat_map(|halves| halves.iter()).for_each(|half| visit(half, out));
    }
    let mut out = Vec::new();
    visit(&tree.root, &mut out);
    out
}

fn key(number: u64) -> KeyHash {
    KeyHash::of(&number.to_le_bytes())
}

fn value(number: u64) -> ValueHash {
    ValueHash::of(&number.to_le_bytes())
}

/// A fixture with the keys `0..count`, added in one batch.
fn filled(count: u64) -> Fixture {
    let mut fixture = Fixture::default();
    fixture.change(&(0..count).map(|number| (key(number), Some(value(number)))).collect());
    fixture
}

/// A key hash that begins with these bytes and is zero after them.
fn raw_key(bytes: &[u8]) -> KeyHash {
    let mut hash = [0; 32];
    hash[..bytes.len()].copy_from_slice(bytes);
    KeyHash(hash)
}
