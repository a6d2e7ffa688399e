//! The ledger recomputed from its blocks alone: state in a sorted map, state root by its definition (rule M-8), nothing
//! of the node's storage, state tree or candidate handling.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use yilian_node::application::reader::StoredBlock;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{Hash, TransactionId};
use yilian_spec::base::limits::BLOCK_WORK_MAX;
use yilian_spec::ledger::chain::{self, Made, Tip};
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::ledger::validation::semantic;
use yilian_spec::state::key::StateKey;
use yilian_spec::state::overlay::Writes;
use yilian_spec::state::{StateView, ViewError};

/// A block that is not what recomputing gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("block {height}: {reason}")]
pub struct Difference {
    /// Its height.
    pub height: Height,
    /// What differs.
    pub reason: String,
}

/// A state in memory.
#[derive(Clone, Default)]
pub struct Rows {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    transactions: BTreeSet<TransactionId>,
}

impl StateView for Rows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.rows.get(key).cloned())
    }

    fn contains_transaction(&self, id: TransactionId) -> Result<bool, ViewError> {
        Ok(self.transactions.contains(&id))
    }
}

impl Rows {
    /// Takes over what a block writes.
    pub fn apply(&mut self, writes: &Writes) {
        for (key, row) in writes {
            match row {
                Some(row) => self.rows.insert(key.clone(), row.clone()),
                None => self.rows.remove(key),
            };
        }
    }

    /// The root of the proven rows, by rule M-8.
    pub fn root(&self) -> Hash {
        let proven = self.rows.iter().filter(|(key, _)| StateKey::is_proven(key));
        let mut leaves: Vec<Leaf> =
            proven.map(|(key, row)| (sha256(&[&[4], key]), sha256(&[&[5], row]))).collect();
        leaves.sort_unstable();
        Hash(subtree(&leaves, 0))
    }
}

type Leaf = ([u8; 32], [u8; 32]);

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(parts.concat()).into()
}

/// The hash of the subtree of these leaves, which agree in their first `depth` bits and are sorted.
fn subtree(leaves: &[Leaf], depth: usize) -> [u8; 32] {
    match leaves {
        [] => [0; 32],
        [(key, value)] => sha256(&[&[2], key, value]),
        _ => {
            let is_left = |leaf: &Leaf| leaf.0[depth / 8] & (0x80 >> (depth % 8)) == 0;
            let (left, right) = leaves.split_at(leaves.partition_point(is_left));
            sha256(&[&[3], &subtree(left, depth + 1), &subtree(right, depth + 1)])
        }
    }
}

/// Executes the blocks of a ledger from its genesis on, and demands of each the header and receipts that it has.
///
/// # Errors
/// The first block that is not what executing gives.
pub fn recompute(genesis: &Genesis, blocks: &[StoredBlock]) -> Result<(), Difference> {
    let mut state = Rows::default();
    state.apply(&chain::genesis_writes(genesis));
    let mut tip = Tip::genesis(genesis, state.root());
    for block in blocks {
        let height = block.header.height;
        let different = |reason: String| Difference { height, reason };
        certified(block, &tip).map_err(different)?;
        let checked: Result<Vec<_>, _> =
            semantic::check_many(block.transactions.clone(), tip.chain_id).into_iter().collect();
        let checked = checked.map_err(|error| different(error.to_string()))?;
        for transaction in &checked {
            if !state.transactions.insert(transaction.id()) {
                return Err(different(format!("transaction {} stands there again", transaction.id())));
            }
        }
        let root_of = |writes: &Writes| {
            let mut after = state.clone();
            after.apply(writes);
            Ok(after.root())
        };
        let header = &block.header;
        let made = Made { time: header.time, proposer: header.proposer };
        let executed = chain::execute(&tip, &state, made, checked, BLOCK_WORK_MAX, root_of)
            .map_err(|error| different(error.to_string()))?;
        if executed.header != *header {
            let found = format!("{:?}", executed.header);
            return Err(different(format!("its header is {header:?}, executing it gives {found}")));
        }
        if executed.receipts != block.receipts {
            return Err(different("its receipts are not what executing it gives".to_owned()));
        }
        state.apply(&executed.writes);
        tip = executed.tip;
    }
    Ok(())
}

fn certified(block: &StoredBlock, tip: &Tip) -> Result<(), String> {
    if block.header.height != tip.height.next() || block.header.previous != tip.block_id {
        return Err(format!("it does not follow block {} of height {}", tip.block_id, tip.height));
    }
    block.certificate.verify(&block.header, &tip.validators).map_err(|error| error.to_string())
}
