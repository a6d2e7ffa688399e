//! Proofs under attack: no changed proof passes, and none shows the opposite of what the tree holds.

use super::*;

fn verify(fixture: &Fixture, key: &KeyHash, held: Option<ValueHash>, proof: &StateProof) -> bool {
    proof.verify_hashed(&fixture.tree.root(), key, held).is_ok()
}

/// Proofs of every kind: present, absent before an empty half, absent before another leaf.
fn cases(fixture: &Fixture) -> Vec<(KeyHash, Option<ValueHash>, StateProof)> {
    let keys = (0..40).map(key).chain((1_000..1_040).map(key));
    let cases: Vec<_> =
        keys.map(|key| (key, fixture.model.get(&key).copied(), fixture.prove_and_verify(&key))).collect();
    for (present, leaf) in [(true, true), (false, true), (false, false)] {
        assert!(cases.iter().any(|case| case.1.is_some() == present && case.2.leaf.is_some() == leaf));
    }
    cases
}

#[test]
fn every_flipped_bit_is_refused() {
    let fixture = filled(100);
    for (key, held, proof) in cases(&fixture) {
        let bytes = wincode::serialize(&proof).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let decoded = wincode::deserialize_exact::<StateProof>(&changed);
            assert!(decoded.is_err() || !verify(&fixture, &key, held, &decoded.unwrap()), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(wincode::deserialize_exact::<StateProof>(&bytes[..length]).is_err());
        }
    }
}

#[test]
fn every_change_of_the_siblings_is_refused() {
    let fixture = filled(100);
    for (key, held, proof) in cases(&fixture) {
        let changed = |change: &dyn Fn(&mut Vec<NodeHash>)| {
            let mut changed = proof.clone();
            change(&mut changed.siblings);
            changed
        };
        for at in 0..proof.siblings.len() {
            assert!(!verify(&fixture, &key, held, &changed(&|siblings| _ = siblings.remove(at))));
            assert!(!verify(&fixture, &key, held, &changed(&|siblings| siblings.truncate(at))));
            assert!(!verify(&fixture, &key, held, &changed(&|siblings| siblings.insert(at, siblings[at]))));
            assert!(!verify(&fixture, &key, held, &changed(&|siblings| siblings.insert(at, EMPTY))));
            if at > 0 && proof.siblings[at] != proof.siblings[at - 1] {
                assert!(!verify(&fixture, &key, held, &changed(&|siblings| siblings.swap(at - 1, at))));
            }
        }
        assert!(!verify(&fixture, &key, held, &changed(&|siblings| siblings.push(EMPTY))));
        let deep = changed(&|siblings| siblings.resize(257, EMPTY));
        assert_eq!(
            deep.verify_hashed(&fixture.tree.root(), &key, held),
            Err(StateProofError::TooDeep { length: 257 })
        );
    }
}

/// The attack on ICS-23 called "Dragonberry", and its relatives: a present key shown as absent.
#[test]
fn a_present_key_cannot_be_shown_absent() {
    let fixture = filled(100);
    let others: Vec<StateLeaf> =
        fixture.model.iter().map(|(key, value)| StateLeaf { key_hash: *key, value_hash: *value }).collect();
    let all_paths: Vec<Vec<NodeHash>> = (0..120).map(|number| fixture.prove(&key(number)).siblings).collect();
    for number in 0..12 {
        let wanted = key(number);
        for path in &all_paths {
            for length in 0..=path.len() {
                let siblings = path[..length].to_vec();
                let ends = others.iter().copied().map(Some).chain([None]);
                for leaf in ends {
                    // Leaves off the path are refused before any hashing; keep this test to those that get further.
                    let shares =
                        leaf.is_none_or(|leaf| leaf.key_hash.common_prefix_bits(&wanted) as usize >= length);
                    if shares {
                        let proof = StateProof { siblings: siblings.clone(), leaf };
                        assert!(!verify(&fixture, &wanted, None, &proof));
                    }
                }
            }
        }
    }
}

#[test]
fn each_false_claim_has_its_name() {
    let fixture = filled(100);
    let root = fixture.tree.root();
    let present = fixture.prove(&key(1));
    assert_eq!(present.verify_hashed(&root, &key(1), None), Err(StateProofError::KeyPresent));
    assert_eq!(present.verify_hashed(&root, &key(1), Some(value(2))), Err(StateProofError::OtherValue));
    assert_eq!(present.verify_hashed(&root, &key(2), Some(value(1))), Err(StateProofError::OtherKey));
    assert_eq!(present.verify_hashed(&[7; 32], &key(1), Some(value(1))), Err(StateProofError::RootMismatch));
    let length = present.siblings.len() as u16;
    let far = (1_000..).map(key).find(|far| far.bit(0) != key(1).bit(0)).unwrap();
    assert_eq!(
        present.verify_hashed(&root, &far, None),
        Err(StateProofError::LeafOffPath { shared: 0, length })
    );
    let ends_empty =
        (1_000..).map(key).map(|key| (key, fixture.prove(&key))).find(|(_, proof)| proof.leaf.is_none());
    let (absent, proof) = ends_empty.unwrap();
    assert_eq!(proof.verify_hashed(&root, &absent, Some(value(0))), Err(StateProofError::KeyAbsent));
    // The public form hashes key and value itself.
    assert_eq!(present.verify(&root, &1u64.to_le_bytes(), Some(&1u64.to_le_bytes())), Ok(()));
    assert_eq!(
        present.verify(&root, &1u64.to_le_bytes(), Some(b"another")),
        Err(StateProofError::OtherValue)
    );
}

#[test]
fn an_inner_node_does_not_pass_as_a_leaf_nor_a_leaf_as_an_inner_node() {
    let fixture = filled(2);
    let [left, right] = [false, true].map(|side| {
        let proof = fixture.prove(&raw_key(&[if side { 0 } else { 0x80 }]));
        proof.siblings[0]
    });
    assert_eq!(node_hash(&left, &right), fixture.tree.root());
    // The root's halves, given as key and value of the tree's only leaf.
    let leaf = Some(StateLeaf { key_hash: KeyHash(left), value_hash: ValueHash(right) });
    let forged = StateProof { siblings: Vec::new(), leaf };
    for number in 0..2 {
        assert_eq!(
            forged.verify_hashed(&fixture.tree.root(), &key(number), None),
            Err(StateProofError::RootMismatch)
        );
    }
    let claim = forged.verify_hashed(&fixture.tree.root(), &KeyHash(left), Some(ValueHash(right)));
    assert_eq!(claim, Err(StateProofError::RootMismatch));

    // A leaf whose key hash is all zero, given as an inner node with an empty left half.
    let mut single = Fixture::default();
    let zero = KeyHash([0; 32]);
    single.change(&Changes::from([(zero, Some(value(5)))]));
    let forged = StateProof { siblings: vec![value(5).0], leaf: None };
    assert_eq!(forged.verify_hashed(&single.tree.root(), &zero, None), Err(StateProofError::RootMismatch));
}

#[test]
fn keys_that_share_all_but_the_last_bit_are_told_apart() {
    let mut fixture = Fixture::default();
    let (mut a, mut b) = (key(1), key(1));
    (a.0[31], b.0[31]) = (0xf0, 0xf1);
    fixture.change(&Changes::from([(a, Some(value(1)))]));
    assert_eq!(fixture.prove_and_verify(&b).siblings.len(), 0);
    fixture.change(&Changes::from([(b, Some(value(2)))]));
    for key in [a, b] {
        assert_eq!(fixture.prove_and_verify(&key).siblings.len(), 256);
    }
    let mut beside = a;
    beside.0[20] ^= 1;
    assert_eq!(fixture.prove_and_verify(&beside).leaf, None);
    assert!(fixture.prove_and_verify(&raw_key(&[])).leaf.is_none());
}
