//! How much of everything a run does. Every count is bounded.

/// Operations that are signed ahead at most for one run: they lie in memory as text, up to 1.5 KiB each.
const OPERATIONS_SIGNED_MAX: usize = 300_000;

/// The size of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// How long each sustained run should take, in seconds.
    pub seconds: f64,
    /// How often each highest rate is measured, in turns; the report gives the median.
    pub rounds: usize,
    /// Gateway keys of each institution.
    pub gateways: usize,
    /// Grants of each institution; disclosures go round them.
    pub grants: usize,
    /// Operations in a transaction of the second run.
    pub operations: usize,
    /// Single transactions submitted one after the other to measure latency at idle.
    pub idle_transactions: usize,
    /// Transactions submitted and not yet final at a time, for single operations; fewer with more operations.
    pub in_flight: usize,
    /// Transactions in one request, for single operations; fewer with more operations.
    pub per_request: usize,
    /// Operations of the run that sizes the long one.
    pub warm_up_operations: usize,
    /// Keys in the measured state tree, and measured blocks of 1,000 keys.
    pub state_tree: (u64, u64),
    /// Signatures in the measured batch.
    pub signatures: usize,
    /// Whether all ledgers are read independently at the end.
    pub reads_ledgers: bool,
}

impl Plan {
    /// The full benchmark.
    pub const FULL: Self = Self {
        seconds: 10.0,
        rounds: 3,
        gateways: 8,
        grants: 100,
        operations: 100,
        idle_transactions: 60,
        in_flight: 6_000,
        per_request: 100,
        warm_up_operations: 6_000,
        state_tree: (1_000_000, 50),
        signatures: 1_024,
        reads_ledgers: false,
    };

    /// A run of seconds that exercises everything and measures little.
    pub const QUICK: Self = Self {
        seconds: 1.0,
        rounds: 1,
        gateways: 2,
        grants: 5,
        operations: 100,
        idle_transactions: 5,
        in_flight: 500,
        per_request: 50,
        warm_up_operations: 200,
        state_tree: (20_000, 3),
        signatures: 128,
        reads_ledgers: true,
    };

    /// Transactions of so many operations that take as long as a sustained run should, at this rate; fewer where more
    /// would have to be held in memory than is bearable.
    pub fn count_for(&self, rate: f64, operations: usize) -> usize {
        let most = OPERATIONS_SIGNED_MAX / operations.max(1);
        let count = (rate * self.seconds).clamp(1.0, most as f64);
        // A float within these bounds converts exactly enough for a count.
        (count as usize).max(4)
    }

    /// Transactions of the run that sizes the long one.
    pub fn warm_up(&self, operations: usize) -> usize {
        (self.warm_up_operations / operations.div_ceil(4)).max(4)
    }

    /// Transactions with so many operations that may be submitted and not yet final.
    pub fn in_flight_of(&self, operations: usize) -> usize {
        (self.in_flight / operations.div_ceil(5)).max(self.per_request_of(operations) * 8)
    }

    /// Transactions with so many operations in one request.
    pub fn per_request_of(&self, operations: usize) -> usize {
        (self.per_request / operations.div_ceil(10)).max(1)
    }
}

/// The size of a measured flood.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloodPlan {
    /// How long each turn takes, in seconds.
    pub seconds: f64,
    /// How often each kind of turn is measured.
    pub rounds: usize,
    /// Transactions per second of each member that works on.
    pub member_rate: f64,
    /// Gateway keys of each institution.
    pub gateways: usize,
    /// Grants of each institution.
    pub grants: usize,
    /// Transactions signed ahead for a turn with a valid flood; sent again from the start when all have been sent.
    pub flood_transactions: usize,
    /// Forged transactions of a worthless flood, and as many that are repeated.
    pub worthless_transactions: usize,
}

impl FloodPlan {
    /// The full measurement.
    pub const FULL: Self = Self {
        seconds: 20.0,
        rounds: 5,
        member_rate: 20.0,
        gateways: 8,
        grants: 100,
        flood_transactions: 20_480,
        worthless_transactions: 512,
    };

    /// A run of seconds that exercises everything and measures little.
    pub const QUICK: Self = Self {
        seconds: 2.0,
        rounds: 1,
        member_rate: 5.0,
        gateways: 2,
        grants: 5,
        flood_transactions: 2_560,
        worthless_transactions: 256,
    };
}
