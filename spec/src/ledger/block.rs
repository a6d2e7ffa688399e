//! Blocks: the header that is agreed on, the transactions behind it, and the certificate that makes it final.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::codec::{self, Domain};
use crate::base::height::Height;
use crate::base::id::{BlockId, ChainId, Hash};
use crate::base::time::LedgerTime;
use crate::crypto::signature::{self, PublicKey, Signature};
use crate::domain::membership::validators::ValidatorSet;
use crate::ledger::transaction::Transaction;

/// What the validators agree on. Its hash is the block's id; no vote is part of it (rule B-1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The version of the rules that produced it (rule V-1).
    pub version: u16,
    /// The ledger.
    pub chain_id: ChainId,
    /// The block's position.
    pub height: Height,
    /// The block before; for the first block, the chain id's bytes.
    pub previous: BlockId,
    /// Ledger time, later than the previous block's.
    #[serde(rename = "time_ms")]
    pub time: LedgerTime,
    /// The validator that built it.
    pub proposer: PublicKey,
    /// Number of transactions.
    pub transaction_count: u32,
    /// Merkle root (RFC 9162) over the encoded transactions.
    pub transactions_root: Hash,
    /// Merkle root over the encoded receipts, in the same order.
    pub receipts_root: Hash,
    /// Transactions in the ledger up to and including this block: the leaves of its log.
    pub log_size: u64,
    /// Root of that append-only log, whose leaves are the encoded receipts of all transactions (rule B-9).
    pub log_root: Hash,
    /// Root of the state after this block.
    pub state_root: Hash,
    /// The validators that decide this block.
    pub validators_hash: Hash,
    /// The validators that decide the next one.
    pub next_validators_hash: Hash,
}

impl Header {
    /// The block's id.
    pub fn id(&self) -> BlockId {
        BlockId(codec::hash(Domain::Header, self).0)
    }
}

/// A block as it travels and is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// What is agreed on.
    pub header: Header,
    /// In the order they are executed.
    pub transactions: Vec<Transaction>,
}

/// One validator's signature under a block.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema,
)]
#[serde(deny_unknown_fields)]
pub struct CommitSignature {
    /// Who signed.
    pub validator: PublicKey,
    /// The signature over [`precommit_signing_bytes`].
    pub signature: Signature,
}

/// More than two thirds of the voting power committed to a block: it is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitCertificate {
    /// The block's height.
    pub height: Height,
    /// The consensus round in which it was decided.
    pub round: u32,
    /// The block.
    pub block_id: BlockId,
    /// The signatures, sorted by validator, one each.
    pub signatures: Vec<CommitSignature>,
}

/// Why a certificate does not certify a header.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum CertificateError {
    /// Rule B-4: it is for another height or block.
    #[error("the certificate is for another block than the header")]
    OtherBlock,
    /// Rule B-5: the set is not the one whose hash the header carries.
    #[error("the header was decided by another set of validators than the trusted one")]
    OtherValidators,
    /// Rule B-6: signatures are not sorted by validator, or one signs twice.
    #[error("the signatures are not sorted, or a validator signs twice")]
    NotSorted,
    /// Rule B-6: a signer is no validator.
    #[error("{0} signs but is no validator")]
    NotAValidator(PublicKey),
    /// Rule B-7: a signature does not verify.
    #[error("the signature of validator {0} does not verify")]
    BadSignature(PublicKey),
    /// Rule B-8: too little voting power.
    #[error("voting power {signed} of {total} is not more than two thirds")]
    TooLittlePower {
        /// The power that signed.
        signed: u64,
        /// The power of all.
        total: u64,
    },
}

/// The bytes that a validator signs to commit a block (rule B-3); `round` counts from 0.
pub fn precommit_signing_bytes(chain_id: ChainId, height: Height, round: u32, block_id: BlockId) -> Vec<u8> {
    codec::signing_bytes(Domain::Precommit, &(chain_id, height, round, block_id))
}

impl CommitCertificate {
    /// Whether the signatures stand sorted by validator, one each (rule B-6): the one form of a certificate.
    pub fn is_sorted(&self) -> bool {
        self.signatures.windows(2).all(|pair| pair[0].validator < pair[1].validator)
    }

    /// Checks that the certificate makes `header` final under `validators` (rules B-4 to B-8).
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(&self, header: &Header, validators: &ValidatorSet) -> Result<(), CertificateError> {
        if self.height != header.height || self.block_id != header.id() {
            return Err(CertificateError::OtherBlock);
        }
        if validators.hash() != header.validators_hash {
            return Err(CertificateError::OtherValidators);
        }
        if !self.is_sorted() {
            return Err(CertificateError::NotSorted);
        }
        let bytes = precommit_signing_bytes(header.chain_id, self.height, self.round, self.block_id);
        let mut signed = 0u64;
        for CommitSignature { validator, signature } in &self.signatures {
            let member = validators.get(validator).ok_or(CertificateError::NotAValidator(*validator))?;
            signature::verify(validator, &bytes, signature)
                .map_err(|_| CertificateError::BadSignature(*validator))?;
            signed = signed.saturating_add(member.power);
        }
        let total = validators.total_power();
        if u128::from(signed) * 3 > u128::from(total) * 2 {
            Ok(())
        } else {
            Err(CertificateError::TooLittlePower { signed, total })
        }
    }
}
