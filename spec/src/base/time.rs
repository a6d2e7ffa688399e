//! Ledger time: block time in milliseconds. Nothing in execution reads a clock.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::adapter::FromInto;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::integer::Unsigned;
use crate::base::limits::INTEGER_MAX;

/// Length of a day, which begins at midnight UTC.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Milliseconds since 1970-01-01T00:00:00Z, as the blocks tell it; at most [`INTEGER_MAX`].
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    SchemaRead,
    SchemaWrite,
    Default,
    ToSchema,
)]
#[serde(transparent)]
pub struct LedgerTime(#[wincode(with = "FromInto<Unsigned, _>")] pub u64);

impl LedgerTime {
    /// The time `milliseconds` later, or the last representable one.
    pub const fn plus_ms(self, milliseconds: u64) -> Self {
        let later = self.0.saturating_add(milliseconds);
        Self(if later > INTEGER_MAX { INTEGER_MAX } else { later })
    }

    /// The time `milliseconds` earlier, or the first representable one.
    pub const fn minus_ms(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_sub(milliseconds))
    }
}

impl fmt::Display for LedgerTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// A stretch of ledger time: from `starts` up to, but not including, `expires`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// First moment inside.
    #[serde(rename = "starts_ms")]
    pub starts: LedgerTime,
    /// First moment after.
    #[serde(rename = "expires_ms")]
    pub expires: LedgerTime,
}

impl Window {
    /// Whether `time` lies inside.
    pub fn contains(&self, time: LedgerTime) -> bool {
        self.starts <= time && time < self.expires
    }

    /// Whether the window has at least one moment.
    pub fn is_ordered(&self) -> bool {
        self.starts < self.expires
    }

    /// The day on which `time` lies.
    pub fn day_of(time: LedgerTime) -> Self {
        let starts = LedgerTime(time.0 - time.0 % DAY_MS);
        Self { starts, expires: starts.plus_ms(DAY_MS) }
    }

    /// Whether it begins and ends at midnight, and has at least one day and at most `days_max`.
    pub fn is_whole_days(&self, days_max: u64) -> bool {
        let at_midnight = |time: LedgerTime| time.0.is_multiple_of(DAY_MS);
        let is_short = self.expires.0.saturating_sub(self.starts.0) <= days_max * DAY_MS;
        self.is_ordered() && at_midnight(self.starts) && at_midnight(self.expires) && is_short
    }
}
