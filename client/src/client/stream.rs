//! Streams, read part by part: each part is proven, and they follow each other without a gap (rule P-21).

use yilian_spec::proof::{Proof, StreamParts, StreamProof};
use yilian_spec::state::key::StreamId;
use yilian_spec::state::stream::Entry;

use super::Client;
use super::transport::Request;
use crate::error::ClientError;
use crate::limits;

/// A stream that is being read.
pub struct StreamReader<'c> {
    client: &'c Client,
    stream: StreamId,
    from: u64,
    parts: Option<StreamParts>,
    verified: bool,
}

/// A stream as a whole, or from some entry on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeStream {
    /// Which entries these are.
    pub parts: StreamParts,
    /// The entries.
    pub entries: Vec<Entry>,
    /// Whether they were proven against a checkpoint.
    pub verified: bool,
}

impl Client {
    /// Reads a stream from entry `from` on, part by part.
    pub fn read_stream(&self, stream: StreamId, from: u64) -> StreamReader<'_> {
        StreamReader { client: self, stream, from, parts: None, verified: false }
    }

    /// A stream from entry `from` on, all of it in memory.
    ///
    /// # Errors
    /// As [`StreamReader::next`].
    pub async fn stream(&self, stream: &StreamId, from: u64) -> Result<WholeStream, ClientError> {
        let mut reader = self.read_stream(stream.clone(), from);
        let mut entries = Vec::new();
        loop {
            let proof = reader.next(None).await?;
            entries.extend(proof.entries);
            if entries.len() > limits::LIST_ITEMS_MAX {
                return Err(ClientError::ListTooLong);
            }
            if let Some(parts) = reader.parts.take_if(|parts| parts.reach_the_end()) {
                return Ok(WholeStream { parts, entries, verified: reader.verified });
            }
        }
    }
}

impl StreamReader<'_> {
    /// The next part, of at most `limit` entries or as many as a node proves at once. The first part of an empty stream has
    /// none; so has a part behind the end.
    ///
    /// # Errors
    /// [`ClientError::NoneOfYours`], [`ClientError::OtherProof`] when it is another stream or does not begin there,
    /// [`ClientError::Verification`], or what asking gives.
    pub async fn next(&mut self, limit: Option<u64>) -> Result<StreamProof, ClientError> {
        let stream = &self.stream;
        let from = self.parts.as_ref().map_or(self.from, StreamParts::next);
        let path = format!("/v1/streams/{stream}/proof");
        let mut request = Request::get(&path).with("from", from);
        if let Some(limit) = limit {
            request = request.with("entries", limit);
        }
        let absent = ClientError::NoneOfYours { what: format!("stream {stream}") };
        let (document, verified) = self.client.proof(request, absent).await?;
        let proof = match document.proof {
            Proof::Stream(proof) if proof.stream == *stream && proof.before.length() == from => *proof,
            _ => return Err(ClientError::OtherProof { what: format!("stream {stream} from entry {from}") }),
        };
        let part = proof.part()?;
        match &mut self.parts {
            Some(parts) => parts.add(&proof, part)?,
            None => self.parts = Some(StreamParts::new(&proof, part)),
        }
        self.verified = verified;
        Ok(proof)
    }

    /// What was read so far; nothing before the first part.
    pub fn parts(&self) -> Option<&StreamParts> {
        self.parts.as_ref()
    }

    /// Whether the parts were proven against a checkpoint.
    pub fn verified(&self) -> bool {
        self.verified
    }
}
