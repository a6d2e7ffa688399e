//! How much work this node puts into a block that it proposes.
//!
//! The others execute a block before they vote for it. One that takes them longer than the round's timeout is given
//! up, and so would be the next of its size: under load the ledger would stand still. So a block has less work
//! in each later round, and for a while after a height that needed several. A rule for the proposer alone: what the
//! others accept is bounded by the ledger's parameters.

use yilian_spec::base::limits::TRANSACTION_WORK_MAX;

use crate::base::limits::BLOCK_WORK_TARGET;

/// Halvings after which a block still holds the largest transaction.
const HALVINGS_MAX: u32 = (BLOCK_WORK_TARGET / TRANSACTION_WORK_MAX).ilog2();

/// Heights decided in round 0 after which blocks may double in size again.
const CALM_HEIGHTS: u32 = 16;

/// The size of the next block, by what became of the last ones. A restart begins with the full size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct BlockSize {
    halvings: u32,
    /// Heights decided in round 0 since the last halving or doubling.
    calm: u32,
}

impl BlockSize {
    /// Most units of work in a block for this round.
    pub fn work(self, round: u32) -> u64 {
        BLOCK_WORK_TARGET >> self.halvings.saturating_add(round).min(HALVINGS_MAX)
    }

    /// A height was decided in this round.
    pub fn decided(&mut self, round: u32) {
        self.calm = if round == 0 { self.calm + 1 } else { 0 };
        self.halvings = self.halvings.saturating_add(round).min(HALVINGS_MAX);
        if self.calm == CALM_HEIGHTS {
            self.calm = 0;
            self.halvings = self.halvings.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_rounds_halve_a_block_down_to_the_largest_transaction() {
        let size = BlockSize::default();
        assert_eq!(size.work(0), BLOCK_WORK_TARGET);
        assert_eq!(size.work(1), BLOCK_WORK_TARGET / 2);
        for round in [HALVINGS_MAX, HALVINGS_MAX + 1, u32::MAX] {
            assert!((TRANSACTION_WORK_MAX..).contains(&size.work(round)), "round {round}");
        }
    }

    #[test]
    fn blocks_stay_small_until_heights_are_decided_in_their_first_round() {
        let mut size = BlockSize::default();
        size.decided(2);
        assert_eq!(size.work(0), BLOCK_WORK_TARGET / 4);
        (1..CALM_HEIGHTS).for_each(|_| size.decided(0));
        assert_eq!(size.work(0), BLOCK_WORK_TARGET / 4);
        size.decided(0);
        assert_eq!(size.work(0), BLOCK_WORK_TARGET / 2);
        (0..CALM_HEIGHTS).for_each(|_| size.decided(0));
        (0..CALM_HEIGHTS).for_each(|_| size.decided(0));
        assert_eq!(size, BlockSize::default());
    }
}
