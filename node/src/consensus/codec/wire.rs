//! The mirror structs: what each message looks like in bytes, and the way to and from the engine's types.

use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_app_channel::app::types::{ProposedValue, SignedConsensusMsg};
use arc_malachitebft_core_consensus::LivenessMsg;
use engine::{NilOrVal, Round, RoundCertificateType, SignedMessage, Validity, VoteType};
use wincode::{SchemaRead, SchemaWrite};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::BlockId;
use yilian_spec::crypto::signature::{PublicKey, Signature};

use super::CodecError;
use crate::consensus::context::{Address, LedgerContext, Proposal, Value, Vote};

#[derive(SchemaRead, SchemaWrite)]
pub struct StatusWire {
    pub tip: Height,
    pub lowest: Height,
    pub clock_ms: u64,
}

#[derive(SchemaRead, SchemaWrite)]
pub struct WorkWire {
    pub height: Height,
}

#[derive(SchemaRead, SchemaWrite)]
pub struct Range {
    pub first: Height,
    pub last: Height,
}

#[derive(SchemaRead, SchemaWrite)]
pub struct VoteWire {
    kind: u8,
    height: Height,
    round: Option<u32>,
    block_id: Option<BlockId>,
    voter: PublicKey,
    signature: Signature,
}

#[derive(SchemaRead, SchemaWrite)]
pub struct ProposalWire {
    height: Height,
    round: Option<u32>,
    block_id: BlockId,
    valid_round: Option<u32>,
    proposer: PublicKey,
    signature: Signature,
}

#[derive(SchemaRead, SchemaWrite)]
pub enum Consensus {
    Vote(VoteWire),
    Proposal(ProposalWire),
}

#[derive(SchemaRead, SchemaWrite)]
pub struct Polka {
    height: Height,
    round: Option<u32>,
    block_id: BlockId,
    signatures: Vec<SignatureWire>,
}

#[derive(SchemaRead, SchemaWrite)]
pub struct SignatureWire {
    voter: PublicKey,
    signature: Signature,
}

#[derive(SchemaRead, SchemaWrite)]
pub struct RoundWire {
    height: Height,
    round: Option<u32>,
    kind: u8,
    signatures: Vec<RoundSignatureWire>,
}

#[derive(SchemaRead, SchemaWrite)]
pub struct RoundSignatureWire {
    kind: u8,
    block_id: Option<BlockId>,
    voter: PublicKey,
    signature: Signature,
}

#[derive(SchemaRead, SchemaWrite)]
pub enum Liveness {
    Vote(VoteWire),
    Polka(Polka),
    Round(RoundWire),
}

#[derive(SchemaRead, SchemaWrite)]
pub struct Proposed {
    height: Height,
    round: Option<u32>,
    valid_round: Option<u32>,
    proposer: PublicKey,
    block_id: BlockId,
    valid: bool,
}

fn vote_kind(kind: VoteType) -> u8 {
    match kind {
        VoteType::Prevote => 1,
        VoteType::Precommit => 2,
    }
}

fn vote_type(tag: u8) -> Result<VoteType, CodecError> {
    match tag {
        1 => Ok(VoteType::Prevote),
        2 => Ok(VoteType::Precommit),
        tag => Err(CodecError::Tag { tag, kind: "vote" }),
    }
}

fn block_of(value: &NilOrVal<BlockId>) -> Option<BlockId> {
    match value {
        NilOrVal::Nil => None,
        NilOrVal::Val(block_id) => Some(*block_id),
    }
}

fn nil_or(block_id: Option<BlockId>) -> NilOrVal<BlockId> {
    block_id.map_or(NilOrVal::Nil, NilOrVal::Val)
}

impl From<&engine::SignedVote<LedgerContext>> for VoteWire {
    fn from(vote: &engine::SignedVote<LedgerContext>) -> Self {
        Self {
            kind: vote_kind(vote.message.kind),
            height: vote.message.height.ledger(),
            round: vote.message.round.as_u32(),
            block_id: block_of(&vote.message.value),
            voter: vote.message.voter.0,
            signature: vote.signature,
        }
    }
}

impl TryFrom<VoteWire> for engine::SignedVote<LedgerContext> {
    type Error = CodecError;

    fn try_from(wire: VoteWire) -> Result<Self, CodecError> {
        let vote = Vote {
            kind: vote_type(wire.kind)?,
            height: wire.height.into(),
            round: Round::from(wire.round),
            value: nil_or(wire.block_id),
            voter: Address(wire.voter),
        };
        Ok(SignedMessage::new(vote, wire.signature))
    }
}

impl From<&engine::SignedProposal<LedgerContext>> for ProposalWire {
    fn from(proposal: &engine::SignedProposal<LedgerContext>) -> Self {
        Self {
            height: proposal.message.height.ledger(),
            round: proposal.message.round.as_u32(),
            block_id: proposal.message.value.0,
            valid_round: proposal.message.pol_round.as_u32(),
            proposer: proposal.message.proposer.0,
            signature: proposal.signature,
        }
    }
}

impl From<ProposalWire> for engine::SignedProposal<LedgerContext> {
    fn from(wire: ProposalWire) -> Self {
        let proposal = Proposal {
            height: wire.height.into(),
            round: Round::from(wire.round),
            value: Value(wire.block_id),
            pol_round: Round::from(wire.valid_round),
            proposer: Address(wire.proposer),
        };
        SignedMessage::new(proposal, wire.signature)
    }
}

impl From<&SignedConsensusMsg<LedgerContext>> for Consensus {
    fn from(message: &SignedConsensusMsg<LedgerContext>) -> Self {
        match message {
            SignedConsensusMsg::Vote(vote) => Self::Vote(vote.into()),
            SignedConsensusMsg::Proposal(proposal) => Self::Proposal(proposal.into()),
        }
    }
}

impl TryFrom<Consensus> for SignedConsensusMsg<LedgerContext> {
    type Error = CodecError;

    fn try_from(wire: Consensus) -> Result<Self, CodecError> {
        Ok(match wire {
            Consensus::Vote(vote) => Self::Vote(vote.try_into()?),
            Consensus::Proposal(proposal) => Self::Proposal(proposal.into()),
        })
    }
}

impl From<&engine::PolkaCertificate<LedgerContext>> for Polka {
    fn from(certificate: &engine::PolkaCertificate<LedgerContext>) -> Self {
        let signature = |polka: &engine::PolkaSignature<LedgerContext>| SignatureWire {
            voter: polka.address.0,
            signature: polka.signature,
        };
        Self {
            height: certificate.height.ledger(),
            round: certificate.round.as_u32(),
            block_id: certificate.value_id,
            signatures: certificate.polka_signatures.iter().map(signature).collect(),
        }
    }
}

impl From<Polka> for engine::PolkaCertificate<LedgerContext> {
    fn from(wire: Polka) -> Self {
        let signature =
            |wire: SignatureWire| engine::PolkaSignature::new(Address(wire.voter), wire.signature);
        Self {
            height: wire.height.into(),
            round: Round::from(wire.round),
            value_id: wire.block_id,
            polka_signatures: wire.signatures.into_iter().map(signature).collect(),
        }
    }
}

impl From<&engine::RoundCertificate<LedgerContext>> for RoundWire {
    fn from(certificate: &engine::RoundCertificate<LedgerContext>) -> Self {
        let signature = |vote: &engine::RoundSignature<LedgerContext>| RoundSignatureWire {
            kind: vote_kind(vote.vote_type),
            block_id: block_of(&vote.value_id),
            voter: vote.address.0,
            signature: vote.signature,
        };
        Self {
            height: certificate.height.ledger(),
            round: certificate.round.as_u32(),
            kind: match certificate.cert_type {
                RoundCertificateType::Skip => 1,
                RoundCertificateType::Precommit => 2,
            },
            signatures: certificate.round_signatures.iter().map(signature).collect(),
        }
    }
}

impl TryFrom<RoundWire> for engine::RoundCertificate<LedgerContext> {
    type Error = CodecError;

    fn try_from(wire: RoundWire) -> Result<Self, CodecError> {
        let cert_type = match wire.kind {
            1 => RoundCertificateType::Skip,
            2 => RoundCertificateType::Precommit,
            tag => return Err(CodecError::Tag { tag, kind: "round certificate" }),
        };
        let signature = |wire: RoundSignatureWire| {
            let kind = vote_type(wire.kind)?;
            let value = nil_or(wire.block_id);
            Ok(engine::RoundSignature::new(kind, value, Address(wire.voter), wire.signature))
        };
        let round_signatures =
            wire.signatures.into_iter().map(signature).collect::<Result<_, CodecError>>()?;
        Ok(Self { height: wire.height.into(), round: Round::from(wire.round), cert_type, round_signatures })
    }
}

impl From<&LivenessMsg<LedgerContext>> for Liveness {
    fn from(message: &LivenessMsg<LedgerContext>) -> Self {
        match message {
            LivenessMsg::Vote(vote) => Self::Vote(vote.into()),
            LivenessMsg::PolkaCertificate(certificate) => Self::Polka(certificate.into()),
            LivenessMsg::SkipRoundCertificate(certificate) => Self::Round(certificate.into()),
        }
    }
}

impl TryFrom<Liveness> for LivenessMsg<LedgerContext> {
    type Error = CodecError;

    fn try_from(wire: Liveness) -> Result<Self, CodecError> {
        Ok(match wire {
            Liveness::Vote(vote) => Self::Vote(vote.try_into()?),
            Liveness::Polka(certificate) => Self::PolkaCertificate(certificate.into()),
            Liveness::Round(certificate) => Self::SkipRoundCertificate(certificate.try_into()?),
        })
    }
}

impl From<&ProposedValue<LedgerContext>> for Proposed {
    fn from(value: &ProposedValue<LedgerContext>) -> Self {
        Self {
            height: value.height.ledger(),
            round: value.round.as_u32(),
            valid_round: value.valid_round.as_u32(),
            proposer: value.proposer.0,
            block_id: value.value.0,
            valid: value.validity.is_valid(),
        }
    }
}

impl From<Proposed> for ProposedValue<LedgerContext> {
    fn from(wire: Proposed) -> Self {
        Self {
            height: wire.height.into(),
            round: Round::from(wire.round),
            valid_round: Round::from(wire.valid_round),
            proposer: Address(wire.proposer),
            value: Value(wire.block_id),
            validity: Validity::from_bool(wire.valid),
        }
    }
}
