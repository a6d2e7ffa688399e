//! The figures of a flood: a table for people, and a JSON document for programs.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::flood::{Kind, TIMES_QUOTA};
use super::machine::Machine;
use super::plan::FloodPlan;
use super::report::Latency;
use crate::flood::Tally;

/// One turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// What the flooder sent.
    pub kind: Kind,
    /// The members' times to finality.
    pub latency: Latency,
    /// Cores that the nodes kept busy together.
    pub cpu_cores: f64,
    /// What became of the flood.
    pub tally: Tally,
}

impl Turn {
    /// The turn in one line.
    pub fn line(&self) -> String {
        let Latency { p50, p95, p99, samples } = self.latency;
        let sent = self.tally.sent as f64 / self.tally.seconds.max(f64::EPSILON);
        let flood = match self.kind {
            Kind::Calm => "no flood".to_owned(),
            Kind::AtQuota => "the fourth at its quota".to_owned(),
            Kind::Valid => format!("valid flood, {sent:.0} transactions/s"),
            Kind::Worthless => format!("worthless flood, {sent:.0} transactions/s"),
        };
        let cores = self.cpu_cores;
        format!(
            "p50 / p95 / p99 {p50:.0} / {p95:.0} / {p99:.0} ms of {samples}, {flood}, {cores:.2} cores busy"
        )
    }
}

/// The members' latency in the turns of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Turns {
    /// The median over the turns, percentile by percentile.
    pub median: Latency,
    /// The lowest and the highest p99 of all turns.
    pub p99_range: (f64, f64),
    /// Cores that the nodes kept busy together, the median.
    pub cpu_cores: f64,
    /// How many turns.
    pub turns: usize,
}

/// What became of a flood over all its turns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FloodFigures {
    /// The members' latency.
    pub latency_ms: Turns,
    /// Its p99 over that of the turns in which the flooder works at its quota.
    pub p99_ratio_to_quota: f64,
    /// Its p99 over that of the turns in which the flooder does nothing.
    pub p99_ratio_to_calm: f64,
    /// Transactions sent per second.
    pub sent_per_second: f64,
    /// Transactions due that the generator could not send, as a share of all.
    pub not_sent_share: f64,
    /// Transactions accepted per second.
    pub accepted_per_second: f64,
    /// Transactions that were known already, per second.
    pub repeated_per_second: f64,
    /// Transactions refused per second, by the name of the bound or rule.
    pub refused_per_second: BTreeMap<String, f64>,
    /// One sentence of each kind of refusal.
    pub sentences: BTreeMap<String, String>,
    /// Requests without an answer.
    pub unanswered: u64,
}

/// All figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FloodReport {
    /// The flooder's quota in units of work per second, which it exceeded [`TIMES_QUOTA`] times.
    pub quota_per_second: u64,
    /// Transactions per second of each of the members that work on.
    pub member_rate: f64,
    /// The members' latency while the fourth does nothing.
    pub calm_latency_ms: Turns,
    /// The members' latency while the fourth works at its quota.
    pub at_quota_latency_ms: Turns,
    /// A flood of valid transactions.
    pub valid: FloodFigures,
    /// A flood of forged and repeated transactions.
    pub worthless: FloodFigures,
    /// Greatest resident memory of the largest node before the first flood and at the end, in MiB.
    pub memory_mib: (f64, f64),
    /// The machine.
    pub machine: Machine,
}

impl FloodReport {
    /// Puts the figures together; `None` when a kind of turn is missing.
    pub fn new(
        plan: &FloodPlan,
        machine: Machine,
        quota: u64,
        turns: Vec<Turn>,
        memory_bytes: (u64, u64),
    ) -> Option<Self> {
        let bases = (median(&turns, Kind::AtQuota)?, median(&turns, Kind::Calm)?);
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        Some(Self {
            quota_per_second: quota,
            member_rate: plan.member_rate,
            valid: figures(&turns, Kind::Valid, &bases)?,
            worthless: figures(&turns, Kind::Worthless, &bases)?,
            at_quota_latency_ms: bases.0,
            calm_latency_ms: bases.1,
            memory_mib: (mib(memory_bytes.0), mib(memory_bytes.1)),
            machine,
        })
    }

    /// The report as lines for people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.add_row([
            "the fourth",
            "p50 / p95 / p99",
            "p99 range",
            "over its quota's",
            "over none's",
            "cores busy",
        ]);
        let latency = |turns: &Turns| {
            let Latency { p50, p95, p99, .. } = turns.median;
            let (low, high) = turns.p99_range;
            let cores = format!("{:.2}", turns.cpu_cores);
            (format!("{p50:.0} / {p95:.0} / {p99:.0} ms"), format!("{low:.0} to {high:.0} ms"), cores)
        };
        let mut row = |what: &str, turns: &Turns, to_quota: Option<f64>, to_calm: Option<f64>| {
            let (latency, range, cores) = latency(turns);
            let [to_quota, to_calm] =
                [to_quota, to_calm].map(|ratio| ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default());
            table.add_row([what.to_owned(), latency, range, to_quota, to_calm, cores]);
        };
        let over_calm = self.at_quota_latency_ms.median.p99 / self.calm_latency_ms.median.p99;
        row("does nothing", &self.calm_latency_ms, None, None);
        row("is at its quota", &self.at_quota_latency_ms, None, Some(over_calm));
        for (what, figures) in [("valid flood", &self.valid), ("worthless flood", &self.worthless)] {
            let (to_quota, to_calm) = (figures.p99_ratio_to_quota, figures.p99_ratio_to_calm);
            row(what, &figures.latency_ms, Some(to_quota), Some(to_calm));
        }
        for column in 1..6 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let Machine { cores, load_average_at_start: load } = self.machine;
        let floods: Vec<String> = [("valid", &self.valid), ("worthless", &self.worthless)]
            .into_iter()
            .map(|(what, figures)| figures.line(what))
            .collect();
        let (before, after) = self.memory_mib;
        format!(
            "{table}\n\nThree members, each {} transactions/s at random moments; a flood is {TIMES_QUOTA} times the fourth's quota of \
             {}/s, through two nodes.\nMedians of {} turns each, of {} transactions a turn.\n{}\nMemory of the largest node: at \
             most {before:.0} MiB before the first flood, {after:.0} MiB at the end.\nFour validators, members and flooder \
             on {cores} cores; load average {load:.2} at the start.",
            self.member_rate,
            self.quota_per_second,
            self.valid.latency_ms.turns,
            self.calm_latency_ms.median.samples,
            floods.join("\n")
        )
    }
}

impl FloodFigures {
    fn line(&self, what: &str) -> String {
        let refused: Vec<String> =
            self.refused_per_second.iter().map(|(code, rate)| format!("{rate:.0} {code}")).collect();
        format!(
            "{what}: {:.0} sent/s ({:.1} % of the due not sent), {:.0} accepted, {:.0} known already, refused: {}.",
            self.sent_per_second,
            self.not_sent_share * 100.0,
            self.accepted_per_second,
            self.repeated_per_second,
            if refused.is_empty() { "none".to_owned() } else { refused.join(", ") }
        )
    }
}

fn median(turns: &[Turn], kind: Kind) -> Option<Turns> {
    let of: Vec<&Turn> = turns.iter().filter(|turn| turn.kind == kind).collect();
    let sorted = |value: fn(&Turn) -> f64| {
        let mut values: Vec<f64> = of.iter().map(|turn| value(turn)).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let middle = |values: &[f64]| values.get(values.len().checked_sub(1)? / 2).copied();
    let p99 = sorted(|turn| turn.latency.p99);
    let median = Latency {
        p50: middle(&sorted(|turn| turn.latency.p50))?,
        p95: middle(&sorted(|turn| turn.latency.p95))?,
        p99: middle(&p99)?,
        samples: of.first()?.latency.samples,
    };
    let cpu_cores = middle(&sorted(|turn| turn.cpu_cores))?;
    Some(Turns { median, p99_range: (*p99.first()?, *p99.last()?), cpu_cores, turns: of.len() })
}

fn figures(turns: &[Turn], kind: Kind, (at_quota, calm): &(Turns, Turns)) -> Option<FloodFigures> {
    let latency_ms = median(turns, kind)?;
    let over = |base: &Turns| latency_ms.median.p99 / base.median.p99.max(f64::EPSILON);
    let mut tally = Tally::default();
    turns.iter().filter(|turn| turn.kind == kind).for_each(|turn| tally.add(&turn.tally));
    let per_second = |count: u64| count as f64 / tally.seconds.max(f64::EPSILON);
    Some(FloodFigures {
        p99_ratio_to_quota: over(at_quota),
        p99_ratio_to_calm: over(calm),
        latency_ms,
        sent_per_second: per_second(tally.sent),
        not_sent_share: tally.not_sent as f64 / (tally.not_sent + tally.sent).max(1) as f64,
        accepted_per_second: per_second(tally.accepted),
        repeated_per_second: per_second(tally.repeated),
        refused_per_second: tally
            .refused
            .iter()
            .map(|(code, count)| (code.clone(), per_second(*count)))
            .collect(),
        sentences: tally.sentences,
        unanswered: tally.unanswered,
    })
}
