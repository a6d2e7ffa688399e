//! What passes, what is idle and what is an offence, for every kind of message.

use std::sync::{Arc, Mutex};

use arc_malachitebft_app_channel::app::types::core::{PolkaSignature, RoundCertificateType, SignedMessage};
use bytes::Bytes;
use yilian_spec::base::id::Hash;
use yilian_spec::crypto::signature::{Signature, verify};

use super::*;
use crate::consensus::context::{Proposal, Value};
use crate::consensus::tests::window::{institution, key, window};

const CHAIN: ChainId = ChainId([3; 32]);
const BLOCK: BlockId = BlockId([7; 32]);

/// An intake at height 8, with the count of the signatures that it verified.
/// Spoils a signature.
fn flip(signature: &mut Signature, place: usize) {
    let Signature::Ed25519(bytes) = signature;
    bytes[place] ^= 1;
}

fn intake() -> (Intake, Arc<Mutex<usize>>) {
    let verified = Arc::new(Mutex::new(0));
    let count = Arc::clone(&verified);
    let is_signed = move |key: &PublicKey, message: &[u8], signature: &Signature| {
        *count.lock().unwrap() += 1;
        verify(key, message, signature).is_ok()
    };
    let own = OwnKey::new(key(3).public_key());
    own.begins(Height(7));
    (Intake::new(CHAIN, Some(own), window(8, 0), Box::new(is_signed)), verified)
}

fn vote(voter: u8, height: u64, round: u32, value: NilOrVal<BlockId>) -> SignedVote<LedgerContext> {
    let (kind, height, round) = (VoteType::Prevote, EngineHeight(height), Round::new(round));
    let vote = Vote { kind, height, round, value, voter: Address(key(voter).public_key()) };
    let signature = key(voter).sign(&vote_signing_bytes(CHAIN, &vote).unwrap());
    SignedMessage::new(vote, signature)
}

fn for_block(number: u8) -> NilOrVal<BlockId> {
    NilOrVal::Val(BlockId([number; 32]))
}

fn forged(mut vote: SignedVote<LedgerContext>) -> SignedVote<LedgerContext> {
    flip(&mut vote.signature, 3);
    vote
}

fn proposal(proposer: u8, height: u64, round: u32) -> SignedProposal<LedgerContext> {
    let proposal = Proposal {
        height: EngineHeight(height),
        round: Round::new(round),
        value: Value(BLOCK),
        pol_round: Round::Nil,
        proposer: Address(key(proposer).public_key()),
    };
    let signature = key(proposer).sign(&proposal_signing_bytes(CHAIN, &proposal).unwrap());
    SignedMessage::new(proposal, signature)
}

fn offence<T>(offence: Offence) -> Result<T, Refusal> {
    Err(Refusal::Offence(offence))
}

#[test]
fn a_vote_passes_from_its_voters_own_nodes_alone() {
    let (mut intake, verified) = intake();
    let good = vote(1, 8, 0, for_block(1));
    assert_eq!(intake.vote(&institution(2), &good, 0), offence(Offence::ForeignVote));
    assert_eq!(
        intake.vote(&institution(9), &good, 0),
        offence(Offence::ForeignVote),
        "a member without a vote"
    );
    assert_eq!(intake.vote(&institution(9), &vote(9, 8, 0, for_block(1)), 0), offence(Offence::ForeignVote));
    assert_eq!(*verified.lock().unwrap(), 0, "none of them costs a verification");
    assert_eq!(intake.vote(&institution(1), &good, 0), Ok(Taken::Alone));
    assert_eq!(
        intake.vote(&institution(1), &forged(vote(1, 8, 1, for_block(1))), 0),
        offence(Offence::ForgedVote)
    );
    let next = vote(9, 9, 0, for_block(1));
    assert_eq!(intake.vote(&institution(9), &next, 0), Err(Refusal::Idle), "it may vote from then on");
}

/// Two nodes with one validator's key can fork the ledger, and neither can tell from what it signs itself.
#[test]
fn a_vote_by_this_nodes_own_key_is_told_and_a_forged_one_is_a_forgery() {
    let (mut intake, _) = intake();
    assert_eq!(intake.vote(&institution(3), &vote(3, 8, 0, for_block(1)), 0), offence(Offence::OwnKey));
    assert_eq!(
        intake.vote(&institution(3), &forged(vote(3, 8, 1, for_block(1))), 0),
        offence(Offence::ForgedVote)
    );
}

#[test]
fn a_vote_by_this_nodes_own_key_in_a_certificate_is_told_unless_it_is_of_this_process() {
    let own = OwnKey::new(key(3).public_key());
    own.begins(Height(7));
    let is_signed =
        |key: &PublicKey, message: &[u8], signature: &Signature| verify(key, message, signature).is_ok();
    let mut intake = Intake::new(CHAIN, Some(own.clone()), window(8, 0), Box::new(is_signed));
    let votes = |round| [0, 1, 3].map(|voter| vote(voter, 8, round, NilOrVal::Val(BLOCK))).to_vec();
    own.signs_vote(&vote(3, 8, 0, NilOrVal::Val(BLOCK)).message);
    assert_eq!(intake.polka(&institution(1), &polka(0, votes(0)), 0), Ok(()));
    assert_eq!(intake.signed_elsewhere(), None);
    assert_eq!(intake.polka(&institution(1), &polka(1, votes(1)), 0), Ok(()), "its sender is honest");
    assert_eq!(intake.signed_elsewhere(), Some(Height(8)));
    assert_eq!(intake.signed_elsewhere(), None, "told once");
}

#[test]
fn votes_of_other_heights_and_far_rounds_are_idle_and_cost_nothing() {
    let (mut intake, verified) = intake();
    for (height, round) in [(7, 0), (10, 0), (u64::MAX, 0), (8, 11), (9, 3), (8, u32::MAX - 1)] {
        let refused = intake.vote(&institution(1), &vote(1, height, round, for_block(1)), 0);
        assert_eq!(refused, Err(Refusal::Idle), "{height} {round}");
    }
    assert_eq!(*verified.lock().unwrap(), 0);
    assert_eq!(intake.vote(&institution(1), &vote(1, 8, 10, for_block(1)), 0), Ok(Taken::Alone));
    assert_eq!(intake.vote(&institution(1), &vote(1, 9, 2, for_block(1)), 0), Ok(Taken::Alone));
    intake.advance(window(8, 4));
    assert_eq!(intake.vote(&institution(1), &vote(1, 8, 14, for_block(1)), 0), Ok(Taken::Alone));
}

#[test]
fn a_validator_fills_only_two_places_a_round_and_a_repetition_costs_nothing() {
    let (mut intake, verified) = intake();
    let first = vote(1, 8, 0, for_block(1));
    assert_eq!(intake.vote(&institution(1), &first, 1_000), Ok(Taken::Alone));
    assert_eq!(intake.vote(&institution(1), &first, 1_099), Err(Refusal::Idle));
    assert_eq!(intake.vote(&institution(1), &first, 1_100), Ok(Taken::Alone), "the engine may have lost it");
    assert_eq!(
        intake.vote(&institution(1), &vote(1, 8, 0, NilOrVal::Nil), 0),
        Ok(Taken::Conflicting),
        "evidence"
    );
    for number in 2..50 {
        let more = intake.vote(&institution(1), &vote(1, 8, 0, for_block(number)), 0);
        assert_eq!(more, offence(Offence::Equivocation));
    }
    assert_eq!(*verified.lock().unwrap(), 2);
    assert_eq!(
        intake.vote(&institution(2), &vote(2, 8, 0, for_block(1)), 0),
        Ok(Taken::Alone),
        "the others have room"
    );
    intake.advance(window(9, 0));
    assert_eq!(intake.votes.len(), 0, "what is decided is dropped");
}

#[test]
fn a_proposal_passes_from_the_proposer_whose_turn_it_is() {
    let (mut intake, verified) = intake();
    // At height 8 validator 0 proposes in round 0.
    assert_eq!(intake.proposal(&institution(1), &proposal(0, 8, 0)), offence(Offence::ForeignProposal));
    assert_eq!(intake.proposal(&institution(1), &proposal(1, 8, 0)), offence(Offence::ForeignProposal));
    assert_eq!(intake.proposal(&institution(3), &proposal(3, 8, 3)), Err(Refusal::Idle), "a far round");
    assert_eq!(*verified.lock().unwrap(), 0);
    let mut forged = proposal(0, 8, 0);
    flip(&mut forged.signature, 3);
    assert_eq!(intake.proposal(&institution(0), &forged), offence(Offence::ForgedProposal));
    assert_eq!(intake.proposal(&institution(0), &proposal(0, 8, 0)), Ok(Taken::Alone));
    assert_eq!(intake.proposal(&institution(0), &proposal(0, 8, 0)), Err(Refusal::Idle), "known");
    assert_eq!(
        intake.proposal(&institution(2), &proposal(2, 9, 0)),
        Ok(Taken::Alone),
        "turns of the next height are not known"
    );
}

fn polka(round: u32, votes: Vec<SignedVote<LedgerContext>>) -> PolkaCertificate<LedgerContext> {
    let signature = |vote: SignedVote<LedgerContext>| PolkaSignature::new(vote.message.voter, vote.signature);
    PolkaCertificate {
        height: EngineHeight(8),
        round: Round::new(round),
        value_id: BLOCK,
        polka_signatures: votes.into_iter().map(signature).collect(),
    }
}

#[test]
fn certificates_are_verified_from_validators_alone_and_so_often() {
    let (mut intake, verified) = intake();
    let votes = |round| (1..4).map(|voter| vote(voter, 8, round, NilOrVal::Val(BLOCK))).collect::<Vec<_>>();
    assert_eq!(intake.polka(&institution(9), &polka(0, votes(0)), 0), offence(Offence::ForeignVote));
    assert_eq!(*verified.lock().unwrap(), 0);
    let mut bad = votes(0);
    bad[2] = forged(bad[2].clone());
    assert_eq!(intake.polka(&institution(1), &polka(0, bad), 0), offence(Offence::ForgedCertificate));
    let stranger = vec![vote(9, 8, 0, NilOrVal::Val(BLOCK))];
    assert_eq!(intake.polka(&institution(1), &polka(0, stranger), 0), offence(Offence::ForgedCertificate));
    assert_eq!(intake.polka(&institution(1), &polka(0, votes(0)), 0), Ok(()));
    let before = *verified.lock().unwrap();
    let passed = (0..100).filter(|_| intake.polka(&institution(1), &polka(0, votes(0)), 0).is_ok()).count();
    assert_eq!(passed, limits::VOTE_CERTIFICATES_BURST_MAX as usize - 3);
    assert_eq!(*verified.lock().unwrap(), before, "known votes are not verified again");
    assert_eq!(intake.polka(&institution(2), &polka(0, votes(0)), 0), Ok(()), "the others have their own");
    assert_eq!(
        intake.polka(&institution(1), &polka(0, votes(0)), limits::VOTE_CERTIFICATE_REFILL_MS),
        Ok(())
    );
}

/// The engine ignores certificates of rounds that it is in, and with them votes that it lacks.
#[test]
fn a_vote_that_came_in_a_certificate_still_passes_by_itself() {
    let (mut intake, verified) = intake();
    let votes: Vec<_> = (1..4).map(|voter| vote(voter, 8, 0, NilOrVal::Val(BLOCK))).collect();
    assert_eq!(intake.polka(&institution(1), &polka(0, votes.clone()), 50), Ok(()));
    assert_eq!(intake.vote(&institution(2), &votes[1], 51), Ok(Taken::Alone));
    assert_eq!(intake.polka(&institution(1), &polka(0, votes.clone()), 150), Ok(()));
    assert_eq!(
        intake.vote(&institution(2), &votes[1], 151),
        Ok(Taken::Alone),
        "also when the certificate is repeated"
    );
    assert_eq!(intake.vote(&institution(2), &votes[1], 152), Err(Refusal::Idle));
    assert_eq!(*verified.lock().unwrap(), 3);
}

#[test]
fn a_certificate_of_a_round_counts_its_votes_one_by_one() {
    let (mut intake, _) = intake();
    let votes: Vec<_> = (0..2).map(|voter| vote(voter, 8, 40, NilOrVal::Nil)).collect();
    let (height, round) = (EngineHeight(8), Round::new(40));
    let skip = RoundCertificate::new_from_votes(height, round, RoundCertificateType::Skip, votes);
    assert_eq!(
        intake.round_certificate(&institution(3), &skip, 0),
        Ok(()),
        "also of a round that is far ahead"
    );
    let other = RoundCertificate { height: EngineHeight(9), ..skip };
    assert_eq!(intake.round_certificate(&institution(3), &other, 0), Err(Refusal::Idle));
}

fn again(valid_round: Option<u32>) -> CompleteProposal {
    let manifest = Manifest {
        height: Height(8),
        round: 1,
        valid_round,
        proposer: key(1).public_key(),
        block_id: BLOCK,
        payload_bytes: 1,
        chunk_hashes: vec![Hash([0; 32])],
    };
    CompleteProposal { manifest: Arc::new(manifest), payload: Bytes::from_static(b"x"), is_attested: false }
}

/// Otherwise a proposer has its block counted as another's, by saying that it is proposed again.
#[test]
fn a_block_proposed_again_is_attested_by_the_votes_of_more_than_a_third() {
    let (mut intake, _) = intake();
    assert!(!intake.completed(again(Some(0))).is_attested);
    intake.vote(&institution(1), &vote(1, 8, 0, NilOrVal::Val(BLOCK)), 0).unwrap();
    intake.vote(&institution(1), &vote(1, 8, 1, NilOrVal::Val(BLOCK)), 0).unwrap();
    intake.vote(&institution(2), &vote(2, 8, 0, for_block(1)), 0).unwrap();
    assert_eq!(intake.newly_attested(), [], "one voter, however often, is not more than a third of four");
    intake.vote(&institution(0), &vote(0, 8, 1, NilOrVal::Val(BLOCK)), 0).unwrap();
    let attested = CompleteProposal { is_attested: true, ..again(Some(0)) };
    assert_eq!(intake.newly_attested(), [attested], "in whatever round");
    assert_eq!(intake.newly_attested(), [], "once");
    assert!(intake.completed(again(Some(0))).is_attested);
    for not_earlier in [None, Some(1), Some(2)] {
        assert!(!intake.completed(again(not_earlier)).is_attested, "{not_earlier:?}");
    }
}
