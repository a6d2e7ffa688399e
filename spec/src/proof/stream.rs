//! Entries of a stream, from some index on up to its end or to another: none of those between was left out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CertifiedHeader, Checkpoint, ProofError, ProvenRow};
use crate::base::id::Hash;
use crate::crypto::merkle::log::{self, Frontier};
use crate::crypto::merkle::{NodeHash, hex_serde};
use crate::ledger::block::Header;
use crate::state::key::{StateKey, StreamId};
use crate::state::stream::Entry;

/// The head of a stream and some of its entries that follow each other. What lies before and behind them is proven to be
/// there, and how much it is; where nothing does, the entries are all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamProof {
    /// The stream.
    pub stream: StreamId,
    /// Its head in the state; absent where the stream is empty.
    pub head: ProvenRow,
    /// What lies before the first of `entries`.
    pub before: Frontier,
    /// The entries, in order; one at least unless they end with the stream.
    pub entries: Vec<Entry>,
    /// That the stream up to the last of `entries` begins the whole one (rule M-5); empty where they end with it.
    #[serde(with = "hex_serde::list")]
    #[schema(value_type = Vec<Hash>)]
    pub consistency: Vec<NodeHash>,
    /// The block after which the stream stood so.
    pub block: CertifiedHeader,
}

/// Which part of a stream a proof holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPart {
    /// Entries in the stream.
    pub length: u64,
    /// The index of the first entry that the proof holds.
    pub first: u64,
    /// The stream up to the last of these entries: what the part that follows has before it.
    pub through: Frontier,
}

impl StreamProof {
    /// Verifies that the entries are those of the stream in their places (rules P-2 to P-5, P-10 to P-15).
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<(&Header, StreamPart), ProofError> {
        let header = self.block.verify(checkpoint)?;
        self.head.verify(header)?;
        Ok((header, self.part()?))
    }

    /// The part of the stream that the entries are, if the head is that of the ledger (rules P-12 to P-15).
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn part(&self) -> Result<StreamPart, ProofError> {
        const HEAD: &str = "head of the stream";
        self.head.check_key(&StateKey::StreamHead(self.stream.clone()), HEAD)?;
        let head: Frontier = self.head.read(HEAD)?.unwrap_or_default();
        head.validate()?;
        self.before.validate()?;
        let first = self.before.length();
        let found = first.saturating_add(self.entries.len() as u64);
        let (length, says_nothing) = (head.length(), self.entries.is_empty() && first < head.length());
        if found > length || says_nothing {
            return Err(ProofError::EntryCount { length, found });
        }
        let mut through = self.before.clone();
        for entry in &self.entries {
            through.append(entry.leaf_hash())?;
        }
        // The peaks before the entries are hashed into the root, so that a made-up part before cannot lead to the head's.
        let follows = match length {
            0 => self.consistency.is_empty(),
            _ => log::verify_consistency(found, length, &self.consistency, &through.root(), &head.root())
                .is_ok(),
        };
        if !follows {
            return Err(ProofError::EntriesMismatch);
        }
        Ok(StreamPart { length, first, through })
    }
}
