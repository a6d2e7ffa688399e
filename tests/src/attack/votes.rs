//! Votes and proposals as frames, signed or not.

use arc_malachitebft_app_channel::app::types::SignedConsensusMsg;
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_app_channel::app::types::core as engine;
use bytes::Bytes;
use engine::{NilOrVal, Round, SignedMessage, VoteType};
use yilian_node::consensus::codec::LedgerCodec;
use yilian_node::consensus::context::{Address, LedgerContext, Proposal, Value, Vote};
use yilian_node::consensus::signing::{proposal_signing_bytes, vote_signing_bytes};
use yilian_node::network::Topic;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId};
use yilian_spec::crypto::signature::{PublicKey, SecretKey, Signature};

/// A vote of `voter`.
pub fn vote(
    (kind, height, round): (VoteType, Height, u32),
    block: Option<BlockId>,
    voter: PublicKey,
) -> Vote {
    let value = block.map_or(NilOrVal::Nil, NilOrVal::Val);
    Vote { kind, height: height.into(), round: Round::new(round), value, voter: Address(voter) }
}

fn frame(message: &SignedConsensusMsg<LedgerContext>) -> (Topic, Bytes) {
    (Topic::Consensus, LedgerCodec.encode(message).expect("votes and proposals with a round can be encoded"))
}

/// The vote with any signature.
pub fn under(vote: Vote, signature: Signature) -> (Topic, Bytes) {
    frame(&SignedConsensusMsg::Vote(SignedMessage::new(vote, signature)))
}

/// The vote, signed.
pub fn signed(chain_id: ChainId, key: &SecretKey, vote: Vote) -> (Topic, Bytes) {
    let bytes = vote_signing_bytes(chain_id, &vote).expect("it has a round");
    under(vote, key.sign(&bytes))
}

/// A signed proposal of a new block.
pub fn proposal(
    chain_id: ChainId,
    key: &SecretKey,
    (height, round): (Height, u32),
    block_id: BlockId,
) -> (Topic, Bytes) {
    let proposer = Address(key.public_key());
    let (round, value) = (Round::new(round), Value(block_id));
    let proposal = Proposal { height: height.into(), round, value, pol_round: Round::Nil, proposer };
    let bytes = proposal_signing_bytes(chain_id, &proposal).expect("it has a round");
    frame(&SignedConsensusMsg::Proposal(SignedMessage::new(proposal, key.sign(&bytes))))
}
