//! What the writer shows to everybody else: the tip, the state tree that belongs to it, and the last block.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use yilian_spec::crypto::merkle::state_tree::StateTree;
use yilian_spec::ledger::block::Header;
use yilian_spec::ledger::chain::Tip;
use yilian_spec::ledger::receipt::Receipt;
use yilian_spec::ledger::transaction::CheckedTransaction;

/// A block that has just become part of the ledger.
#[derive(Debug)]
pub struct CommittedBlock {
    /// Its header.
    pub header: Header,
    /// Its transactions.
    pub transactions: Vec<CheckedTransaction>,
    /// Their receipts, in the same order.
    pub receipts: Vec<Receipt>,
    /// What each of them cost in units of work, in the same order.
    pub work: Vec<u64>,
    /// The rows of keys that it wrote, each with its state key.
    pub key_rows: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The ledger at one height, as far as it lies in memory. Everything of it is durable.
#[derive(Debug)]
pub struct Published {
    /// The ledger's end.
    pub tip: Tip,
    /// The state tree after the tip's block.
    pub(super) tree: StateTree,
    /// The tip's block, if it was committed since the node started. Whoever must not miss a block reads those
    /// between two tips from storage.
    pub block: Option<Arc<CommittedBlock>>,
}

/// The writer's end of the channel.
#[derive(Debug)]
pub(super) struct Publisher {
    sender: watch::Sender<Arc<Published>>,
    gate: Arc<Gate>,
}

/// Held by the writer from before a block's rows are written until they are published, so that a reader can wait
/// for rows and tree to be of one height.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<()>);

impl Gate {
    /// Waits until the writer is between two blocks, and holds it there.
    pub fn wait(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data: a writer that panicked has left nothing half done in memory.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Publisher {
    /// A channel that shows `first`.
    pub fn new(first: Published) -> Self {
        Self { sender: watch::Sender::new(Arc::new(first)), gate: Arc::default() }
    }

    /// The readers' end.
    pub fn subscribe(&self) -> (watch::Receiver<Arc<Published>>, Arc<Gate>) {
        (self.sender.subscribe(), Arc::clone(&self.gate))
    }

    /// Writes with `write`, and publishes what it returns before a reader that waits goes on.
    pub fn advance<E>(&self, write: impl FnOnce() -> Result<Published, E>) -> Result<Arc<Published>, E> {
        let _gate = self.gate.wait();
        let published = Arc::new(write()?);
        self.sender.send_replace(Arc::clone(&published));
        Ok(published)
    }
}
