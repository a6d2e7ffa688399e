//! Transactions: who asks for what, until when, under one signature.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::codec::{self, Domain};
use crate::base::id::{ChainId, InstitutionId, TransactionId};
use crate::base::time::LedgerTime;
use crate::crypto::signature::{PublicKey, SecretKey, Signature};
use crate::domain::Operation;

/// What the author signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransactionBody {
    /// The ledger it is meant for.
    pub chain_id: ChainId,
    /// The key that signs.
    pub author: PublicKey,
    /// The institution the author acts for.
    pub institution: InstitutionId,
    /// When it was made.
    #[serde(rename = "created_ms")]
    pub created: LedgerTime,
    /// From when on no block may carry it.
    #[serde(rename = "expires_ms")]
    pub expires: LedgerTime,
    /// Random, so that two equal requests are two transactions.
    #[serde(with = "hex::serde")]
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub nonce: [u8; 16],
    /// 1 to [`crate::base::limits::OPERATIONS_PER_TRANSACTION_MAX`] operations that succeed or fail together.
    pub operations: Vec<Operation>,
}

/// A signed transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
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

    /// The identifier of the object that operation `index` creates, see [`Operation::object_id`]; `None` where there is no
    /// such operation.
    pub fn object_id(&self, index: u16) -> Option<[u8; 32]> {
        let operation = self.body.operations.get(usize::from(index))?;
        Some(operation.object_id(self.id(), index))
    }
}

/// The id of the transaction with this canonical encoding; `None` for bytes that are too short for one.
pub(crate) fn id_of_encoded(encoded: &[u8]) -> Option<TransactionId> {
    let body = encoded.get(..encoded.len().checked_sub(Signature::ENCODED_BYTES)?)?;
    Some(TransactionId(codec::hash_bytes(Domain::Transaction, body).0))
}

/// A transaction whose structure and signature have been checked, with its id and its canonical encoding.
///
/// Only [`crate::ledger::validation::semantic`] makes one, so that no stage behind it checks or encodes again. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedTransaction {
    id: TransactionId,
    content: Arc<Content>,
}

#[derive(Debug, PartialEq, Eq)]
struct Content {
    transaction: Transaction,
    bytes: SignedBytes,
}

/// One buffer for all that is hashed, signed and stored of a transaction: the domain, the body's encoding, and the
/// signature. All but the end is what the author signs (rule E-6); all but the beginning is the canonical encoding.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SignedBytes(Vec<u8>);

impl SignedBytes {
    const DOMAIN_BYTES: usize = 1 + Domain::Transaction.name().len();

    /// Encodes a transaction.
    pub fn of(transaction: &Transaction) -> Self {
        let mut bytes = transaction.body.signing_bytes();
        bytes.extend(codec::encode(&transaction.signature));
        Self(bytes)
    }

    /// What the author signs.
    pub fn signed(&self) -> &[u8] {
        &self.0[..self.0.len() - Signature::ENCODED_BYTES]
    }

    /// The canonical encoding of the transaction.
    pub fn encoded(&self) -> &[u8] {
        &self.0[Self::DOMAIN_BYTES..]
    }
}

impl CheckedTransaction {
    /// After the last check.
    pub(crate) fn new(transaction: Transaction, bytes: SignedBytes) -> Self {
        let id = TransactionId(Sha256::digest(bytes.signed()).into());
        Self { id, content: Arc::new(Content { transaction, bytes }) }
    }

    /// The id.
    pub fn id(&self) -> TransactionId {
        self.id
    }

    /// The canonical encoding of [`CheckedTransaction::transaction`].
    pub fn encoded(&self) -> &[u8] {
        self.content.bytes.encoded()
    }

    /// The transaction.
    pub fn transaction(&self) -> &Transaction {
        &self.content.transaction
    }

    /// What was signed.
    pub fn body(&self) -> &TransactionBody {
        &self.content.transaction.body
    }
}
