//! Whether a node's clock and this machine's agree: tokens, transactions and deadlines go by clocks, and a wrong one shows
//! as errors that speak of something else.

use std::sync::{Mutex, PoisonError};

use crate::limits;

/// The header in which a node says what its clock says, in milliseconds since 1970-01-01 UTC.
pub const CLOCK_HEADER: &str = "x-yilian-time-ms";

/// How far apart two clocks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The node's address.
    pub node: String,
    /// How far the node's clock is ahead of this machine's, at least; negative where it is behind.
    pub ahead_ms: i64,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, thousandths) =
            (self.ahead_ms.unsigned_abs() / 1_000, self.ahead_ms.unsigned_abs() % 1_000);
        let side = if self.ahead_ms > 0 { "behind" } else { "ahead of" };
        write!(
            formatter,
            "this machine's clock is {whole}.{:01} s {side} that of {}: set the one that is wrong",
            thousandths / 100,
            self.node
        )
    }
}

impl Difference {
    /// The difference that an exchange shows: the node's clock was read somewhen between `sent_ms` and `received_ms`,
    /// so only what lies outside counts. `None` within [`limits::CLOCK_DIFFERENCE_MS_MAX`].
    pub fn of(node: &str, node_ms: u64, sent_ms: u64, received_ms: u64) -> Option<Self> {
        let nearest_ms = node_ms.clamp(sent_ms.min(received_ms), received_ms.max(sent_ms));
        let apart_ms = node_ms.abs_diff(nearest_ms);
        if apart_ms <= limits::CLOCK_DIFFERENCE_MS_MAX {
            return None;
        }
        let apart_ms = i64::try_from(apart_ms).unwrap_or(i64::MAX);
        Some(Self {
            node: node.to_owned(),
            ahead_ms: if node_ms > nearest_ms { apart_ms } else { -apart_ms },
        })
    }
}

/// The last difference that was noticed.
#[derive(Debug, Default)]
pub struct ClockWatch(Mutex<Option<Difference>>);

impl ClockWatch {
    /// Notes a difference.
    pub fn note(&self, difference: &Difference) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(difference.clone());
    }

    /// The last difference that was noticed.
    pub fn difference(&self) -> Option<Difference> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_outside_the_exchange_counts() {
        let ahead = |node_ms, sent_ms, received_ms| {
            Difference::of("n", node_ms, sent_ms, received_ms).map(|difference| difference.ahead_ms)
        };
        // A long poll: the node answers in its middle, however long it takes.
        assert_eq!(ahead(50_000, 45_000, 55_000), None);
        assert_eq!(ahead(50_000, 49_000, 49_000), None);
        assert_eq!(ahead(50_001, 48_000, 49_000), Some(1_001));
        assert_eq!(ahead(40_000, 50_000, 51_000), Some(-10_000));
        // This machine's clock was set back meanwhile.
        assert_eq!(ahead(50_000, 51_000, 49_000), None);
        assert_eq!(ahead(u64::MAX, 0, 0), Some(i64::MAX));
    }

    #[test]
    fn it_says_which_clock_is_where() {
        let text = Difference { node: "http://n".to_owned(), ahead_ms: 92_340 }.to_string();
        assert!(text.contains("92.3 s behind that of http://n"), "{text}");
        let text = Difference { node: "http://n".to_owned(), ahead_ms: -1_500 }.to_string();
        assert!(text.contains("1.5 s ahead of that of http://n"), "{text}");
    }
}
