//! Whether another process signs with this validator's key: a copied home that was started, or a machine that was replaced
//! and came back.
//!
//! Two such processes prove the same key to their peers and never connect to each other, so neither hears the other. But what
//! the other signed comes back: in the certificates of blocks and rounds, and as a block that was decided in this validator's
//! turn. So whatever is signed here is noted, and what carries the key and was not noted was signed elsewhere.
//!
//! Notes begin with the process. Before that this home may have signed for the height after its ledger, of which its log of
//! votes knows, and for none beyond ([`crate::voting`]); so only heights beyond that are judged. A home that is an older copy
//! of itself is found as well: it does not know either what was signed since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_malachitebft_app_channel::app::types::core as engine;
use engine::{NilOrVal, Round, Validator as _, VoteType};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::BlockId;
use yilian_spec::crypto::signature::PublicKey;

use super::context::{LedgerContext, Proposal, ValidatorSet, Vote};
use crate::base::limits;

/// A validator's key and what this process signed with it; clones are the same.
#[derive(Clone, Debug)]
pub struct OwnKey {
    key: PublicKey,
    notes: Arc<Mutex<Notes>>,
}

/// What was signed at the last few heights.
#[derive(Debug, Default)]
struct Notes {
    /// From which height on everything is noted; nothing is judged before it is known.
    whole_from: Option<Height>,
    signed: BTreeMap<Height, BTreeSet<Signed>>,
}

/// Something that was signed, at a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Signed {
    Prevote { round: Round, block: Option<BlockId> },
    Precommit { round: Round, block: Option<BlockId> },
    Proposal { round: Round, block: BlockId },
}

impl OwnKey {
    /// A key with which nothing has been signed yet.
    pub fn new(key: PublicKey) -> Self {
        Self { key, notes: Arc::default() }
    }

    /// The key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// The process begins to decide at `first`, the height after its ledger.
    pub fn begins(&self, first: Height) {
        self.notes().whole_from = Some(first.next());
    }

    /// Notes a vote that is about to be signed.
    pub fn signs_vote(&self, vote: &Vote) {
        self.notes().note(vote.height.ledger(), of_vote(vote));
    }

    /// Notes a proposal that is about to be signed.
    pub fn signs_proposal(&self, proposal: &Proposal) {
        let signed = Signed::Proposal { round: proposal.round, block: proposal.value.0 };
        self.notes().note(proposal.height.ledger(), signed);
    }

    /// Whether a vote that verifies was signed with this key by another process.
    pub fn is_foreign_vote(&self, vote: &Vote) -> bool {
        vote.voter.0 == self.key && self.notes().is_foreign(vote.height.ledger(), of_vote(vote))
    }

    /// Whether a block was decided with a signature of another process with this key: its precommit, or its proposal in this
    /// validator's turn.
    pub fn is_foreign_commit(
        &self,
        certificate: &engine::CommitCertificate<LedgerContext>,
        validators: &ValidatorSet,
    ) -> bool {
        let (height, round, block) = (certificate.height, certificate.round, certificate.value_id);
        let Some(number) = round.as_u32() else { return false };
        let voted = certificate.commit_signatures.iter().any(|commit| commit.address.0 == self.key);
        let proposed = *validators.proposer(height, number).public_key() == self.key;
        let notes = self.notes();
        let precommit = Signed::Precommit { round, block: Some(block) };
        (voted && notes.is_foreign(height.ledger(), precommit))
            || (proposed && notes.is_foreign(height.ledger(), Signed::Proposal { round, block }))
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        // Each change is whole under this lock.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn note(&mut self, height: Height, signed: Signed) {
        let of_height = self.signed.entry(height).or_default();
        if of_height.len() < limits::OWN_SIGNATURES_PER_HEIGHT_MAX {
            of_height.insert(signed);
        }
        while self.signed.len() > limits::OWN_SIGNATURE_HEIGHTS_MAX {
            self.signed.pop_first();
        }
    }

    fn is_foreign(&self, height: Height, signed: Signed) -> bool {
        let is_whole = self.whole_from.is_some_and(|from| height >= from) && !self.is_forgotten(height);
        let is_ours = self.signed.get(&height).is_some_and(|of_height| {
            of_height.contains(&signed) || of_height.len() >= limits::OWN_SIGNATURES_PER_HEIGHT_MAX
        });
        is_whole && !is_ours
    }

    /// Whether notes of a height may have been dropped for later ones.
    fn is_forgotten(&self, height: Height) -> bool {
        self.signed.len() >= limits::OWN_SIGNATURE_HEIGHTS_MAX
            && self.signed.first_key_value().is_some_and(|(first, _)| height < *first)
    }
}

fn of_vote(vote: &Vote) -> Signed {
    let block = match vote.value {
        NilOrVal::Nil => None,
        NilOrVal::Val(block) => Some(block),
    };
    match vote.kind {
        VoteType::Prevote => Signed::Prevote { round: vote.round, block },
        VoteType::Precommit => Signed::Precommit { round: vote.round, block },
    }
}

#[cfg(test)]
mod tests {
    use arc_malachitebft_app_channel::app::types::core::CommitSignature;
    use yilian_spec::base::id::InstitutionId;
    use yilian_spec::crypto::signature::{SecretKey, Signature};
    use yilian_spec::domain::parameters::ConsensusTimeouts;

    use super::*;
    use crate::application::{StartPoint, ValidatorInfo};
    use crate::consensus::context::{Address, EngineHeight, Value};

    const BLOCK: BlockId = BlockId([7; 32]);
    const OTHER: BlockId = BlockId([8; 32]);

    fn key(number: u8) -> PublicKey {
        SecretKey::from_seed(&[number; 32]).public_key()
    }

    /// Four validators; in round 0 of a height, that of the height's remainder by four proposes.
    fn validators() -> ValidatorSet {
        let validator = |number: u8| ValidatorInfo {
            public_key: key(number),
            institution: InstitutionId::new(&format!("member-{number}")).unwrap(),
            voting_power: 1,
        };
        ValidatorSet::new(&StartPoint {
            height: Height(1),
            validators: (0..4).map(validator).collect(),
            rotation: vec![],
            timeouts: ConsensusTimeouts::default(),
            target_time_ms: None,
            had_work: false,
        })
    }

    /// The key of validator 0 in a process that began at height 5.
    fn own() -> OwnKey {
        let own = OwnKey::new(key(0));
        own.begins(Height(5));
        own
    }

    fn vote(kind: VoteType, height: u64, round: u32, value: NilOrVal<BlockId>) -> Vote {
        Vote { kind, height: EngineHeight(height), round: Round::new(round), value, voter: Address(key(0)) }
    }

    fn precommit(height: u64, round: u32, block: BlockId) -> Vote {
        vote(VoteType::Precommit, height, round, NilOrVal::Val(block))
    }

    fn proposal(height: u64, round: u32, block: BlockId) -> Proposal {
        Proposal {
            height: EngineHeight(height),
            round: Round::new(round),
            value: Value(block),
            pol_round: Round::Nil,
            proposer: Address(key(0)),
        }
    }

    fn certificate(height: u64, round: u32, signers: &[u8]) -> engine::CommitCertificate<LedgerContext> {
        engine::CommitCertificate {
            height: EngineHeight(height),
            round: Round::new(round),
            value_id: BLOCK,
            commit_signatures: signers
                .iter()
                .map(|signer| CommitSignature::new(Address(key(*signer)), Signature::Ed25519([0; 64])))
                .collect(),
        }
    }

    #[test]
    fn what_was_signed_here_is_ours_however_often_it_comes_back() {
        let own = own();
        own.signs_vote(&vote(VoteType::Prevote, 8, 1, NilOrVal::Nil));
        own.signs_vote(&precommit(9, 0, BLOCK));
        own.signs_proposal(&proposal(8, 0, BLOCK));
        for _ in 0..2 {
            assert!(!own.is_foreign_vote(&vote(VoteType::Prevote, 8, 1, NilOrVal::Nil)));
            assert!(!own.is_foreign_vote(&precommit(9, 0, BLOCK)));
            assert!(!own.is_foreign_commit(&certificate(9, 0, &[0, 1, 2]), &validators()));
            // Its turn; the others decided without its precommit.
            assert!(!own.is_foreign_commit(&certificate(8, 0, &[1, 2, 3]), &validators()));
        }
        // Missed while it was cut off: nothing of it carries the key.
        assert!(!own.is_foreign_commit(&certificate(10, 0, &[1, 2, 3]), &validators()));
        let of_another = Vote { voter: Address(key(1)), ..precommit(9, 3, BLOCK) };
        assert!(!own.is_foreign_vote(&of_another));
    }

    #[test]
    fn what_was_signed_before_the_start_or_is_forgotten_is_not_judged() {
        let own = own();
        // The log of votes may hold these, and they are replayed; blocks below come by value sync.
        for height in 1..=5 {
            assert!(!own.is_foreign_vote(&precommit(height, 0, BLOCK)), "{height}");
            assert!(!own.is_foreign_commit(&certificate(height, 0, &[0, 1, 2]), &validators()), "{height}");
        }
        let before_it_knows = OwnKey::new(key(0));
        assert!(!before_it_knows.is_foreign_vote(&precommit(9, 0, BLOCK)));
        let last = 9 + limits::OWN_SIGNATURE_HEIGHTS_MAX as u64;
        (9..=last).for_each(|height| own.signs_vote(&precommit(height, 0, BLOCK)));
        assert!(!own.is_foreign_commit(&certificate(9, 0, &[0, 1, 2]), &validators()), "its note is gone");
        assert!(!own.is_foreign_vote(&precommit(last, 0, BLOCK)));
        (0..=limits::OWN_SIGNATURES_PER_HEIGHT_MAX as u32)
            .for_each(|round| own.signs_vote(&precommit(last + 1, round, OTHER)));
        assert!(!own.is_foreign_vote(&precommit(last + 1, 0, BLOCK)), "more was signed than is noted");
    }

    #[test]
    fn what_carries_the_key_and_was_not_signed_here_is_foreign() {
        let own = own();
        // A height in which this process did nothing: one that was synced, after a copy of an older home was started.
        assert!(own.is_foreign_commit(&certificate(6, 0, &[0, 1, 2]), &validators()));
        own.signs_vote(&precommit(9, 0, OTHER));
        own.signs_vote(&vote(VoteType::Precommit, 9, 1, NilOrVal::Nil));
        own.signs_vote(&vote(VoteType::Prevote, 9, 2, NilOrVal::Val(BLOCK)));
        assert!(own.is_foreign_vote(&precommit(9, 0, BLOCK)), "another block");
        assert!(own.is_foreign_vote(&precommit(9, 1, BLOCK)), "a block, not nil");
        assert!(own.is_foreign_vote(&precommit(9, 2, BLOCK)), "another kind");
        assert!(own.is_foreign_commit(&certificate(9, 2, &[0, 1, 2]), &validators()));
        // Its turn, in which it proposed something else or nothing.
        assert!(own.is_foreign_commit(&certificate(12, 0, &[1, 2, 3]), &validators()));
        own.signs_proposal(&proposal(12, 0, OTHER));
        assert!(own.is_foreign_commit(&certificate(12, 0, &[1, 2, 3]), &validators()));
    }
}
