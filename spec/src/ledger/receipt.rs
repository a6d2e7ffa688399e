//! Receipts: what became of a transaction.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::id::{Hash, TransactionId};
use crate::domain::refusal::Refusal;

/// What the rules said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All operations took effect.
    Applied,
    /// None took effect.
    Refused {
        /// The operation that was refused, counted from 0.
        operation: u16,
        /// Why.
        reason: Refusal,
    },
}

/// The receipt of a transaction; the block's header commits to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// What became of it.
    pub outcome: Outcome,
    /// Hash over everything it wrote, also over rows that have no place in the state tree.
    pub effects: Hash,
}
