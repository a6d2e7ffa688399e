//! Tests of the log by technique: against a naive definition, against outside vectors, and by mutation.

mod exhaustive;
mod prop;
mod vectors;

use super::*;

/// Distinct leaf hashes.
fn leaves(count: u64) -> Vec<NodeHash> {
    (0..count).map(|index| leaf_hash(&index.to_le_bytes())).collect()
}
