//! All entries of a stream, or all from some index on: nothing was left out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CertifiedHeader, Checkpoint, ProofError, ProvenRow};
use crate::crypto::merkle::log::Frontier;
use crate::ledger::block::Header;
use crate::state::key::{StateKey, StreamId};
use crate::state::stream::Entry;

/// The head of a stream and its last entries; all of them where nothing comes before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamProof {
    /// The stream.
    pub stream: StreamId,
    /// Its head in the state; absent where the stream is empty.
    pub head: ProvenRow,
    /// What lies before the first of `entries`; empty when `entries` are all.
    pub before: Frontier,
    /// The entries, in order, up to the head.
    pub entries: Vec<Entry>,
    /// The block after which the stream stood so.
    pub block: CertifiedHeader,
}

/// What a stream proof shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedStream<'a> {
    /// The header at which the stream was read.
    pub header: &'a Header,
    /// Entries in the stream.
    pub length: u64,
    /// The index of the first entry that the proof holds; 0 when it holds all.
    pub first: u64,
}

impl StreamProof {
    /// Verifies that the entries are those of the stream from the first to its head (rules P-2 to P-5, P-10 to P-15).
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<VerifiedStream<'_>, ProofError> {
        const HEAD: &str = "head of the stream";
        let header = self.block.verify(checkpoint)?;
        self.head.verify(header)?;
        self.head.check_key(&StateKey::StreamHead(self.stream.clone()), HEAD)?;
        let head: Frontier = self.head.read(HEAD)?.unwrap_or_default();
        head.validate()?;
        self.before.validate()?;
        let first = self.before.length();
        let found = first.saturating_add(self.entries.len() as u64);
        if found != head.length() {
            return Err(ProofError::EntryCount { length: head.length(), found });
        }
        // The peaks before the entries are hashed into the head's, so that a made-up part before cannot lead to it.
        let mut rebuilt = self.before.clone();
        for entry in &self.entries {
            rebuilt.append(entry.leaf_hash())?;
        }
        if rebuilt != head {
            return Err(ProofError::EntriesMismatch);
        }
        Ok(VerifiedStream { header, length: head.length(), first })
    }
}
