//! Cost of the state tree per changed key, rows in memory. Prints microseconds per key and the root, which must be the
//! same on every machine for the same arguments.
//!
//! `cargo bench -p yilian-spec --bench state_tree -- [BASE_KEYS [BLOCKS [KEYS_PER_BLOCK]]]`; small by default.

use std::time::Instant;

use yilian_spec::crypto::merkle::state_tree::workload::{MemoryStore, Workload, measure};

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let workload = Workload {
        base_keys: numbers.next().unwrap_or(20_000),
        blocks: numbers.next().unwrap_or(5),
        keys_per_block: numbers.next().unwrap_or(1_000),
    };
    let mut store = MemoryStore::default();
    let start = Instant::now();
    let measured = measure(&workload, &mut store, || start.elapsed());
    let (prepare_ns, write_ns) = measured.nanos_per_key();
    println!("workload                 {workload:?}");
    println!("prepare                  {}.{:03} us per key", prepare_ns / 1_000, prepare_ns % 1_000);
    let fastest_ns = measured.prepare_fastest.as_nanos() / u128::from(workload.keys_per_block.max(1));
    println!("prepare, fastest block   {}.{:03} us per key", fastest_ns / 1_000, fastest_ns % 1_000);
    println!("write rows and apply     {}.{:03} us per key", write_ns / 1_000, write_ns % 1_000);
    println!("row bytes per key        {}", measured.row_bytes / measured.keys.max(1));
    println!("buckets                  {}", store.rows.len());
    println!("root                     {}", hex::encode(measured.root));
}
