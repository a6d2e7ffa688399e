//! What the entries of streams say: each one's operation, and everything about a subject, from its stream and those of the
//! grants that it names (chapter 5 of the protocol).

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{GrantId, InstitutionId, SubjectTag, TransactionId};
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
    /// Everything about a subject; `progress` as in [`Client::resolve`], for each stream anew.
    ///
    /// # Errors
    /// What reading the streams and their transactions gives.
    pub async fn subject_history(
        &self,
        subject: SubjectTag,
        progress: &dyn Fn(usize, usize),
    ) -> Result<SubjectHistory, ClientError> {
        let contents = self.resolved_stream(&StreamId::Subject(subject), progress).await?;
        let mut grants = Vec::new();
        for grant in contents.grants() {
            grants.push((grant, self.resolved_stream(&StreamId::Grant(grant), progress).await?));
        }
        Ok(SubjectHistory { contents, grants })
    }

    /// A stream with the operations of its entries.
    ///
    /// # Errors
    /// What reading the stream and its transactions gives.
    async fn resolved_stream(
        &self,
        stream: &StreamId,
        progress: &dyn Fn(usize, usize),
    ) -> Result<ResolvedStream, ClientError> {
        let stream = self.stream(stream, 0).await?;
        let operations = self.resolve(&stream.entries, progress).await?;
        Ok(ResolvedStream { stream, operations })
    }

    /// The operations that these entries point at. Each transaction is asked for once, however many entries point at it;
    /// `progress` hears how many of how many are there.
    ///
    /// # Errors
    /// [`ClientError::OtherProof`] when a transaction is not what its entries say, or what asking gives.
    pub async fn resolve(
        &self,
        entries: &[Entry],
        progress: &dyn Fn(usize, usize),
    ) -> Result<Vec<Result<Resolved, Gap>>, ClientError> {
        let ids: BTreeSet<TransactionId> = entries.iter().map(|entry| entry.transaction_id).collect();
        let mut told = BTreeMap::new();
        let count = ids.len();
        let asked = ids.into_iter().map(|id| async move { self.ask(id).await.map(|told| (id, told)) });
        let mut answers = futures::stream::iter(asked).buffer_unordered(limits::LOOKUPS_IN_FLIGHT);
        while let Some((id, answer)) = answers.try_next().await? {
            told.insert(id, answer);
            progress(told.len(), count);
        }
        entries.iter().map(|entry| told[&entry.transaction_id].operation_of(entry)).collect()
    }

    /// What there is to know of a transaction, proven where it can be.
    async fn ask(&self, id: TransactionId) -> Result<Told, ClientError> {
        let error = match self.transaction_proof(id).await {
            Ok((proof, verified)) => {
                let body = proof.transaction.body;
                let operations = body.operations.into_iter().zip(0..).map(|(one, number)| (number, one));
                return Ok(Told::Operations {
                    height: proof.block.header.height,
                    institution: body.institution,
                    operations: operations.collect(),
                    is_whole: true,
                    verified,
                });
            }
            Err(error) => error,
        };
        // Operations that concern others stand beside it: the node tells of it, and nothing proves what it tells.
        if !matches!(&error, ClientError::Rejected { code, .. } if code == "partly_yours") {
            return Gap::of(&error).map(Told::Nothing).ok_or(error);
        }
        let found = match self.poll(id, 0).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Told::Nothing(Gap::NotThere)),
            Err(error) => return Gap::of(&error).map(Told::Nothing).ok_or(error),
        };
        Ok(match found.part {
            Some(part) => Told::Operations {
                height: found.height,
                institution: part.institution,
                operations: part.operations.into_iter().map(|one| (one.number, one.operation)).collect(),
                is_whole: false,
                verified: false,
            },
            None => Told::Nothing(Gap::NotReadable),
        })
    }
}

/// What a node told of a transaction.
enum Told {
    /// Its operations, by their numbers.
    Operations {
        height: Height,
        institution: InstitutionId,
        operations: BTreeMap<u16, Operation>,
        /// Whether there are no others.
        is_whole: bool,
        verified: bool,
    },
    Nothing(Gap),
}

impl Told {
    /// The operation that an entry points at.
    fn operation_of(&self, entry: &Entry) -> Result<Result<Resolved, Gap>, ClientError> {
        let (height, institution, operations, is_whole, verified) = match self {
            Self::Operations { height, institution, operations, is_whole, verified } => {
                (*height, institution, operations, *is_whole, *verified)
            }
            Self::Nothing(gap) => return Ok(Err(*gap)),
        };
        match operations.get(&entry.operation) {
            Some(operation) if height == entry.height => {
                Ok(Ok(Resolved { institution: institution.clone(), operation: operation.clone(), verified }))
            }
            None if !is_whole => Ok(Err(Gap::NotReadable)),
            Some(_) | None => Err(ClientError::OtherProof {
                what: format!("transaction {} of an entry of the stream", entry.transaction_id),
            }),
        }
    }
}
