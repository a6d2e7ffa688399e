//! Answers that carry their proof, and their verification against one trusted checkpoint (rules P-1 to P-21 of
//! `spec/protocol/07-proofs.md`).
//!
//! Every proof has the same shape: what is claimed, the hashes that lead from it to a root in a block header, and that
//! header with the signatures that made it final. Whoever holds a [`Checkpoint`] needs nothing else.
//!
//! ```text
//!   transaction, receipt ──path──▶ transactions_root, receipts_root ─┐
//!   row, or its absence ───path──▶ state_root ───────────────────────┤
//!   entries of a stream ──▶ head row ──path──▶ state_root ───────────┼─▶ header ──▶ certificate ──▶ checkpoint
//!   statement ──hash──▶ closed period row ──path──▶ state_root ──────┤
//!   receipt ──path──▶ log_root, log_root of an earlier header ───────┘
//! ```
//!
//! The JSON of a [`ProofDocument`] is what a node answers and what is saved to a file.

mod certified;
mod checkpoint;
mod document;
mod error;
mod log;
mod parts;
mod row;
mod statement;
mod stream;
mod transaction;

pub use crate::state::stream_text::StreamTextError;
pub use certified::CertifiedHeader;
pub use checkpoint::Checkpoint;
pub use document::{FORMAT, Proof, ProofDocument};
pub use error::ProofError;
pub use log::{LogConsistencyProof, LogInclusionProof};
pub use parts::StreamParts;
pub use row::{ProvenRow, StateProof};
pub use statement::{StatementProof, VerifiedStatement};
pub use stream::{StreamPart, StreamProof};
pub use transaction::TransactionProof;
