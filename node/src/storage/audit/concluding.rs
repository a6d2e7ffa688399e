//! Third stage: the state's root after each block, and what points at the block. It comes to each block last, so that
//! what it holds is the ledger up to the last block that is right.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::Receiver;

use yilian_spec::base::height::Height;
use yilian_spec::base::id::Hash;
use yilian_spec::crypto::merkle::state_tree::StateTree;
use yilian_spec::crypto::merkle::state_tree::workload::{BucketStoreMut, MemoryStore};
use yilian_spec::ledger::chain::{self, BlockError, Tip};
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::state::overlay::Writes;

use super::executing::{Executed, Results};
use super::{FINDINGS_MAX, Finding, Report, Wrong};
use crate::storage::error::StorageError;
use crate::storage::state_root::proven_changes;
use crate::storage::tables::{Tables, log_node_key};

/// The ledger up to the last block that is right.
pub(super) struct Conclusion<'a> {
    tables: Tables<'a>,
    /// Its end.
    pub tip: Tip,
    tree: StateTree,
    buckets: MemoryStore,
    /// All nodes of the log.
    pub log_nodes: BTreeMap<Vec<u8>, [u8; 32]>,
    bytes: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl<'a> Conclusion<'a> {
    /// A ledger that has only its genesis.
    pub(super) fn of_genesis(tables: Tables<'a>, genesis: &Genesis) -> Self {
        let mut conclusion = Self {
            tables,
            tip: Tip::genesis(genesis, Hash::default()),
            tree: StateTree::new(),
            buckets: MemoryStore::default(),
            log_nodes: BTreeMap::new(),
            bytes: 0,
            findings: Vec::new(),
        };
        conclusion.tip.state_root = conclusion.apply(&chain::genesis_writes(genesis));
        conclusion
    }

    pub(super) fn report(self) -> Report {
        Report {
            chain_id: self.tip.chain_id,
            height: self.tip.height,
            block_id: self.tip.block_id,
            state_root: self.tip.state_root,
            transactions: self.tip.log.length(),
            bytes: self.bytes,
            findings: self.findings,
        }
    }

    pub(super) fn find(&mut self, place: impl Into<String>, reason: impl fmt::Display) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { place: place.into(), reason: reason.to_string() });
        }
    }

    /// All blocks, until the first that is not right: on a wrong state nothing can be said about the next.
    pub(super) fn blocks(
        &mut self,
        from: Receiver<Results>,
        last: Height,
        mut progress: impl FnMut(Height, Height),
    ) -> Result<(), StorageError> {
        for (height, executed) in from.into_iter().flatten() {
            match executed.and_then(|executed| self.block(executed)) {
                Ok(()) => progress(height, last),
                Err(Wrong::Content(reason)) => {
                    self.find(format!("block {height}"), reason);
                    return Ok(());
                }
                Err(Wrong::Storage(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes over a block that is right, once its certificate, its state's root and what points at it are.
    fn block(&mut self, executed: Executed) -> Result<(), Wrong> {
        let Executed { block, receipt_bytes, certificate, certified_by } = executed;
        let (header, height) = (&block.header, block.header.height);
        if certified_by != Some(self.tip.validators.hash()) {
            certificate.verify(header, &self.tip.validators).map_err(|error| error.to_string())?;
        }
        if self.tables.height_of(header.id())? != Some(height) {
            return Err("the index by block id does not lead to it".into());
        }
        let mut bytes = receipt_bytes as u64;
        for (index, transaction) in (0..).zip(&block.transactions) {
            if self.tables.location(transaction.id())? != Some((height, index)) {
                return Err(format!("the index does not lead to transaction {}", transaction.id()).into());
            }
            bytes += transaction.encoded().len() as u64;
        }
        if self.apply(&block.writes) != header.state_root {
            return Err(BlockError::HeaderMismatch { field: "state_root" }.to_string().into());
        }
        self.bytes += bytes;
        let nodes = block.log_nodes.iter().map(|node| (log_node_key(node.level, node.index), node.hash));
        self.log_nodes.extend(nodes);
        self.tip = block.tip;
        Ok(())
    }

    /// The state's root after these writes.
    fn apply(&mut self, writes: &Writes) -> Hash {
        let update = self.tree.prepare(&self.buckets, &proven_changes(writes));
        let update = update.expect("the rows in memory are those of the tree in memory");
        let Ok(()) = self.buckets.write(update.rows());
        self.tree.apply(update).expect("the update was prepared on this tree a line above");
        Hash(self.tree.root())
    }
}
