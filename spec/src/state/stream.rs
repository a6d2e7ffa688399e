//! Streams: append-only lists whose head in the state proves that a list of entries is complete (rules ).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use super::ViewError;
use super::key::{StateKey, StreamId};
use super::overlay::Overlay;
use crate::base::codec;
use crate::base::height::Height;
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

/// Appends an entry to each of some streams: one proven row (the head) and one plain row (the entry) in each.
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
        head.append(leaf).map_err(|error| ViewError(error.to_string()))?;
        overlay.put(&StateKey::StreamEntry(stream, index), row.clone());
    }
    Ok(())
}
