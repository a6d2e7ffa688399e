//! Forged rows of the state: present keys shown absent, absent ones present, other values, older states.

use std::collections::BTreeMap;

use yilian_spec::crypto::merkle::NodeHash;
use yilian_spec::crypto::merkle::state_tree::workload::{BucketStoreMut as _, MemoryStore};
use yilian_spec::crypto::merkle::state_tree::{
    EMPTY, KeyHash, StateLeaf, StateProof, StateProofError, StateTree, ValueHash, leaf_hash,
};

use super::draw::Draw;
use super::{attempt_all, judge};

/// Keys that are asked for; the later half of them never has a value.
const KEYS: u64 = 600;

/// A state of the tree, with the honest answer to every key.
struct State {
    tree: StateTree,
    store: MemoryStore,
    answers: Vec<(Option<ValueHash>, StateProof)>,
}

struct States {
    keys: Vec<KeyHash>,
    states: Vec<State>,
    /// Hashes that stand anywhere in the trees.
    nodes: Vec<NodeHash>,
    leaves: Vec<StateLeaf>,
}

fn key(number: u64) -> KeyHash {
    KeyHash::of(&number.to_le_bytes())
}

fn value(number: u64, version: u64) -> ValueHash {
    ValueHash::of(&[number.to_le_bytes(), version.to_le_bytes()].concat())
}

impl States {
    /// Empty, one key, few keys, many, and many with some changed and some removed.
    fn new() -> Self {
        let mut states = Self {
            keys: (0..KEYS).map(key).collect(),
            states: Vec::new(),
            nodes: vec![EMPTY],
            leaves: Vec::new(),
        };
        let (mut tree, mut store) = (StateTree::new(), MemoryStore::default());
        let mut model: BTreeMap<KeyHash, Option<ValueHash>> = BTreeMap::new();
        for (version, upto) in [0, 1, 9, 300, 300].into_iter().enumerate() {
            let version = version as u64;
            let mut changes = BTreeMap::new();
            for number in 0..upto {
                match (version, number % 5) {
                    (4, 0) => changes.insert(key(number), None),
                    (4, 1..) => None,
                    _ => changes.insert(key(number), Some(value(number, version))),
                };
            }
            let update = tree.prepare(&store, &changes).unwrap();
            store.write(update.rows()).unwrap();
            tree.apply(update).unwrap();
            model.extend(changes);
            states.add(&tree, &store, &model);
        }
        states.nodes.sort_unstable();
        states.nodes.dedup();
        states
    }

    fn add(&mut self, tree: &StateTree, store: &MemoryStore, model: &BTreeMap<KeyHash, Option<ValueHash>>) {
        let held = |key: &KeyHash| model.get(key).copied().flatten();
        let answer = |key: &KeyHash| (held(key), tree.prove(store, key).unwrap());
        let answers: Vec<_> = self.keys.iter().map(answer).collect();
        for (_, proof) in &answers {
            self.nodes.extend(&proof.siblings);
            self.leaves.extend(proof.leaf);
        }
        self.nodes.extend(self.leaves.iter().map(|leaf| leaf_hash(&leaf.key_hash, &leaf.value_hash)));
        self.nodes.push(tree.root());
        self.states.push(State { tree: tree.clone(), store: store.clone(), answers });
    }
}

/// A claim with its proof: in this state, this key holds this value or none.
#[derive(Debug)]
struct Claim {
    state: usize,
    /// The key's place in the list; nothing for a hash that is no key's.
    number: Option<usize>,
    key: KeyHash,
    value: Option<ValueHash>,
    proof: StateProof,
}

fn honest(states: &States, draw: &mut Draw) -> Claim {
    let (state, number) = (draw.below(states.states.len()), draw.below(states.keys.len()));
    let (value, proof) = states.states[state].answers[number].clone();
    Claim { state, number: Some(number), key: states.keys[number], value, proof }
}

fn bend(claim: &mut Claim, states: &States, draw: &mut Draw) {
    let wanted = claim.key;
    match draw.below(18) {
        0 => {
            let number = draw.below(states.keys.len());
            (claim.number, claim.key) = (Some(number), states.keys[number]);
        }
        1 => claim.state = draw.below(states.states.len()),
        // Present shown as absent, and the other way round.
        2 => {
            claim.value = if claim.value.is_some() { None } else { Some(draw.of(&states.leaves).value_hash) }
        }
        3 => claim.value = Some(draw.of(&states.leaves).value_hash),
        4 => claim.proof.leaf = None,
        5 => claim.proof.leaf = Some(*draw.of(&states.leaves)),
        // A leaf for the key asked for, under another value.
        6 => {
            let value_hash = claim.value.unwrap_or(draw.of(&states.leaves).value_hash);
            claim.proof.leaf = Some(StateLeaf { key_hash: wanted, value_hash });
        }
        // A made-up neighbour that shares the whole path, to show absence.
        7 => {
            let mut key_hash = wanted;
            let from = claim.proof.siblings.len().min(255);
            let bit = from + draw.below(256 - from);
            key_hash.0[bit / 8] ^= 0x80 >> (bit % 8);
            let value_hash = claim.proof.leaf.map_or(ValueHash(EMPTY), |leaf| leaf.value_hash);
            claim.proof.leaf = Some(StateLeaf { key_hash, value_hash });
            claim.value = None;
        }
        // An inner node given as a leaf, its halves as the hashes of key and value.
        8 => {
            let halves = [*draw.of(&states.nodes), *draw.of(&states.nodes)];
            let halves = match claim.proof.siblings.last() {
                Some(last) => fold_once(claim.proof.leaf, &wanted, claim.proof.siblings.len() - 1, last),
                None => halves,
            };
            claim.proof.siblings.pop();
            let leaf = StateLeaf { key_hash: KeyHash(halves[0]), value_hash: ValueHash(halves[1]) };
            claim.proof.leaf = Some(leaf);
            if draw.one_in(2) {
                (claim.number, claim.key, claim.value) = (None, leaf.key_hash, Some(leaf.value_hash));
            }
        }
        // A leaf given as an inner node with the key's and the value's hash as halves.
        9 => {
            if let Some(leaf) = claim.proof.leaf.take() {
                let right = wanted.bit(claim.proof.siblings.len().min(255) as u16);
                claim.proof.siblings.push(if right { leaf.key_hash.0 } else { leaf.value_hash.0 });
            }
        }
        10 => claim.proof = states.states[claim.state].answers[draw.below(states.keys.len())].1.clone(),
        11 => claim.proof.siblings.push(EMPTY),
        _ => draw.bend_path(&mut claim.proof.siblings, &states.nodes),
    }
}

/// The halves of the node right above a path's end.
fn fold_once(leaf: Option<StateLeaf>, key: &KeyHash, depth: usize, sibling: &NodeHash) -> [NodeHash; 2] {
    let end = leaf.map_or(EMPTY, |leaf| leaf_hash(&leaf.key_hash, &leaf.value_hash));
    if key.bit(depth as u16) { [*sibling, end] } else { [end, *sibling] }
}

#[test]
fn no_forged_row_passes() {
    let states = States::new();
    attempt_all("state", 3_495, |draw| {
        let mut claim = honest(&states, draw);
        for _ in 0..draw.bends() {
            bend(&mut claim, &states, draw);
        }
        let state = &states.states[claim.state];
        let answer = claim.proof.verify_hashed(&state.tree.root(), &claim.key, claim.value);
        // The oracle: the state answers so, and with this proof, of which there is one for each key.
        let expected = match claim.number {
            Some(number) => {
                let (value, proof) = &state.answers[number];
                *value == claim.value && *proof == claim.proof
            }
            // A made-up hash is in no state.
            None => {
                claim.value.is_none() && state.tree.prove(&state.store, &claim.key).unwrap() == claim.proof
            }
        };
        judge(&claim, expected, answer, |error| *error == StateProofError::RootMismatch)
    });
}
