//! What becomes of transactions: submitted, tried out, final.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ErrorDetail;
use crate::base::height::Height;
use crate::base::id::{InstitutionId, TransactionId};
use crate::base::time::LedgerTime;
use crate::domain::Operation;
use crate::ledger::receipt::{Outcome, Receipt};
use crate::ledger::transaction::Transaction;

/// Where a submitted transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransactionStatus {
    /// The mempool has just taken it.
    Accepted,
    /// The mempool had it already.
    Pending,
    /// It is final.
    Committed,
    /// It was not taken.
    Rejected,
}

/// What became of one submitted transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubmitResult {
    /// Its id; null where its bytes could not be read.
    pub transaction_id: Option<TransactionId>,
    /// Where it stands.
    pub status: TransactionStatus,
    /// Its block, once final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<Height>,
    /// Its receipt, once final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// Why it was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorDetail>,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubmitAnswer {
    /// One result for each transaction, in order.
    pub results: Vec<SubmitResult>,
    /// Why nothing of it will be final soon: what keeps the ledger from deciding, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// What would become of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checked {
    /// The block on whose state it was tried.
    pub height: Height,
    /// What the rules said.
    pub outcome: Outcome,
}

/// A transaction on the ledger, or on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum TransactionAnswer {
    /// It is final.
    Committed(Box<Committed>),
    /// The mempool has it.
    Pending,
}

/// A final transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Committed {
    /// Its block.
    pub height: Height,
    /// Its place in the block, from 0.
    pub index: u32,
    /// The block's time.
    #[serde(rename = "time_ms")]
    pub time: LedgerTime,
    /// The transaction; absent where some of its operations do not concern the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Transaction>,
    /// Where the transaction is absent, what of it concerns the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<TransactionPart>,
    /// Its receipt.
    pub receipt: Receipt,
}

/// What of a transaction concerns a caller whom not all of it concerns. Nothing proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransactionPart {
    /// The author's institution.
    pub institution: InstitutionId,
    /// The operations that concern the caller; how many others there are is not told.
    pub operations: Vec<NumberedOperation>,
}

/// An operation of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NumberedOperation {
    /// Its number in the transaction, from 0.
    pub number: u16,
    /// It.
    pub operation: Operation,
}
