//! When the next height starts: at once while there is work, otherwise at the next heartbeat.
//!
//! The engine has no "no empty blocks" option, so the driver holds its answer to "this height is final" here. A
//! resting node starts when
//!
//! 1. its own mempool has work, and then tells its peers;
//! 2. it is catching up: the last block came by value sync;
//! 3. it holds a valid block for the next height, signed by the proposer whose turn it is. A proposer that makes
//!    blocks for nothing gets one in each of its turns, since the honest ones do not follow;
//! 4. a peer has spoken of the next height or a higher one, by a work notice, a vote, a proposal or its tip. Such
//!    words are not proven, so they are paid for from a small budget: a lying member can cause [`PEER_STARTS_MAX`]
//!    empty blocks at once and then one every [`PEER_START_REFILL_MS`], no more;
//! 5. the heartbeat is due.
//!
//! Pure: time comes in as milliseconds of any monotonic clock.

use yilian_spec::height::Height;

/// Starts on a peer's word alone that may follow each other at once.
pub const PEER_STARTS_MAX: u32 = 10;
/// One more of them every so often.
pub const PEER_START_REFILL_MS: u64 = 1_000;

/// Decides when to start the next height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacer {
    heartbeat_ms: u64,
    budget: u32,
    refilled_ms: u64,
}

/// What the driver knows while it holds the next height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// Now.
    pub now_ms: u64,
    /// When the last height became final.
    pub since_ms: u64,
    /// The height that would start.
    pub next: Height,
    /// The highest height of which a peer has spoken.
    pub peer_height: Height,
    /// Whether the application has work.
    pub own_work: bool,
    /// Whether the last block came by value sync.
    pub catching_up: bool,
    /// Whether a valid block for the next height has been received.
    pub proposed: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Start the height.
    Start {
        /// Tell the peers that there is work.
        announce: bool,
    },
    /// Wait until this time, or until the situation changes.
    WaitUntil {
        /// The time.
        at_ms: u64,
    },
}

impl Pacer {
    /// A full budget.
    pub fn new(heartbeat_ms: u64, now_ms: u64) -> Self {
        Self { heartbeat_ms, budget: PEER_STARTS_MAX, refilled_ms: now_ms }
    }

    /// What to do in this situation.
    pub fn decide(&mut self, situation: Situation) -> Pace {
        self.refill(situation.now_ms);
        if situation.own_work {
            return Pace::Start { announce: true };
        }
        let heartbeat_at = situation.since_ms.saturating_add(self.heartbeat_ms);
        if situation.catching_up || situation.proposed || heartbeat_at <= situation.now_ms {
            return Pace::Start { announce: false };
        }
        if situation.peer_height < situation.next {
            return Pace::WaitUntil { at_ms: heartbeat_at };
        }
        if self.budget > 0 {
            self.budget -= 1;
            return Pace::Start { announce: false };
        }
        Pace::WaitUntil { at_ms: heartbeat_at.min(self.refilled_ms.saturating_add(PEER_START_REFILL_MS)) }
    }

    fn refill(&mut self, now_ms: u64) {
        let steps = now_ms.saturating_sub(self.refilled_ms) / PEER_START_REFILL_MS;
        self.refilled_ms += steps * PEER_START_REFILL_MS;
        let steps = u32::try_from(steps).unwrap_or(PEER_STARTS_MAX);
        self.budget = self.budget.saturating_add(steps).min(PEER_STARTS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resting(now_ms: u64) -> Situation {
        Situation {
            now_ms,
            since_ms: 0,
            next: Height(5),
            peer_height: Height(4),
            own_work: false,
            catching_up: false,
            proposed: false,
        }
    }

    #[test]
    fn without_work_only_the_heartbeat_starts_a_height() {
        let mut pacer = Pacer::new(30_000, 0);
        assert_eq!(pacer.decide(resting(10)), Pace::WaitUntil { at_ms: 30_000 });
        assert_eq!(pacer.decide(resting(29_999)), Pace::WaitUntil { at_ms: 30_000 });
        assert_eq!(pacer.decide(resting(30_000)), Pace::Start { announce: false });
    }

    #[test]
    fn own_work_starts_at_once_and_is_announced() {
        let mut pacer = Pacer::new(30_000, 0);
        for _ in 0..100 {
            let situation = Situation { own_work: true, ..resting(1) };
            assert_eq!(pacer.decide(situation), Pace::Start { announce: true });
        }
    }

    #[test]
    fn catching_up_and_a_valid_proposal_never_rest() {
        let mut pacer = Pacer::new(30_000, 0);
        for _ in 0..100 {
            let behind = Situation { catching_up: true, ..resting(1) };
            let proposed = Situation { proposed: true, ..resting(1) };
            assert_eq!(pacer.decide(behind), Pace::Start { announce: false });
            assert_eq!(pacer.decide(proposed), Pace::Start { announce: false });
        }
    }

    #[test]
    fn a_lying_peer_causes_a_bounded_number_of_empty_blocks() {
        let mut pacer = Pacer::new(30_000, 0);
        let lie = |now_ms| Situation { peer_height: Height(u64::MAX), since_ms: now_ms, ..resting(now_ms) };
        let mut starts = 0;
        for now_ms in (0..20_000).step_by(10) {
            if matches!(pacer.decide(lie(now_ms)), Pace::Start { .. }) {
                starts += 1;
            }
        }
        assert_eq!(starts, 10 + 19);
        assert_eq!(pacer.decide(lie(19_999)), Pace::WaitUntil { at_ms: 20_000 });
    }
}
