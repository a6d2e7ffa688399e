//! Parts of a stream that were proven one by one, put together again (rule P-21).

use super::{ProofError, StreamPart, StreamProof};
use crate::base::height::Height;
use crate::base::time::LedgerTime;
use crate::state::key::StreamId;

/// Parts of one stream that follow each other without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamParts {
    stream: StreamId,
    first: u64,
    last: StreamPart,
    height: Height,
    time: LedgerTime,
}

impl StreamParts {
    /// Begins with a proof, of which this is the part.
    pub fn new(proof: &StreamProof, part: StreamPart) -> Self {
        let header = &proof.block.header;
        let stream = proof.stream.clone();
        Self { stream, first: part.first, last: part, height: header.height, time: header.time }
    }

    /// Adds a proof, of which this is the part: what lies before it must be all that came so far. Its block may be another.
    ///
    /// # Errors
    /// [`ProofError::PartMissing`] and [`ProofError::PartsDiffer`] (rule P-21).
    pub fn add(&mut self, proof: &StreamProof, part: StreamPart) -> Result<(), ProofError> {
        let (stream, first, expected) = (self.stream.clone(), part.first, self.next());
        if first != expected {
            return Err(ProofError::PartMissing { stream, expected, found: first });
        }
        if proof.stream != stream || proof.before != self.last.through {
            return Err(ProofError::PartsDiffer { stream, first });
        }
        *self = Self { first: self.first, ..Self::new(proof, part) };
        Ok(())
    }

    /// The stream.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The index of the first entry.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The index behind the last entry: where the next part begins.
    pub fn next(&self) -> u64 {
        self.last.through.length()
    }

    /// Entries of the stream as of the last part's block.
    pub fn length(&self) -> u64 {
        self.last.length
    }

    /// Height and time of the last part's block.
    pub fn as_of(&self) -> (Height, LedgerTime) {
        (self.height, self.time)
    }

    /// Whether the last entry is the last of the stream.
    pub fn reach_the_end(&self) -> bool {
        self.next() == self.length()
    }

    /// Whether these are all entries of the stream.
    pub fn are_complete(&self) -> bool {
        self.first == 0 && self.reach_the_end()
    }
}
