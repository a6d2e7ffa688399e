//! Two nodes with one key, each with its own disk and each by the rules: what a restored backup or a careless operator
//! makes of an honest validator, and, with two keys of four, enough to fork the ledger.

use super::super::faults::FaultSet;
use super::super::plan::{DEADLINE_MS, NODES, NODES_MAX, Partition, Plan};
use super::{Behaviour, Liar};

/// The node that keeps its place; the other stands behind all nodes and has no liar.
pub struct Twin;

impl Liar for Twin {}

/// A plan in which validators 0 and 1 have twins, and the network is parted for ever into those of one set with
/// validator 2, and those of the other with validator 3: each side has three keys of four.
pub fn fork(seed: u64) -> Plan {
    let mut plan = Plan::draw(seed).only(&FaultSet::none());
    plan.liars = vec![(0, Behaviour::Twins), (1, Behaviour::Twins)];
    let mut side = [false; NODES_MAX];
    for node in [3, NODES, NODES + 1] {
        side[node] = true;
    }
    plan.partitions = vec![Partition { at_ms: 0, until_ms: DEADLINE_MS, side, one_way: false }];
    plan
}
