//! Who proposes: validators that the chain shows to be absent are passed over, and tried again now and then.
//!
//! A dead proposer costs its round's propose timeout plus a precommit timeout. The chain itself shows who was
//! absent: the header names its proposer, and when that is not the one whose turn round 0 was, that one missed
//! its turn. Every node sees the same headers, so every node derives the same rotation.

use yilian_spec::height::Height;
use yilian_spec::signature::PublicKey;

/// A validator that missed its turn is passed over for this many heights, then tried again.
pub const ABSENCE_HEIGHTS: u64 = 50;

/// What a committed block shows about proposing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposerRecord {
    /// The block's height.
    pub height: Height,
    /// Whose turn round 0 was, by the rotation of that height.
    pub expected: PublicKey,
    /// Whom the header names.
    pub proposer: PublicKey,
}

/// The rotation for the height after `recent`, the records of the last [`ABSENCE_HEIGHTS`] blocks (fewer on a
/// young ledger), oldest first.
///
/// Keeps the order of `validators`. A validator is left out when its last record in `recent` is a missed
/// turn; one that proposed since is back. When that would leave nobody, nobody is left out.
pub fn proposer_rotation(validators: &[PublicKey], recent: &[ProposerRecord]) -> Vec<PublicKey> {
    let absent = |key: &PublicKey| {
        let last = recent.iter().rev().find(|record| record.expected == *key || record.proposer == *key);
        last.is_some_and(|record| record.proposer != *key)
    };
    let present: Vec<PublicKey> = validators.iter().filter(|key| !absent(key)).copied().collect();
    if present.is_empty() { validators.to_vec() } else { present }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> PublicKey {
        PublicKey([number; 32])
    }

    fn record(height: u64, expected: u8, proposer: u8) -> ProposerRecord {
        ProposerRecord { height: Height(height), expected: key(expected), proposer: key(proposer) }
    }

    #[test]
    fn a_missed_turn_counts_until_the_validator_proposes_or_the_record_is_old() {
        let all = [key(1), key(2), key(3), key(4)];
        assert_eq!(proposer_rotation(&all, &[]), all);
        let missed = [record(1, 1, 1), record(2, 2, 3)];
        assert_eq!(proposer_rotation(&all, &missed), [key(1), key(3), key(4)]);
        let back = [record(2, 2, 3), record(3, 4, 2)];
        assert_eq!(proposer_rotation(&all, &back), [key(1), key(2), key(3)]);
    }

    #[test]
    fn nobody_is_left_out_when_all_were_absent() {
        let all = [key(1), key(2)];
        let missed = [record(1, 1, 9), record(2, 2, 9)];
        assert_eq!(proposer_rotation(&all, &missed), all);
    }
}
