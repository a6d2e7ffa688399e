//! Opening: the upper tree is built again from the bucket rows.

use thiserror::Error;

use super::bucket::{BUCKET_DEPTH_MAX, BUCKET_LEAVES_JOIN};
use super::row::Row;
use super::{BucketId, Node, RowError, StateTree};

/// Why rows are not those of a state tree.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum OpenError<E> {
    /// The store could not be read.
    #[error("reading the rows of the state tree failed: {0}")]
    Store(E),
    /// A row cannot be read.
    #[error("the row of bucket {id:?} is damaged ({error}); restore the state from a snapshot")]
    Row {
        /// The bucket.
        id: BucketId,
        /// The rule that does not hold.
        error: RowError,
    },
    /// Two buckets hold the same keys, or one bucket has two rows.
    #[error("bucket {id:?} lies within another one; restore the state from a snapshot")]
    Overlap {
        /// The bucket on the left of the two, or the outer one.
        id: BucketId,
    },
    /// Sibling buckets are apart that hold few enough keys to be one; a row is missing.
    #[error("the buckets below {id:?} hold too few keys to be divided; restore the state from a snapshot")]
    TooFew {
        /// The place above the buckets.
        id: BucketId,
    },
}

/// A bucket as its row describes it.
struct Tip {
    id: BucketId,
    node: Node,
}

impl StateTree {
    /// Builds the tree from all rows of the store, in any order. Rows are decoded strictly, but not hashed again: the
    /// root must be compared with the certified header, and [`super::audit_row`] checks a row in full.
    ///
    /// # Errors
    /// [`OpenError`] when a row cannot be read or the rows do not fit together.
    pub fn open<E>(
        rows: impl IntoIterator<Item = Result<(BucketId, Vec<u8>), E>>,
    ) -> Result<Self, OpenError<E>> {
        let mut tips = Vec::new();
        for row in rows {
            let (id, bytes) = row.map_err(OpenError::Store)?;
            let row = Row::decode(id, &bytes).map_err(|error| OpenError::Row { id, error })?;
            let node = Node { hash: *row.root, leaves: row.leaves.len() as u64, halves: None };
            tips.push(Tip { id, node });
        }
        tips.sort_by_key(|tip| tip.id);
        Ok(Self { root: build(BucketId::ROOT, &tips)?, revision: 0 })
    }
}

/// The upper node at `id`, above the buckets in `tips`.
fn build<E>(id: BucketId, tips: &[Tip]) -> Result<Node, OpenError<E>> {
    match tips {
        [] => return Ok(Node::EMPTY),
        [tip] if tip.id == id => return Ok(tip.node.clone()),
        [first, ..] if first.id == id || id.depth() == BUCKET_DEPTH_MAX => {
            return Err(OpenError::Overlap { id: first.id });
        }
        _ => {}
    }
    let (left, right) = tips.split_at(tips.partition_point(|tip| !tip.id.bit(id.depth())));
    let node = Node::inner(build(id.child(false), left)?, build(id.child(true), right)?);
    if node.leaves <= BUCKET_LEAVES_JOIN as u64 {
        return Err(OpenError::TooFew { id });
    }
    Ok(node)
}
