//! A deterministic load for the state tree and its measurement, for benches of this crate (rows in memory) and of
//! others (rows in a database). Time comes in through a closure, because nothing here reads a clock.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Debug;
use std::time::Duration;

use super::{BucketId, BucketRows, BucketStore, KeyHash, StateTree, ValueHash};
use crate::crypto::merkle::NodeHash;

/// A store of bucket rows that can also write.
pub trait BucketStoreMut: BucketStore {
    /// Writes and deletes rows in one batch.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn write(&mut self, rows: &BucketRows) -> Result<(), Self::Error>;
}

/// Bucket rows in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    /// All rows.
    pub rows: BTreeMap<BucketId, Vec<u8>>,
}

impl BucketStore for MemoryStore {
    type Error = Infallible;

    fn get(&self, id: BucketId) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.rows.get(&id).cloned())
    }

    fn with_row<T>(&self, id: BucketId, read: impl FnOnce(Option<&[u8]>) -> T) -> Result<T, Infallible> {
        Ok(read(self.rows.get(&id).map(Vec::as_slice)))
    }
}

impl BucketStoreMut for MemoryStore {
    fn write(&mut self, rows: &BucketRows) -> Result<(), Infallible> {
        for (id, row) in rows {
            match row {
                Some(row) => self.rows.insert(*id, row.clone()),
                None => self.rows.remove(id),
            };
        }
        Ok(())
    }
}

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// Keys in the tree before the first measured block.
    pub base_keys: u64,
    /// Measured blocks.
    pub blocks: u64,
    /// Changed keys per block: three of four have a value already, the fourth is new.
    pub keys_per_block: u64,
}

/// What was measured; times are sums over all measured blocks where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurement {
    /// Changed keys.
    pub keys: u64,
    /// Time to compute the updates, with the store's reads.
    pub prepare: Duration,
    /// The shortest time in which one block was prepared, which other load on the machine disturbs least.
    pub prepare_fastest: Duration,
    /// Time to write the rows and to apply the updates.
    pub write: Duration,
    /// Bytes of the rows written.
    pub row_bytes: u64,
    /// The root at the end, which says that two runs did the same.
    pub root: NodeHash,
}

impl Measurement {
    /// Nanoseconds per changed key, to prepare and to write.
    pub fn nanos_per_key(&self) -> (u128, u128) {
        let keys = u128::from(self.keys.max(1));
        (self.prepare.as_nanos() / keys, self.write.as_nanos() / keys)
    }
}

/// Runs a workload on an empty store. `now` returns the time since any fixed moment.
///
/// # Panics
/// When the store fails, or the tree and the store disagree.
pub fn measure<S>(workload: &Workload, store: &mut S, now: impl Fn() -> Duration) -> Measurement
where
    S: BucketStoreMut<Error: Debug>,
{
    let mut tree = StateTree::new();
    let mut total = Measurement {
        keys: 0,
        prepare: Duration::ZERO,
        prepare_fastest: Duration::MAX,
        write: Duration::ZERO,
        row_bytes: 0,
        root: tree.root(),
    };
    let mut filled = 0;
    while filled < workload.base_keys {
        let upto = workload.base_keys.min(filled + 10_000);
        let changes = (filled..upto).map(|number| (key(number), Some(value(number, 0)))).collect();
        step(&mut tree, store, &changes, &now);
        filled = upto;
    }
    for block in 1..=workload.blocks {
        let changes = block_changes(workload, block);
        let step = step(&mut tree, store, &changes, &now);
        total.keys += changes.len() as u64;
        total.prepare += step.prepare;
        total.prepare_fastest = total.prepare_fastest.min(step.prepare);
        total.write += step.write;
        total.row_bytes += step.row_bytes;
    }
    total.root = tree.root();
    total
}

/// Time and bytes of one block.
struct Step {
    prepare: Duration,
    write: Duration,
    row_bytes: u64,
}

fn step<S>(
    tree: &mut StateTree,
    store: &mut S,
    changes: &BTreeMap<KeyHash, Option<ValueHash>>,
    now: &impl Fn() -> Duration,
) -> Step
where
    S: BucketStoreMut<Error: Debug>,
{
    let start = now();
    let update = tree.prepare(store, changes).expect("the store holds the rows of this tree");
    let prepared = now();
    store.write(update.rows()).expect("the store can be written");
    let row_bytes = update.rows().values().flatten().map(|row| row.len() as u64).sum();
    tree.apply(update).expect("the update was prepared on this tree");
    Step { prepare: prepared - start, write: now() - prepared, row_bytes }
}

/// The changes of a measured block, from 1.
fn block_changes(workload: &Workload, block: u64) -> BTreeMap<KeyHash, Option<ValueHash>> {
    let each = workload.keys_per_block;
    (0..each)
        .map(|index| {
            let serial = (block - 1) * each + index;
            let number = if index % 4 == 3 || workload.base_keys == 0 {
                workload.base_keys + serial
            } else {
                scatter(serial) % workload.base_keys
            };
            (key(number), Some(value(number, block)))
        })
        .collect()
}

/// Spreads consecutive numbers over all of `u64` (the finalizer of SplitMix64).
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn key(number: u64) -> KeyHash {
    KeyHash::of(&number.to_le_bytes())
}

fn value(number: u64, block: u64) -> ValueHash {
    ValueHash::of(&[number.to_le_bytes(), block.to_le_bytes()].concat())
}
