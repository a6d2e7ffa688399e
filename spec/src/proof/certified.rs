//! A header with the signatures that made it final: where every proof ends.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Checkpoint, ProofError};
use crate::base::version::ProtocolVersion;
use crate::ledger::block::{CommitCertificate, Header};

/// A header and the certificate that makes it final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertifiedHeader {
    /// What was agreed on.
    pub header: Header,
    /// By whom.
    pub certificate: CommitCertificate,
}

impl CertifiedHeader {
    /// Checks that the validators of the checkpoint made this header final (rules P-2 to P-5).
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<&Header, ProofError> {
        let header = &self.header;
        if !checkpoint.validators.is_well_formed() {
            return Err(ProofError::Checkpoint);
        }
        if header.chain_id != checkpoint.chain_id {
            return Err(ProofError::OtherChain { found: header.chain_id, trusted: checkpoint.chain_id });
        }
        ProtocolVersion::try_from(header.version)?;
        // Before anybody is said to have made two histories, they must have signed both.
        self.certificate.verify(header, &checkpoint.validators)?;
        let pinned = checkpoint.block_id.filter(|_| header.height == checkpoint.height);
        if pinned.is_some_and(|block_id| block_id != header.id()) {
            return Err(ProofError::TwoHistories { height: header.height });
        }
        Ok(header)
    }
}
