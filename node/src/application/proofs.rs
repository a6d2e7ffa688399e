//! Proofs from one view: a state row or its absence at the tip, a transaction and its receipt in their block, and
//! that the ledger's log only grew.

use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::TransactionId;
use yilian_spec::crypto::merkle::log::{self, ConsistencyProof, InclusionProof, LogTree, ProveError};
use yilian_spec::crypto::merkle::state_tree::{KeyHash, StateProof};
use yilian_spec::ledger::block::{CommitCertificate, Header};
use yilian_spec::ledger::receipt::Receipt;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::state::key::StateKey;

use super::reader::View;
use crate::storage::StorageError;
use crate::storage::disk::Column;
use crate::storage::state_root::tree_error;
use crate::storage::tables::{Location, decode_row};

/// A state row, or its absence, under the state root of the tip's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRow {
    /// The row's key.
    pub key: Vec<u8>,
    /// The row; `None` if there is none.
    pub value: Option<Vec<u8>>,
    /// The path to it, or to where it would be.
    pub proof: StateProof,
}

/// A transaction and its receipt under the roots of their block's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenTransaction {
    /// The block's header.
    pub header: Header,
    /// What makes it final.
    pub certificate: CommitCertificate,
    /// The transaction.
    pub transaction: Transaction,
    /// Its path to the root of the block's transactions.
    pub transaction_path: InclusionProof,
    /// The receipt.
    pub receipt: Receipt,
    /// Its path to the root of the block's receipts.
    pub receipt_path: InclusionProof,
}

impl View<'_> {
    /// The tip's header and certificate; `None` before the first block, where nothing is certified.
    ///
    /// # Errors
    /// When storage fails.
    pub fn certified_tip(&self) -> Result<Option<(Header, CommitCertificate)>, StorageError> {
        let (header, certificate) =
            (self.tables().header(self.height())?, self.tables().certificate(self.height())?);
        Ok(header.zip(certificate))
    }

    /// Proves a state row at the tip, or its absence. Only proven rows (rule R-1) have a place in the tree.
    ///
    /// # Errors
    /// When storage fails, or the key is that of a plain row.
    pub fn prove_row(&self, key: &StateKey) -> Result<ProvenRow, StorageError> {
        self.prove_row_bytes(&key.bytes())
    }

    /// [`View::prove_row`] for a key as bytes.
    ///
    /// # Errors
    /// When storage fails, or the key is that of a plain row.
    pub fn prove_row_bytes(&self, key: &[u8]) -> Result<ProvenRow, StorageError> {
        if !StateKey::is_proven(key) {
            let reason = format!("row {} is plain: it is proven by a stream or a receipt", hex::encode(key));
            return Err(StorageError::contradiction(reason));
        }
        let value = self.snapshot.get(Column::StateRow, key)?;
        let proof = self.tree().prove(&self.tables(), &KeyHash::of(key)).map_err(tree_error)?;
        Ok(ProvenRow { key: key.to_vec(), value, proof })
    }

    /// Proves a transaction and its receipt; `None` if the ledger does not hold it at this height.
    ///
    /// # Errors
    /// When storage fails, or rows of the block are missing.
    pub fn prove_transaction(&self, id: TransactionId) -> Result<Option<ProvenTransaction>, StorageError> {
        let tables = self.tables();
        let Some((height, index)) = tables.location(id)? else {
            return Ok(None);
        };
        let missing =
            || StorageError::contradiction(format!("block {height} of transaction {id} is incomplete"));
        let header = tables.header(height)?.ok_or_else(missing)?;
        let certificate = tables.certificate(height)?.ok_or_else(missing)?;
        let (transaction, transaction_path) = self.prove_listed(Column::Transaction, &header, index)?;
        let (receipt, receipt_path) = self.prove_listed(Column::Receipt, &header, index)?;
        Ok(Some(ProvenTransaction {
            header,
            certificate,
            transaction,
            transaction_path,
            receipt,
            receipt_path,
        }))
    }

    /// An element of one of a block's lists, with its path to the list's root.
    fn prove_listed<T: codec::Canonical>(
        &self,
        column: Column,
        header: &Header,
        index: u32,
    ) -> Result<(T, InclusionProof), StorageError> {
        let rows = self.tables().encoded_of(column, header.height, header.transaction_count)?;
        let leaves: Vec<[u8; 32]> = rows.iter().map(|row| log::leaf_hash(row)).collect();
        let path = LogTree::from_leaf_hashes(&leaves)
            .prove_inclusion(u64::from(index))
            .map_err(|error| StorageError::contradiction(format!("block {}: {error}", header.height)))?;
        let row = &rows[index as usize];
        Ok((decode_row(column, format!("{}/{index}", header.height).as_bytes(), row)?, path))
    }

    /// Proves that the receipt at a place of the ledger stands in its log at the tip.
    ///
    /// # Errors
    /// When storage fails, or there is no such place.
    pub fn prove_inclusion(&self, (height, index): Location) -> Result<InclusionProof, StorageError> {
        let header = self.tables().header(height)?;
        let header =
            header.ok_or_else(|| StorageError::contradiction(format!("there is no block {height}")))?;
        let leaf = header.log_size - u64::from(header.transaction_count) + u64::from(index);
        log::prove_inclusion(&self.tables(), leaf, self.published.tip.log.length()).map_err(log_error)
    }

    /// Proves that the ledger's log at the tip begins with the log at an earlier height.
    ///
    /// # Errors
    /// When storage fails, or there is no such height with at least one transaction up to it.
    pub fn prove_growth(&self, since: Height) -> Result<ConsistencyProof, StorageError> {
        let header = self.tables().header(since)?;
        let header =
            header.ok_or_else(|| StorageError::contradiction(format!("there is no block {since}")))?;
        let size = self.published.tip.log.length();
        log::prove_consistency(&self.tables(), header.log_size, size).map_err(log_error)
    }
}

pub(super) fn log_error(error: ProveError<StorageError>) -> StorageError {
    match error {
        ProveError::Store(error) => error,
        other => StorageError::contradiction(other.to_string()),
    }
}
