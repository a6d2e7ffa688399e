//! First stage: the rows of the blocks, in order, with their certificates and signatures checked; signatures in batches
//! over several blocks, since a batch costs a fraction of single checks and most blocks are small.

use std::sync::mpsc::SyncSender;

use yilian_spec::base::height::Height;
use yilian_spec::base::id::{ChainId, Hash};
use yilian_spec::domain::membership::validators::ValidatorSet;
use yilian_spec::ledger::block::{CommitCertificate, Header};
use yilian_spec::ledger::received::CheckedBlock;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::ledger::validation::semantic;

use super::Wrong;
use crate::base::limits;
use crate::storage::disk::Column;
use crate::storage::tables::Tables;

/// A block as it is stored, checked as far as no state is needed.
pub(super) struct ReadBlock {
    /// Header and transactions.
    pub block: CheckedBlock,
    /// The encodings of the stored receipts.
    pub receipts: Vec<Box<[u8]>>,
    /// What certifies it.
    pub certificate: CommitCertificate,
    /// The set under which the certificate has been verified, if it has.
    pub certified_by: Option<Hash>,
}

/// Blocks that follow each other, or why there is not a next one.
pub(super) type Batch = Vec<(Height, Result<ReadBlock, Wrong>)>;

/// A block's rows before its signatures are checked.
struct Rows {
    header: Header,
    transactions: Vec<Transaction>,
    receipts: Vec<Box<[u8]>>,
    certificate: CommitCertificate,
    certified_by: Option<Hash>,
}

/// Reads all blocks up to `last`, until one cannot be read or nobody listens.
pub(super) fn read(
    tables: Tables<'_>,
    chain_id: ChainId,
    validators: &ValidatorSet,
    last: Height,
    to: &SyncSender<Batch>,
) {
    let mut next = Height(1);
    while next <= last {
        let (mut found, mut bytes, mut count) = (Vec::new(), 0, 0);
        let mut wrong = None;
        while next <= last
            && found.len() < limits::AUDIT_BATCH_BLOCKS_MAX
            && count < limits::AUDIT_BATCH_TRANSACTIONS
            && bytes < limits::AUDIT_BATCH_BYTES
        {
            match rows(tables, next, validators) {
                Ok((rows, size)) => {
                    (bytes, count) = (bytes + size, count + rows.transactions.len());
                    found.push((next, rows));
                    next = next.next();
                }
                Err(reason) => {
                    wrong = Some((next, Err(reason)));
                    break;
                }
            }
        }
        let is_last = wrong.is_some();
        let mut batch = checked(found, chain_id);
        batch.extend(wrong);
        if to.send(batch).is_err() || is_last {
            return;
        }
    }
}

/// The rows of a block, and the bytes of its transactions.
fn rows(tables: Tables<'_>, height: Height, validators: &ValidatorSet) -> Result<(Rows, usize), Wrong> {
    let header = tables.header(height)?.ok_or("there is no header")?;
    let certificate = tables.certificate(height)?.ok_or("there is no certificate")?;
    if header.height != height {
        return Err(format!("its header is that of block {}", header.height).into());
    }
    // Under another set than that of the genesis, the last stage verifies it: it knows the state.
    let certified_by = Some(validators.hash()).filter(|set| *set == header.validators_hash);
    if certified_by.is_some() {
        certificate.verify(&header, validators).map_err(|error| error.to_string())?;
    }
    let transactions = tables.transactions_of(&header)?;
    let receipts = tables.encoded_of(Column::Receipt, height, header.transaction_count)?;
    let bytes = receipts.iter().map(|row| row.len()).sum();
    Ok((Rows { header, transactions, receipts, certificate, certified_by }, bytes))
}

/// Checks the transactions of several blocks in one batch.
fn checked(found: Vec<(Height, Rows)>, chain_id: ChainId) -> Batch {
    let mut transactions = Vec::new();
    let mut blocks = Vec::with_capacity(found.len());
    for (height, mut rows) in found {
        let own = std::mem::take(&mut rows.transactions);
        blocks.push((height, rows, own.len()));
        transactions.extend(own);
    }
    let mut results = semantic::check_many(transactions, chain_id).into_iter();
    let block = |(height, rows, count): (Height, Rows, usize)| {
        let Rows { header, receipts, certificate, certified_by, .. } = rows;
        let transactions = results.by_ref().take(count).collect();
        let block = CheckedBlock::new(header, transactions);
        (height, Ok(ReadBlock { block, receipts, certificate, certified_by }))
    };
    blocks.into_iter().map(block).collect()
}
