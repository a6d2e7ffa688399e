//! An independent reading of a whole ledger, as stored: every block is checked and executed again from the genesis, in
//! memory, and every row is compared with what must then stand there.
//!
//! It shares the protocol's rules with the node, but none of the writer's code: the state lives in a sorted map, the
//! state tree is built anew, the log in memory. Checked for each block: certificate, parent, time, roots of
//! transactions and receipts, log, state root, each receipt, both indexes. Checked at the end: all state rows, all
//! buckets of the state tree, all nodes of the log, the tip, and that there is nothing more.
//!
//! Three threads work on it, each on later blocks than the next, so that two cores are kept busy:
//!
//! ```text
//! reading: rows, certificates, signatures in batches ─► executing: the rules, the state ─► concluding: roots, indexes
//! ```
//!
//! The blocks come to the last one in order, and what it finds first is what an audit on one thread would find first.

mod columns;
mod concluding;
mod executing;
mod reading;

use std::fmt;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId, Hash};
use yilian_spec::ledger::chain;

use super::database::StorageOptions;
use super::error::StorageError;
use super::store::Store;
use super::tables::Tables;
use crate::base::limits;
use concluding::Conclusion;
use executing::Executor;

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
    let tables = || Tables(&*snapshot);
    let genesis = store.genesis();
    let mut conclusion = Conclusion::of_genesis(tables(), genesis);
    let tip = conclusion.tip.clone();
    let last = match tables().tip() {
        Ok((last, ..)) => last,
        Err(error) => {
            conclusion.findings.push(Finding { place: "meta".to_owned(), reason: content(error)? });
            return Ok(conclusion.report());
        }
    };
    let executor = std::thread::scope(|scope| {
        let (read, to_execute) = sync_channel(limits::AUDIT_BATCHES_AHEAD);
        let (executed, to_conclude) = sync_channel(limits::AUDIT_BATCHES_AHEAD);
        let chain_id = tip.chain_id;
        scope.spawn(move || reading::read(tables(), chain_id, &genesis.validators, last, &read));
        let executor = Executor::new(tip, chain::genesis_writes(genesis));
        let executing = scope.spawn(move || executor.run(to_execute, &executed));
        conclusion.blocks(to_conclude, last, progress)?;
        Ok::<_, StorageError>(executing.join().expect("a panic of the rules is a panic of the audit"))
    })?;
    if conclusion.findings.is_empty() {
        columns::compare(tables, &mut conclusion, executor)?;
    }
    Ok(conclusion.report())
}

/// What ends the reading of a block.
enum Wrong {
    Content(String),
    Storage(StorageError),
}

/// The reason, when the content is wrong rather than the database broken.
fn content(error: StorageError) -> Result<String, StorageError> {
    match Wrong::from(error) {
        Wrong::Content(reason) => Ok(reason),
        Wrong::Storage(error) => Err(error),
    }
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
