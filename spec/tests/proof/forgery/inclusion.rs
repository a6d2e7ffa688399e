//! Forged inclusion: other leaves, places, sizes and paths; inner nodes shown as leaves, and leaves as inner nodes.

use yilian_spec::crypto::merkle::NodeHash;
use yilian_spec::crypto::merkle::log::{InclusionProof, LogProofError, leaf_hash};

use super::draw::Draw;
use super::logs::{Logs, SIZE_MAX, node_above};
use super::{Fate, attempt_all, judge};

/// A claim with its proof: this leaf, under the root that this history had at this size.
#[derive(Debug)]
struct Claim {
    leaf: NodeHash,
    history: usize,
    size: usize,
    proof: InclusionProof,
}

fn honest(logs: &Logs, draw: &mut Draw) -> Claim {
    let (history, size) = (draw.below(2), draw.size(SIZE_MAX));
    let index = if draw.one_in(4) { size - 1 } else { draw.below(size) };
    let path = logs.histories[history].inclusion[size][index].clone();
    let leaf = logs.histories[history].leaves[index];
    Claim { leaf, history, size, proof: InclusionProof { index: index as u64, size: size as u64, path } }
}

fn bend(claim: &mut Claim, logs: &Logs, draw: &mut Draw) {
    let leaves = &logs.histories[claim.history].leaves;
    let levels = 1 + draw.below(claim.proof.path.len().max(1));
    match draw.below(16) {
        0 => claim.proof.index = draw.below(claim.size + 2) as u64,
        1 => claim.proof.index ^= 1 << draw.below(8),
        2 => claim.proof.index = claim.proof.index.wrapping_add(1 << draw.below(64)),
        3 => claim.proof.size = draw.size(SIZE_MAX) as u64,
        // An older or newer root of the same log, the proof's own word for the size adjusted.
        4 => {
            claim.size = draw.size(SIZE_MAX);
            claim.proof.size = claim.size as u64;
        }
        5 => claim.history = 1 - claim.history,
        6 => claim.leaf = *draw.of(leaves),
        7 => claim.leaf[draw.below(32)] ^= 1 << draw.below(8),
        8 => {
            claim.proof.path =
                logs.histories[draw.below(2)].inclusion[claim.size][draw.below(claim.size)].clone()
        }
        // A leaf's place taken by the inner node above it, or by the entry whose bytes are that node's halves.
        way @ (9 | 10) if is_honest(claim, logs) && !claim.proof.path.is_empty() => {
            let Claim { leaf, proof, .. } = claim;
            let above = node_above(*leaf, proof.index, proof.size, &proof.path, levels);
            *leaf = if way == 9 { above.hash } else { leaf_hash(&above.halves.concat()) };
            proof.path.drain(..levels);
            if draw.one_in(2) {
                proof.index >>= levels;
            }
        }
        _ => draw.bend_path(&mut claim.proof.path, &logs.nodes),
    }
}

/// The oracle: the leaf stands there, the sizes are the root's own, and the path is the one that RFC 9162 gives.
fn is_honest(Claim { leaf, history, size, proof }: &Claim, logs: &Logs) -> bool {
    let history = &logs.histories[*history];
    let index = usize::try_from(proof.index).unwrap_or(usize::MAX);
    proof.size == *size as u64
        && index < *size
        && history.leaves[index] == *leaf
        && history.inclusion[*size][index] == proof.path
}

#[test]
fn no_forged_inclusion_passes() {
    let logs = Logs::new();
    attempt_all("inclusion", 4_000, |draw| -> Fate {
        let mut claim = honest(&logs, draw);
        for _ in 0..draw.bends() {
            bend(&mut claim, &logs, draw);
        }
        let root = &logs.histories[claim.history].roots[claim.size];
        let answer = claim.proof.verify(&claim.leaf, claim.size as u64, root);
        judge(&claim, is_honest(&claim, &logs), answer, |error| *error == LogProofError::RootMismatch)
    });
}
