//! The waiting times of a height, as the engine asks for them.

use std::time::Duration;

use arc_malachitebft_app_channel::app::types::core as engine;
use engine::{Timeout, TimeoutKind};
use yilian_spec::base::limits::ROUND_TIMEOUT_MS_MAX;
use yilian_spec::domain::parameters::ConsensusTimeouts;

use super::context::LedgerContext;

/// [`ConsensusTimeouts`] behind the engine's trait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineTimeouts(pub ConsensusTimeouts);

impl engine::Timeouts<LedgerContext> for EngineTimeouts {
    fn duration_for(&self, timeout: Timeout) -> Duration {
        let times = &self.0;
        let round = u64::from(timeout.round.as_u32().unwrap_or(0));
        let base = match timeout.kind {
            TimeoutKind::Propose => times.propose_ms,
            TimeoutKind::Prevote => times.prevote_ms,
            TimeoutKind::Precommit => times.precommit_ms,
            TimeoutKind::Rebroadcast => times.rebroadcast_ms,
            TimeoutKind::FinalizeHeight(duration) => return duration,
        };
        let growth = times.delta_ms.saturating_mul(round);
        Duration::from_millis(base.saturating_add(growth).min(times.bound_ms).min(ROUND_TIMEOUT_MS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use engine::{Round, Timeouts as _};

    use super::*;

    #[test]
    fn timeouts_grow_by_round_up_to_the_bound() {
        let times = EngineTimeouts::default();
        let propose = |round: u32| times.duration_for(Timeout::propose(Round::new(round))).as_millis();
        assert_eq!((propose(0), propose(1), propose(10)), (1_000, 1_100, 2_000));
        assert_eq!((propose(1_000), propose(u32::MAX)), (20_000, 20_000));
        let rebroadcast = times.duration_for(Timeout::rebroadcast(Round::new(1)));
        assert_eq!(rebroadcast.as_millis(), 1_100);
    }

    #[test]
    fn no_timer_exceeds_the_bound_whatever_is_configured() {
        let times =
            ConsensusTimeouts { bound_ms: u64::MAX, delta_ms: u64::MAX, ..ConsensusTimeouts::default() };
        let timeouts = [Timeout::propose, Timeout::prevote, Timeout::precommit, Timeout::rebroadcast];
        for timeout in timeouts {
            for round in [1, 2, 1_000, u32::MAX] {
                let duration = EngineTimeouts(times).duration_for(timeout(Round::new(round)));
                assert_eq!(duration.as_millis(), u128::from(ROUND_TIMEOUT_MS_MAX));
            }
        }
    }
}
