//! What consensus is doing, for health and metrics.

use std::time::Instant;

use yilian_spec::base::height::Height;

/// Where consensus stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsensusStatus {
    /// The height being decided, or to be decided next.
    pub height: Height,
    /// What is going on.
    pub phase: Phase,
    /// Since when this height is being decided or rested before. A height that stays undecided for many times the
    /// timeouts means that a quorum is missing: with a third of the votes away not even a round ends.
    pub since: Instant,
    /// Whether this node votes at this height.
    pub is_validator: bool,
    /// The last committed height since the node started, with when it was committed.
    pub last_commit: Option<(Height, Instant)>,
}

/// What consensus is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The node has not begun.
    Starting,
    /// A round is under way. Rounds above 0 mean that a proposer is missing or a quorum is not there.
    Deciding {
        /// The round.
        round: u32,
    },
    /// There is no work.
    Resting,
    /// Consensus has stopped.
    Stopped,
}

impl ConsensusStatus {
    /// Before the driver begins.
    pub fn starting() -> Self {
        let since = Instant::now();
        Self { height: Height(0), phase: Phase::Starting, since, is_validator: false, last_commit: None }
    }

    /// Notes what is going on from now on; the time starts anew with a height and with the end of a rest.
    pub fn enter(&mut self, height: Height, phase: Phase, is_validator: bool) {
        let same_try = matches!((self.phase, phase), (Phase::Deciding { .. }, Phase::Deciding { .. }));
        if self.height != height || !same_try {
            self.since = Instant::now();
        }
        (self.height, self.phase, self.is_validator) = (height, phase, is_validator);
    }

    /// Notes a commit, now.
    pub fn committed(&mut self, height: Height) {
        self.last_commit = Some((height, Instant::now()));
    }
}
