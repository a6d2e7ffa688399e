//! Why a proof is refused: one variant per rule.

use thiserror::Error;

use crate::base::codec::DecodeError;
use crate::base::height::Height;
use crate::base::id::{ChainId, TransactionId};
use crate::base::json::JsonError;
use crate::base::limits;
use crate::base::version::UnknownVersion;
use crate::crypto::merkle::log::{FrontierError, LogProofError};
use crate::crypto::merkle::state_tree::StateProofError;
use crate::ledger::block::CertificateError;
use crate::ledger::validation::semantic::SemanticError;
use crate::state::key::StreamId;

/// Why a proof proves nothing.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ProofError {
    /// Rule P-1: too long; nothing was read.
    #[error("longer than the {} bytes of a proof", limits::PROOF_BYTES_MAX)]
    TooLong,
    /// Rule P-1: no JSON. Rule P-18: not the one form of a proof.
    #[error("not a proof document: {0}")]
    NotADocument(JsonError),
    /// Rule P-2.
    #[error("the checkpoint's validators are not a well-formed set: take another checkpoint")]
    Checkpoint,
    /// Rule P-3.
    #[error("the proof is about chain {found}, the checkpoint about {trusted}")]
    OtherChain {
        /// The chain in the header.
        found: ChainId,
        /// The chain in the checkpoint.
        trusted: ChainId,
    },
    /// Rule P-3.
    #[error(transparent)]
    Version(#[from] UnknownVersion),
    /// Rule P-4.
    #[error(
        "block {height} is not the one of the checkpoint: two histories exist; keep both files as evidence"
    )]
    TwoHistories {
        /// The height.
        height: Height,
    },
    /// Rule P-5.
    #[error("the header is not certified by the checkpoint's validators: {0}")]
    Certificate(#[from] CertificateError),
    /// Rule P-6.
    #[error("the transaction is not valid: {0}")]
    Transaction(#[from] SemanticError),
    /// Rule P-7.
    #[error("the receipt is for transaction {found}, not for this one")]
    OtherReceipt {
        /// The transaction it is for.
        found: TransactionId,
    },
    /// Rule P-8.
    #[error("the transaction is not in the block: {0}")]
    TransactionNotIncluded(LogProofError),
    /// Rule P-9.
    #[error("the receipt stands at another place than the transaction")]
    OtherPlace,
    /// Rule P-9.
    #[error("the receipt is not in the block: {0}")]
    ReceiptNotIncluded(LogProofError),
    /// Rule P-10.
    #[error("rows of this kind have no leaf in the tree, so that neither presence nor absence can be proven")]
    NotProvable,
    /// Rule P-11.
    #[error("the row does not stand in the state: {0}")]
    Row(StateProofError),
    /// Rule P-12.
    #[error("the row of the state is not the {expected} that the proof is about")]
    OtherRow {
        /// What it should be.
        expected: &'static str,
    },
    /// Rule P-12.
    #[error("the state holds no {expected}: the proof shows that there is none")]
    Absent {
        /// What is missing.
        expected: &'static str,
    },
    /// Rule P-12.
    #[error("the row is no {expected}: {reason}")]
    RowForm {
        /// What it should be.
        expected: &'static str,
        /// Why it is not.
        reason: DecodeError,
    },
    /// Rule P-13.
    #[error("the head of the stream, or the part before the entries, is malformed: {0}")]
    Head(#[from] FrontierError),
    /// Rule P-14.
    #[error(
        "the stream has {length} entries, the proof goes up to {found}: it has none of them, or more than there are"
    )]
    EntryCount {
        /// Entries that the head counts.
        length: u64,
        /// Entries in the proof, with those before them.
        found: u64,
    },
    /// Rule P-15.
    #[error("the entries are not those of the stream: one was changed, exchanged or moved")]
    EntriesMismatch,
    /// Rule P-16.
    #[error("the statement is not the one whose hash the closed period holds")]
    StatementMismatch,
    /// Rule P-17.
    #[error("the terms of the agreement and their hash differ")]
    TermsMismatch,
    /// Rule P-19.
    #[error("the receipt is not in the ledger's log: {0}")]
    NotInLog(LogProofError),
    /// Rule P-20.
    #[error("block {earlier} is not earlier than block {height}")]
    NotEarlier {
        /// The height that should be the lower one.
        earlier: Height,
        /// The other.
        height: Height,
    },
    /// Rule P-20.
    #[error("the later log does not begin with the earlier one: {0}")]
    LogNotConsistent(LogProofError),
    /// Rule P-21.
    #[error("a part of {stream} begins at entry {found}, the one before it ends before entry {expected}")]
    PartMissing {
        /// The stream.
        stream: StreamId,
        /// Where the part had to begin.
        expected: u64,
        /// Where it begins.
        found: u64,
    },
    /// Rule P-21.
    #[error("two parts of {stream} are not of one stream: what lies before entry {first} differs")]
    PartsDiffer {
        /// The stream.
        stream: StreamId,
        /// Where the later part begins.
        first: u64,
    },
}

impl ProofError {
    /// The rule of chapter 7 that is broken; of a document that cannot be read, the one for its JSON.
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::TooLong | Self::NotADocument(JsonError::Unreadable { .. }) => "P-1",
            Self::NotADocument(JsonError::OtherForm { .. }) => "P-18",
            Self::Checkpoint => "P-2",
            Self::OtherChain { .. } | Self::Version(_) => "P-3",
            Self::TwoHistories { .. } => "P-4",
            Self::Certificate(_) => "P-5",
            Self::Transaction(_) => "P-6",
            Self::OtherReceipt { .. } => "P-7",
            Self::TransactionNotIncluded(_) => "P-8",
            Self::OtherPlace | Self::ReceiptNotIncluded(_) => "P-9",
            Self::NotProvable => "P-10",
            Self::Row(_) => "P-11",
            Self::OtherRow { .. } | Self::Absent { .. } | Self::RowForm { .. } => "P-12",
            Self::Head(_) => "P-13",
            Self::EntryCount { .. } => "P-14",
            Self::EntriesMismatch => "P-15",
            Self::StatementMismatch => "P-16",
            Self::TermsMismatch => "P-17",
            Self::NotInLog(_) => "P-19",
            Self::NotEarlier { .. } | Self::LogNotConsistent(_) => "P-20",
            Self::PartMissing { .. } | Self::PartsDiffer { .. } => "P-21",
        }
    }

    /// A name for programs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::NotADocument(JsonError::Unreadable { .. }) => "unreadable",
            Self::NotADocument(JsonError::OtherForm { .. }) => "other_form",
            Self::Checkpoint => "checkpoint",
            Self::OtherChain { .. } => "other_chain",
            Self::Version(_) => "unknown_version",
            Self::TwoHistories { .. } => "two_histories",
            Self::Certificate(_) => "certificate",
            Self::Transaction(_) => "transaction",
            Self::OtherReceipt { .. } => "other_receipt",
            Self::TransactionNotIncluded(_) => "transaction_not_included",
            Self::OtherPlace => "other_place",
            Self::ReceiptNotIncluded(_) => "receipt_not_included",
            Self::NotProvable => "not_provable",
            Self::Row(_) => "row",
            Self::OtherRow { .. } => "other_row",
            Self::Absent { .. } => "absent",
            Self::RowForm { .. } => "row_form",
            Self::Head(_) => "head",
            Self::EntryCount { .. } => "entry_count",
            Self::EntriesMismatch => "entries_mismatch",
            Self::StatementMismatch => "statement_mismatch",
            Self::TermsMismatch => "terms_mismatch",
            Self::NotInLog(_) => "not_in_log",
            Self::NotEarlier { .. } => "not_earlier",
            Self::LogNotConsistent(_) => "log_not_consistent",
            Self::PartMissing { .. } => "part_missing",
            Self::PartsDiffer { .. } => "parts_differ",
        }
    }

    /// The place in the document, as a JSON pointer (RFC 6901), where the error is about one.
    pub fn at(&self) -> Option<&str> {
        match self {
            Self::NotADocument(JsonError::OtherForm { at, .. }) => Some(at),
            _ => None,
        }
    }
}
