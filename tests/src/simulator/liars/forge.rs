//! What liars have in common: they recognise their own words, sign others, and put one block in the place of another.

use arc_malachitebft_app_channel::app::types::SignedConsensusMsg;
use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_signing::Signer as _;
use bytes::Bytes;
use engine::{NilOrVal, Round};
use yilian_node::application::Application as _;
use yilian_node::consensus::context::{Proposal, Value, Vote};
use yilian_node::consensus::proposal::{Manifest, Part, ProposalPosition, SignedManifest, split};
use yilian_spec::base::id::BlockId;
use yilian_spec::crypto::signature::Signature;

use super::super::effects::{encoded, now};
use super::super::frame::Frame;
use super::super::host::Host;

/// A signed vote of this validator.
pub fn vote(host: &Host, vote: Vote) -> Option<Frame> {
    let signed = now(host.signer.as_ref()?.sign_vote(vote)).ok()?.ok()?;
    encoded(&SignedConsensusMsg::Vote(signed)).ok().map(Frame::Consensus)
}

/// A signed proposal of this validator.
pub fn proposal(host: &Host, proposal: Proposal) -> Option<Frame> {
    let signed = now(host.signer.as_ref()?.sign_proposal(proposal)).ok()?.ok()?;
    encoded(&SignedConsensusMsg::Proposal(signed)).ok().map(Frame::Consensus)
}

/// The signed parts of a payload, which need not be the block that they name.
pub fn parts(host: &Host, position: ProposalPosition, block_id: BlockId, payload: Vec<u8>) -> Vec<Frame> {
    let Some(signer) = &host.signer else { return Vec::new() };
    let parts = split(host.chain_id, &signer.key, position, block_id, &Bytes::from(payload));
    parts.into_iter().map(Frame::Part).collect()
}

/// The vote in a frame.
pub fn as_vote(frame: &Frame) -> Option<Vote> {
    match frame.signed()? {
        SignedConsensusMsg::Vote(vote) => Some(vote.message),
        SignedConsensusMsg::Proposal(_) => None,
    }
}

/// The proposal in a frame.
pub fn as_proposal(frame: &Frame) -> Option<Proposal> {
    match frame.signed()? {
        SignedConsensusMsg::Proposal(proposal) => Some(proposal.message),
        SignedConsensusMsg::Vote(_) => None,
    }
}

/// The part in a frame, if it is of a block that is proposed for the first time, with what its proposer signed.
pub fn as_first_part(host: &Host, frame: &Frame) -> Option<(Manifest, Part)> {
    let Frame::Part(bytes) = frame else { return None };
    let part = Part::decode(bytes).ok()?;
    let manifest = SignedManifest::decode(&part.signed_manifest).ok()?.verify(host.chain_id).ok()?;
    manifest.valid_round.is_none().then_some((manifest, part))
}

/// The bytes of a block that the node keeps.
pub fn kept(host: &mut Host, manifest: &Manifest) -> Option<Vec<u8>> {
    let kept = host.ledger().undecided(manifest.height, Some(manifest.round)).ok()?;
    kept.into_iter().find(|block| block.block_id == manifest.block_id).map(|block| block.bytes)
}

/// Rounds that nobody comes to: the ledger builds a new block for each, and gives the one it has for any other.
pub const OTHER_ROUNDS: u32 = 1_000_000;

/// Another good block for the height and round of a proposal, with a time that follows from `now_ms`.
pub fn other_block(host: &mut Host, manifest: &Manifest, now_ms: u64) -> Option<(BlockId, Vec<u8>)> {
    let built = host.ledger().build(manifest.height, OTHER_ROUNDS + manifest.round, now_ms).ok()?;
    Some((built.block_id, built.bytes))
}

/// Another block in the place of the one that the node built.
struct Other {
    manifest: Manifest,
    block_id: BlockId,
    parts: Vec<Frame>,
}

/// Puts another block in the place of each that the node builds: parts, proposal and votes.
#[derive(Default)]
pub struct Substitution {
    other: Option<Other>,
    /// The earlier round that the parts of the other block claim, with or without one.
    claimed: Option<u32>,
}

impl Substitution {
    /// A substitution whose blocks claim two thirds of the prevotes of this round.
    pub fn claiming(round: u32) -> Self {
        Self { other: None, claimed: Some(round) }
    }

    /// What to say in place of `frame`. `make` gives the other block's id and bytes for the one that was built.
    pub fn say(
        &mut self,
        host: &mut Host,
        frame: &Frame,
        make: impl FnOnce(&mut Host, &Manifest, Vec<u8>) -> Option<(BlockId, Vec<u8>)>,
    ) -> Vec<Frame> {
        let unchanged = || vec![frame.clone()];
        if let Some((manifest, part)) = as_first_part(host, frame) {
            if self.other.as_ref().is_none_or(|other| other.manifest != manifest) {
                self.other = Other::make(host, manifest.clone(), self.claimed, make);
            }
            return match &self.other {
                // All of its parts at once, in place of the first one.
                Some(other) if part.index == 0 => other.parts.clone(),
                Some(_) => Vec::new(),
                None => unchanged(),
            };
        }
        let Some(other) = &self.other else { return unchanged() };
        let said = if let Some(own) = as_proposal(frame) {
            other.proposal(own).and_then(|own| proposal(host, own))
        } else {
            as_vote(frame).and_then(|own| other.vote(own)).and_then(|own| vote(host, own))
        };
        said.map_or_else(unchanged, |said| vec![said])
    }
}

impl Other {
    fn make(
        host: &mut Host,
        manifest: Manifest,
        valid_round: Option<u32>,
        make: impl FnOnce(&mut Host, &Manifest, Vec<u8>) -> Option<(BlockId, Vec<u8>)>,
    ) -> Option<Self> {
        let bytes = kept(host, &manifest)?;
        let (block_id, payload) = make(host, &manifest, bytes)?;
        let (height, round) = (manifest.height, manifest.round);
        let position = ProposalPosition { height, round, valid_round };
        let parts = parts(host, position, block_id, payload);
        Some(Self { manifest, block_id, parts })
    }

    fn proposal(&self, own: Proposal) -> Option<Proposal> {
        let of_it = own.height.ledger() == self.manifest.height
            && own.round == Round::new(self.manifest.round)
            && own.value.0 == self.manifest.block_id;
        of_it.then_some(Proposal { value: Value(self.block_id), ..own })
    }

    fn vote(&self, own: Vote) -> Option<Vote> {
        let of_it =
            own.height.ledger() == self.manifest.height && own.value == NilOrVal::Val(self.manifest.block_id);
        of_it.then_some(Vote { value: NilOrVal::Val(self.block_id), ..own })
    }
}

/// Spoils a signature at one of its 64 bytes.
pub fn spoil(signature: &mut Signature, place: usize) {
    let Signature::Ed25519(bytes) = signature;
    bytes[place] ^= 1;
}
