//! What the state tree costs on this disk: the protocol's workload over a real database.

use std::path::Path;
use std::time::Instant;

use yilian_spec::crypto::merkle::state_tree::workload::{BucketStoreMut, Measurement, Workload, measure};
use yilian_spec::crypto::merkle::state_tree::{BucketId, BucketRows, BucketStore};

use super::commit::put_buckets;
use super::database::{Database, StorageOptions};
use super::disk::Disk as _;
use super::error::StorageError;
use super::tables::Tables;

/// The buckets of a database that holds nothing else.
struct Buckets(Database);

impl BucketStore for Buckets {
    type Error = StorageError;

    fn get(&self, id: BucketId) -> Result<Option<Vec<u8>>, StorageError> {
        Tables(&self.0).get_bucket(id)
    }

    fn with_row<T>(&self, id: BucketId, read: impl FnOnce(Option<&[u8]>) -> T) -> Result<T, StorageError> {
        Tables(&self.0).with_row(id, read)
    }
}

impl BucketStoreMut for Buckets {
    fn write(&mut self, rows: &BucketRows) -> Result<(), StorageError> {
        let mut batch = self.0.batch();
        put_buckets(&mut batch, rows);
        batch.write_synced()
    }
}

/// Runs a workload over a new database in `dir`: every block's rows are written in a synced batch, as a node does.
///
/// # Errors
/// When the database cannot be made.
///
/// # Panics
/// When it fails later: a measurement has no use for half a result.
pub fn measure_workload(dir: &Path, workload: &Workload) -> Result<Measurement, StorageError> {
    let mut buckets = Buckets(Database::open(dir, true, StorageOptions::default())?);
    let started = Instant::now();
    Ok(measure(workload, &mut buckets, || started.elapsed()))
}

/// Microseconds per changed key, to compute the root and to write the rows: `keys_per_block` changes a block over a
/// tree of `keys`, `blocks` blocks. `dir` must be empty or absent.
///
/// # Errors
/// When the database cannot be made.
pub fn measure_state_tree(
    dir: &Path,
    keys: u64,
    keys_per_block: u64,
    blocks: u64,
) -> Result<f64, StorageError> {
    let workload = Workload { base_keys: keys, blocks, keys_per_block };
    let (prepare, write) = measure_workload(dir, &workload)?.nanos_per_key();
    Ok((prepare + write) as f64 / 1_000.0)
}
