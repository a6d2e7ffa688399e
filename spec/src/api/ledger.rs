//! The chain, its blocks and its streams.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::height::Height;
use crate::base::id::{BlockId, ChainId, InstitutionId, TransactionId};
use crate::base::time::LedgerTime;
use crate::crypto::signature::PublicKey;
use crate::domain::membership::validators::ValidatorSet;
use crate::domain::parameters::Parameters;
use crate::ledger::receipt::Outcome;
use crate::proof::CertifiedHeader;
use crate::state::stream::EntryKind;

/// Which ledger this is, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Chain {
    /// The ledger: the hash of its genesis.
    pub chain_id: ChainId,
    /// This node's public key: whom a token for this node must be for.
    pub node: PublicKey,
    /// The ledger's name for people.
    pub network: String,
    /// The last block's height; 0 before the first.
    pub height: Height,
    /// The last block's id; before the first, the chain id.
    pub block_id: BlockId,
    /// The last block's time.
    #[serde(rename = "time_ms")]
    pub time: LedgerTime,
    /// The validators of the next block.
    pub validators: ValidatorSet,
    /// The version of the protocol of the next block.
    pub protocol_version: u16,
    /// The last version of the protocol that this node knows: below the other it has to be updated.
    pub protocol_version_known: u16,
    /// The parameters of the next block.
    pub parameters: Parameters,
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Block {
    /// What was agreed on, and what makes it final.
    #[serde(flatten)]
    pub certified: CertifiedHeader,
    /// Its transactions that concern the caller; a regulator sees all. The header counts them all.
    pub transactions: Vec<BlockTransaction>,
}

/// A transaction of a block, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockTransaction {
    /// Its id.
    pub transaction_id: TransactionId,
    /// Its place in the block, from 0.
    pub index: u32,
    /// The author's institution.
    pub institution: InstitutionId,
    /// The names of its operations that concern the caller.
    pub operations: Vec<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// The data of a `block` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockEvent {
    /// Its height; also the event's id.
    pub height: Height,
    /// Its id.
    pub block_id: BlockId,
    /// Its time.
    #[serde(rename = "time_ms")]
    pub time: LedgerTime,
    /// Its number of transactions.
    pub transactions: u32,
}

/// The data of a `transaction` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransactionEvent {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Its block.
    pub height: Height,
    /// What became of it.
    pub outcome: Outcome,
}

/// A page of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamPage {
    /// The entries, the oldest first.
    pub items: Vec<StreamItem>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
    /// The height that was read.
    pub height: Height,
    /// Entries in the whole stream.
    pub length: u64,
}

/// An entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamItem {
    /// Its place in the stream, from 0.
    pub index: u64,
    /// The block.
    pub height: Height,
    /// The transaction.
    pub transaction_id: TransactionId,
    /// The operation in the transaction, from 0.
    pub operation: u16,
    /// What became of it.
    pub kind: EntryKind,
    /// The operation's name.
    pub operation_name: String,
}
