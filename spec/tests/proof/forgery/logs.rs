//! Two histories of one log that part after some entries, with every honest proof of both.

use yilian_spec::crypto::merkle::NodeHash;
use yilian_spec::crypto::merkle::log::{
    LogTree, leaf_hash, node_hash, prove_consistency, prove_inclusion, root,
};

/// Entries of each history: past a power of two.
pub const SIZE_MAX: usize = 131;

/// Entries that both histories share.
const SHARED: usize = 67;

/// One history.
pub struct History {
    pub leaves: Vec<NodeHash>,
    /// The root at each size.
    pub roots: Vec<NodeHash>,
    /// `inclusion[size][index]`.
    pub inclusion: Vec<Vec<Vec<NodeHash>>>,
    /// `consistency[new][old]`; empty for an old size of 0, from which nothing is proved.
    pub consistency: Vec<Vec<Vec<NodeHash>>>,
}

/// Both histories, and hashes that stand anywhere in them.
pub struct Logs {
    pub histories: [History; 2],
    pub nodes: Vec<NodeHash>,
}

impl History {
    fn new(leaves: Vec<NodeHash>) -> Self {
        let tree = LogTree::from_leaf_hashes(&leaves);
        let sizes = 0..=leaves.len();
        let inclusion = |size: usize| {
            (0..size).map(|index| prove_inclusion(&tree, index as u64, size as u64).unwrap().path).collect()
        };
        let consistency = |new: usize| {
            let path = |old: usize| prove_consistency(&tree, old as u64, new as u64).unwrap().path;
            std::iter::once(Vec::new()).chain((1..=new).map(path)).collect()
        };
        Self {
            roots: sizes.clone().map(|size| root(&leaves[..size])).collect(),
            inclusion: sizes.clone().map(inclusion).collect(),
            consistency: sizes.map(consistency).collect(),
            leaves,
        }
    }
}

impl Logs {
    pub fn new() -> Self {
        let entry = |history: usize, index: usize| {
            let branch = if index < SHARED { 0 } else { history };
            leaf_hash(format!("{branch}/{index}").as_bytes())
        };
        let histories =
            [0, 1].map(|history| History::new((0..SIZE_MAX).map(|index| entry(history, index)).collect()));
        let mut nodes: Vec<NodeHash> = Vec::new();
        for history in &histories {
            nodes.extend(&history.leaves);
            nodes.extend(&history.roots);
            nodes.extend(history.inclusion[SIZE_MAX].iter().flatten());
        }
        nodes.sort_unstable();
        nodes.dedup();
        Self { histories, nodes }
    }
}

/// A subtree above a leaf: its root, its two halves, and how far above the leaf it stands.
pub struct Above {
    pub hash: NodeHash,
    pub halves: [NodeHash; 2],
}

/// The node `levels` above a leaf (at least one), by folding that many hashes of its path.
pub fn node_above(leaf: NodeHash, mut index: u64, size: u64, path: &[NodeHash], levels: usize) -> Above {
    let mut last = size - 1;
    let mut above = Above { hash: leaf, halves: [leaf; 2] };
    for sibling in &path[..levels] {
        // Where the node has no right neighbour in its level, it moves up until it has a left one.
        while index == last && index & 1 == 0 && last != 0 {
            (index, last) = (index >> 1, last >> 1);
        }
        let halves = if index & 1 == 1 { [*sibling, above.hash] } else { [above.hash, *sibling] };
        above = Above { hash: node_hash(&halves[0], &halves[1]), halves };
        (index, last) = (index >> 1, last >> 1);
    }
    above
}
