//! What the entries of streams say: each one's operation, and everything about a subject, from its stream and those of the
//! grants that it names (chapter 5 of the protocol).

use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{GrantId, InstitutionId, SubjectTag};
use yilian_spec::domain::Operation;
use yilian_spec::domain::object::ObjectKind;
use yilian_spec::state::key::StreamId;
use yilian_spec::state::stream::{Entry, EntryKind};

use super::Client;
use super::stream::WholeStream;
use crate::error::ClientError;
use crate::limits;

/// The operation that an entry points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Its author's institution.
    pub institution: InstitutionId,
    /// It.
    pub operation: Operation,
    /// Whether its transaction was proven.
    pub verified: bool,
}

/// Why an entry's transaction says nothing here. That the stream is complete does not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// The node shows it to others only.
    NotReadable,
    /// The node does not have it.
    NotThere,
}

impl Gap {
    /// The reason in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NotReadable => "not readable to you",
            Self::NotThere => "the node does not have it",
        }
    }

    /// The gap that an error is about a single transaction; `None` for what concerns all of them.
    fn of(error: &ClientError) -> Option<Self> {
        match error {
            ClientError::Rejected { status: 403, code, .. } if code == "not_yours" => Some(Self::NotReadable),
            ClientError::NotFound { .. } => Some(Self::NotThere),
            _ => None,
        }
    }
}

/// A stream with what each of its entries points at.
#[derive(Debug, Clone)]
pub struct ResolvedStream {
    /// The stream.
    pub stream: WholeStream,
    /// The operation of each entry, or why there is none.
    pub operations: Vec<Result<Resolved, Gap>>,
}

/// Everything about a subject: its stream, and those of all grants that its operations created.
#[derive(Debug, Clone)]
pub struct SubjectHistory {
    /// The subject's stream.
    pub contents: ResolvedStream,
    /// The grants, in the order in which they were given.
    pub grants: Vec<(GrantId, ResolvedStream)>,
}

impl ResolvedStream {
    /// The grants that its operations created.
    fn grants(&self) -> Vec<GrantId> {
        let entries = self.stream.entries.iter().zip(&self.operations);
        let created = |(entry, found): (&Entry, &Result<Resolved, Gap>)| {
            let operation = &found.as_ref().ok()?.operation;
            let grants = entry.kind == EntryKind::Applied && operation.creates() == Some(ObjectKind::Grant);
            grants.then(|| GrantId(operation.object_id(entry.transaction_id, entry.operation)))
        };
        entries.filter_map(created).collect()
    }
}

impl SubjectHistory {
    /// Entries of all streams.
    pub fn count(&self) -> usize {
        let grants = self.grants.iter().map(|(_, found)| found);
        grants.chain([&self.contents]).map(|found| found.stream.entries.len()).sum()
    }

    /// Whether every stream is proven, and every entry of the contents could be read, so that no grant is missing.
    pub fn is_complete(&self) -> bool {
        let all = self.grants.iter().map(|(_, found)| found).chain([&self.contents]);
        let proven =
            all.map(|found| &found.stream).all(|stream| stream.verified && stream.parts.are_complete());
        let read = self.contents.operations.iter();
        proven && read.map(Result::as_ref).all(|found| found.is_ok_and(|found| found.verified))
    }
}

impl Client {
    /// Everything about a subject.
    ///
    /// # Errors
    /// What reading the streams and their transactions gives.
    pub async fn subject_history(&self, subject: SubjectTag) -> Result<SubjectHistory, ClientError> {
        let contents = self.resolved_stream(&StreamId::Subject(subject), 0).await?;
        let mut grants = Vec::new();
        for grant in contents.grants() {
            grants.push((grant, self.resolved_stream(&StreamId::Grant(grant), 0).await?));
        }
        Ok(SubjectHistory { contents, grants })
    }

    /// A stream from entry `from` on, with the operations of its entries.
    ///
    /// # Errors
    /// What reading the stream and its transactions gives.
    pub async fn resolved_stream(&self, stream: &StreamId, from: u64) -> Result<ResolvedStream, ClientError> {
        let stream = self.stream(stream, from).await?;
        let operations = self.resolve(&stream.entries).await?;
        Ok(ResolvedStream { stream, operations })
    }

    /// The operations that these entries point at.
    ///
    /// # Errors
    /// [`ClientError::OtherProof`] when a transaction is not what its entry says, or what asking gives.
    pub async fn resolve(&self, entries: &[Entry]) -> Result<Vec<Result<Resolved, Gap>>, ClientError> {
        let asked: Vec<_> = entries.iter().map(|entry| self.resolve_one(entry)).collect();
        futures::stream::iter(asked).buffered(limits::LOOKUPS_IN_FLIGHT).try_collect().await
    }

    /// Proves the entry's transaction, and that it has the operation that the entry points at.
    async fn resolve_one(&self, entry: &Entry) -> Result<Result<Resolved, Gap>, ClientError> {
        let number = entry.operation;
        let (height, institution, operation, verified) =
            match self.transaction_proof(entry.transaction_id).await {
                Ok((proof, verified)) => {
                    let mut operations = proof.transaction.body.operations;
                    let number = usize::from(number);
                    let operation = (number < operations.len()).then(|| operations.swap_remove(number));
                    (proof.block.header.height, proof.transaction.body.institution, operation, verified)
                }
                // Operations that concern others stand beside it: the node tells of it, and nothing proves what it tells.
                Err(ClientError::Rejected { code, .. }) if code == "partly_yours" => {
                    match self.part_of(entry).await? {
                        Ok((height, institution, operation)) => (height, institution, Some(operation), false),
                        Err(gap) => return Ok(Err(gap)),
                    }
                }
                Err(error) => return Gap::of(&error).map(Err).ok_or(error),
            };
        match operation.filter(|_| height == entry.height) {
            Some(operation) => Ok(Ok(Resolved { institution, operation, verified })),
            None => Err(ClientError::OtherProof {
                what: format!("transaction {} of an entry of the stream", entry.transaction_id),
            }),
        }
    }

    /// What the node tells of an entry's operation, whose transaction is partly the caller's.
    async fn part_of(
        &self,
        entry: &Entry,
    ) -> Result<Result<(Height, InstitutionId, Operation), Gap>, ClientError> {
        let found = match self.poll(entry.transaction_id, 0).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Err(Gap::NotThere)),
            Err(error) => return Gap::of(&error).map(Err).ok_or(error),
        };
        let Some(part) = found.part else { return Ok(Err(Gap::NotReadable)) };
        let operation = part.operations.into_iter().find(|one| one.number == entry.operation);
        Ok(match operation {
            Some(one) => Ok((found.height, part.institution, one.operation)),
            None => Err(Gap::NotReadable),
        })
    }
}
