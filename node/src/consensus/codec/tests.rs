//! Round trips, frozen bytes and refusals of the engine's messages.

use arc_malachitebft_sync::{ValueRequest, ValueResponse};
use engine::{NilOrVal, Round, RoundCertificateType, SignedMessage, Validity, VoteType};
use sha2::{Digest, Sha256};
use yilian_spec::base::id::BlockId;
use yilian_spec::base::limits::INTEGER_MAX;
use yilian_spec::crypto::signature::{PublicKey, Signature};
use yilian_spec::ledger::block::CommitSignature;

use super::*;
use crate::consensus::context::{Address, Proposal, Value, Vote};

fn vote(kind: VoteType, value: NilOrVal<BlockId>) -> engine::SignedVote<LedgerContext> {
    let vote = Vote { kind, height: EngineHeight(7), round: Round::new(2), value, voter: address(1) };
    SignedMessage::new(vote, Signature::Ed25519([9; 64]))
}

fn address(number: u8) -> Address {
    Address(PublicKey::Ed25519([number; 32]))
}

fn block(number: u8) -> BlockId {
    BlockId([number; 32])
}

fn votes() -> Vec<engine::SignedVote<LedgerContext>> {
    let kinds = [VoteType::Prevote, VoteType::Precommit];
    let values = [NilOrVal::Nil, NilOrVal::Val(block(4))];
    kinds.into_iter().flat_map(|kind| values.map(|value| vote(kind, value))).collect()
}

fn proposals() -> Vec<engine::SignedProposal<LedgerContext>> {
    let proposal = |pol_round| {
        let (height, round, value) = (EngineHeight(INTEGER_MAX), Round::new(u32::MAX), Value(block(3)));
        SignedMessage::new(
            Proposal { height, round, value, pol_round, proposer: address(2) },
            Signature::Ed25519([8; 64]),
        )
    };
    vec![proposal(Round::Nil), proposal(Round::new(0))]
}

fn round_trip<T>(values: &[T]) -> Vec<u8>
where
    T: PartialEq + std::fmt::Debug,
    LedgerCodec: Codec<T, Error = CodecError>,
{
    let mut all = Vec::new();
    for value in values {
        let bytes = LedgerCodec.encode(value).unwrap();
        assert_eq!(&LedgerCodec.decode(bytes.clone()).unwrap(), value);
        let longer = [bytes.as_ref(), &[0]].concat();
        assert!(LedgerCodec.decode(longer.into()).is_err(), "a byte too many");
        for length in 0..bytes.len() {
            assert!(LedgerCodec.decode(bytes.slice(..length)).is_err(), "cut at {length}");
        }
        all.extend_from_slice(&bytes);
    }
    all
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes)[..8])
}

#[test]
fn consensus_and_liveness_messages_round_trip_and_are_frozen() {
    let mut messages: Vec<SignedConsensusMsg<LedgerContext>> =
        votes().into_iter().map(SignedConsensusMsg::Vote).collect();
    messages.extend(proposals().into_iter().map(SignedConsensusMsg::Proposal));
    let polka = engine::PolkaCertificate::<LedgerContext> {
        height: EngineHeight(3),
        round: Round::new(1),
        value_id: block(6),
        polka_signatures: vec![engine::PolkaSignature::new(address(1), Signature::Ed25519([1; 64]))],
    };
    let signature =
        |kind, value| engine::RoundSignature::new(kind, value, address(5), Signature::Ed25519([2; 64]));
    let round = |cert_type| engine::RoundCertificate::<LedgerContext> {
        height: EngineHeight(3),
        round: Round::new(1),
        cert_type,
        round_signatures: vec![
            signature(VoteType::Prevote, NilOrVal::Nil),
            signature(VoteType::Precommit, NilOrVal::Val(block(1))),
        ],
    };
    let liveness = [
        LivenessMsg::Vote(vote(VoteType::Prevote, NilOrVal::Nil)),
        LivenessMsg::PolkaCertificate(polka.clone()),
        LivenessMsg::SkipRoundCertificate(round(RoundCertificateType::Skip)),
        LivenessMsg::SkipRoundCertificate(round(RoundCertificateType::Precommit)),
    ];
    let all = [round_trip(&messages), round_trip(&liveness), round_trip(&[polka])].concat();
    assert_eq!(digest(&all), FROZEN_MESSAGES, "nodes of one ledger must agree on these bytes");
}

#[test]
fn logged_values_round_trip_and_are_frozen() {
    let value = |valid_round, validity| ProposedValue::<LedgerContext> {
        height: EngineHeight(11),
        round: Round::new(4),
        valid_round,
        proposer: address(3),
        value: Value(block(8)),
        validity,
    };
    let values = [value(Round::Nil, Validity::Valid), value(Round::new(2), Validity::Invalid)];
    assert_eq!(digest(&round_trip(&values)), FROZEN_VALUES, "a node must read its own log after an upgrade");
}

#[test]
fn sync_messages_round_trip_and_their_length_is_known() {
    let request = |first, last| {
        sync::Request::<LedgerContext>::ValueRequest(ValueRequest::new(
            EngineHeight(first)..=EngineHeight(last),
        ))
    };
    round_trip(&[request(5, 5), request(5, 4 + SYNC_BATCH as u64)]);
    for (first, last) in [(6, 5), (5, 5 + SYNC_BATCH as u64), (0, INTEGER_MAX)] {
        let bytes = LedgerCodec.encode(&request(first, last)).unwrap();
        let refused: Result<sync::Request<LedgerContext>, _> = LedgerCodec.decode(bytes);
        assert!(matches!(refused, Err(CodecError::Rule(_))), "{first} to {last}");
    }
    let certificate = CommitCertificate {
        height: Height(9),
        round: 1,
        block_id: block(2),
        signatures: vec![CommitSignature {
            validator: PublicKey::Ed25519([4; 32]),
            signature: Signature::Ed25519([7; 64]),
        }],
    };
    let value =
        || sync::RawDecidedValue::new(Bytes::from_static(b"block"), extended_certificate(&certificate));
    let response = sync::Response::<LedgerContext>::ValueResponse(ValueResponse::new(
        EngineHeight(9),
        vec![value(), value()],
    ));
    let bytes = round_trip(std::slice::from_ref(&response));
    assert_eq!(LedgerCodec.encoded_len(&response).unwrap(), bytes.len());
    let status = StatusMessage { tip: EngineHeight(4), lowest: EngineHeight(2) };
    assert_eq!(decode_status(&encode_status(status, 7)).unwrap(), (status, 7));
    assert_eq!(decode_work(&encode_work(Height(3))).unwrap(), Height(3));
}

#[test]
fn lengths_in_a_sync_response_are_bounded_before_anything_is_kept() {
    let mut too_many = 1_u64.to_le_bytes().to_vec();
    too_many.extend_from_slice(&u32::MAX.to_le_bytes());
    let refused: Result<sync::Response<LedgerContext>, _> = LedgerCodec.decode(too_many.into());
    assert!(matches!(refused, Err(CodecError::Rule(_))));
}

#[test]
fn a_sync_response_with_an_unsorted_certificate_is_refused() {
    let signed = |number| CommitSignature {
        validator: PublicKey::Ed25519([number; 32]),
        signature: Signature::Ed25519([7; 64]),
    };
    for signers in [[4, 3], [4, 4]] {
        let signatures = signers.map(signed).to_vec();
        let certificate =
            encode(&CommitCertificate { height: Height(9), round: 1, block_id: block(2), signatures });
        let mut bytes = 9_u64.to_le_bytes().to_vec();
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(certificate.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&certificate);
        bytes.extend_from_slice(&[1, 0, 0, 0, 5]);
        let refused: Result<sync::Response<LedgerContext>, _> = LedgerCodec.decode(bytes.into());
        assert!(matches!(refused, Err(CodecError::Rule(_))), "signers {signers:?}");
    }
}

/// First eight bytes of the SHA-256 over all encodings of the test.
const FROZEN_MESSAGES: &str = "b1a432c2c9da84e7";
const FROZEN_VALUES: &str = "def72162ba9aa2d4";
