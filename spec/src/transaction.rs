//! Transactions: who asks for what, until when, under one signature.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wincode::{SchemaRead, SchemaWrite};

use crate::codec::{self, Domain};
use crate::id::{ChainId, InstitutionId, TransactionId};
use crate::operation::Operation;
use crate::signature::{PublicKey, SecretKey, Signature};
use crate::time::LedgerTime;

/// What the author signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(deny_unknown_fields)]
pub struct TransactionBody {
    /// The ledger it is meant for.
    pub chain_id: ChainId,
    /// The key that signs.
    pub author: PublicKey,
    /// The institution the author acts for.
    pub institution: InstitutionId,
    /// When it was made.
    pub created: LedgerTime,
    /// From when on no block may carry it.
    pub expires: LedgerTime,
    /// Random, so that two equal requests are two transactions.
    #[serde(with = "hex::serde")]
    pub nonce: [u8; 16],
    /// 1 to [`crate::limits::OPERATIONS_PER_TRANSACTION_MAX`] operations that succeed or fail together.
    pub operations: Vec<Operation>,
}

/// A signed transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// What was signed.
    pub body: TransactionBody,
    /// The author's signature over [`TransactionBody::signing_bytes`].
    pub signature: Signature,
}

impl TransactionBody {
    /// The bytes that the author signs (rule E-6).
    pub fn signing_bytes(&self) -> Vec<u8> {
        codec::signing_bytes(Domain::Transaction, self)
    }

    /// The transaction's id: SHA-256 of the bytes that are signed (rule S-2).
    pub fn id(&self) -> TransactionId {
        TransactionId(Sha256::digest(self.signing_bytes()).into())
    }

    /// Signs.
    pub fn sign(self, secret: &SecretKey) -> Transaction {
        let signature = secret.sign(&self.signing_bytes());
        Transaction { body: self, signature }
    }
}

impl Transaction {
    /// See [`TransactionBody::id`].
    pub fn id(&self) -> TransactionId {
        self.body.id()
    }
}

/// A transaction whose structure and signature have been checked, with its id and its encoded length.
///
/// Only [`crate::validation::semantic`] makes one, so that no stage behind it checks again. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedTransaction {
    pub(crate) id: TransactionId,
    pub(crate) encoded_length: usize,
    pub(crate) transaction: Arc<Transaction>,
}

impl CheckedTransaction {
    /// The id.
    pub fn id(&self) -> TransactionId {
        self.id
    }

    /// Length of the canonical encoding in bytes.
    pub fn encoded_length(&self) -> usize {
        self.encoded_length
    }

    /// The transaction.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// What was signed.
    pub fn body(&self) -> &TransactionBody {
        &self.transaction.body
    }
}
