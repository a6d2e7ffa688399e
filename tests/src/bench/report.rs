//! The figures: a table for people, and a JSON document for programs.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::Measured;
use super::cost::StageTimes;
use super::machine::{Machine, Verification};
use super::plan::Plan;
use crate::cluster::VALIDATORS;

/// Times from submission to finality, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Half are below.
    pub p50: f64,
    /// 95 of 100 are below.
    pub p95: f64,
    /// 99 of 100 are below.
    pub p99: f64,
    /// How many were measured.
    pub samples: usize,
}

impl Latency {
    /// Sorts measured times.
    pub fn of(mut measured: Vec<Duration>) -> Self {
        measured.sort();
        let at = |percent: usize| {
            // The nearest rank: the least value that so many of a hundred do not exceed.
            let rank = (measured.len() * percent).div_ceil(100).max(1) - 1;
            measured.get(rank).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
        };
        Self { p50: at(50), p95: at(95), p99: at(99), samples: measured.len() }
    }
}

/// All figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Committed transactions of one operation per second: the median of the rounds.
    pub transactions_per_second: f64,
    /// The lowest and the highest of all rounds.
    pub transactions_per_second_range: (f64, f64),
    /// Committed operations per second, in transactions of [`Report::operations_per_transaction`]: the median.
    pub records_per_second: f64,
    /// The lowest and the highest of all rounds.
    pub records_per_second_range: (f64, f64),
    /// How often both were measured, in turns.
    pub rounds: usize,
    /// Operations in each transaction of the second run.
    pub operations_per_transaction: usize,
    /// Latency of single transactions, one after the other.
    pub idle_latency_ms: Latency,
    /// Latency at 70 % of the highest rate.
    pub loaded_latency_ms: Latency,
    /// Transactions per second if nodes did nothing but verify: batched rate × cores / nodes.
    pub verification_floor_per_second: f64,
    /// The share of that which was reached.
    pub verification_floor_share: f64,
    /// Signatures verified per second on one core of this machine.
    pub verification: Verification,
    /// Microseconds per changed key of the state tree, 1,000 keys a block.
    pub state_tree_us_per_key: f64,
    /// Keys in that tree.
    pub state_tree_keys: u64,
    /// CPU time per transaction of one operation, and node.
    pub cpu_us_per_transaction: StageTimes,
    /// CPU time per operation, and node, in the second run.
    pub cpu_us_per_record: StageTimes,
    /// Bytes on a node's disk per transaction of one operation.
    pub bytes_per_transaction: f64,
    /// Bytes on a node's disk per operation in the second run.
    pub bytes_per_record: f64,
    /// Resident memory of the largest node after both runs, in MiB.
    pub memory_mib: f64,
    /// Transactions in a block, on average over the first run.
    pub transactions_per_block: f64,
    /// Transactions submitted in one request of the first run.
    pub transactions_per_request: usize,
    /// Transactions of the first run, and how long they took in seconds.
    pub sustained: (usize, f64),
    /// Nodes that voted.
    pub nodes: usize,
    /// The machine.
    pub machine: Machine,
}

impl Report {
    /// Puts the figures together; the pairs are single and many operations, idle and loaded.
    pub fn new(
        plan: &Plan,
        machine: Machine,
        verification: Verification,
        (single, many): (Measured, Measured),
        (idle_latency_ms, loaded_latency_ms): (Latency, Latency),
        state_tree_us_per_key: f64,
    ) -> Self {
        let nodes = VALIDATORS.len();
        let floor = verification.batched_per_second * machine.cores as f64 / nodes as f64;
        let operations = many.driven.operations.max(1) as f64;
        Self {
            transactions_per_second: single.rate,
            transactions_per_second_range: single.range,
            records_per_second: many.rate * operations,
            records_per_second_range: (many.range.0 * operations, many.range.1 * operations),
            rounds: plan.rounds,
            operations_per_transaction: many.driven.operations,
            idle_latency_ms,
            loaded_latency_ms,
            verification_floor_per_second: floor,
            verification_floor_share: single.rate / floor.max(f64::EPSILON),
            verification,
            state_tree_us_per_key,
            state_tree_keys: plan.state_tree.0,
            cpu_us_per_transaction: single.cost.cpu_us,
            cpu_us_per_record: shared_by(many.cost.cpu_us, operations),
            bytes_per_transaction: single.cost.disk_bytes,
            bytes_per_record: many.cost.disk_bytes / operations,
            memory_mib: many.cost.memory_mib.max(single.cost.memory_mib),
            transactions_per_block: single.driven.transactions as f64 / (single.driven.blocks.max(1)) as f64,
            transactions_per_request: plan.per_request_of(1),
            sustained: (single.driven.transactions, single.driven.seconds),
            nodes,
            machine,
        }
    }

    /// The report as lines for people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for (what, value, unit) in self.rows() {
            table.add_row([what, value, unit.to_owned()]);
        }
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let Machine { cores, load_average_at_start: load } = self.machine;
        let (count, seconds) = self.sustained;
        format!(
            "{table}\n\n{} validators and the load generator on {cores} cores; load average {load:.2} at the start.\n\
             {count} single transactions in {seconds:.1} s, signed ahead, {} in a request, to all validators in turn;\n\
             {:.0} of them in a block on average. The floor is what {cores} cores verify in batches, shared by {} nodes.",
            self.nodes, self.transactions_per_request, self.transactions_per_block, self.nodes
        )
    }

    /// The median, with the range where there was more than one round.
    fn median_of(&self, median: f64, (lowest, highest): (f64, f64)) -> String {
        match self.rounds {
            1 => format!("{median:.0}"),
            rounds => format!("{median:.0} (of {rounds}: {lowest:.0} to {highest:.0})"),
        }
    }

    fn rows(&self) -> Vec<(String, String, &'static str)> {
        let mut rows = Vec::new();
        let mut row = |what: &str, value: String, unit| rows.push((what.to_owned(), value, unit));
        let latency =
            |latency: &Latency| format!("{:.0} / {:.0} / {:.0}", latency.p50, latency.p95, latency.p99);
        row(
            "committed, one operation each",
            self.median_of(self.transactions_per_second, self.transactions_per_second_range),
            "transactions/s",
        );
        let many = format!("committed, {} operations each", self.operations_per_transaction);
        row(&many, self.median_of(self.records_per_second, self.records_per_second_range), "records/s");
        row("latency at idle, p50 / p95 / p99", latency(&self.idle_latency_ms), "ms");
        row("latency at 70 % of the highest rate", latency(&self.loaded_latency_ms), "ms");
        row(
            "verified one by one, one core",
            format!("{:.0}", self.verification.single_per_second),
            "signatures/s",
        );
        row(
            "verified in batches, one core",
            format!("{:.0}", self.verification.batched_per_second),
            "signatures/s",
        );
        row("verification floor", format!("{:.0}", self.verification_floor_per_second), "transactions/s");
        row("share of the floor reached", format!("{:.1}", self.verification_floor_share * 100.0), "%");
        let tree = format!("state tree, 1,000 keys a block over {}", self.state_tree_keys);
        row(&tree, format!("{:.1}", self.state_tree_us_per_key), "µs/key");
        let stages = |times: &StageTimes| {
            [
                ("verification", times.verification),
                ("execution", times.execution),
                ("state root", times.state_root),
                ("storage", times.storage),
                ("consensus, network, API, rest", times.other),
                ("all", times.total),
            ]
        };
        let both = stages(&self.cpu_us_per_transaction).into_iter().zip(stages(&self.cpu_us_per_record));
        for ((stage, single), (_, many)) in both {
            row(
                &format!("CPU per node: {stage}"),
                format!("{single:.1} / {many:.1}"),
                "µs/transaction / µs/record",
            );
        }
        let bytes = format!("{:.0} / {:.0}", self.bytes_per_transaction, self.bytes_per_record);
        row("on a node's disk", bytes, "bytes/transaction / bytes/record");
        row("memory of the largest node", format!("{:.0}", self.memory_mib), "MiB");
        rows
    }
}

fn shared_by(times: StageTimes, operations: f64) -> StageTimes {
    StageTimes {
        verification: times.verification / operations,
        execution: times.execution / operations,
        state_root: times.state_root / operations,
        storage: times.storage / operations,
        other: times.other / operations,
        total: times.total / operations,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_ranks() {
        let latency = Latency::of((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!((latency.p50, latency.p95, latency.p99, latency.samples), (50.0, 95.0, 99.0, 100));
        let one = Latency::of(vec![Duration::from_millis(7)]);
        assert_eq!((one.p50, one.p99), (7.0, 7.0));
        assert_eq!(Latency::of(vec![]).p50, 0.0);
    }
}
