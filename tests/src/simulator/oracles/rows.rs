//! The state rows of a node's disk, read by key.

use std::collections::BTreeMap;

use yilian_node::storage::disk::{Column, ReadBytes};
use yilian_spec::base::codec::{self, Canonical};
use yilian_spec::base::limits::PROOF_BYTES_MAX;
use yilian_spec::state::key::StateKey;

use super::Finding;

/// First byte of the keys of streams' heads (chapter 4 of the protocol).
pub const STREAM_HEAD: u8 = 0x20;
/// Of the entries of streams.
pub const STREAM_ENTRY: u8 = 0x80;
/// Of the subtrees of streams.
pub const STREAM_NODE: u8 = 0x8a;
/// Of published capacity.
pub const CAPACITY: u8 = 0x12;
/// Of closed periods.
pub const CLOSED_PERIOD: u8 = 0x14;
/// Of delivered services.
pub const SERVICE: u8 = 0x82;
/// Of evidence.
pub const EVIDENCE: u8 = 0x83;
/// Of the sums of open periods.
pub const ACCUMULATOR: u8 = 0x85;
/// Of statements.
pub const STATEMENT: u8 = 0x86;
/// Of what closed periods have settled.
pub const SETTLED: u8 = 0x88;

/// The state rows of a disk.
pub struct Rows<'a>(pub &'a dyn ReadBytes);

impl Rows<'_> {
    /// The bytes of a row.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn get(&self, key: &StateKey) -> Result<Option<Vec<u8>>, Finding> {
        self.get_bytes(&key.bytes())
    }

    /// The bytes of the row under the bytes of a key.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn get_bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Finding> {
        self.0.get(Column::StateRow, key).map_err(|error| Finding::Disk { reason: error.to_string() })
    }

    /// All rows of a kind.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn all(&self, tag: u8) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Finding> {
        let mut rows = BTreeMap::new();
        for row in self.0.scan(Column::StateRow, &[tag]) {
            let (key, value) = row.map_err(|error| Finding::Disk { reason: error.to_string() })?;
            if key.first() != Some(&tag) {
                break;
            }
            rows.insert(key.into_vec(), value.into_vec());
        }
        Ok(rows)
    }
}

/// The record that a row holds.
///
/// # Errors
/// When it does not decode.
pub fn read<T: Canonical>(key: &[u8], row: &[u8]) -> Result<T, Finding> {
    codec::decode(row, PROOF_BYTES_MAX).map_err(|_| Finding::Unreadable { key: hex::encode(key) })
}

/// What a row is, for people.
pub fn name(key: &[u8]) -> String {
    let (tag, id) = key.split_first().map_or((0, key), |(tag, id)| (*tag, id));
    let kind = match tag {
        CAPACITY => "capacity",
        CLOSED_PERIOD => "closed period",
        SERVICE => "service",
        EVIDENCE => "evidence",
        ACCUMULATOR => "open period",
        STATEMENT => "statement",
        SETTLED => "settled period",
        _ => "row",
    };
    format!("{kind} {}", hex::encode(id))
}
