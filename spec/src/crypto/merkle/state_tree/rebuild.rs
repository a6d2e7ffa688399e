//! Changing a bucket: merges the changes into its leaves and hashes again only what they touch.

use std::ops::Range;

use super::bucket::BucketId;
use super::hash::{EMPTY, KeyHash, ValueHash, node_hash, raise};
use super::row::{RawLeaf, Row, finish_row, key, raw_leaf, raw_leaf_hash, row_inner, shared, start_row};
use crate::crypto::merkle::NodeHash;

/// One change of a sorted batch.
pub(super) type Change<'a> = (&'a KeyHash, &'a Option<ValueHash>);

/// Marks a leaf that the old row does not have with this value.
const CHANGED: u32 = u32::MAX;

/// The leaves of a bucket after the changes, and where in the old row each unchanged one was. Its vectors are used
/// again for the next bucket.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    pub leaves: Vec<RawLeaf>,
    origin: Vec<u32>,
    /// For each leaf but the last, the leading bits it shares with the next.
    shared: Vec<u16>,
}

impl Leaves {
    /// Leaves of which no old row knows anything.
    pub fn from_sorted(leaves: &[RawLeaf]) -> Self {
        let mut new =
            Self { leaves: leaves.to_vec(), origin: vec![CHANGED; leaves.len()], shared: Vec::new() };
        new.find_shared();
        new
    }

    /// Takes the leaves of `old` with the changes applied; false if they change nothing.
    pub fn merge(&mut self, old: &Row<'_>, changes: &[Change<'_>]) -> bool {
        self.leaves.clear();
        self.origin.clear();
        let mut changed = false;
        let mut next = 0;
        for (change_key, change) in changes {
            let upto = next + old.leaves[next..].partition_point(|leaf| *key(leaf) < change_key.0);
            self.keep(old, next..upto);
            next = upto;
            let present = old.leaves.get(next).filter(|leaf| *key(leaf) == change_key.0);
            let wanted = change.map(|value| raw_leaf(change_key, &value));
            if present == wanted.as_ref() {
                continue;
            }
            changed = true;
            next += usize::from(present.is_some());
            if let Some(leaf) = wanted {
                self.leaves.push(leaf);
                self.origin.push(CHANGED);
            }
        }
        self.keep(old, next..old.leaves.len());
        if changed {
            self.find_shared();
        }
        changed
    }

    fn keep(&mut self, old: &Row<'_>, range: Range<usize>) {
        self.leaves.extend_from_slice(&old.leaves[range.clone()]);
        self.origin.extend(range.map(|index| index as u32));
    }

    fn find_shared(&mut self) {
        self.shared.clear();
        self.shared.extend(self.leaves.windows(2).map(|pair| shared(&pair[0], &pair[1])));
    }

    /// Hashes and encodes the leaves in `range` as the row of bucket `id`; at least one leaf.
    pub fn row(&self, old: &Row<'_>, range: Range<usize>, id: BucketId) -> (NodeHash, Vec<u8>) {
        let count = range.len();
        let mut row = start_row(&self.leaves[range.clone()]);
        let root = self.hash(old, range, u16::from(id.depth()), row_inner(&mut row, count));
        finish_row(&mut row, &root);
        (root, row)
    }

    /// Hashes the subtree with the leaves in `range` at depth `entry`, and fills `inner` (one less than leaves).
    fn hash(&self, old: &Row<'_>, range: Range<usize>, entry: u16, inner: &mut [NodeHash]) -> NodeHash {
        let Some(at) = self.parting(range.clone()) else {
            return self.leaves[range].first().map_or(EMPTY, raw_leaf_hash);
        };
        let own = at - range.start;
        if let Some(kept) = self.kept(&range)
            && old.entry_depth(&kept) == entry
        {
            inner.copy_from_slice(&old.inner[kept.start..kept.end - 1]);
            return inner[own];
        }
        let parted = self.shared[at];
        let first = *key(&self.leaves[range.start]);
        let (left_inner, rest) = inner.split_at_mut(own);
        let (slot, right_inner) = rest.split_first_mut().expect("two leaves part at one inner node");
        let left = self.hash(old, range.start..at + 1, parted + 1, left_inner);
        let right = self.hash(old, at + 1..range.end, parted + 1, right_inner);
        *slot = raise(node_hash(&left, &right), &first, parted, entry);
        *slot
    }

    /// The last leaf on the left of where the leaves in `range` part: the neighbours that share the fewest bits.
    fn parting(&self, range: Range<usize>) -> Option<usize> {
        if range.len() < 2 {
            return None;
        }
        let within = range.start..range.end - 1;
        let fewest = self.shared[within.clone()].iter().min()?;
        within.clone().find(|index| self.shared[*index] == *fewest)
    }

    /// Where the old row has exactly these leaves next to each other, if it does. An equal entry depth then means
    /// that they were all the leaves below that node, because a further one would share more bits with them.
    fn kept(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let origin = &self.origin[range.clone()];
        let start = *origin.first().filter(|start| **start != CHANGED)?;
        let together = origin.iter().zip(start..).all(|(origin, expected)| *origin == expected);
        let kept = start as usize..start as usize + range.len();
        together.then_some(kept)
    }
}
