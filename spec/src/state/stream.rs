//! Streams: append-only lists whose head in the state proves that a list of entries is complete (rules ).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use super::ViewError;
use super::key::{StateKey, StreamId};
use super::overlay::Overlay;
use crate::base::codec;
use crate::base::height::Height;
use crate::base::id::Hash;
use crate::base::id::TransactionId;
use crate::crypto::merkle::log;

/// What an entry of a stream says happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// The operation took effect.
    Applied,
    /// The operation was refused; the receipt says why.
    Refused,
}

/// One entry of a stream: it points at an operation, whose transaction proves what was said, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StreamEntry)]
pub struct Entry {
    /// The block.
    pub height: Height,
    /// The transaction.
    pub transaction_id: TransactionId,
    /// The operation, counted from 0.
    pub operation: u16,
    /// What became of it.
    pub kind: EntryKind,
}

impl Entry {
    /// The leaf hash under which the stream's head commits to the entry.
    pub fn leaf_hash(&self) -> [u8; 32] {
        log::leaf_hash(&codec::encode(self))
    }
}

/// Of the complete subtrees of a stream those of this level and above have a row: from them and fewer than `2^8` entries on
/// either side anybody who holds the rows proves any part of a stream, however long it is.
pub const NODE_LEVEL_MIN: u8 = 8;

/// Appends an entry to each of some streams: one proven row (the head) and one plain row (the entry) in each, and with
/// every `2^8` entries the subtrees that they complete.
///
/// # Errors
/// [`ViewError`] when storage fails.
pub fn append(
    overlay: &mut Overlay<'_>,
    streams: impl IntoIterator<Item = StreamId>,
    entry: &Entry,
) -> Result<(), ViewError> {
    let row = codec::encode(entry);
    let leaf = log::leaf_hash(&row);
    for stream in streams {
        let head = overlay.head(&stream)?;
        let index = head.length();
        let mut completed = Vec::new();
        head.append_with(leaf, |node| completed.extend((node.level >= NODE_LEVEL_MIN).then_some(node)))
            .map_err(|error| ViewError(error.to_string()))?;
        for node in completed {
            overlay.write(&StateKey::StreamNode(stream.clone(), node.level, node.index), &Hash(node.hash));
        }
        overlay.put(&StateKey::StreamEntry(stream, index), row.clone());
    }
    Ok(())
}
