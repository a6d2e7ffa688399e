//! Preparing an update: one descent over the sorted changes, each touched path hashed once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::bucket::{BUCKET_DEPTH_MAX, BUCKET_LEAVES_JOIN, BUCKET_LEAVES_MAX};
use super::hash::bit;
use super::rebuild::{Change, Leaves};
use super::row::{Row, key};
use super::{BucketId, BucketRows, BucketStore, KeyHash, Node, StateTree, StateTreeError, ValueHash};
use crate::crypto::merkle::NodeHash;

/// What a batch of changes does to the tree: its new root, and the rows to write with it.
#[must_use = "an update changes nothing until its rows are written and it is applied"]
#[derive(Debug, Clone)]
pub struct TreeUpdate {
    pub(super) base_root: NodeHash,
    pub(super) base_revision: u64,
    pub(super) root: Node,
    rows: BucketRows,
}

impl TreeUpdate {
    /// The root after the update.
    pub fn root(&self) -> NodeHash {
        self.root.hash
    }

    /// Rows to write and to delete, in one batch with everything else that the block changes, before
    /// [`StateTree::apply`].
    pub fn rows(&self) -> &BucketRows {
        &self.rows
    }
}

impl StateTree {
    /// Computes the tree after `changes` (`None` removes a key) without changing this one. Setting a key to the value
    /// it has, or removing one that is absent, is no change.
    ///
    /// # Errors
    /// [`StateTreeError`] when a row cannot be read or is not the one this tree was built from.
    pub fn prepare<S: BucketStore>(
        &self,
        store: &S,
        changes: &BTreeMap<KeyHash, Option<ValueHash>>,
    ) -> Result<TreeUpdate, StateTreeError<S::Error>> {
        let sorted: Vec<Change<'_>> = changes.iter().collect();
        let mut preparation = Preparation { store, rows: BucketRows::new(), leaves: Leaves::default() };
        let root = preparation.node(&self.root, BucketId::ROOT, &sorted)?;
        Ok(TreeUpdate {
            base_root: self.root.hash,
            base_revision: self.revision,
            root,
            rows: preparation.rows,
        })
    }
}

/// The state of one descent.
struct Preparation<'a, S> {
    store: &'a S,
    rows: BucketRows,
    leaves: Leaves,
}

impl<S: BucketStore> Preparation<'_, S> {
    /// The node after the changes below it.
    fn node(
        &mut self,
        old: &Node,
        id: BucketId,
        changes: &[Change<'_>],
    ) -> Result<Node, StateTreeError<S::Error>> {
        if changes.is_empty() {
            return Ok(old.clone());
        }
        let Some(halves) = &old.halves else {
            return self.bucket(old, id, changes);
        };
        let depth = u16::from(id.depth());
        let (to_left, to_right) = changes.split_at(changes.partition_point(|(key, _)| !key.bit(depth)));
        let left = self.node(&halves[0], id.child(false), to_left)?;
        let right = self.node(&halves[1], id.child(true), to_right)?;
        if left.hash == halves[0].hash && right.hash == halves[1].hash {
            return Ok(Node { halves: Some(Arc::clone(halves)), ..*old });
        }
        if left.leaves + right.leaves <= BUCKET_LEAVES_JOIN as u64 {
            return self.join(left, right, id);
        }
        Ok(Node::inner(left, right))
    }

    /// A bucket after its changes: the same, other leaves, divided, or gone.
    fn bucket(
        &mut self,
        old: &Node,
        id: BucketId,
        changes: &[Change<'_>],
    ) -> Result<Node, StateTreeError<S::Error>> {
        if old.leaves == 0 {
            return Ok(self.changed(old, &Row::empty(id), changes));
        }
        let store = self.store;
        let read = store.with_row(id, |bytes| Ok(self.changed(old, &read(old, id, bytes)?, changes)));
        read.map_err(StateTreeError::Store)?
    }

    /// The node of a bucket with this row after its changes, and its rows among the pending ones.
    fn changed(&mut self, old: &Node, row: &Row<'_>, changes: &[Change<'_>]) -> Node {
        let id = row.id;
        let mut leaves = std::mem::take(&mut self.leaves);
        let node = if leaves.merge(row, changes) {
            if old.leaves != 0 {
                self.rows.insert(id, None);
            }
            self.place(&leaves, row, 0..leaves.leaves.len(), id)
        } else {
            old.clone()
        };
        self.leaves = leaves;
        node
    }

    /// Makes the rows for the leaves in `range`, in as many buckets as the bound asks for.
    fn place(&mut self, leaves: &Leaves, old: &Row<'_>, range: Range<usize>, id: BucketId) -> Node {
        if range.is_empty() {
            return Node::EMPTY;
        }
        if range.len() > BUCKET_LEAVES_MAX && id.depth() < BUCKET_DEPTH_MAX {
            let depth = u16::from(id.depth());
            let inside = &leaves.leaves[range.clone()];
            let middle = range.start + inside.partition_point(|leaf| !bit(key(leaf), depth));
            let left = self.place(leaves, old, range.start..middle, id.child(false));
            let right = self.place(leaves, old, middle..range.end, id.child(true));
            return Node::inner(left, right);
        }
        let count = range.len() as u64;
        let (hash, row) = leaves.row(old, range, id);
        self.rows.insert(id, Some(row));
        Node { hash, leaves: count, halves: None }
    }

    /// Makes one bucket of two siblings that have become small.
    fn join(&mut self, left: Node, right: Node, id: BucketId) -> Result<Node, StateTreeError<S::Error>> {
        let mut joined = Vec::with_capacity(BUCKET_LEAVES_JOIN);
        for (node, id) in [(left, id.child(false)), (right, id.child(true))] {
            if node.leaves > 0 {
                let bytes = self.load(id)?;
                joined.extend_from_slice(read(&node, id, bytes.as_deref())?.leaves);
                self.rows.insert(id, None);
            }
        }
        let leaves = Leaves::from_sorted(&joined);
        Ok(self.place(&leaves, &Row::empty(id), 0..joined.len(), id))
    }

    /// The row of a bucket as this update leaves it.
    fn load(&self, id: BucketId) -> Result<Option<Vec<u8>>, StateTreeError<S::Error>> {
        let pending = self.rows.get(&id).cloned();
        pending.map_or_else(|| self.store.get(id).map_err(StateTreeError::Store), Ok)
    }
}

/// Reads the row of a node's bucket that holds keys, and checks that it is the one the node was made from.
pub(super) fn read<'a, E>(
    node: &Node,
    id: BucketId,
    bytes: Option<&'a [u8]>,
) -> Result<Row<'a>, StateTreeError<E>> {
    let bytes = bytes.ok_or(StateTreeError::MissingRow { id })?;
    let row = Row::decode(id, bytes).map_err(|error| StateTreeError::Row { id, error })?;
    if *row.root != node.hash || row.leaves.len() as u64 != node.leaves {
        return Err(StateTreeError::OtherState { id });
    }
    Ok(row)
}
