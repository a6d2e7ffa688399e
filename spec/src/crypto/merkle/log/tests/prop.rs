//! Every mutation of a proof is refused, and proofs and frontiers survive their encodings.

use proptest::prelude::*;

use super::*;

/// One change to a path of hashes.
#[derive(Debug, Clone)]
enum Mutation {
    FlipBit { element: proptest::sample::Index, bit: usize },
    Remove { element: proptest::sample::Index },
    Insert { element: proptest::sample::Index, hash: NodeHash },
    Duplicate { element: proptest::sample::Index },
    Swap { element: proptest::sample::Index },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let element = any::<proptest::sample::Index>;
    prop_oneof![
        (element(), 0..256usize).prop_map(|(element, bit)| Mutation::FlipBit { element, bit }),
        element().prop_map(|element| Mutation::Remove { element }),
        (element(), any::<NodeHash>()).prop_map(|(element, hash)| Mutation::Insert { element, hash }),
        element().prop_map(|element| Mutation::Duplicate { element }),
        element().prop_map(|element| Mutation::Swap { element }),
    ]
}

/// The changed path, or `None` where the mutation does not apply to so short a path.
fn mutate(path: &[NodeHash], mutation: &Mutation) -> Option<Vec<NodeHash>> {
    let mut path = path.to_vec();
    match mutation {
        Mutation::Insert { element, hash } => path.insert(element.index(path.len() + 1), *hash),
        _ if path.is_empty() => return None,
        Mutation::FlipBit { element, bit } => {
            let at = element.index(path.len());
            path[at][bit / 8] ^= 1 << (bit % 8);
        }
        Mutation::Remove { element } => drop(path.remove(element.index(path.len()))),
        Mutation::Duplicate { element } => {
            let at = element.index(path.len());
            path.insert(at, path[at]);
        }
        Mutation::Swap { element } => {
            let at = element.index(path.len());
            let other = (at + 1) % path.len();
            if at == other {
                return None;
            }
            path.swap(at, other);
        }
    }
    Some(path)
}

proptest! {
    #[test]
    fn mutated_inclusion_is_refused(size in 1..200u64, at in any::<proptest::sample::Index>(), change in mutation()) {
        let leaves = leaves(size);
        let tree = LogTree::from_leaf_hashes(&leaves);
        let index = at.index(leaves.len());
        let proof = tree.prove_inclusion(index as u64).unwrap();
        let leaf = leaves[index];
        prop_assert_eq!(proof.verify(&leaf, size, &tree.root()), Ok(()));
        if let Some(path) = mutate(&proof.path, &change) {
            prop_assert!(verify_inclusion(&leaf, index as u64, size, &path, &tree.root()).is_err());
        }
        let other = LogProofError::OtherSize { claimed: size, trusted: size + 1 };
        prop_assert_eq!(proof.verify(&leaf, size + 1, &tree.root()), Err(other));
        prop_assert_eq!(proof.verify(&leaf_hash(b"x"), size, &tree.root()), Err(LogProofError::RootMismatch));
        prop_assert_eq!(proof.verify(&leaf, size, &leaf), if size == 1 { Ok(()) } else { Err(LogProofError::RootMismatch) });
    }

    #[test]
    fn mutated_consistency_is_refused(new in 1..200u64, at in any::<proptest::sample::Index>(), change in mutation()) {
        let leaves = leaves(new);
        let tree = LogTree::from_leaf_hashes(&leaves);
        let old = at.index(leaves.len()) as u64 + 1;
        let old_root = LogTree::from_leaf_hashes(&leaves[..old as usize]).root();
        let proof = tree.prove_consistency(old).unwrap();
        prop_assert_eq!(proof.verify((old, &old_root), (new, &tree.root())), Ok(()));
        if let Some(path) = mutate(&proof.path, &change) {
            prop_assert!(verify_consistency(old, new, &path, &old_root, &tree.root()).is_err());
        }
        let wrong = leaf_hash(b"x");
        prop_assert!(proof.verify((old, &wrong), (new, &tree.root())).is_err());
        prop_assert!(proof.verify((old, &old_root), (new, &wrong)).is_err());
        prop_assert!(proof.verify((old + 1, &old_root), (new, &tree.root())).is_err());
    }

    #[test]
    fn encodings_round_trip(size in 0..100u64) {
        let leaves = leaves(size);
        let tree = LogTree::from_leaf_hashes(&leaves);
        let frontier = tree.frontier();
        let bytes = wincode::serialize(frontier).unwrap();
        prop_assert_eq!(bytes.len(), 16 + 32 * size.count_ones() as usize);
        prop_assert_eq!(&wincode::deserialize_exact::<Frontier>(&bytes).unwrap(), frontier);
        let json = serde_json::to_string(frontier).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Frontier>(&json).unwrap(), frontier);
        if let Some(last) = size.checked_sub(1) {
            let proof = tree.prove_inclusion(last).unwrap();
            let bytes = wincode::serialize(&proof).unwrap();
            prop_assert_eq!(&wincode::deserialize_exact::<InclusionProof>(&bytes).unwrap(), &proof);
            let json = serde_json::to_string(&proof).unwrap();
            prop_assert_eq!(&serde_json::from_str::<InclusionProof>(&json).unwrap(), &proof);
            let json = json.to_uppercase().replace("INDEX", "index").replace("SIZE", "size").replace("PATH", "path");
            prop_assert_eq!(serde_json::from_str::<InclusionProof>(&json).is_err(), json.contains(['A', 'B', 'C', 'D', 'E', 'F']));
        }
    }
}

#[test]
fn a_frontier_that_breaks_its_invariant_is_refused() {
    let hash = leaf_hash(b"");
    assert_eq!(Frontier::from_parts(3, vec![hash]), Err(FrontierError::PeakCount { length: 3, peaks: 1 }));
    assert_eq!(
        Frontier::from_parts(LOG_LENGTH_MAX + 1, vec![hash; 2]),
        Err(FrontierError::Full { length: LOG_LENGTH_MAX + 1 })
    );
    let mut full = Frontier::from_parts(LOG_LENGTH_MAX, vec![hash]).unwrap();
    assert_eq!(full.append(hash), Err(FrontierError::Full { length: LOG_LENGTH_MAX }));
    // Decoding alone does not check the invariant; the first use does.
    let bytes = wincode::serialize(&(7u64, vec![hash])).unwrap();
    let mut decoded: Frontier = wincode::deserialize_exact(&bytes).unwrap();
    assert_eq!(decoded.append(hash), Err(FrontierError::PeakCount { length: 7, peaks: 1 }));
}
