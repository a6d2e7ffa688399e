//! Every size up to 64 against RFC 9162's recursive definitions, restated naively with the plain hasher.

use sha2::{Digest, Sha256};

use super::*;

fn plain_node(left: NodeHash, right: NodeHash) -> NodeHash {
    Sha256::digest([&[1u8][..], &left, &right].concat()).into()
}

/// MTH of section 2.1.1, over leaf hashes.
fn naive_root(leaves: &[NodeHash]) -> NodeHash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(largest_power_below(leaves.len()));
            plain_node(naive_root(left), naive_root(right))
        }
    }
}

/// PATH of section 2.1.3.1.
fn naive_path(index: usize, leaves: &[NodeHash]) -> Vec<NodeHash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let middle = largest_power_below(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut path, other) = if index < middle {
        (naive_path(index, left), naive_root(right))
    } else {
        (naive_path(index - middle, right), naive_root(left))
    };
    path.push(other);
    path
}

/// SUBPROOF of section 2.1.4.1.
fn naive_consistency(old: usize, leaves: &[NodeHash], whole: bool) -> Vec<NodeHash> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let middle = largest_power_below(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut path, other) = if old <= middle {
        (naive_consistency(old, left, whole), naive_root(right))
    } else {
        (naive_consistency(old - middle, right, false), naive_root(left))
    };
    path.push(other);
    path
}

fn largest_power_below(length: usize) -> usize {
    let mut power = 1;
    while power * 2 < length {
        power *= 2;
    }
    power
}

#[test]
fn roots_and_frontiers_agree_for_every_size() {
    let leaves = leaves(64);
    let mut frontier = Frontier::new();
    for size in 0..=64usize {
        assert_eq!(frontier.root(), naive_root(&leaves[..size]), "size {size}");
        assert_eq!(root(&leaves[..size]), frontier.root());
        assert_eq!(frontier.root(), LogTree::from_leaf_hashes(&leaves[..size]).root());
        assert_eq!(frontier.peaks().len(), size.count_ones() as usize);
        if let Some(leaf) = leaves.get(size) {
            frontier.append(*leaf).unwrap();
        }
    }
}

#[test]
fn completed_nodes_are_the_roots_of_their_leaves() {
    let leaves = leaves(64);
    let mut frontier = Frontier::new();
    let mut count = 0;
    for leaf in &leaves {
        frontier
            .append_with(*leaf, |node| {
                let width = 1 << node.level;
                let start = node.index as usize * width;
                assert_eq!(node.hash, naive_root(&leaves[start..start + width]));
                count += 1;
            })
            .unwrap();
    }
    assert_eq!(count, 127, "a complete tree of 64 leaves has 127 nodes, each reported once");
}

#[test]
fn inclusion_proofs_agree_for_every_size_and_index() {
    let leaves = leaves(64);
    let tree = LogTree::from_leaf_hashes(&leaves);
    for size in 1..=64usize {
        let root = naive_root(&leaves[..size]);
        for index in 0..size {
            let proof = prove_inclusion(&tree, index as u64, size as u64).unwrap();
            assert_eq!(proof.path, naive_path(index, &leaves[..size]), "leaf {index} of {size}");
            proof.verify(&leaves[index], size as u64, &root).unwrap();
            // No other position passes with the same path.
            for other in (0..size).filter(|other| *other != index) {
                assert!(
                    verify_inclusion(&leaves[index], other as u64, size as u64, &proof.path, &root).is_err()
                );
            }
        }
    }
}

#[test]
fn consistency_proofs_agree_for_every_pair_of_sizes() {
    let leaves = leaves(64);
    let tree = LogTree::from_leaf_hashes(&leaves);
    for new in 1..=64usize {
        let new_root = naive_root(&leaves[..new]);
        for old in 1..=new {
            let old_root = naive_root(&leaves[..old]);
            let proof = prove_consistency(&tree, old as u64, new as u64).unwrap();
            assert_eq!(proof.path, naive_consistency(old, &leaves[..new], true), "{old} to {new}");
            proof.verify((old as u64, &old_root), (new as u64, &new_root)).unwrap();
        }
    }
}

#[test]
fn what_cannot_be_proved_is_named() {
    let tree = LogTree::from_leaf_hashes(&leaves(5));
    assert_eq!(tree.prove_inclusion(5), Err(ProveError::IndexBeyondSize { index: 5, size: 5 }));
    assert_eq!(tree.prove_consistency(0), Err(ProveError::SizesOutOfOrder { old_size: 0, new_size: 5 }));
    assert_eq!(tree.prove_consistency(6), Err(ProveError::SizesOutOfOrder { old_size: 6, new_size: 5 }));
    assert_eq!(prove_inclusion(&tree, 0, 6), Err(ProveError::MissingNode { level: 1, index: 2 }));
    assert_eq!(
        prove_inclusion(&tree, 0, LOG_LENGTH_MAX + 1),
        Err(ProveError::SizeTooLarge { size: LOG_LENGTH_MAX + 1 })
    );
}

#[test]
fn the_head_of_any_prefix_is_made_from_stored_nodes() {
    let leaves: Vec<NodeHash> = (0..64u8).map(|number| leaf_hash(&[number])).collect();
    let tree = LogTree::from_leaf_hashes(&leaves);
    let mut head = Frontier::new();
    for (size, leaf) in (0..).zip(&leaves) {
        assert_eq!(prefix_frontier(&tree, size), Ok(head.clone()), "{size}");
        head.append(*leaf).unwrap();
    }
    assert_eq!(prefix_frontier(&tree, 64), Ok(head));
    assert!(matches!(prefix_frontier(&tree, 65), Err(ProveError::MissingNode { .. })));
}
