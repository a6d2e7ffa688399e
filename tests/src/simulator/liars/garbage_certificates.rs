//! A validator that sends what would move the others if it were true: polkas and certificates of rounds under too few,
//! false or repeated signatures, votes in the names of others, proposals out of turn, and heights and rounds without end.

use arc_malachitebft_app_channel::app::types::SignedConsensusMsg;
use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_core_consensus::LivenessMsg;
use bytes::Bytes;
use engine::{
    NilOrVal, PolkaCertificate, PolkaSignature, Round, RoundCertificate, RoundCertificateType,
    RoundSignature, SignedMessage, VoteType,
};
use yilian_node::consensus::context::{Address, EngineHeight, LedgerContext, Proposal, Value, Vote};
use yilian_spec::base::id::BlockId;
use yilian_spec::crypto::signature::Signature;

use super::super::consortium::validator_key;
use super::super::effects::encoded;
use super::super::frame::Frame;
use super::super::host::Host;
use super::super::plan::VALIDATORS;
use super::super::random::Random;
use super::{Liar, forge};

pub struct GarbageCertificates {
    random: Random,
}

impl GarbageCertificates {
    pub fn new(random: Random) -> Self {
        Self { random }
    }

    fn signature(&mut self) -> Signature {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.random.bytes());
        bytes[32..].copy_from_slice(&self.random.bytes());
        Signature::Ed25519(bytes)
    }

    fn address(&mut self) -> Address {
        Address(validator_key(self.random.position(VALIDATORS)).public_key())
    }

    fn height(&mut self, host: &Host) -> EngineHeight {
        let here = host.start().height.0;
        EngineHeight([here, here, here, here + 1, here + 9, u64::MAX][self.random.position(6)])
    }

    fn round(&mut self) -> Round {
        Round::new([0, 1, 2, 7, 1_000, u32::MAX - 1][self.random.position(6)])
    }

    fn polka(&mut self, host: &Host) -> Option<Frame> {
        let signatures = (0..VALIDATORS).map(|_| PolkaSignature::new(self.address(), self.signature()));
        let polka_signatures = signatures.collect();
        let polka: PolkaCertificate<LedgerContext> = PolkaCertificate {
            height: self.height(host),
            round: self.round(),
            value_id: BlockId(self.random.bytes()),
            polka_signatures,
        };
        encoded(&LivenessMsg::PolkaCertificate(polka)).ok().map(Frame::Liveness)
    }

    /// Its own signature, a true one, in the place of all.
    fn round_certificate(&mut self, host: &Host) -> Option<Frame> {
        let (height, round) = (self.height(host), self.round());
        let own = host.address();
        let vote = Vote { kind: VoteType::Precommit, height, round, value: NilOrVal::Nil, voter: own };
        let SignedConsensusMsg::Vote(signed) = forge::vote(host, vote)?.signed()? else { return None };
        let of = |index: usize| RoundSignature {
            vote_type: VoteType::Precommit,
            value_id: NilOrVal::Nil,
            address: if index == 0 { own } else { Address(validator_key(index).public_key()) },
            signature: signed.signature,
        };
        let certificate: RoundCertificate<LedgerContext> = RoundCertificate {
            height,
            round,
            cert_type: RoundCertificateType::Skip,
            round_signatures: (0..VALIDATORS).map(of).collect(),
        };
        encoded(&LivenessMsg::SkipRoundCertificate(certificate)).ok().map(Frame::Liveness)
    }

    fn vote_of_another(&mut self, host: &Host) -> Option<Frame> {
        let value = NilOrVal::Val(BlockId(self.random.bytes()));
        let kind = if self.random.chance(500) { VoteType::Prevote } else { VoteType::Precommit };
        let vote =
            Vote { kind, height: self.height(host), round: self.round(), value, voter: self.address() };
        let signed = SignedMessage::new(vote, self.signature());
        encoded(&SignedConsensusMsg::<LedgerContext>::Vote(signed)).ok().map(Frame::Consensus)
    }

    fn proposal_out_of_turn(&mut self, host: &Host) -> Option<Frame> {
        let (height, round) = (self.height(host), self.round());
        let value = Value(BlockId(self.random.bytes()));
        forge::proposal(
            host,
            Proposal { height, round, value, pol_round: Round::Nil, proposer: host.address() },
        )
    }
}

impl Liar for GarbageCertificates {
    fn unasked(&mut self, host: &mut Host) -> Vec<Frame> {
        let garbage = Bytes::copy_from_slice(&self.random.bytes());
        let frames = [
            self.polka(host),
            self.polka(host),
            self.round_certificate(host),
            self.vote_of_another(host),
            self.proposal_out_of_turn(host),
            Some(Frame::Liveness(garbage.clone())),
            Some(Frame::Consensus(garbage.clone())),
            Some(Frame::Work(garbage)),
        ];
        frames.into_iter().flatten().collect()
    }
}
