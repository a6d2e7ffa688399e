//! The engine's vocabulary in our types: what a height, an address, a value and a validator set are.
//!
//! The value that is voted on is a block's id; an address is the validator's public key. The engine wants its
//! own traits on local types, so a few of these wrap what `yilian-spec` defines.

use std::fmt;

use arc_malachitebft_app_channel::app::types::core as engine;
use engine::{NilOrVal, Round, VoteType};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, InstitutionId};
use yilian_spec::crypto::signature::PublicKey;

use super::signing::LedgerScheme;
use super::timeouts::EngineTimeouts;
use crate::application::{StartPoint, ValidatorInfo};
use crate::consensus::proposal::CompleteProposal;

/// Ties the engine's abstract types to ours.
#[derive(Clone, Copy, Debug, Default)]
pub struct LedgerContext;

/// A height, as the engine counts: 0 is "before the first block".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineHeight(pub u64);

impl EngineHeight {
    /// The ledger's height.
    pub fn ledger(self) -> Height {
        Height(self.0)
    }
}

impl From<Height> for EngineHeight {
    fn from(height: Height) -> Self {
        Self(height.0)
    }
}

impl fmt::Display for EngineHeight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

impl engine::Height for EngineHeight {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    /// Saturates: heights that peers claim pass through here, and the last height is never reached.
    fn increment_by(&self, by: u64) -> Self {
        Self(self.0.saturating_add(by))
    }

    fn decrement_by(&self, by: u64) -> Option<Self> {
        self.0.checked_sub(by).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

/// A validator's address: its public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(pub PublicKey);

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

impl engine::Address for Address {}

/// A validator with its vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    address: Address,
    institution: InstitutionId,
    voting_power: u64,
}

impl Validator {
    /// Whose validator it is.
    pub fn institution(&self) -> &InstitutionId {
        &self.institution
    }
}

impl engine::Validator<LedgerContext> for Validator {
    fn address(&self) -> &Address {
        &self.address
    }

    fn public_key(&self) -> &PublicKey {
        &self.address.0
    }

    fn voting_power(&self) -> u64 {
        self.voting_power
    }
}

/// The validators of one height and the turns in which they propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSet {
    validators: Vec<Validator>,
    /// Positions in `validators`; see [`StartPoint::rotation`].
    rotation: Vec<usize>,
}

impl ValidatorSet {
    /// The set of a start point. Keys of the rotation that are no validators are passed over.
    pub fn new(start: &StartPoint) -> Self {
        let validator = |info: &ValidatorInfo| Validator {
            address: Address(info.public_key),
            institution: info.institution.clone(),
            voting_power: info.voting_power,
        };
        let validators: Vec<Validator> = start.validators.iter().map(validator).collect();
        let position = |key: &PublicKey| validators.iter().position(|validator| validator.address.0 == *key);
        let rotation = start.rotation.iter().filter_map(position).collect();
        Self { validators, rotation }
    }

    /// The proposer of a round: the rotation by turns, and beyond its length all validators by turns, so that
    /// a wrong guess about who is alive costs rounds and never liveness.
    ///
    /// # Panics
    /// On an empty set; the engine refuses to start a height with one.
    pub fn proposer(&self, height: EngineHeight, round: u32) -> &Validator {
        let turn = |length: usize| {
            let length = length as u64;
            // Below `length`, so it fits.
            (height.0 % length).wrapping_add(u64::from(round) % length) as usize % length as usize
        };
        if (round as usize) < self.rotation.len() {
            &self.validators[self.rotation[turn(self.rotation.len())]]
        } else {
            &self.validators[turn(self.validators.len())]
        }
    }

    /// Whether this key is one of the validators.
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.get(key).is_some()
    }

    /// The validator of a key.
    pub fn get(&self, key: &PublicKey) -> Option<&Validator> {
        self.validators.iter().find(|validator| validator.address.0 == *key)
    }

    /// All validators, in the ledger's order.
    pub fn iter(&self) -> impl Iterator<Item = &Validator> {
        self.validators.iter()
    }

    /// Whether this voting power is more than a third of all: at least one honest validator is part of it.
    pub fn has_an_honest_one(&self, power: u64) -> bool {
        u128::from(power) * 3 > u128::from(engine::ValidatorSet::total_voting_power(self))
    }

    /// Whether this voting power is more than two thirds of all (rule B-8).
    pub fn can_decide(&self, power: u64) -> bool {
        u128::from(power) * 3 > u128::from(engine::ValidatorSet::total_voting_power(self)) * 2
    }
}

impl engine::ValidatorSet<LedgerContext> for ValidatorSet {
    fn count(&self) -> usize {
        self.validators.len()
    }

    fn total_voting_power(&self) -> u64 {
        self.validators.iter().map(|validator| validator.voting_power).fold(0, u64::saturating_add)
    }

    fn get_by_address(&self, address: &Address) -> Option<&Validator> {
        self.validators.iter().find(|validator| validator.address == *address)
    }

    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.validators.get(index)
    }
}

/// What is proposed: a block, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value(pub BlockId);

impl engine::Value for Value {
    type Id = BlockId;

    fn id(&self) -> BlockId {
        self.0
    }
}

/// A proposal: "let block `value` be the one of this height".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The height.
    pub height: EngineHeight,
    /// The round.
    pub round: Round,
    /// The block.
    pub value: Value,
    /// The round of which the proposer shows two thirds of the prevotes, or nil.
    pub pol_round: Round,
    /// The proposer.
    pub proposer: Address,
}

impl engine::Proposal<LedgerContext> for Proposal {
    fn height(&self) -> EngineHeight {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &Value {
        &self.value
    }

    fn take_value(self) -> Value {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Address {
        &self.proposer
    }
}

/// A prevote or precommit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Prevote or precommit.
    pub kind: VoteType,
    /// The height.
    pub height: EngineHeight,
    /// The round.
    pub round: Round,
    /// The block, or nil.
    pub value: NilOrVal<BlockId>,
    /// Who votes.
    pub voter: Address,
}

impl engine::Vote<LedgerContext> for Vote {
    fn height(&self) -> EngineHeight {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<BlockId> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<BlockId> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Address {
        &self.voter
    }

    fn extension(&self) -> Option<&engine::SignedExtension<LedgerContext>> {
        None
    }

    fn take_extension(&mut self) -> Option<engine::SignedExtension<LedgerContext>> {
        None
    }

    /// Votes carry no extensions here: the policy of every height is "disabled".
    fn extend(self, _extension: engine::SignedExtension<LedgerContext>) -> Self {
        self
    }
}

impl engine::Context for LedgerContext {
    type Address = Address;
    type Height = EngineHeight;
    type ProposalPart = CompleteProposal;
    type Proposal = Proposal;
    type Validator = Validator;
    type ValidatorSet = ValidatorSet;
    type Timeouts = EngineTimeouts;
    type Value = Value;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = LedgerScheme;

    fn select_proposer<'a>(
        &self,
        validators: &'a ValidatorSet,
        height: EngineHeight,
        round: Round,
    ) -> &'a Validator {
        validators.proposer(height, round.as_u32().unwrap_or(0))
    }

    fn new_proposal(
        &self,
        height: EngineHeight,
        round: Round,
        value: Value,
        pol_round: Round,
        proposer: Address,
    ) -> Proposal {
        Proposal { height, round, value, pol_round, proposer }
    }

    fn new_prevote(
        &self,
        height: EngineHeight,
        round: Round,
        value: NilOrVal<BlockId>,
        voter: Address,
    ) -> Vote {
        Vote { kind: VoteType::Prevote, height, round, value, voter }
    }

    fn new_precommit(
        &self,
        height: EngineHeight,
        round: Round,
        value: NilOrVal<BlockId>,
        voter: Address,
    ) -> Vote {
        Vote { kind: VoteType::Precommit, height, round, value, voter }
    }
}

#[cfg(test)]
mod tests {
    use yilian_spec::domain::parameters::ConsensusTimeouts;

    use super::*;

    fn start(validators: u8, rotation: &[u8]) -> StartPoint {
        let key = |number: u8| PublicKey::Ed25519([number; 32]);
        StartPoint {
            height: Height(1),
            validators: (1..=validators)
                .map(|number| ValidatorInfo {
                    public_key: key(number),
                    institution: InstitutionId::new(&format!("member-{number}")).unwrap(),
                    voting_power: 1,
                })
                .collect(),
            rotation: rotation.iter().map(|number| key(*number)).collect(),
            timeouts: ConsensusTimeouts::default(),
            target_time_ms: None,
            had_work: false,
        }
    }

    fn proposers(set: &ValidatorSet, height: u64, rounds: u32) -> Vec<u8> {
        (0..rounds)
            .map(|round| set.proposer(EngineHeight(height), round).address.0.ed25519_bytes()[0])
            .collect()
    }

    #[test]
    fn proposers_take_turns_and_the_rounds_after_the_rotation_reach_everybody() {
        let all = ValidatorSet::new(&start(4, &[]));
        assert_eq!(proposers(&all, 1, 5), [2, 3, 4, 1, 2]);
        let three = ValidatorSet::new(&start(4, &[1, 3, 4]));
        assert_eq!(proposers(&three, 1, 7), [3, 4, 1, 1, 2, 3, 4]);
        assert_eq!(proposers(&three, 2, 3), [4, 1, 3]);
    }

    #[test]
    fn claims_about_absurd_heights_overflow_nothing() {
        let all = ValidatorSet::new(&start(3, &[]));
        assert_eq!(proposers(&all, u64::MAX, 1).len(), 1);
        assert_eq!(all.proposer(EngineHeight(u64::MAX), u32::MAX).voting_power, 1);
        let top = engine::Height::increment_by(&EngineHeight(u64::MAX), 3);
        assert_eq!(top, EngineHeight(u64::MAX));
    }
}
