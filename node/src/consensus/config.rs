//! Settings of consensus, as they stand in the node's configuration file.

use serde::{Deserialize, Serialize};

/// How this node takes part in consensus. What all nodes must agree on, such as the timeouts, stands in the
/// ledger instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsensusConfig {
    /// Without work a block is made this often, in milliseconds, so that a dead network shows and ledger time
    /// moves on. 1,000 to 3,600,000. Default 30,000.
    pub heartbeat_ms: u64,
}

/// Least [`ConsensusConfig::heartbeat_ms`].
pub const HEARTBEAT_MS_MIN: u64 = 1_000;
/// Greatest [`ConsensusConfig::heartbeat_ms`].
pub const HEARTBEAT_MS_MAX: u64 = 3_600_000;

/// Why the settings were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsensusConfigError {
    /// The heartbeat is out of range.
    #[error("heartbeat_ms is {given}; choose {HEARTBEAT_MS_MIN} to {HEARTBEAT_MS_MAX}")]
    Heartbeat {
        /// What was given.
        given: u64,
    },
}

impl ConsensusConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first field out of range.
    pub fn check(&self) -> Result<(), ConsensusConfigError> {
        if (HEARTBEAT_MS_MIN..=HEARTBEAT_MS_MAX).contains(&self.heartbeat_ms) {
            Ok(())
        } else {
            Err(ConsensusConfigError::Heartbeat { given: self.heartbeat_ms })
        }
    }
}

impl Default for ConsensusConfig {
    fn default() -> Self {
        Self { heartbeat_ms: 30_000 }
    }
}
