//! A transaction and what became of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CertifiedHeader, Checkpoint, ProofError};
use crate::base::codec;
use crate::crypto::merkle::log::{self, InclusionProof};
use crate::ledger::block::Header;
use crate::ledger::receipt::Receipt;
use crate::ledger::transaction::Transaction;
use crate::ledger::validation::semantic;

/// A transaction, its receipt, and their places in a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransactionProof {
    /// The transaction.
    pub transaction: Transaction,
    /// What became of it.
    pub receipt: Receipt,
    /// The path from the transaction to the header's `transactions_root`.
    pub transaction_inclusion: InclusionProof,
    /// The path from the receipt to the header's `receipts_root`.
    pub receipt_inclusion: InclusionProof,
    /// The block.
    pub block: CertifiedHeader,
}

impl TransactionProof {
    /// Verifies transaction and receipt against a checkpoint (rules P-2 to P-9); returns the header of their block.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<&Header, ProofError> {
        let header = self.block.verify(checkpoint)?;
        check_receipt(&self.transaction, &self.receipt, header)?;
        let count = u64::from(header.transaction_count);
        let leaf = log::leaf_hash(&codec::encode(&self.transaction));
        self.transaction_inclusion
            .verify(&leaf, count, &header.transactions_root.0)
            .map_err(ProofError::TransactionNotIncluded)?;
        if self.receipt_inclusion.index != self.transaction_inclusion.index {
            return Err(ProofError::OtherPlace);
        }
        let leaf = log::leaf_hash(&codec::encode(&self.receipt));
        self.receipt_inclusion
            .verify(&leaf, count, &header.receipts_root.0)
            .map_err(ProofError::ReceiptNotIncluded)?;
        Ok(header)
    }
}

/// Checks a transaction of the header's chain, and that the receipt is its own (rules P-6, P-7).
///
/// # Errors
/// The first rule that is broken.
pub(super) fn check_receipt(
    transaction: &Transaction,
    receipt: &Receipt,
    header: &Header,
) -> Result<(), ProofError> {
    semantic::check(transaction.clone(), header.chain_id)?;
    if receipt.transaction_id == transaction.id() {
        Ok(())
    } else {
        Err(ProofError::OtherReceipt { found: receipt.transaction_id })
    }
}
