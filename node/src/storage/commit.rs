//! Everything that one block writes, as one batch.

use yilian_spec::base::codec;
use yilian_spec::crypto::merkle::log::{CompleteNode, Frontier};
use yilian_spec::crypto::merkle::state_tree::BucketRows;
use yilian_spec::ledger::block::{CommitCertificate, Header};
use yilian_spec::ledger::receipt::Receipt;
use yilian_spec::ledger::transaction::CheckedTransaction;
use yilian_spec::state::overlay::Writes;

use super::disk::{Batch, Column};
use super::error::StorageError;
use super::store::Store;
use super::tables::{TIP_KEY, TipRow, height_key, location_key, log_node_key};

/// A block that is about to become part of the ledger.
#[derive(Debug, Clone, Copy)]
pub struct BlockRows<'a> {
    /// Its header.
    pub header: &'a Header,
    /// What makes it final.
    pub certificate: &'a CommitCertificate,
    /// Its transactions, in order.
    pub transactions: &'a [CheckedTransaction],
    /// Their receipts, in the same order.
    pub receipts: &'a [Receipt],
    /// The state rows it writes.
    pub writes: &'a Writes,
    /// The rows of the state tree it writes.
    pub buckets: &'a BucketRows,
    /// The nodes that it completes in the ledger's log.
    pub log_nodes: &'a [CompleteNode],
    /// The head of the ledger's log after it.
    pub log: &'a Frontier,
}

/// The batch that makes a block part of the ledger, and forgets the undecided blocks of its height; those of lower heights went
/// with theirs.
///
/// # Errors
/// When the undecided blocks cannot be listed.
pub fn block_batch<'a>(store: &'a Store, rows: &BlockRows<'_>) -> Result<Batch<'a>, StorageError> {
    let mut batch = store.disk().batch();
    let header = rows.header;
    let height = height_key(header.height);
    let block_id = header.id();
    batch.put(Column::Header, &height, codec::encode(header));
    batch.put(Column::Certificate, &height, codec::encode(rows.certificate));
    batch.put(Column::BlockIndex, block_id.0, codec::encode(&header.height));
    for (index, transaction) in (0u32..).zip(rows.transactions) {
        let location = (header.height, index);
        batch.put(Column::Transaction, location_key(location), transaction.encoded());
        batch.put(Column::TransactionIndex, transaction.id().0, codec::encode(&location));
    }
    for (index, receipt) in (0u32..).zip(rows.receipts) {
        batch.put(Column::Receipt, location_key((header.height, index)), codec::encode(receipt));
    }
    for node in rows.log_nodes {
        batch.put(Column::LogNode, log_node_key(node.level, node.index), node.hash);
    }
    put_state(&mut batch, rows.writes, rows.buckets);
    for key in store.tables().undecided_keys(header.height..=header.height)? {
        batch.delete(Column::Undecided, key);
    }
    put_tip(&mut batch, &(header.height, block_id, rows.log.clone(), header.state_root));
    Ok(batch)
}

/// State rows and rows of the state tree.
pub(super) fn put_state(batch: &mut Batch<'_>, writes: &Writes, buckets: &BucketRows) {
    for (key, row) in writes {
        match row {
            Some(row) => batch.put(Column::StateRow, key, row),
            None => batch.delete(Column::StateRow, key),
        }
    }
    put_buckets(batch, buckets);
}

/// Rows of the state tree.
pub(super) fn put_buckets(batch: &mut Batch<'_>, buckets: &BucketRows) {
    for (id, row) in buckets {
        match row {
            Some(row) => batch.put(Column::StateBucket, id.to_bytes(), row),
            None => batch.delete(Column::StateBucket, id.to_bytes()),
        }
    }
}

/// The tip.
pub(super) fn put_tip(batch: &mut Batch<'_>, tip: &TipRow) {
    batch.put(Column::Meta, TIP_KEY, codec::encode(tip));
}
