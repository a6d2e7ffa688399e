//! A validator that is not there: who, since when, where it was tried, and why that failed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use yilian_local::moment;
use yilian_spec::base::time::LedgerTime;

use crate::health::alarm::{Alarm, AlarmKind, Severity};

/// A validator's institution of which no node is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Missing {
    /// The institution.
    pub institution: String,
    /// Its validator's voting power.
    pub power: u64,
    /// Since when, in milliseconds since 1970-01-01 UTC.
    pub since_ms: u64,
    /// Where it was tried last, or was last.
    pub last_address: Option<String>,
    /// Why that failed.
    pub reason: String,
    /// Whether this node's operator has disconnected it.
    pub is_disconnected: bool,
}

impl Missing {
    /// In one phrase.
    pub fn describe(&self) -> String {
        let Self { institution, since_ms, last_address, reason, .. } = self;
        let address =
            last_address.as_deref().map(|address| format!(", last at {address}")).unwrap_or_default();
        format!("{institution} (since {}{address}: {reason})", moment::show(LedgerTime(*since_ms)))
    }

    /// As something that the operator should know also while the others decide without it.
    pub fn alarm(&self) -> Alarm {
        Alarm {
            kind: AlarmKind::Missing,
            about: self.institution.clone(),
            severity: Severity::Warning,
            reason: format!("no node of a validator is connected: {}", self.describe()),
            remedy: match self.is_disconnected {
                true => format!(
                    "`yilian-node peers disconnect {} --reconnect` lets its nodes in again",
                    self.institution
                ),
                false => format!("see that the node of {} runs and can be reached there", self.institution),
            },
        }
    }
}

/// All of them in one sentence, bounded.
pub fn describe_all(missing: &[Missing]) -> String {
    const NAMED_MAX: usize = 8;
    let mut names: Vec<String> = missing.iter().take(NAMED_MAX).map(Missing::describe).collect();
    if missing.len() > NAMED_MAX {
        names.push(format!("and {} more", missing.len() - NAMED_MAX));
    }
    names.join("; ")
}
