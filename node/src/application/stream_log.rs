//! A stream as a log from which proofs are made: its large subtrees are rows of the state, the small ones are computed from
//! its entries (rules R-4, M-6).

use std::ops::Range;

use yilian_spec::base::id::Hash;
use yilian_spec::crypto::merkle::NodeHash;
use yilian_spec::crypto::merkle::log::{self, Frontier, LogReader};
use yilian_spec::state::key::{StateKey, StreamId};
use yilian_spec::state::stream::{Entry, NODE_LEVEL_MIN};

use super::proofs::log_error;
use super::reader::View;
use crate::storage::StorageError;

/// Entries of a stream that follow each other, with what proves them under its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenEntries {
    /// The head that the stream had before the first of them.
    pub before: Frontier,
    /// The entries.
    pub entries: Vec<Entry>,
    /// The path from the head that it had after the last of them to its head now.
    pub consistency: Vec<NodeHash>,
}

struct StreamLog<'v> {
    view: &'v View<'v>,
    stream: &'v StreamId,
}

impl View<'_> {
    /// Proves the entries of a stream from number `first` on, at most `count`.
    ///
    /// # Errors
    /// When storage fails, or the rows of the stream do not fit together.
    pub fn prove_stream(
        &self,
        stream: &StreamId,
        first: u64,
        count: u64,
    ) -> Result<ProvenEntries, StorageError> {
        let length = self.stream_head(stream)?.length();
        let end = first.saturating_add(count).min(length);
        let log = StreamLog { view: self, stream };
        let before = log::prefix_frontier(&log, first.min(length)).map_err(log_error)?;
        let entries = log.entries(first..end)?;
        let consistency = if end == 0 {
            Vec::new()
        } else {
            log::prove_consistency(&log, end, length).map_err(log_error)?.path
        };
        Ok(ProvenEntries { before, entries, consistency })
    }
}

impl StreamLog<'_> {
    fn entries(&self, range: Range<u64>) -> Result<Vec<Entry>, StorageError> {
        let mut entries = Vec::new();
        let mut next = range.start;
        while next < range.end {
            let wanted = usize::try_from(range.end - next).unwrap_or(usize::MAX);
            let more = self.view.stream_entries(self.stream, next, wanted)?;
            if more.is_empty() {
                return Err(StorageError::contradiction(format!(
                    "stream {} lacks entry {next}",
                    self.stream
                )));
            }
            next += more.len() as u64;
            entries.extend(more);
        }
        Ok(entries)
    }
}

impl LogReader for StreamLog<'_> {
    type Error = StorageError;

    fn node(&self, level: u8, index: u64) -> Result<Option<NodeHash>, StorageError> {
        if level >= NODE_LEVEL_MIN {
            let key = StateKey::StreamNode(self.stream.clone(), level, index);
            return Ok(self.view.record(&key)?.map(|Hash(hash)| hash));
        }
        let leaves: Vec<NodeHash> =
            self.entries((index << level)..((index + 1) << level))?.iter().map(Entry::leaf_hash).collect();
        Ok(Some(log::root(&leaves)))
    }
}
