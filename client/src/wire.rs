//! What a node answers under `/v1`, as far as the client reads it. Fields that it does not know are ignored, so that
//! a newer node can say more.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId, InstitutionId, TransactionId};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::validators::ValidatorSet;
use yilian_spec::domain::parameters::Parameters;
use yilian_spec::ledger::receipt::{Outcome, Receipt};
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::proof::CertifiedHeader;
use yilian_spec::state::stream::EntryKind;

/// The tip of the ledger, `GET /v1/chain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The ledger.
    pub chain_id: ChainId,
    /// The public key of the node that answers.
    pub node: PublicKey,
    /// The ledger's name for people.
    pub network: String,
    /// The last block.
    pub height: Height,
    /// Its id.
    pub block_id: BlockId,
    /// Its time.
    pub time: LedgerTime,
    /// The validators of the next block.
    pub validators: ValidatorSet,
    /// The version of the protocol of the next block.
    pub protocol_version: u16,
    /// The last version of the protocol that the node knows.
    pub protocol_version_known: u16,
    /// The parameters of the next block.
    pub parameters: Parameters,
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The node has it and will pass it on.
    Accepted,
    /// It waits for a block.
    Pending,
    /// It is final.
    Committed,
    /// The node does not take it.
    Rejected,
}

/// What a node says about one submitted transaction.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SubmitResult {
    /// The transaction; absent where the bytes were none.
    #[serde(default)]
    pub transaction_id: Option<TransactionId>,
    /// Where it stands.
    pub status: Status,
    /// Its block, when it is final.
    #[serde(default)]
    pub height: Option<Height>,
    /// What became of it, when it is final.
    #[serde(default)]
    pub receipt: Option<Receipt>,
    /// Why it was rejected.
    #[serde(default)]
    pub error: Option<ErrorBody>,
}

/// `POST /v1/transactions`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SubmitAnswer {
    /// One for each transaction, in order.
    pub results: Vec<SubmitResult>,
    /// Why nothing of it will be final soon.
    #[serde(default)]
    pub notice: Option<String>,
}

/// What would become of a transaction, `POST /v1/transactions/check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The block on whose state it was tried.
    pub height: Height,
    /// What the rules said.
    pub outcome: Outcome,
}

/// A final transaction, `GET /v1/transactions/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// Its block.
    pub height: Height,
    /// Its place in the block.
    pub index: u32,
    /// The block's time.
    pub time: LedgerTime,
    /// The transaction; absent where some of its operations do not concern the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Transaction>,
    /// Where the transaction is absent, what of it concerns the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<TransactionPart>,
    /// What became of it.
    pub receipt: Receipt,
}

/// What of a transaction concerns a caller whom not all of it concerns. Nothing proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionPart {
    /// The author's institution.
    pub institution: InstitutionId,
    /// The operations.
    pub operations: Vec<NumberedOperation>,
}

/// An operation of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedOperation {
    /// Its number in the transaction, from 0.
    pub number: usize,
    /// It.
    pub operation: Operation,
}

/// The reason of an error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ErrorBody {
    /// Its name.
    pub code: String,
    /// One sentence for people.
    pub message: String,
}

/// The body of every error answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ErrorAnswer {
    /// The reason.
    pub error: ErrorBody,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// The height at which the list was read.
    #[serde(default)]
    pub height: Option<Height>,
}

/// A record in a list, with its identifier and what the node adds to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "I: Serialize + DeserializeOwned, T: Serialize + DeserializeOwned")]
pub struct Listed<I, T> {
    /// The identifier.
    pub id: I,
    /// Whether it is past its deadline, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue: Option<bool>,
    /// The record.
    pub record: T,
}

/// A block, `GET /v1/blocks/{height}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// What was agreed on, and by whom.
    #[serde(flatten)]
    pub certified: CertifiedHeader,
    /// The transactions that concern the caller.
    pub transactions: Vec<BlockTransaction>,
}

/// A transaction of a block, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockTransaction {
    /// The transaction.
    pub id: TransactionId,
    /// The author's institution.
    pub institution: InstitutionId,
    /// The names of its operations.
    pub operations: Vec<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// One entry of a stream, `GET /v1/streams/{kind}/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamItem {
    /// The block.
    pub height: Height,
    /// The transaction.
    pub transaction_id: TransactionId,
    /// The operation, counted from 0.
    pub operation: u16,
    /// What became of it.
    pub kind: EntryKind,
}

/// `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// One word.
    pub status: String,
    /// One sentence.
    #[serde(default)]
    pub reason: Option<String>,
    /// What to do.
    #[serde(default)]
    pub remedy: Option<String>,
    /// The node's last block.
    #[serde(default)]
    pub height: Option<Height>,
    /// Nodes it is connected to.
    #[serde(default)]
    pub peers: Option<u64>,
    /// Blocks it lacks, as far as it knows.
    #[serde(default)]
    pub behind_by: Option<u64>,
    /// Age of its last block.
    #[serde(default)]
    pub last_block_age_ms: Option<u64>,
    /// What else its operator should know.
    #[serde(default)]
    pub alarms: Vec<Alarm>,
}

/// Something that a node's operator should know although the node may do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What it is about, in one word.
    pub kind: String,
    /// Whom it is about.
    pub about: String,
    /// How much it hurts: `warning` or `urgent`.
    #[serde(default)]
    pub severity: Option<String>,
    /// What is the matter.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

/// A new block, as `GET /v1/events` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockEvent {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub block_id: BlockId,
    /// Its time.
    pub time: LedgerTime,
    /// Number of transactions.
    pub transactions: u64,
}

/// A final transaction of the caller's institution, as `GET /v1/events` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionEvent {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Its block.
    pub height: Height,
    /// What became of it.
    pub outcome: Outcome,
}
