//! When the next height starts: at once while there is work, otherwise at the next heartbeat.
//!
//! The engine has no "no empty blocks" option, so the driver holds its answer to "this height is final" here. A
//! resting node starts when
//!
//! 1. its own mempool has work, and then tells its peers;
//! 2. it is catching up: the last block came by value sync;
//! 3. it holds a valid block for the next height, signed by the proposer whose turn it is. A proposer that makes
//!    blocks for nothing gets one in each of its turns, since the honest ones do not follow;
//! 4. an honest validator has spoken of the next height or a higher one: more than a third of the power has;
//! 5. one institution says that there is work for exactly the next height, or that it has decided it. That is not
//!    proven, so each institution has an allowance of [`PEER_STARTS_MAX`] starts at once and one more every
//!    [`PEER_START_REFILL_MS`]. All of it is given back when the block held transactions or was synced: an honest member's
//!    work may wait for its own turn to propose, and does not use it up;
//! 6. the heartbeat is due.
//!
//! Pure: time comes in as milliseconds of any monotonic clock.

use std::collections::BTreeMap;

use yilian_spec::base::height::Height;
use yilian_spec::base::id::InstitutionId;

use super::heights::{Claim, Heard};
use crate::base::allowance::{Allowance, Rate};
use crate::base::limits::{PEER_START_REFILL_MS, PEER_STARTS_MAX};

const PEER_STARTS: Rate = Rate { burst: PEER_STARTS_MAX, refill_ms: PEER_START_REFILL_MS };

/// Decides when to start the next height.
#[derive(Clone, Debug)]
pub struct Pacer {
    heartbeat_ms: u64,
    /// At most one for each institution that the ledger ever named.
    institutions: BTreeMap<InstitutionId, Trust>,
    /// Whose word has started the height under way.
    charged: Option<InstitutionId>,
}

#[derive(Clone, Copy, Debug)]
struct Trust {
    allowance: Allowance,
    /// The tip on whose account it last woke this node: the same words wake nobody twice.
    heeded_tip: Height,
}

/// What the driver knows while it holds the next height.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Now.
    pub now_ms: u64,
    /// When the last height became final.
    pub since_ms: u64,
    /// The height that would start.
    pub next: Height,
    /// What the peers say.
    pub heard: &'a Heard,
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
    /// Nobody's allowance is used.
    pub fn new(heartbeat_ms: u64) -> Self {
        Self { heartbeat_ms, institutions: BTreeMap::new(), charged: None }
    }

    /// What to do in this situation.
    pub fn decide(&mut self, situation: &Situation<'_>) -> Pace {
        if situation.own_work {
            return Pace::Start { announce: true };
        }
        let Situation { now_ms, next, heard, .. } = *situation;
        let heartbeat_at = situation.since_ms.saturating_add(self.heartbeat_ms);
        let is_proven = situation.catching_up || situation.proposed || heard.spoken >= next;
        if is_proven || heartbeat_at <= now_ms {
            return Pace::Start { announce: false };
        }
        let mut wake_ms = heartbeat_at;
        for (institution, claim) in &heard.claims {
            let trust = self.institutions.entry(institution.clone()).or_insert_with(|| Trust {
                allowance: Allowance::full(PEER_STARTS, now_ms),
                heeded_tip: Height::default(),
            });
            if !trust.wakes(*claim, next) {
                continue;
            }
            if trust.allowance.spend(PEER_STARTS, now_ms) {
                trust.heeded_tip = claim.tip;
                self.charged = Some(institution.clone());
                return Pace::Start { announce: false };
            }
            wake_ms = wake_ms.min(trust.allowance.next_ms(PEER_STARTS));
        }
        Pace::WaitUntil { at_ms: wake_ms }
    }

    /// A height is final; `was_worth_it` if its block held transactions or was decided by the others already.
    pub fn finalized(&mut self, was_worth_it: bool) {
        let Some(institution) = self.charged.take().filter(|_| was_worth_it) else { return };
        if let Some(trust) = self.institutions.get_mut(&institution) {
            trust.allowance.restore(PEER_STARTS);
        }
    }
}

impl Trust {
    fn wakes(&self, claim: Claim, next: Height) -> bool {
        claim.work == next || claim.tip >= next && claim.tip != self.heeded_tip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(claims: &[(&str, Claim)]) -> Heard {
        let claims = claims.iter().map(|(name, claim)| (InstitutionId::new(name).unwrap(), *claim)).collect();
        Heard { claims, ..Heard::default() }
    }

    fn work(height: u64) -> Claim {
        Claim { work: Height(height), tip: Height(0) }
    }

    fn tip(height: u64) -> Claim {
        Claim { work: Height(0), tip: Height(height) }
    }

    fn resting(now_ms: u64, heard: &Heard) -> Situation<'_> {
        Situation {
            now_ms,
            since_ms: 0,
            next: Height(5),
            heard,
            own_work: false,
            catching_up: false,
            proposed: false,
        }
    }

    #[test]
    fn without_work_only_the_heartbeat_starts_a_height() {
        let mut pacer = Pacer::new(30_000);
        let silence = Heard::default();
        assert_eq!(pacer.decide(&resting(10, &silence)), Pace::WaitUntil { at_ms: 30_000 });
        assert_eq!(pacer.decide(&resting(29_999, &silence)), Pace::WaitUntil { at_ms: 30_000 });
        assert_eq!(pacer.decide(&resting(30_000, &silence)), Pace::Start { announce: false });
    }

    #[test]
    fn own_work_starts_at_once_and_is_announced() {
        let mut pacer = Pacer::new(30_000);
        let silence = Heard::default();
        for _ in 0..100 {
            let situation = Situation { own_work: true, ..resting(1, &silence) };
            assert_eq!(pacer.decide(&situation), Pace::Start { announce: true });
        }
    }

    #[test]
    fn what_is_proven_never_rests() {
        let mut pacer = Pacer::new(30_000);
        let (silence, spoken) = (Heard::default(), Heard { spoken: Height(5), ..Heard::default() });
        for _ in 0..100 {
            let behind = Situation { catching_up: true, ..resting(1, &silence) };
            let proposed = Situation { proposed: true, ..resting(1, &silence) };
            assert_eq!(pacer.decide(&behind), Pace::Start { announce: false });
            assert_eq!(pacer.decide(&proposed), Pace::Start { announce: false });
            assert_eq!(pacer.decide(&resting(1, &spoken)), Pace::Start { announce: false });
        }
    }

    /// The starts in 20 s of a node that hears nothing else, where no block turns out to be worth it.
    fn empty_starts(claim_at: impl Fn(u64) -> Claim) -> usize {
        let mut pacer = Pacer::new(3_600_000);
        let mut next = 5;
        for now_ms in (0..20_000).step_by(10) {
            let heard = heard(&[("liar", claim_at(next))]);
            let situation = Situation { next: Height(next), since_ms: now_ms, ..resting(now_ms, &heard) };
            if matches!(pacer.decide(&situation), Pace::Start { .. }) {
                pacer.finalized(false);
                next += 1;
            }
        }
        (next - 5) as usize
    }

    #[test]
    fn one_word_about_an_absurd_height_starts_one_height_or_none() {
        assert_eq!(empty_starts(|_| work(u64::MAX)), 0);
        assert_eq!(empty_starts(|_| tip(u64::MAX)), 1);
    }

    #[test]
    fn a_member_that_lies_at_every_height_has_its_allowance() {
        assert_eq!(empty_starts(work), 10 + 1);
        assert_eq!(empty_starts(|next| tip(1_000_000 + next)), 10 + 1);
    }

    #[test]
    fn a_liars_allowance_is_its_own_and_an_honest_members_comes_back() {
        let mut pacer = Pacer::new(30_000);
        for next in 5..200 {
            let heard = heard(&[("honest", work(next)), ("liar", work(next))]);
            let situation = Situation { next: Height(next), ..resting(1, &heard) };
            assert_eq!(pacer.decide(&situation), Pace::Start { announce: false }, "{next}");
            // Its work waits for its own turn.
            pacer.finalized(next % 4 == 0);
        }
        for _ in 0..PEER_STARTS_MAX {
            let heard = heard(&[("liar", work(5))]);
            assert_eq!(pacer.decide(&resting(1, &heard)), Pace::Start { announce: false });
            pacer.finalized(false);
        }
        let heard = heard(&[("liar", work(5))]);
        assert_eq!(pacer.decide(&resting(1, &heard)), Pace::WaitUntil { at_ms: 10_001 });
    }
}
