//! What a node says of its health, as far as the client reads it: in words that a newer node may add to.

use serde::{Deserialize, Serialize};
use yilian_spec::base::height::Height;

/// `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// One word.
    pub status: String,
    /// One sentence.
    #[serde(default)]
    pub reason: Option<String>,
    /// What to do.
    #[serde(default)]
    pub remedy: Option<String>,
    /// The node's last block.
    #[serde(default)]
    pub height: Option<Height>,
    /// Nodes it is connected to.
    #[serde(default)]
    pub peers: Option<u64>,
    /// Blocks it lacks, as far as it knows.
    #[serde(default)]
    pub behind_by: Option<u64>,
    /// Age of its last block.
    #[serde(default)]
    pub last_block_age_ms: Option<u64>,
    /// What else its operator should know.
    #[serde(default)]
    pub alarms: Vec<Alarm>,
}

/// Something that a node's operator should know although the node may do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What it is about, in one word.
    pub kind: String,
    /// Whom it is about.
    pub about: String,
    /// How much it hurts: `warning` or `urgent`.
    #[serde(default)]
    pub severity: Option<String>,
    /// What is the matter.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}
