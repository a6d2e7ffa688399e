//! Validators that lie: one file for each way.
//!
//! A liar is an honest node whose every word passes through it, and who has its key, its ledger and its clock at hand. So
//! it knows all that the honest know, and lies at the right height and round.
//!
//! One of four changes nothing: the honest agree, lose nothing, go on, and accuse nobody else. With two of four the
//! ledger may fork, and then two certificates of one height name them ([`twins`] tests both).

mod altered_bodies;
mod amnesia;
mod equivocating_proposer;
mod equivocating_voter;
mod far_rounds;
pub mod forge;
mod forged_valid_round;
mod garbage_certificates;
mod invalid_blocks;
mod jumping_heights;
mod lying_sync_peer;
mod mempool_spam;
mod mutated_parts;
pub mod twins;
mod withheld_parts;
mod wrong_state_root;
mod wrong_times;

use super::frame::Frame;
use super::host::Host;
use super::random::Random;

pub use invalid_blocks::SAYS as INVALID_BLOCKS_SAY;

/// What a liar does to what its node says.
pub trait Liar {
    /// What it says to `to` in place of `frame`.
    fn say(&mut self, host: &mut Host, to: usize, frame: &Frame) -> Vec<Frame> {
        let _ = (host, to);
        vec![frame.clone()]
    }

    /// What it says to everybody once a second, unasked.
    fn unasked(&mut self, host: &mut Host) -> Vec<Frame> {
        let _ = host;
        Vec::new()
    }

    /// Whether it forgets its votes whenever it loses power.
    fn forgets_votes(&self) -> bool {
        false
    }
}

/// A way to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    /// It proposes one block to some and another to the rest, and votes for both.
    EquivocatingProposer,
    /// It tells some the opposite of each vote, and some both.
    EquivocatingVoter,
    /// Two nodes run with its key, each with a disk of its own and each by the rules.
    Twins,
    /// It proposes, and keeps the block to itself or to a few.
    WithheldParts,
    /// It alters the parts of its blocks, with and without signing what it altered.
    MutatedParts,
    /// It proposes blocks that break the rules, each time another one.
    InvalidBlocks,
    /// It proposes blocks with another state root than executing them gives.
    WrongStateRoot,
    /// It proposes blocks from the past and from the future.
    WrongTimes,
    /// It forgets its votes whenever it loses power, which is often.
    Amnesia,
    /// It serves whoever catches up with false blocks and certificates, and claims heights that are not there.
    LyingSyncPeer,
    /// It sends certificates, votes and proposals that nobody signed, or too few, or of absurd heights and rounds.
    GarbageCertificates,
    /// It floods the mempools with garbage, forged transactions and repetitions.
    MempoolSpam,
    /// It proposes good blocks for rounds that nobody has come to.
    FarRounds,
    /// It writes another proposer into its block, and claims an earlier round that makes it right.
    ForgedValidRound,
    /// It serves true headers and certificates with altered bodies, and claims blocks without end.
    AlteredBodies,
    /// Its tip jumps, and it speaks of work for the last of all heights.
    JumpingHeights,
}

impl Behaviour {
    /// All ways.
    pub const ALL: [Self; 16] = [
        Self::EquivocatingProposer,
        Self::EquivocatingVoter,
        Self::Twins,
        Self::WithheldParts,
        Self::MutatedParts,
        Self::InvalidBlocks,
        Self::WrongStateRoot,
        Self::WrongTimes,
        Self::Amnesia,
        Self::LyingSyncPeer,
        Self::GarbageCertificates,
        Self::MempoolSpam,
        Self::FarRounds,
        Self::ForgedValidRound,
        Self::AlteredBodies,
        Self::JumpingHeights,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EquivocatingProposer => "equivocating-proposer",
            Self::EquivocatingVoter => "equivocating-voter",
            Self::Twins => "twins",
            Self::WithheldParts => "withheld-parts",
            Self::MutatedParts => "mutated-parts",
            Self::InvalidBlocks => "invalid-blocks",
            Self::WrongStateRoot => "wrong-state-root",
            Self::WrongTimes => "wrong-times",
            Self::Amnesia => "amnesia",
            Self::LyingSyncPeer => "lying-sync-peer",
            Self::GarbageCertificates => "garbage-certificates",
            Self::MempoolSpam => "mempool-spam",
            Self::FarRounds => "far-rounds",
            Self::ForgedValidRound => "forged-valid-round",
            Self::AlteredBodies => "altered-bodies",
            Self::JumpingHeights => "jumping-heights",
        }
    }

    /// The behaviour of a name.
    ///
    /// # Errors
    /// When there is none, with those that are.
    pub fn named(name: &str) -> Result<Self, String> {
        let known: Vec<&str> = Self::ALL.iter().map(|behaviour| behaviour.name()).collect();
        let found = Self::ALL.into_iter().find(|behaviour| behaviour.name() == name);
        found.ok_or_else(|| format!("nobody lies in the way {name:?}; the ways are {}", known.join(", ")))
    }

    /// A liar who behaves so, in the run of a seed.
    pub fn liar(self, seed: u64) -> Box<dyn Liar> {
        let random = Random::stream(seed, 7);
        match self {
            Self::EquivocatingProposer => Box::new(equivocating_proposer::EquivocatingProposer::default()),
            Self::EquivocatingVoter => Box::new(equivocating_voter::EquivocatingVoter::default()),
            Self::Twins => Box::new(twins::Twin),
            Self::WithheldParts => Box::new(withheld_parts::WithheldParts),
            Self::MutatedParts => Box::new(mutated_parts::MutatedParts::new(random)),
            Self::InvalidBlocks => Box::new(invalid_blocks::InvalidBlocks::new(seed, random)),
            Self::WrongStateRoot => Box::new(wrong_state_root::WrongStateRoot::default()),
            Self::WrongTimes => Box::new(wrong_times::WrongTimes::new(random)),
            Self::Amnesia => Box::new(amnesia::Amnesia),
            Self::LyingSyncPeer => Box::new(lying_sync_peer::LyingSyncPeer::new(random)),
            Self::GarbageCertificates => Box::new(garbage_certificates::GarbageCertificates::new(random)),
            Self::MempoolSpam => Box::new(mempool_spam::MempoolSpam::new(random)),
            Self::FarRounds => Box::new(far_rounds::FarRounds),
            Self::ForgedValidRound => Box::new(forged_valid_round::ForgedValidRound::default()),
            Self::AlteredBodies => Box::new(altered_bodies::AlteredBodies::new(random)),
            Self::JumpingHeights => Box::new(jumping_heights::JumpingHeights::new(random)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_is_found_by_its_name_and_no_other_name_is_taken() {
        for behaviour in Behaviour::ALL {
            assert_eq!(Behaviour::named(behaviour.name()), Ok(behaviour));
        }
        assert!(Behaviour::named("honest").unwrap_err().contains("twins"));
    }
}
