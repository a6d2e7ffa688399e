//! Signing, submitting, and waiting for finality.

use std::time::{Duration, Instant};

use rand::TryRng as _;
use reqwest::StatusCode;
use serde::Serialize;
use yilian_spec::api::ErrorDetail;
use yilian_spec::api::transaction::{Checked, Committed, SubmitAnswer, SubmitResult, TransactionStatus};
use yilian_spec::base::codec;
use yilian_spec::base::id::TransactionId;
use yilian_spec::domain::Operation;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};
use yilian_spec::proof::{Proof, ProofDocument, TransactionProof};

use super::Client;
use super::transport::Request;
use crate::error::ClientError;
use crate::limits;
use yilian_local::moment;

/// A transaction that a node has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The transaction, to be submitted again unchanged where that is needed.
    pub transaction: Transaction,
    /// Its id.
    pub transaction_id: TransactionId,
    /// Why it will not be final soon, as the node says: the ledger cannot decide at present.
    pub notice: Option<String>,
}

impl Submitted {
    /// The id of the object that operation `index` creates; `None` where there is no such operation.
    pub fn object(&self, index: u16) -> Option<[u8; 32]> {
        self.transaction.object_id(index)
    }
}

/// What a node said about one of many transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchResult {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Whether a node has it, or it is final already; else why not.
    pub taken: Result<TransactionStatus, ErrorDetail>,
}

/// A final transaction, and whether that was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confirmed {
    /// Its block.
    pub height: yilian_spec::base::height::Height,
    /// The block's time.
    #[serde(rename = "time_ms")]
    pub time: yilian_spec::base::time::LedgerTime,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether it was proven against a checkpoint.
    pub verified: bool,
}

impl Client {
    /// Signs operations as one transaction. Submits nothing.
    ///
    /// # Errors
    /// [`ClientError::NoKey`] when there is no key for the first operation's role.
    pub fn sign(&self, operations: Vec<Operation>) -> Result<Transaction, ClientError> {
        self.sign_until(operations, limits::TRANSACTION_LIFETIME_MS)
    }

    /// As [`Client::sign`], for a transaction that no block may carry later than `lifetime_ms` from now.
    ///
    /// # Errors
    /// [`ClientError::NoKey`] when there is no key for the first operation's role.
    pub fn sign_until(
        &self,
        operations: Vec<Operation>,
        lifetime_ms: u64,
    ) -> Result<Transaction, ClientError> {
        let mut nonce = [0; 16];
        rand::rngs::SysRng.try_fill_bytes(&mut nonce)?;
        self.sign_as(operations, lifetime_ms, nonce)
    }

    /// As [`Client::sign_until`], with a nonce that the caller has drawn and that no other transaction has.
    ///
    /// # Errors
    /// As [`Client::sign_until`].
    pub fn sign_as(
        &self,
        operations: Vec<Operation>,
        lifetime_ms: u64,
        nonce: [u8; 16],
    ) -> Result<Transaction, ClientError> {
        let no_key = |purpose: &str| ClientError::NoKey { purpose: purpose.to_owned() };
        let first = operations.first().ok_or_else(|| no_key("a transaction without operations"))?;
        let key = self.signers.for_role(first.role()).ok_or_else(|| no_key(first.name()))?;
        let institution = self.institution.clone().ok_or_else(|| no_key(first.name()))?;
        let created = moment::now()?;
        let expires = created.plus_ms(lifetime_ms);
        let chain_id = self.chain_id();
        let author = key.public_key();
        let body = TransactionBody { chain_id, author, institution, created, expires, nonce, operations };
        Ok(body.sign(key))
    }

    /// Signs and submits operations as one transaction.
    ///
    /// # Errors
    /// As [`Client::sign`] and [`Client::submit_signed`].
    pub async fn submit(&self, operations: Vec<Operation>) -> Result<Submitted, ClientError> {
        self.submit_signed(self.sign(operations)?).await
    }

    /// What the rules would say to a transaction in the next block. It is shown to a node without its signature, so that
    /// nothing can be recorded.
    ///
    /// # Errors
    /// [`ClientError::Rejected`] when no block could carry it, [`ClientError::Unreachable`] when no node answers.
    pub async fn check(&self, transaction: &TransactionBody) -> Result<Checked, ClientError> {
        let body = codec::encode(transaction);
        let request = Request::post("/v1/transactions/check", "application/octet-stream", body);
        self.send(request).await?.json()
    }

    /// Submits a signed transaction until a node takes it; always the same bytes, so that it counts once.
    ///
    /// # Errors
    /// [`ClientError::Rejected`] when the node refuses it, [`ClientError::Unreachable`] when none answers.
    pub async fn submit_signed(&self, transaction: Transaction) -> Result<Submitted, ClientError> {
        let transaction_id = transaction.id();
        let body = codec::encode(&transaction);
        let answer = self.send(Request::post("/v1/transactions", "application/octet-stream", body)).await?;
        let node = answer.node.clone();
        let status = answer.status.as_u16();
        let SubmitAnswer { results, notice } = answer.json()?;
        match results.into_iter().next() {
            Some(SubmitResult { error: Some(error), .. }) => {
                Err(ClientError::Rejected { node, status, code: error.code, message: error.message })
            }
            Some(result) if result.transaction_id.is_none_or(|id| id == transaction_id) => {
                Ok(Submitted { transaction, transaction_id, notice })
            }
            _ => Err(ClientError::Answer { node, reason: "no result for the transaction".to_owned() }),
        }
    }

    /// Submits many signed transactions, [`limits::TRANSACTIONS_PER_REQUEST_MAX`] a request. One result for each, in
    /// order.
    ///
    /// # Errors
    /// What sending gives; those of earlier requests are submitted then, and submitting all again is safe.
    pub async fn submit_many(&self, transactions: &[Transaction]) -> Result<Vec<BatchResult>, ClientError> {
        let mut all = Vec::with_capacity(transactions.len());
        for part in transactions.chunks(limits::TRANSACTIONS_PER_REQUEST_MAX) {
            let encoded: Vec<String> =
                part.iter().map(|transaction| hex::encode(codec::encode(transaction))).collect();
            let body = serde_json::to_vec(&serde_json::json!({ "transactions": encoded }))
                .expect("a list of texts is JSON");
            let answer = self.send(Request::post("/v1/transactions", "application/json", body)).await?;
            let node = answer.node.clone();
            let SubmitAnswer { results, .. } = answer.json()?;
            if results.len() != part.len() {
                let reason = format!("{} results for {} transactions", results.len(), part.len());
                return Err(ClientError::Answer { node, reason });
            }
            all.extend(part.iter().zip(results).map(|(transaction, result)| BatchResult {
                transaction_id: transaction.id(),
                taken: result.error.map_or(Ok(result.status), Err),
            }));
        }
        Ok(all)
    }

    /// Waits until a transaction is final, at most `timeout_ms`. Where nodes have lost it, it is submitted again,
    /// unchanged.
    ///
    /// # Errors
    /// [`ClientError::NotFinal`] when the time is over, or what asking gives.
    pub async fn wait(&self, submitted: &Submitted, timeout_ms: u64) -> Result<Committed, ClientError> {
        let began = Instant::now();
        let id = submitted.transaction_id;
        loop {
            let waited_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let Some(left_ms) = timeout_ms.checked_sub(waited_ms).filter(|left| *left > 0) else {
                return Err(ClientError::NotFinal { transaction_id: id, waited_ms });
            };
            if let Some(committed) = self.poll(id, left_ms.min(limits::LONG_POLL_MS)).await? {
                return Ok(committed);
            }
            // A node that does not know it lost it, or never had it: the same bytes again count once.
            if self.poll_unknown(id).await? {
                self.submit_signed(submitted.transaction.clone()).await?;
                tokio::time::sleep(Duration::from_millis(limits::ROUND_PAUSE_MS)).await;
            }
        }
    }

    /// Where a transaction stands: final, or `None` when it is pending or unknown. The node waits up to `wait_ms`.
    ///
    /// # Errors
    /// What asking gives; [`ClientError::Answer`] when the node speaks of another transaction.
    pub async fn poll(&self, id: TransactionId, wait_ms: u64) -> Result<Option<Committed>, ClientError> {
        let path = format!("/v1/transactions/{id}");
        let answer = self.send(Request::get(&path).waiting(wait_ms)).await?;
        if matches!(answer.status, StatusCode::ACCEPTED | StatusCode::NOT_FOUND) {
            return Ok(None);
        }
        let node = answer.node.clone();
        let committed: Committed = answer.json()?;
        let other = committed.transaction.as_ref().is_some_and(|transaction| transaction.id() != id);
        if other || committed.receipt.transaction_id != id {
            return Err(ClientError::Answer { node, reason: "it is about another transaction".to_owned() });
        }
        Ok(Some(committed))
    }

    async fn poll_unknown(&self, id: TransactionId) -> Result<bool, ClientError> {
        let path = format!("/v1/transactions/{id}");
        Ok(self.send(Request::get(&path)).await?.status == StatusCode::NOT_FOUND)
    }

    /// The proof of a final transaction, verified where there is a checkpoint.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], [`ClientError::OtherProof`], [`ClientError::Verification`], or what asking gives.
    pub async fn transaction_proof(
        &self,
        id: TransactionId,
    ) -> Result<(TransactionProof, bool), ClientError> {
        let what = || format!("transaction {id}");
        let path = format!("/v1/transactions/{id}/proof");
        let absent = ClientError::NotFound { what: what() };
        let (document, verified) = self.proof(Request::get(&path), absent).await?;
        match document.proof {
            Proof::Transaction(proof) if proof.transaction.id() == id => Ok((*proof, verified)),
            _ => Err(ClientError::OtherProof { what: what() }),
        }
    }

    /// The proof that a transaction and its receipt stand in the ledger's log as of the latest block.
    ///
    /// # Errors
    /// As [`Client::transaction_proof`].
    pub async fn inclusion_proof(&self, id: TransactionId) -> Result<(ProofDocument, bool), ClientError> {
        let what = || format!("transaction {id}");
        let path = format!("/v1/transactions/{id}/inclusion");
        let (document, verified) =
            self.proof(Request::get(&path), ClientError::NotFound { what: what() }).await?;
        match &document.proof {
            Proof::Inclusion(proof) if proof.transaction.id() == id => Ok((document, verified)),
            _ => Err(ClientError::OtherProof { what: what() }),
        }
    }

    /// Waits for finality, then proves it where there is a checkpoint. A refusal by the rules is a result, not an
    /// error.
    ///
    /// # Errors
    /// As [`Client::wait`] and [`Client::transaction_proof`].
    pub async fn confirm(&self, submitted: &Submitted, timeout_ms: u64) -> Result<Confirmed, ClientError> {
        let committed = self.wait(submitted, timeout_ms).await?;
        if self.checkpoint.is_none() {
            let Committed { height, time, receipt, .. } = committed;
            return Ok(Confirmed { height, time, outcome: receipt.outcome, verified: false });
        }
        let (proof, verified) = self.transaction_proof(submitted.transaction_id).await?;
        let header = &proof.block.header;
        Ok(Confirmed { height: header.height, time: header.time, outcome: proof.receipt.outcome, verified })
    }
}
