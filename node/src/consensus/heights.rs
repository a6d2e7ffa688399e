//! What the connected peers say about how far the ledger is, and how much of it is believed.
//!
//! A peer's word counts as its institution's, for as long as the peer is connected, and only where it is a validator's
//! institution. What voters with more than a third of the power say at least is said by an honest one: that far the
//! ledger is. A single word may wake a resting node, at the cost of an allowance ([`super::pacing`]), and nothing more.

use std::collections::BTreeMap;

use arc_malachitebft_app_channel::app::types::core::Validator as _;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::InstitutionId;

use super::context::ValidatorSet;
use crate::network::PeerId;

/// What all peers together say, for whoever decides by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// At least one honest validator has decided this height.
    pub decided: Height,
    /// At least one honest validator has spoken of this height: it has decided it, or votes on it.
    pub spoken: Height,
    /// What single institutions say, unproven.
    pub claims: BTreeMap<InstitutionId, Claim>,
    /// The first tip that each validator's institution told, with its voting power.
    pub told: BTreeMap<InstitutionId, Told>,
}

/// What one institution says, unproven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// It has decided this height.
    pub tip: Height,
    /// It has work for this height.
    pub work: Height,
}

/// What a validator's institution told when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The height it had decided then.
    pub tip: Height,
    /// Its voting power.
    pub power: u64,
}

/// One connected peer's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Words {
    first_tip: Option<Height>,
    tip: Height,
    has_sunk: bool,
    spoken: Height,
    work: Height,
}

/// The words of all connected peers.
#[derive(Clone, Debug, Default)]
pub struct PeerHeights {
    peers: BTreeMap<PeerId, (InstitutionId, Words)>,
}

impl PeerHeights {
    /// A peer has connected. What it says before that is not counted.
    pub fn connected(&mut self, peer: PeerId, institution: InstitutionId) {
        self.peers.entry(peer).or_insert_with(|| (institution, Words::default()));
    }

    /// A peer has gone, and its words with it.
    pub fn disconnected(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
    }

    /// The tip that a peer has told; none before its first word.
    pub fn tip(&self, peer: &PeerId) -> Height {
        self.peers.get(peer).map(|(_, words)| words.tip).unwrap_or_default()
    }

    /// A peer says that it has decided `tip`. Whether that can be true: a tip sinks once where a node comes back without its
    /// disk before its old connection is gone, and never otherwise.
    pub fn status(&mut self, peer: &PeerId, tip: Height) -> bool {
        let mut is_true = true;
        self.change(peer, |words| {
            words.first_tip.get_or_insert(tip);
            if tip < words.tip {
                is_true = !words.has_sunk;
                words.has_sunk = true;
            }
            words.tip = tip;
        });
        is_true
    }

    /// A peer's own validator has signed something at `height`, and the signature was verified.
    pub fn signed(&mut self, peer: &PeerId, height: Height) {
        self.change(peer, |words| {
            words.first_tip.get_or_insert(before(height));
            words.spoken = words.spoken.max(height);
        });
    }

    /// A peer says that there is work for `height`.
    pub fn work(&mut self, peer: &PeerId, height: Height) {
        self.change(peer, |words| words.work = height);
    }

    fn change(&mut self, peer: &PeerId, change: impl FnOnce(&mut Words)) {
        if let Some((_, words)) = self.peers.get_mut(peer) {
            change(words);
        }
    }

    /// What they say together, under these validators.
    pub fn heard(&self, validators: &ValidatorSet) -> Heard {
        let mut claims: BTreeMap<InstitutionId, Claim> = BTreeMap::new();
        for (institution, words) in self.peers.values() {
            let claim = claims.entry(institution.clone()).or_default();
            claim.tip = claim.tip.max(words.tip);
            claim.work = claim.work.max(words.work);
        }
        Heard {
            // Whoever votes on a height has decided the one before.
            decided: self.said_by_an_honest_one(validators, |words| words.tip.max(before(words.spoken))),
            spoken: self.said_by_an_honest_one(validators, |words| words.tip.max(words.spoken)),
            claims,
            told: self.told(validators),
        }
    }

    /// The greatest height that validators with more than a third of the power say at least.
    fn said_by_an_honest_one(&self, validators: &ValidatorSet, say: impl Fn(&Words) -> Height) -> Height {
        let mut words: Vec<(Height, u64)> = validators
            .iter()
            .map(|validator| {
                let own =
                    self.peers.values().filter(|(institution, _)| institution == validator.institution());
                let height = own.map(|(_, words)| say(words)).max().unwrap_or_default();
                (height, validator.voting_power())
            })
            .collect();
        words.sort_by(|left, right| right.cmp(left));
        let mut power = 0u64;
        for (height, own) in words {
            power = power.saturating_add(own);
            if validators.has_an_honest_one(power) {
                return height;
            }
        }
        Height::default()
    }

    fn told(&self, validators: &ValidatorSet) -> BTreeMap<InstitutionId, Told> {
        let mut told: BTreeMap<InstitutionId, Told> = BTreeMap::new();
        for validator in validators.iter() {
            let own = self.peers.values().filter(|(institution, _)| institution == validator.institution());
            let Some(tip) = own.filter_map(|(_, words)| words.first_tip).max() else { continue };
            let entry = told.entry(validator.institution().clone()).or_insert(Told { tip, power: 0 });
            entry.power = entry.power.saturating_add(validator.voting_power());
        }
        told
    }
}

impl Heard {
    /// The voting power of the institutions beside `own` whose first word was of a height that a ledger which ends at `tip`
    /// holds.
    pub fn power_caught_up_with(&self, tip: Height, own: &InstitutionId) -> u64 {
        let reached = self.told.iter().filter(|(who, told)| *who != own && told.tip <= tip);
        reached.map(|(_, told)| told.power).fold(0, u64::saturating_add)
    }
}

fn before(height: Height) -> Height {
    Height(height.0.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use yilian_spec::crypto::signature::PublicKey;
    use yilian_spec::domain::parameters::ConsensusTimeouts;

    use super::*;
    use crate::application::{StartPoint, ValidatorInfo};

    fn institution(number: u8) -> InstitutionId {
        InstitutionId::new(&format!("member-{number}")).unwrap()
    }

    fn validators(powers: &[u64]) -> Arc<ValidatorSet> {
        let validator = |(number, voting_power): (u8, &u64)| ValidatorInfo {
            public_key: PublicKey::Ed25519([number; 32]),
            institution: institution(number),
            voting_power: *voting_power,
        };
        let start = StartPoint {
            height: Height(1),
            validators: (0..).zip(powers).map(validator).collect(),
            rotation: vec![],
            timeouts: ConsensusTimeouts::default(),
            target_time_ms: None,
            had_work: false,
        };
        Arc::new(ValidatorSet::new(&start))
    }

    /// Each of them connected, with the tip that it tells.
    fn peers(tips: &[(u8, u64)]) -> (PeerHeights, Vec<PeerId>) {
        let mut heights = PeerHeights::default();
        let connect = |(number, tip): &(u8, u64)| {
            let peer = PeerId::random();
            heights.connected(peer, institution(*number));
            heights.status(&peer, Height(*tip));
            peer
        };
        let names = tips.iter().map(connect).collect();
        (heights, names)
    }

    #[test]
    fn a_tip_that_sinks_again_and_again_is_a_lie() {
        let (mut heights, names) = peers(&[(0, 9)]);
        assert!(heights.status(&names[0], Height(10)));
        assert!(heights.status(&names[0], Height(0)), "it may have lost its disk");
        assert!(heights.status(&names[0], Height(1 << 40)));
        assert!(!heights.status(&names[0], Height(3)));
    }

    #[test]
    fn one_liar_of_four_moves_nothing_and_two_honest_ones_do() {
        let set = validators(&[1, 1, 1, 1]);
        let (mut heights, names) = peers(&[(1, 9), (2, 7), (3, u64::MAX)]);
        let heard = heights.heard(&set);
        assert_eq!(
            (heard.decided, heard.spoken),
            (Height(9), Height(9)),
            "the liar cannot lift it beyond the next"
        );
        heights.disconnected(&names[0]);
        assert_eq!(heights.heard(&set).decided, Height(7), "words go with whoever said them");
        heights.disconnected(&names[2]);
        assert_eq!(heights.heard(&set).decided, Height(0), "one alone is not enough");
    }

    #[test]
    fn many_nodes_of_one_institution_and_nodes_without_a_vote_have_no_more_weight() {
        let set = validators(&[1, 1, 1, 1]);
        let (heights, _) = peers(&[(1, 99), (1, 99), (1, 99), (7, 99), (8, 99), (2, 5)]);
        assert_eq!(heights.heard(&set).decided, Height(5));
        let (heights, _) = peers(&[(0, 40), (1, 50)]);
        assert_eq!(
            heights.heard(&validators(&[3, 2, 2, 2])).decided,
            Height(40),
            "a third is not more than a third"
        );
        assert_eq!(heights.heard(&validators(&[4, 2, 2, 2])).decided, Height(40));
        assert_eq!(heights.heard(&validators(&[1, 5, 2, 2])).decided, Height(50));
    }

    #[test]
    fn votes_tell_of_the_height_before_and_a_later_lower_status_counts() {
        let set = validators(&[1, 1, 1, 1]);
        let (mut heights, names) = peers(&[(1, 3), (2, 3)]);
        names.iter().for_each(|peer| heights.signed(peer, Height(6)));
        let heard = heights.heard(&set);
        assert_eq!((heard.decided, heard.spoken), (Height(5), Height(6)));
        let (mut heights, names) = peers(&[(1, 9), (2, 9)]);
        heights.status(&names[0], Height(4));
        assert_eq!(heights.heard(&set).decided, Height(4));
        heights.work(&names[0], Height(5));
        assert_eq!(heights.heard(&set).claims[&institution(1)], Claim { tip: Height(4), work: Height(5) });
    }

    #[test]
    fn caught_up_is_with_those_whose_first_word_the_ledger_has_reached() {
        let set = validators(&[1, 1, 1, 1]);
        let (mut heights, names) = peers(&[(1, 20), (2, 30), (3, 1 << 40)]);
        let silent = PeerId::random();
        heights.connected(silent, institution(0));
        heights.status(&names[0], Height(500));
        let power = |tip| heights.heard(&set).power_caught_up_with(Height(tip), &institution(0));
        assert_eq!([power(19), power(20), power(29), power(30), power(1_000_000)], [0, 1, 1, 2, 2]);
        heights.signed(&silent, Height(11));
        let power = |own| heights.heard(&set).power_caught_up_with(Height(25), &institution(own));
        assert_eq!(
            [power(0), power(1), power(2)],
            [1, 1, 2],
            "a vote tells of the height before; one's own does not count"
        );
    }
}
