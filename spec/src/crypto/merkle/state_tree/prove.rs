//! Building state proofs (rule M-9): down the upper tree in memory, then through one bucket's row.

use super::hash::{EMPTY, KeyHash, ValueHash, bit};
use super::prepare::read;
use super::row::{Row, key, parting, shared, value};
use super::{BucketId, BucketStore, StateLeaf, StateProof, StateTree, StateTreeError};
use crate::crypto::merkle::NodeHash;

impl StateTree {
    /// Proves what the tree holds for a key: its leaf, or that it is absent. `store` must hold the rows of this tree's
    /// state (a snapshot, while updates go on).
    ///
    /// # Errors
    /// [`StateTreeError`] when the bucket's row cannot be read or belongs to another state.
    pub fn prove<S: BucketStore>(
        &self,
        store: &S,
        key_hash: &KeyHash,
    ) -> Result<StateProof, StateTreeError<S::Error>> {
        let mut siblings = Vec::new();
        let mut id = BucketId::ROOT;
        let mut node = &self.root;
        while let Some(halves) = &node.halves {
            let right = key_hash.bit(u16::from(id.depth()));
            siblings.push(halves[usize::from(!right)].hash);
            node = &halves[usize::from(right)];
            id = id.child(right);
        }
        if node.leaves == 0 {
            return Ok(StateProof { siblings, leaf: None });
        }
        let bytes = store.get(id).map_err(StateTreeError::Store)?;
        let row = read(node, id, bytes.as_deref())?;
        let leaf = descend(&row, &key_hash.0, &mut siblings);
        Ok(StateProof { siblings, leaf })
    }
}

/// Goes on through a row with at least one leaf; returns the leaf at the end of the path, if there is one.
fn descend(row: &Row<'_>, wanted: &NodeHash, siblings: &mut Vec<NodeHash>) -> Option<StateLeaf> {
    let mut range = 0..row.leaves.len();
    let mut depth = u16::from(row.id.depth());
    while range.len() > 1 {
        let leaves = &row.leaves[range.clone()];
        let first = key(&leaves[0]);
        let parted = shared(&leaves[0], &leaves[leaves.len() - 1]);
        // Levels on which all these leaves are on one side: the other side is empty, or it is where the path ends.
        for depth in depth..parted {
            if bit(first, depth) != bit(wanted, depth) {
                siblings.push(row.node_at(range, depth + 1));
                return None;
            }
            siblings.push(EMPTY);
        }
        let middle = range.start + parting(leaves) + 1;
        let (below, other) = if bit(wanted, parted) {
            (middle..range.end, range.start..middle)
        } else {
            (range.start..middle, middle..range.end)
        };
        siblings.push(row.node(other));
        range = below;
        depth = parted + 1;
    }
    let leaf = &row.leaves[range.start];
    Some(StateLeaf { key_hash: KeyHash(*key(leaf)), value_hash: ValueHash(*value(leaf)) })
}
