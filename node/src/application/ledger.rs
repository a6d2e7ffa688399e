//! The one writer of the ledger: executes blocks on the tip, commits decided ones, and publishes what follows.
//!
//! A block's way through here:
//!
//! 1. *Built* from what waits ([`super::source`]), or *received* and checked. Either way it is executed once, and kept in memory with all
//!    that committing it writes ([`super::executed`]).
//! 2. *Remembered*: its bytes reach the disk before this node says anything about it. A crash from here on loses
//!    nothing that others rely on: the bytes are read back and executed again.
//! 3. *Committed*: one synced batch. A crash before it is as if the block had not been decided yet (consensus decides
//!    it again); a crash after it finds the block at the next start.
//! 4. *Published*: the tip, the tree and the receipts reach readers and waiting callers, never before step 3.

use std::sync::Arc;

use yilian_spec::base::codec::DecodeError;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, Hash};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::merkle::state_tree::{StateTree, TreeUpdate};
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::ledger::block::CommitCertificate;
use yilian_spec::ledger::chain::{self, BlockError, ExecutedBlock, ExecutionError, Expectation, Made, Tip};
use yilian_spec::ledger::received::ReceivedBlock;
use yilian_spec::ledger::transaction::CheckedTransaction;
use yilian_spec::ledger::validation::contextual;
use yilian_spec::state::ViewError;
use yilian_spec::state::key::RowKind;
use yilian_spec::state::overlay::Writes;

use super::ApplicationError;
use super::block_size::BlockSize;
use super::executed::{Candidates, Executed};
use super::publish::{CommittedBlock, Published, Publisher};
use super::reader::LedgerReader;
use super::source::{BlockRoom, TransactionSource};
use super::timings::{Outer, Stage, Timings};
use crate::base::limits;
use crate::storage::commit::{BlockRows, block_batch};
use crate::storage::state_root::{proven_changes, tree_error};
use crate::storage::store::Opened;
use crate::storage::tables::assemble_block;
use crate::storage::{StorageError, Store};

/// What the operator sets for the ledger on this node.
#[derive(Debug, Clone, Copy, Default)]
pub struct LedgerOptions {
    /// The key in whose name this node proposes; `None` on a node that only follows.
    pub proposer: Option<PublicKey>,
    /// Least time between two heights, in milliseconds.
    pub target_time_ms: Option<u64>,
}

/// The writer. There is one per data directory; readers go through [`LedgerReader`].
pub struct Ledger {
    pub(super) store: Arc<Store>,
    pub(super) options: LedgerOptions,
    pub(super) tip: Tip,
    tree: StateTree,
    source: Option<Box<dyn TransactionSource>>,
    candidates: Candidates,
    block_size: BlockSize,
    /// Whether the last block of this process held transactions.
    pub(super) had_work: bool,
    publisher: Publisher,
    timings: Arc<Timings>,
}

impl Ledger {
    /// Opens the writer on a store.
    ///
    /// # Errors
    /// When the stored tip, tree and rows do not belong together, or cannot be read.
    pub fn open(store: Arc<Store>, options: LedgerOptions) -> Result<Self, StorageError> {
        let Opened { tip, tree } = store.load()?;
        let publisher = Publisher::new(Published { tip: tip.clone(), tree: tree.clone(), block: None });
        Ok(Self {
            store,
            options,
            tip,
            tree,
            source: None,
            candidates: Candidates::default(),
            block_size: BlockSize::default(),
            had_work: false,
            publisher,
            timings: Arc::default(),
        })
    }

    /// Where this node's blocks take their transactions from; without one they are empty.
    pub fn set_source(&mut self, source: impl TransactionSource + 'static) {
        self.source = Some(Box::new(source));
    }

    /// A handle for reading.
    pub fn reader(&self) -> LedgerReader {
        let (published, gate) = self.publisher.subscribe();
        LedgerReader::new(Arc::clone(&self.store), published, gate)
    }

    /// The counters of where the time goes.
    pub fn timings(&self) -> Arc<Timings> {
        Arc::clone(&self.timings)
    }

    /// The ledger's end.
    pub fn tip(&self) -> &Tip {
        &self.tip
    }

    pub(super) fn source(&self) -> Option<&dyn TransactionSource> {
        self.source.as_deref()
    }

    /// Executes a new block of this node's on the tip and keeps it; returns its id and bytes.
    pub(super) fn build_block(
        &mut self,
        proposer: PublicKey,
        round: u32,
        now_ms: u64,
    ) -> Result<(BlockId, Vec<u8>), ApplicationError> {
        let time = LedgerTime(now_ms).max(self.tip.next_time_min());
        let transactions = self.select(time, round)?;
        let mut update = None;
        let tables = self.store.tables();
        let root_of = root_of(&self.tree, &self.store, &self.timings, &mut update);
        let outer = Outer::start(&self.timings, Stage::Execution, Stage::StateRoot);
        let made = Made { time, proposer };
        // What was expected when they came may be less than what they cost now.
        let work_max = self.block_size.work(round);
        let block =
            chain::execute(&self.tip, &tables, made, transactions, work_max, root_of).map_err(|error| {
                match error {
                    ExecutionError::Version(unknown) => ApplicationError::Version(unknown),
                    ExecutionError::View(error) => unreadable("executing a new block", error),
                }
            })?;
        outer.finish();
        let bytes = assemble_block(&block.header, block.transactions.iter().map(CheckedTransaction::encoded));
        let executed = keep(block, update);
        let block_id = executed.id();
        self.candidates.insert(executed);
        Ok((block_id, bytes))
    }

    /// Takes what a block of `time` may carry from their source, and drops there what no block may carry.
    fn select(&self, time: LedgerTime, round: u32) -> Result<Vec<CheckedTransaction>, ApplicationError> {
        let Some(source) = &self.source else {
            return Ok(Vec::new());
        };
        let parameters = &self.tip.parameters;
        let room = BlockRoom {
            transactions: parameters.block_transactions_max as usize,
            bytes: parameters.block_bytes_max as usize,
            work: self.block_size.work(round),
        };
        let taken = source.take(room, time);
        let version = self.tip.next_version().map_err(ApplicationError::Version)?;
        let tables = self.store.tables();
        let mut fit = Vec::with_capacity(taken.len());
        let mut unfit = Vec::new();
        for transaction in taken {
            match contextual::check(&transaction, &tables, version, time) {
                Ok(()) => fit.push(transaction),
                Err(contextual::ContextualError::View(error)) => {
                    return Err(unreadable("choosing transactions", error));
                }
                // Its time may still come.
                Err(contextual::ContextualError::FromTheFuture) => {}
                Err(_) => unfit.push(transaction.id()),
            }
        }
        source.discard(&unfit);
        Ok(fit)
    }

    /// Checks and executes a block's bytes on the tip, and keeps it. `Ok(Err(…))` when it breaks a rule.
    pub(super) fn execute_block(
        &mut self,
        bytes: &[u8],
        expectation: Expectation,
    ) -> Result<Result<BlockId, Invalid>, ApplicationError> {
        let known = |id| self.source().and_then(|source| source.checked(id));
        let checked = self.timings.measure(Stage::Verification, || {
            let received = ReceivedBlock::decode(bytes, limits::BLOCK_DECODE_BYTES_MAX, known)?;
            Ok(received.has_the_body_of_its_header().then(|| received.check(self.tip.chain_id)))
        });
        let nothing_known = |reason: String| Ok(Err(Invalid { block_id: None, reason }));
        let block = match checked {
            Ok(Some(block)) => block,
            // The header's id stays unsaid: an honest proposer's block must not fall by what a liar sends in its name.
            Ok(None) => {
                return nothing_known("the transactions are not those of its header (B-17)".to_owned());
            }
            Err::<_, DecodeError>(error) => return nothing_known(error.to_string()),
        };
        // A block in another's name says something about who sent it, and nothing about the block.
        if expectation.proposer.is_some_and(|proposer| proposer != block.header.proposer) {
            return nothing_known(format!(
                "it was built by {}, not by its proposer (B-12)",
                block.header.proposer
            ));
        }
        let block_id = block.header.id();
        let mut update = None;
        let root_of = root_of(&self.tree, &self.store, &self.timings, &mut update);
        let outer = Outer::start(&self.timings, Stage::Execution, Stage::StateRoot);
        let result = chain::validate(&self.tip, &self.store.tables(), block, expectation, root_of);
        outer.finish();
        match result {
            Ok(block) => {
                self.candidates.insert(keep(block, update));
                Ok(Ok(block_id))
            }
            Err(BlockError::View(error)) => Err(unreadable("checking a block", error)),
            Err(BlockError::UnknownVersion(unknown)) => Err(ApplicationError::Version(unknown)),
            Err(rule) => Ok(Err(Invalid { block_id: Some(block_id), reason: rule.to_string() })),
        }
    }

    /// Whether the block was executed already and is kept.
    pub(super) fn holds(&mut self, block_id: BlockId) -> bool {
        self.candidates.touch(block_id)
    }

    /// Makes the next block part of the ledger; its certificate is verified here once more.
    pub(super) fn commit_next(&mut self, certificate: &CommitCertificate) -> Result<(), ApplicationError> {
        let (height, block_id) = (certificate.height, certificate.block_id);
        self.ensure_executed(height, block_id)?;
        let executed =
            self.candidates.take(block_id).ok_or(ApplicationError::PayloadMissing { height, block_id })?;
        let diverged = |reason: String| ApplicationError::Divergence { height, block_id, reason };
        certificate
            .verify(&executed.block.header, &self.tip.validators)
            .map_err(|error| diverged(error.to_string()))?;
        let published = self
            .publisher
            .advance(|| {
                write_block(&self.store, &self.timings, &executed, certificate)?;
                // From here on the block is part of the ledger, whatever happens to this process.
                let Executed { block, update, .. } = executed;
                self.tree.apply(update).map_err(|error| StorageError::contradiction(error.to_string()))?;
                let ExecutedBlock { header, transactions, receipts, work, tip, writes, .. } = block;
                let key_rows = key_rows(writes);
                let block = Some(Arc::new(CommittedBlock { header, transactions, receipts, work, key_rows }));
                Ok(Published { tip, tree: self.tree.clone(), block })
            })
            .map_err(|error| failed("committing a block", error))?;
        self.block_size.decided(certificate.round);
        self.advance(&published);
        Ok(())
    }

    fn advance(&mut self, published: &Published) {
        self.tip = published.tip.clone();
        self.candidates.clear();
        let Some(block) = &published.block else { return };
        self.had_work = !block.transactions.is_empty();
        if let Some(source) = &self.source {
            source.committed(block);
        }
    }

    /// Executes the decided block from its remembered bytes, unless it was executed since the last commit.
    fn ensure_executed(&mut self, height: Height, block_id: BlockId) -> Result<(), ApplicationError> {
        if self.holds(block_id) {
            return Ok(());
        }
        let undecided = self
            .store
            .tables()
            .undecided(height, None)
            .map_err(|error| failed("reading undecided blocks", error))?;
        let row = undecided.into_iter().find(|(_, id, _)| *id == block_id);
        let (_, _, (_, _, _, bytes)) = row.ok_or(ApplicationError::PayloadMissing { height, block_id })?;
        // Two thirds have decided: who proposed it and what the clock says is no longer for this node to judge.
        let result = self.execute_block(&bytes, Expectation { proposer: None, clock: None })?;
        result.map(drop).map_err(|invalid| ApplicationError::Divergence {
            height,
            block_id,
            reason: invalid.reason,
        })
    }
}

/// The rows of keys among a block's writes; such rows are never deleted.
fn key_rows(mut writes: Writes) -> Vec<(Vec<u8>, Vec<u8>)> {
    let from = writes.split_off(&RowKind::Key.prefix());
    from.into_iter()
        .take_while(|(key, _)| RowKind::of(key) == Some(RowKind::Key))
        .filter_map(|(key, row)| Some((key, row?)))
        .collect()
}

/// Whether bytes are the block of an id with the body that its header commits to (rule B-17). Needs no state.
pub fn is_block(block_id: BlockId, bytes: &[u8]) -> bool {
    ReceivedBlock::decode(bytes, limits::BLOCK_DECODE_BYTES_MAX, |_| None)
        .is_ok_and(|block| block.header.id() == block_id && block.has_the_body_of_its_header())
}

/// Why a block must not be voted for.
pub(super) struct Invalid {
    pub block_id: Option<BlockId>,
    pub reason: String,
}

/// Computes the state's root after the writes, and leaves the tree's update in `update`.
fn root_of<'a>(
    tree: &'a StateTree,
    store: &'a Store,
    timings: &'a Timings,
    update: &'a mut Option<TreeUpdate>,
) -> impl FnOnce(&Writes) -> Result<Hash, ViewError> + 'a {
    move |writes| {
        let prepared = timings.measure(Stage::StateRoot, || {
            tree.prepare(&store.tables(), &proven_changes(writes)).map_err(tree_error)
        })?;
        let root = Hash(prepared.root());
        *update = Some(prepared);
        Ok(root)
    }
}

fn keep(block: ExecutedBlock, update: Option<TreeUpdate>) -> Executed {
    let update = update.expect("a block that was executed has computed its state root");
    Executed { block, update }
}

fn write_block(
    store: &Store,
    timings: &Timings,
    executed: &Executed,
    certificate: &CommitCertificate,
) -> Result<(), StorageError> {
    timings.measure(Stage::Storage, || {
        let rows = BlockRows {
            header: &executed.block.header,
            certificate,
            transactions: &executed.block.transactions,
            receipts: &executed.block.receipts,
            writes: &executed.block.writes,
            buckets: executed.update.rows(),
            log_nodes: &executed.block.log_nodes,
            log: &executed.block.tip.log,
        };
        store.write(block_batch(store, &rows)?)
    })
}

/// Storage failed under the application.
pub(super) fn failed(action: &'static str, source: StorageError) -> ApplicationError {
    ApplicationError::Storage { action, source }
}

fn unreadable(action: &'static str, error: ViewError) -> ApplicationError {
    ApplicationError::View { action, reason: error.0 }
}
