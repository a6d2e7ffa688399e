//! The independent reading: every node's ledger as it lies on the disk, with no node running.
//!
//! Three readings, none of which asks the node. Each ledger by itself: the storage audit, which executes every block
//! again from the genesis. All together: the bytes of header, transactions and receipts at every height. And against
//! the clients: whatever one was told is final, at the place and with the receipt that it was told.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use yilian_node::storage::audit::{self, Report};
use yilian_node::storage::disk::Column;
use yilian_node::storage::{StorageOptions, Store};
use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::BlockId;

use super::Cluster;

/// What one node's ledger holds.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The node.
    pub node: usize,
    /// What the audit found.
    pub report: Report,
}

/// Reads the ledgers of these nodes, which must not run.
pub(super) fn check(cluster: &Cluster, nodes: &[usize]) -> Result<Vec<Reading>> {
    let mut blocks: BTreeMap<Height, (usize, Vec<u8>)> = BTreeMap::new();
    let mut readings = Vec::new();
    for node in nodes {
        let directory = cluster.ledger_directory(*node)?;
        let report = audit::check(&directory, |_, _| {})
            .with_context(|| format!("cannot read the ledger of node {node}"))?;
        ensure!(report.is_clean(), "the ledger of node {node} is not right: {:?}", report.findings);
        ensure!(report.chain_id == cluster.files.genesis.chain_id(), "node {node} holds another ledger");
        let store = Store::open_read_only(&directory, StorageOptions::default())?;
        for height in (1..=report.height.0).map(Height) {
            let bytes =
                block_bytes(&store, height).with_context(|| format!("node {node}, block {height}"))?;
            let (first, expected) = blocks.entry(height).or_insert_with(|| (*node, bytes.clone()));
            ensure!(*expected == bytes, "nodes {first} and {node} hold other bytes in block {height}");
        }
        check_acknowledged(cluster, *node, &store)?;
        readings.push(Reading { node: *node, report });
    }
    check_tips(&readings, &blocks)?;
    Ok(readings)
}

/// Everything that a block is made of, as stored; not its certificate, of which nodes may hold different ones.
fn block_bytes(store: &Store, height: Height) -> Result<Vec<u8>> {
    let tables = store.tables();
    let header = tables.header(height)?.context("there is no header")?;
    let mut bytes = codec::encode(&header);
    for column in [Column::Transaction, Column::Receipt] {
        for row in tables.encoded_of(column, height, header.transaction_count)? {
            bytes.extend_from_slice(&(row.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&row);
        }
    }
    Ok(bytes)
}

fn check_acknowledged(cluster: &Cluster, node: usize, store: &Store) -> Result<()> {
    let tables = store.tables();
    for (id, (height, index, receipt)) in cluster.acknowledged.all() {
        let location = tables.location(id)?;
        ensure!(
            location == Some((height, index)),
            "transaction {id} was acknowledged at {height}.{index}; node {node} has it at {location:?}"
        );
        let stored = tables.receipt((height, index))?;
        ensure!(stored.as_ref() == Some(&receipt), "node {node} holds another receipt of transaction {id}");
    }
    Ok(())
}

/// The audits' own words agree with the bytes: equal heights, equal blocks and state roots.
fn check_tips(readings: &[Reading], blocks: &BTreeMap<Height, (usize, Vec<u8>)>) -> Result<()> {
    let mut tips: BTreeMap<Height, (BlockId, yilian_spec::base::id::Hash)> = BTreeMap::new();
    for Reading { node, report } in readings {
        let tip = (report.block_id, report.state_root);
        let expected = *tips.entry(report.height).or_insert(tip);
        ensure!(expected == tip, "node {node} has another block or state root at height {}", report.height);
        ensure!(
            report.height == Height(0) || blocks.contains_key(&report.height),
            "block {} of node {node} was not read",
            report.height
        );
    }
    Ok(())
}
