//! When the engine hears what a peer says its tip is.
//!
//! Validators decide within milliseconds of each other, and the engine asks for the whole block as soon as it hears that a
//! peer has it. A node that holds the block of the height under way is about to decide it too, so for that node the
//! word waits. A node that does not hold it may have been passed over by the proposer, and the turn to propose next may be
//! its own: that node asks soon, so that nobody can make it miss its turn.
//!
//! Pure: time comes in as milliseconds of any clock.

use std::collections::BTreeMap;

use arc_malachitebft_app_channel::app::engine::network::Status;

use super::context::LedgerContext;
use crate::base::limits::{STATUS_HOLD_MS, STATUS_MISSING_BLOCK_MS};
use crate::network::PeerId;

/// The last word of each peer that the engine has not heard yet.
#[derive(Default)]
pub struct HeldStatuses(BTreeMap<PeerId, (u64, Status<LedgerContext>)>);

impl HeldStatuses {
    /// A peer has told its status; `has_block` says whether this node holds the block of the height under way.
    pub fn hold(&mut self, peer: PeerId, status: Status<LedgerContext>, has_block: bool, now_ms: u64) {
        let held_ms = if has_block { STATUS_HOLD_MS } else { STATUS_MISSING_BLOCK_MS };
        let due_ms = now_ms.saturating_add(held_ms);
        // A peer that speaks often must not put off its word each time.
        let due_ms = self.0.get(&peer).map_or(due_ms, |(earlier_ms, _)| due_ms.min(*earlier_ms));
        self.0.insert(peer, (due_ms, status));
    }

    /// A peer has gone.
    pub fn disconnected(&mut self, peer: &PeerId) {
        self.0.remove(peer);
    }

    /// When the next one is due.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.0.values().map(|(due_ms, _)| *due_ms).min()
    }

    /// Takes those that are due.
    pub fn take_due(&mut self, now_ms: u64) -> impl Iterator<Item = (PeerId, Status<LedgerContext>)> {
        let due = self.0.extract_if(.., move |_, (due_ms, _)| *due_ms <= now_ms);
        due.map(|(peer, (_, status))| (peer, status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::context::EngineHeight;

    fn status(tip: u64) -> Status<LedgerContext> {
        Status::new(EngineHeight(tip), EngineHeight(1))
    }

    fn due(held: &mut HeldStatuses, now_ms: u64) -> Vec<u64> {
        held.take_due(now_ms).map(|(_, status)| status.tip_height.0).collect()
    }

    #[test]
    fn who_holds_the_block_hears_later_than_who_misses_it() {
        const { assert!(STATUS_MISSING_BLOCK_MS < STATUS_HOLD_MS) };
        for (has_block, held_ms) in [(true, STATUS_HOLD_MS), (false, STATUS_MISSING_BLOCK_MS)] {
            let mut held = HeldStatuses::default();
            held.hold(PeerId::random(), status(7), has_block, 1_000);
            assert_eq!(held.next_due_ms(), Some(1_000 + held_ms));
            assert!(due(&mut held, 1_000 + held_ms - 1).is_empty());
            assert_eq!(due(&mut held, 1_000 + held_ms), [7]);
            assert_eq!(held.next_due_ms(), None, "once");
        }
    }

    #[test]
    fn a_later_word_takes_the_place_of_the_earlier_and_waits_no_longer() {
        let (mut held, peer) = (HeldStatuses::default(), PeerId::random());
        held.hold(peer, status(7), true, 1_000);
        held.hold(peer, status(8), true, 1_050);
        assert_eq!(held.next_due_ms(), Some(1_000 + STATUS_HOLD_MS));
        assert_eq!(due(&mut held, 1_000 + STATUS_HOLD_MS), [8]);
        held.hold(peer, status(9), true, 2_000);
        held.hold(peer, status(9), false, 2_000);
        assert_eq!(held.next_due_ms(), Some(2_000 + STATUS_MISSING_BLOCK_MS), "the block is missed now");
        held.disconnected(&peer);
        assert_eq!(held.next_due_ms(), None);
    }
}
