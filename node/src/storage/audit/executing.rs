//! Second stage: executes the blocks on a state in memory, made from nothing but the genesis and the blocks before.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender};

use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::TransactionId;
use yilian_spec::ledger::chain::{self, ExecutedBlock, Expectation, Tip};
use yilian_spec::state::overlay::Writes;
use yilian_spec::state::{StateView, ViewError};

use super::Wrong;
use super::reading::{Batch, ReadBlock};
use crate::storage::tables::Location;
use yilian_spec::base::id::Hash;
use yilian_spec::ledger::block::CommitCertificate;

/// A block whose execution gives the header and the receipts that are stored; but for the state's root, which is taken
/// from the header and not yet checked.
pub(super) struct Executed {
    /// The block and what it writes.
    pub block: ExecutedBlock,
    /// Bytes of its receipts.
    pub receipt_bytes: usize,
    /// What certifies it.
    pub certificate: CommitCertificate,
    /// The set under which the certificate has been verified, if it has.
    pub certified_by: Option<Hash>,
}

/// What the next stage gets.
pub(super) type Results = Vec<(Height, Result<Executed, Wrong>)>;

/// The state as the blocks so far have left it.
pub(super) struct Executor {
    tip: Tip,
    /// All rows of the state.
    pub rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// All transactions.
    pub locations: BTreeMap<TransactionId, Location>,
}

impl StateView for Executor {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.rows.get(key).cloned())
    }

    fn contains_transaction(&self, id: TransactionId) -> Result<bool, ViewError> {
        Ok(self.locations.contains_key(&id))
    }
}

impl Executor {
    /// On a ledger that has only its genesis.
    pub(super) fn new(tip: Tip, genesis: Writes) -> Self {
        let mut executor = Self { tip, rows: BTreeMap::new(), locations: BTreeMap::new() };
        executor.apply(&genesis);
        executor
    }

    /// Executes all blocks until one is wrong or nobody listens, and hands over the state that they leave.
    pub(super) fn run(mut self, from: Receiver<Batch>, to: &SyncSender<Results>) -> Self {
        for batch in from {
            let mut results = Vec::with_capacity(batch.len());
            let mut is_last = false;
            for (height, read) in batch {
                let executed = read.and_then(|read| self.block(read));
                is_last = executed.is_err();
                results.push((height, executed));
                if is_last {
                    break;
                }
            }
            if to.send(results).is_err() || is_last {
                break;
            }
        }
        self
    }

    fn block(&mut self, read: ReadBlock) -> Result<Executed, Wrong> {
        let ReadBlock { block, receipts, certificate, certified_by } = read;
        let expectation = Expectation { proposer: None, clock: None };
        let claimed = block.header.state_root;
        let executed = chain::validate(&self.tip, self, block, expectation, |_| Ok(claimed))
            .map_err(|error| error.to_string())?;
        let mut pairs = executed.receipts.iter().zip(&receipts);
        if !pairs.all(|(receipt, stored)| *codec::encode(receipt) == **stored) {
            return Err("a receipt is not what executing the block gives".into());
        }
        for (index, transaction) in (0..).zip(&executed.transactions) {
            self.locations.insert(transaction.id(), (executed.header.height, index));
        }
        self.apply(&executed.writes);
        self.tip = executed.tip.clone();
        let receipt_bytes = receipts.iter().map(|row| row.len()).sum();
        Ok(Executed { block: executed, receipt_bytes, certificate, certified_by })
    }

    fn apply(&mut self, writes: &Writes) {
        for (key, row) in writes {
            match row {
                Some(row) => self.rows.insert(key.clone(), row.clone()),
                None => self.rows.remove(key),
            };
        }
    }
}
