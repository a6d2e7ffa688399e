//! An independent reading of a whole ledger, as stored: every block is checked and executed again from the genesis, in
//! memory, and every row is compared with what must then stand there.
//!
//! It shares the protocol's rules with the node, but none of the writer's code: the state lives in a sorted map, the
//! state tree is built anew, the log in memory. Checked for each block: certificate, parent, time, roots of
//! transactions and receipts, log, state root, each receipt, both indexes. Checked at the end: all state rows, all
//! buckets of the state tree, all nodes of the log, the tip, and that there is nothing more.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::path::Path;

use yilian_spec::block::Block;
use yilian_spec::chain::{self, ExecutedBlock, Expectation, Tip};
use yilian_spec::codec;
use yilian_spec::genesis::Genesis;
use yilian_spec::height::Height;
use yilian_spec::id::{BlockId, ChainId, Hash, TransactionId};
use yilian_spec::merkle::log;
use yilian_spec::merkle::state_tree::workload::BucketStoreMut;
use yilian_spec::merkle::state_tree::{BucketId, StateTree, audit_row, workload::MemoryStore};
use yilian_spec::received::ReceivedBlock;
use yilian_spec::signature::PublicKey;
use yilian_spec::state::overlay::Writes;
use yilian_spec::state::{StateView, ViewError};

use super::database::StorageOptions;
use super::disk::Column;
use super::error::StorageError;
use super::store::Store;
use super::tables::{Location, Tables, height_key, log_node_key};
use crate::application::state_root::proven_changes;
use crate::application::{ABSENCE_HEIGHTS, ProposerRecord, proposer_rotation};

/// Most findings that a report lists.
pub const FINDINGS_MAX: usize = 100;

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where: a block, or a column and key.
    pub place: String,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

/// What the reading found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The ledger.
    pub chain_id: ChainId,
    /// The last height up to which every block is right.
    pub height: Height,
    /// The block there, which commits to every block, receipt and proven row before it.
    pub block_id: BlockId,
    /// The root of the state there.
    pub state_root: Hash,
    /// Transactions up to there.
    pub transactions: u64,
    /// Bytes of the blocks, receipts and certificates read.
    pub bytes: u64,
    /// What is wrong; at most [`FINDINGS_MAX`] are listed.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether everything is as it must be.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Reads the ledger in `dir` in full. `progress` is called after each block with its height and the last one's.
///
/// # Errors
/// When the directory holds no ledger of this format, or the database fails. What is wrong with the ledger's content
/// is in the report.
pub fn check(dir: &Path, progress: impl FnMut(Height, Height)) -> Result<Report, StorageError> {
    let store = Store::open_read_only(dir, StorageOptions::default())?;
    check_store(&store, progress)
}

/// [`check`] on a ledger that is open already, at this moment.
///
/// # Errors
/// As [`check`].
pub fn check_store(store: &Store, progress: impl FnMut(Height, Height)) -> Result<Report, StorageError> {
    let snapshot = store.snapshot();
    let mut audit = Audit::new(Tables(&*snapshot), store.genesis());
    audit.blocks(progress)?;
    if audit.findings.is_empty() {
        audit.whole_columns()?;
    }
    Ok(audit.report())
}

/// A ledger in memory, made from nothing but the genesis and the blocks.
struct Audit<'a> {
    tables: Tables<'a>,
    tip: Tip,
    tree: StateTree,
    buckets: MemoryStore,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    locations: BTreeMap<TransactionId, Location>,
    log_nodes: BTreeMap<Vec<u8>, [u8; 32]>,
    /// Who proposed the last blocks, and whose turn it was.
    recent: Vec<ProposerRecord>,
    bytes: u64,
    findings: Vec<Finding>,
}

/// The state as the blocks so far have left it.
struct Memory<'a> {
    rows: &'a BTreeMap<Vec<u8>, Vec<u8>>,
    locations: &'a BTreeMap<TransactionId, Location>,
}

impl StateView for Memory<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.rows.get(key).cloned())
    }

    fn contains_transaction(&self, id: TransactionId) -> Result<bool, ViewError> {
        Ok(self.locations.contains_key(&id))
    }
}

impl<'a> Audit<'a> {
    fn new(tables: Tables<'a>, genesis: &Genesis) -> Self {
        let mut audit = Self {
            tables,
            tip: Tip::genesis(genesis, Hash::default()),
            tree: StateTree::new(),
            buckets: MemoryStore::default(),
            rows: BTreeMap::new(),
            locations: BTreeMap::new(),
            log_nodes: BTreeMap::new(),
            recent: Vec::new(),
            bytes: 0,
            findings: Vec::new(),
        };
        audit.apply(chain::genesis_writes(genesis));
        audit.tip.state_root = Hash(audit.tree.root());
        audit
    }

    fn report(self) -> Report {
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

    fn find(&mut self, place: impl Into<String>, reason: impl fmt::Display) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { place: place.into(), reason: reason.to_string() });
        }
    }

    fn apply(&mut self, writes: Writes) {
        let update = never(self.tree.prepare(&self.buckets, &proven_changes(&writes)));
        let Ok(()) = self.buckets.write(update.rows());
        self.tree.apply(update).expect("the update was prepared on this tree a line above");
        for (key, row) in writes {
            match row {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
    }

    /// All blocks, until the first that is not right: on a wrong state nothing can be said about the next.
    fn blocks(&mut self, mut progress: impl FnMut(Height, Height)) -> Result<(), StorageError> {
        let (last, ..) = match self.tables.tip() {
            Ok(tip) => tip,
            Err(error) => return self.content(error).map(|reason| self.find("meta", reason)),
        };
        while self.tip.height < last {
            let height = self.tip.height.next();
            match self.block(height) {
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

    fn block(&mut self, height: Height) -> Result<(), Wrong> {
        let header = self.tables.header(height)?.ok_or("there is no header")?;
        let certificate = self.tables.certificate(height)?.ok_or("there is no certificate")?;
        if header.height != height {
            return Err(format!("its header is that of block {}", header.height).into());
        }
        certificate.verify(&header, &self.tip.validators).map_err(|error| error.to_string())?;
        let transactions = self.tables.transactions_of(&header)?;
        let receipts = self.tables.receipts_of(&header)?;
        let memory = Memory { rows: &self.rows, locations: &self.locations };
        let root_of = |writes: &Writes| {
            Ok(Hash(never(self.tree.prepare(&self.buckets, &proven_changes(writes))).root()))
        };
        let expectation = Expectation { proposer: None, clock: None };
        let block = ReceivedBlock::from(Block { header: header.clone(), transactions });
        let block = block.check(self.tip.chain_id);
        let executed = chain::validate(&self.tip, &memory, block, expectation, root_of)
            .map_err(|error| error.to_string())?;
        if executed.receipts != receipts {
            return Err("a receipt is not what executing the block gives".into());
        }
        self.advance(executed)
    }

    /// Takes over a block that is right, and checks what points at it.
    fn advance(&mut self, block: ExecutedBlock) -> Result<(), Wrong> {
        let ExecutedBlock { header, transactions, receipts, writes, tip, .. } = block;
        let height = header.height;
        if self.tables.height_of(header.id())? != Some(height) {
            return Err("the index by block id does not lead to it".into());
        }
        self.turn(height, header.proposer)?;
        let mut log = self.tip.log.clone();
        for (index, (transaction, receipt)) in (0..).zip(transactions.iter().zip(&receipts)) {
            let (id, location) = (transaction.id(), (height, index));
            if self.tables.location(id)? != Some(location) {
                return Err(format!("the index does not lead to transaction {id}").into());
            }
            self.locations.insert(id, location);
            let encoded = codec::encode(receipt);
            self.bytes += (transaction.encoded().len() + encoded.len()) as u64;
            let nodes = &mut self.log_nodes;
            log.append_with(log::leaf_hash(&encoded), |node| {
                nodes.insert(log_node_key(node.level, node.index), node.hash);
            })
            .map_err(|error| error.to_string())?;
        }
        if log != tip.log {
            return Err("the log does not follow from the receipts".into());
        }
        self.apply(writes);
        self.tip = tip;
        Ok(())
    }

    /// Whose turn it was follows from the blocks before.
    fn turn(&mut self, height: Height, proposer: PublicKey) -> Result<(), Wrong> {
        let keys: Vec<PublicKey> =
            self.tip.validators.validators().iter().map(|validator| validator.key).collect();
        let rotation = proposer_rotation(&keys, &self.recent);
        let expected = rotation[(height.0 % rotation.len() as u64) as usize];
        if self.tables.turn(height)? != Some(expected) {
            return Err("the stored turn to propose is another one".into());
        }
        self.recent.push(ProposerRecord { height, expected, proposer });
        if self.recent.len() as u64 > ABSENCE_HEIGHTS {
            self.recent.remove(0);
        }
        Ok(())
    }

    /// The columns in which a row too many, too few or altered would show in no block.
    fn whole_columns(&mut self) -> Result<(), StorageError> {
        let tip = self.tables.tip()?;
        if tip != (self.tip.height, self.tip.block_id, self.tip.log.clone(), self.tip.state_root) {
            self.find("meta", "the tip is not the one that the blocks lead to");
        }
        let rows = std::mem::take(&mut self.rows);
        self.compare(Column::StateRow, rows.iter().map(|(key, row)| (key.clone(), row.clone())))?;
        let nodes = std::mem::take(&mut self.log_nodes);
        self.compare(Column::LogNode, nodes.iter().map(|(key, hash)| (key.clone(), hash.to_vec())))?;
        let mut index: Vec<(Vec<u8>, Vec<u8>)> =
            self.locations.iter().map(|(id, location)| (id.0.to_vec(), codec::encode(location))).collect();
        index.sort();
        self.compare(Column::TransactionIndex, index.into_iter())?;
        let after = height_key(self.tip.height.next());
        for column in
            [Column::Header, Column::Certificate, Column::Transaction, Column::Receipt, Column::Turn]
        {
            if self.tables.0.scan(column, &after).next().transpose()?.is_some() {
                self.find(column.name(), "there are rows of blocks behind the tip");
            }
        }
        self.readable()?;
        self.state_tree()
    }

    /// The columns of which blocks read single rows: every row must be readable, and there must not be more of them.
    fn readable(&mut self) -> Result<(), StorageError> {
        let blocks = self.tip.height.0;
        for (column, wanted) in [
            (Column::Meta, 3),
            (Column::Turn, blocks),
            (Column::BlockIndex, blocks),
            (Column::Header, blocks),
        ] {
            let mut rows = 0;
            for row in self.tables.0.scan(column, &[]) {
                rows += row.map(|_| 1)?;
            }
            if rows != wanted {
                self.find(column.name(), format!("there are {rows} rows, there must be {wanted}"));
            }
        }
        // Those above the tip are read for being readable.
        let keys = self.tables.undecided_keys(Height(0)..=Height(u64::MAX))?;
        let next = height_key(self.tip.height.next());
        for key in keys.into_iter().filter(|key| *key < next) {
            self.find(format!("undecided {}", hex::encode(key)), "its height is decided");
        }
        self.tables.undecided(self.tip.height.next(), None).map(drop)
    }

    /// Compares a column with the rows that must stand in it, both in the order of their keys.
    fn compare(
        &mut self,
        column: Column,
        expected: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StorageError> {
        let tables = self.tables;
        let mut stored = tables.0.scan(column, &[]).peekable();
        let mut expected = expected.peekable();
        loop {
            let next = match stored.next_if(Result::is_err) {
                Some(error) => return error.map(drop),
                None => stored.peek().and_then(|row| row.as_ref().ok()),
            };
            let (key, reason) = match (next, expected.peek()) {
                (None, None) => return Ok(()),
                (Some((key, _)), Some((wanted, _))) if **key == **wanted => {
                    let differs =
                        next.map(|(_, value)| &**value) != expected.peek().map(|(_, value)| &**value);
                    let key = key.to_vec();
                    stored.next();
                    expected.next();
                    if !differs {
                        continue;
                    }
                    (key, "the row is not the one that the blocks lead to")
                }
                (Some((key, _)), wanted) if wanted.is_none_or(|(wanted, _)| **key < **wanted) => {
                    let key = key.to_vec();
                    stored.next();
                    (key, "the row should not be there")
                }
                (_, Some((wanted, _))) => {
                    let key = wanted.clone();
                    expected.next();
                    (key, "the row is missing")
                }
                // A stored row that is not below the wanted one has been handled above when none is wanted.
                (Some(_), None) => return Ok(()),
            };
            self.find(format!("{} {}", column.name(), hex::encode(key)), reason);
        }
    }

    /// How leaves are grouped into buckets depends on history, so the stored rows are checked one by one and for the
    /// root they lead to.
    fn state_tree(&mut self) -> Result<(), StorageError> {
        let mut rows = Vec::new();
        for row in self.tables.0.scan(Column::StateBucket, &[]) {
            let (key, value) = row?;
            let place = || format!("state_bucket {}", hex::encode(&key));
            match BucketId::from_bytes(&key).map(|id| (id, audit_row(id, &value))) {
                None => self.find(place(), "the key is not that of a bucket"),
                Some((_, Err(error))) => self.find(place(), error),
                Some((id, Ok(()))) => rows.push((id, value.into_vec())),
            }
        }
        match StateTree::open(rows.into_iter().map(Ok::<_, Infallible>)) {
            Err(error) => self.find("state_bucket", error),
            Ok(tree) if Hash(tree.root()) != self.tip.state_root => {
                self.find("state_bucket", "the buckets do not lead to the state root of the tip");
            }
            Ok(_) => {}
        }
        Ok(())
    }

    /// The reason, when the content is wrong rather than the database broken.
    fn content(&self, error: StorageError) -> Result<String, StorageError> {
        match Wrong::from(error) {
            Wrong::Content(reason) => Ok(reason),
            Wrong::Storage(error) => Err(error),
        }
    }
}

/// A tree whose rows are in memory does not fail to read them.
fn never<T, E: fmt::Debug>(result: Result<T, E>) -> T {
    result.expect("the rows in memory are those of the tree in memory")
}

/// What ends the reading of a block.
enum Wrong {
    Content(String),
    Storage(StorageError),
}

impl From<String> for Wrong {
    fn from(reason: String) -> Self {
        Self::Content(reason)
    }
}

impl From<&str> for Wrong {
    fn from(reason: &str) -> Self {
        Self::Content(reason.to_owned())
    }
}

impl From<StorageError> for Wrong {
    fn from(error: StorageError) -> Self {
        match error {
            // A file whose checksum does not fit is the ledger's content, too: it is what an audit looks for.
            error if error.is_damage() => Self::Content(error.to_string()),
            other => Self::Storage(other),
        }
    }
}
