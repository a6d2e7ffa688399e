//! What a later block proves about earlier ones, through the ledger's log: that a transaction stands in it, and that it only
//! grew.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::transaction::check_receipt;
use super::{CertifiedHeader, Checkpoint, ProofError};
use crate::base::codec;
use crate::crypto::merkle::log::{self, ConsistencyProof, InclusionProof};
use crate::ledger::block::Header;
use crate::ledger::receipt::Receipt;
use crate::ledger::transaction::Transaction;

/// A transaction and its receipt, in the log of a block that may be much later than theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogInclusionProof {
    /// The transaction.
    pub transaction: Transaction,
    /// What became of it.
    pub receipt: Receipt,
    /// The path from the receipt to the header's `log_root`.
    pub inclusion: InclusionProof,
    /// The block.
    pub block: CertifiedHeader,
}

impl LogInclusionProof {
    /// Verifies the transaction, and its receipt in the ledger's log (rules P-2 to P-7, P-19); returns the block's header.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<&Header, ProofError> {
        let header = self.block.verify(checkpoint)?;
        check_receipt(&self.transaction, &self.receipt, header)?;
        let leaf = log::leaf_hash(&codec::encode(&self.receipt));
        self.inclusion.verify(&leaf, header.log_size, &header.log_root.0).map_err(ProofError::NotInLog)?;
        Ok(header)
    }
}

/// That the ledger's log of a block begins with that of an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogConsistencyProof {
    /// The earlier block.
    pub earlier: CertifiedHeader,
    /// The path from its `log_root` to that of the later one.
    pub consistency: ConsistencyProof,
    /// The later block.
    pub block: CertifiedHeader,
}

impl LogConsistencyProof {
    /// Verifies both blocks, and that nothing between them was taken back (rules P-2 to P-5, P-20); returns the later header.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<&Header, ProofError> {
        let header = self.block.verify(checkpoint)?;
        let earlier = self.earlier.verify(checkpoint)?;
        if earlier.height >= header.height {
            return Err(ProofError::NotEarlier { earlier: earlier.height, height: header.height });
        }
        let (old, new) = ((earlier.log_size, &earlier.log_root.0), (header.log_size, &header.log_root.0));
        self.consistency.verify(old, new).map_err(ProofError::LogNotConsistent)?;
        Ok(header)
    }
}
