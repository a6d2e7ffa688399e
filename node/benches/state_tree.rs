//! Cost of the state tree per changed key over a real database, with one synced batch a block. Prints microseconds per
//! key and the root, which must be the same on every machine for the same arguments.
//!
//! `cargo bench -p yilian-node --bench state_tree -- [BASE_KEYS [BLOCKS [KEYS_PER_BLOCK]]]`; small by default.

use yilian_node::storage::measure::measure_workload;
use yilian_spec::crypto::merkle::state_tree::workload::Workload;

fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let workload = Workload {
        base_keys: numbers.next().unwrap_or(20_000),
        blocks: numbers.next().unwrap_or(5),
        keys_per_block: numbers.next().unwrap_or(1_000),
    };
    let dir = tempfile::tempdir()?;
    let measured = measure_workload(dir.path(), &workload)?;
    let (prepare_ns, write_ns) = measured.nanos_per_key();
    println!("workload                 {workload:?}");
    println!("read and hash            {}.{:03} us per key", prepare_ns / 1_000, prepare_ns % 1_000);
    println!("write, synced            {}.{:03} us per key", write_ns / 1_000, write_ns % 1_000);
    println!("row bytes per key        {}", measured.row_bytes / measured.keys.max(1));
    println!("root                     {}", hex::encode(measured.root));
    Ok(())
}
