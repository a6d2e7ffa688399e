//! One request's view of the ledger: everything in an answer is read at one committed height.
//!
//! A thin layer over [`crate::application::View`] that turns failures of storage into answers and puts the parts of
//! proofs together.

use yilian_spec::base::codec::{self, Canonical};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{ChainId, InstitutionId, TransactionId};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::domain::Operation;
use yilian_spec::ledger::block::Block;
use yilian_spec::ledger::chain::Tip;
use yilian_spec::ledger::receipt::{Outcome, Receipt};
use yilian_spec::ledger::transaction::TransactionBody;
use yilian_spec::ledger::trial::{self, TrialError};
use yilian_spec::ledger::validation::contextual::ContextualError;
use yilian_spec::proof::{
    CertifiedHeader, LogConsistencyProof, LogInclusionProof, ProvenRow, StreamProof, TransactionProof,
};
use yilian_spec::state::key::{StateKey, StreamId};
use yilian_spec::state::stream::Entry;

use super::error::ApiError;
use super::limits::API_ROW_BYTES_MAX;
use super::refusal;
use crate::application::reader::StoredTransaction;
use crate::application::stream_log::ProvenEntries;
use crate::storage::StorageError;

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        if error.is_damage() { Self::Damaged(error.to_string()) } else { Self::Internal(error.to_string()) }
    }
}

/// A transaction on the ledger.
pub type Located = StoredTransaction;

/// The ledger at one height.
pub struct View<'a>(crate::application::reader::View<'a>);

impl<'a> View<'a> {
    /// Over a view of the ledger.
    pub fn new(view: crate::application::reader::View<'a>) -> Self {
        Self(view)
    }

    /// The end of the ledger.
    pub fn tip(&self) -> &Tip {
        self.0.tip()
    }

    /// The height.
    pub fn height(&self) -> Height {
        self.0.height()
    }

    /// The ledger's id.
    pub fn chain_id(&self) -> ChainId {
        self.0.tip().chain_id
    }

    /// The record under a key.
    ///
    /// # Errors
    /// When storage fails.
    pub fn row<T: Canonical>(&self, key: &StateKey) -> Result<Option<T>, ApiError> {
        Ok(self.0.record(key)?)
    }

    /// The record under a key, which must be there.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], or when storage fails.
    pub fn require<T: Canonical>(&self, key: &StateKey, what: &'static str) -> Result<T, ApiError> {
        self.row(key)?.ok_or(ApiError::NotFound { what, height: self.height().0 })
    }

    /// What the rules say to a transaction in the block after this one.
    ///
    /// # Errors
    /// Why no block could carry it, or when storage fails.
    pub fn trial(&self, now: LedgerTime, body: TransactionBody) -> Result<Outcome, ApiError> {
        trial::trial(self.tip(), &self.0.tables(), now, body).map_err(|error| match error {
            TrialError::Semantic(error) => refusal::semantic(&error),
            TrialError::Contextual(error) => refusal::contextual(&error),
            TrialError::Version(unknown) => refusal::outdated(unknown),
        })
    }

    /// Whether an operation that took effect, as this one of this transaction, concerns a reader who is not its author.
    ///
    /// # Errors
    /// When storage fails.
    pub fn concerns(
        &self,
        operation: &Operation,
        reader: &InstitutionId,
        place: (TransactionId, u16),
    ) -> Result<bool, ApiError> {
        let concerns = operation.concerns(reader, place, &self.0.tables());
        concerns.map_err(|error| refusal::contextual(&ContextualError::View(error)))
    }

    /// Decodes a row that [`Self::rows`] gave.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn decode<T: Canonical>(&self, row: &[u8]) -> Result<T, ApiError> {
        codec::decode(row, API_ROW_BYTES_MAX).map_err(|error| ApiError::Internal(error.to_string()))
    }

    /// Rows under a prefix, after a key; at most `limit`, and whether there are more.
    ///
    /// # Errors
    /// When storage fails.
    pub fn rows(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<(Rows, bool), ApiError> {
        let page = self.0.rows(prefix, after, limit)?;
        Ok((page.items, page.next.is_some()))
    }

    /// A block with its receipts; `None` where there is none.
    ///
    /// # Errors
    /// When storage fails.
    pub fn block(&self, height: Height) -> Result<Option<(Block, Vec<Receipt>)>, ApiError> {
        let tables = self.0.tables();
        let Some(header) = tables.header(height)? else { return Ok(None) };
        let transactions = tables.transactions_of(&header)?;
        let receipts = tables.receipts_of(&header)?;
        Ok(Some((Block { header, transactions }, receipts)))
    }

    /// A header with its certificate.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] where there is no block, or when storage fails.
    pub fn certified(&self, height: Height) -> Result<CertifiedHeader, ApiError> {
        let tables = self.0.tables();
        let certified = tables.header(height)?.zip(tables.certificate(height)?);
        let (header, certificate) =
            certified.ok_or(ApiError::NotFound { what: "block", height: self.height().0 })?;
        Ok(CertifiedHeader { header, certificate })
    }

    /// A transaction on the ledger, with its receipt.
    ///
    /// # Errors
    /// When storage fails.
    pub fn located(&self, id: TransactionId) -> Result<Option<Located>, ApiError> {
        let tables = self.0.tables();
        let Some((height, index)) = tables.location(id)? else { return Ok(None) };
        let rows =
            (tables.header(height)?, tables.transaction((height, index))?, tables.receipt((height, index))?);
        let (Some(header), Some(transaction), Some(receipt)) = rows else {
            return Err(ApiError::Internal(format!(
                "a row of transaction {id} in block {height} is missing"
            )));
        };
        Ok(Some(Located { height, index, time: header.time, transaction, receipt }))
    }

    /// A transaction with its proof.
    ///
    /// # Errors
    /// When storage fails.
    pub fn proven_transaction(&self, id: TransactionId) -> Result<Option<TransactionProof>, ApiError> {
        let proven = self.0.prove_transaction(id)?;
        Ok(proven.map(|proven| TransactionProof {
            transaction: proven.transaction,
            receipt: proven.receipt,
            transaction_inclusion: proven.transaction_path,
            receipt_inclusion: proven.receipt_path,
            block: CertifiedHeader { header: proven.header, certificate: proven.certificate },
        }))
    }

    /// A transaction with its receipt's proof in the log of the tip.
    ///
    /// # Errors
    /// When storage fails.
    pub fn included_transaction(&self, id: TransactionId) -> Result<Option<LogInclusionProof>, ApiError> {
        let Some(Located { height, index, transaction, receipt, .. }) = self.located(id)? else {
            return Ok(None);
        };
        let inclusion = self.0.prove_inclusion((height, index))?;
        let block = self.certified(self.height())?;
        Ok(Some(LogInclusionProof { transaction, receipt, inclusion, block }))
    }

    /// That the log of the tip begins with that of an earlier block.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] where there is no such block, [`ApiError::Malformed`] where there is nothing to prove, or when
    /// storage fails.
    pub fn growth_since(&self, height: Height) -> Result<LogConsistencyProof, ApiError> {
        let earlier = self.certified(height)?;
        if height >= self.height() || earlier.header.log_size == 0 {
            return Err(ApiError::Malformed(format!(
                "block {height} is not before the latest block, {}, or no transaction comes before its end: give another height",
                self.height()
            )));
        }
        let consistency = self.0.prove_growth(height)?;
        let block = self.certified(self.height())?;
        Ok(LogConsistencyProof { earlier, consistency, block })
    }

    /// A row of the state tree, or its absence, with its path.
    ///
    /// # Errors
    /// When storage fails.
    pub fn proven_row(&self, key: &[u8]) -> Result<ProvenRow, ApiError> {
        let row = self.0.prove_row_bytes(key)?;
        Ok(ProvenRow { key: row.key, value: row.value, path: row.proof })
    }

    /// Entries in a stream.
    ///
    /// # Errors
    /// When storage fails.
    pub fn stream_length(&self, stream: &StreamId) -> Result<u64, ApiError> {
        Ok(self.0.stream_head(stream)?.length())
    }

    /// Entries of a stream from `first` on, at most `count`.
    ///
    /// # Errors
    /// When storage fails.
    pub fn entries(&self, stream: &StreamId, first: u64, count: usize) -> Result<Vec<Entry>, ApiError> {
        let mut entries: Vec<Entry> = Vec::new();
        while entries.len() < count {
            let from = first.saturating_add(entries.len() as u64);
            let more = self.0.stream_entries(stream, from, count - entries.len())?;
            if more.is_empty() {
                break;
            }
            entries.extend(more);
        }
        Ok(entries)
    }

    /// Entries of a stream from `first` on, at most `count`, with their proof.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] before the first block, or when storage fails.
    pub fn proven_stream(&self, stream: StreamId, first: u64, count: u64) -> Result<StreamProof, ApiError> {
        let head = self.proven_row(&StateKey::StreamHead(stream.clone()).bytes())?;
        let part = self.0.prove_stream(&stream, first, count)?;
        let block = self.certified(self.height())?;
        let ProvenEntries { before, entries, consistency } = part;
        Ok(StreamProof { stream, head, before, entries, consistency, block })
    }
}

/// Rows: keys and values.
pub type Rows = Vec<(Vec<u8>, Vec<u8>)>;
