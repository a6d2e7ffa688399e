//! Forged consistency: between histories that parted, other sizes, other roots, other paths.

use yilian_spec::crypto::merkle::log::{ConsistencyProof, LogProofError};

use super::draw::Draw;
use super::logs::{Logs, SIZE_MAX};
use super::{attempt_all, judge};

/// A claim with its proof: the later root, of one history and size, goes on from the earlier, of another.
#[derive(Debug)]
struct Claim {
    old: (usize, usize),
    new: (usize, usize),
    proof: ConsistencyProof,
}

fn honest(logs: &Logs, draw: &mut Draw) -> Claim {
    let (history, new) = (draw.below(2), draw.size(SIZE_MAX));
    let old = draw.size(new);
    let path = logs.histories[history].consistency[new][old].clone();
    let proof = ConsistencyProof { old_size: old as u64, new_size: new as u64, path };
    Claim { old: (history, old), new: (history, new), proof }
}

fn bend(claim: &mut Claim, logs: &Logs, draw: &mut Draw) {
    match draw.below(16) {
        0 | 8 => claim.old.0 = 1 - claim.old.0,
        1 | 9 => claim.new.0 = 1 - claim.new.0,
        2 => {
            claim.old.1 = draw.below(SIZE_MAX + 1);
            claim.proof.old_size = claim.old.1 as u64;
        }
        3 => {
            claim.new.1 = draw.below(SIZE_MAX + 1);
            claim.proof.new_size = claim.new.1 as u64;
        }
        4 => claim.proof.old_size = draw.below(SIZE_MAX + 1) as u64,
        5 => claim.proof.new_size ^= 1 << draw.below(9),
        6 => {
            let new = draw.size(SIZE_MAX);
            claim.proof.path = logs.histories[draw.below(2)].consistency[new][draw.size(new)].clone();
        }
        7 => {
            std::mem::swap(&mut claim.old, &mut claim.new);
            std::mem::swap(&mut claim.proof.old_size, &mut claim.proof.new_size);
        }
        _ => draw.bend_path(&mut claim.proof.path, &logs.nodes),
    }
}

/// The oracle: the sizes are the roots' own and in order, the earlier root is that of the later one's first entries,
/// and the path is the one that RFC 9162 gives.
fn is_honest(Claim { old, new, proof }: &Claim, logs: &Logs) -> bool {
    let (earlier, later) = (&logs.histories[old.0], &logs.histories[new.0]);
    proof.old_size == old.1 as u64
        && proof.new_size == new.1 as u64
        && (1..=new.1).contains(&old.1)
        && earlier.leaves[..old.1] == later.leaves[..old.1]
        && later.consistency[new.1][old.1] == proof.path
}

#[test]
fn no_forged_consistency_passes() {
    let logs = Logs::new();
    attempt_all("consistency", 2_495, |draw| {
        let mut claim = honest(&logs, draw);
        for _ in 0..draw.bends() {
            bend(&mut claim, &logs, draw);
        }
        let root = |(history, size): (usize, usize)| &logs.histories[history].roots[size];
        let answer =
            claim.proof.verify((claim.old.1 as u64, root(claim.old)), (claim.new.1 as u64, root(claim.new)));
        let by_hash = |error: &LogProofError| {
            matches!(error, LogProofError::RootMismatch | LogProofError::OldRootMismatch)
        };
        judge(&claim, is_honest(&claim, &logs), answer, by_hash)
    });
}
