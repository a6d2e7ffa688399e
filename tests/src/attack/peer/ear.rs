//! What the nodes say: votes, proposals, and the headers of the blocks that are proposed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_malachitebft_app_channel::app::types::SignedConsensusMsg;
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_app_channel::app::types::core as engine;
use bytes::Bytes;
use engine::{NilOrVal, VoteType};
use tokio::sync::watch;
use yilian_node::base::limits::BLOCK_DECODE_BYTES_MAX;
use yilian_node::consensus::codec::{CodecError, LedgerCodec, decode_work};
use yilian_node::consensus::context::LedgerContext;
use yilian_node::consensus::proposal::Part;
use yilian_node::network::Topic;
use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::BlockId;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::ledger::block::{Block, Header};

use super::substream::Host;

/// Votes that are kept to be repeated.
const VOTES_MAX: usize = 4_096;
/// Headers that are kept.
const HEADERS_MAX: usize = 64;

/// A proposal that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// For which height.
    pub height: Height,
    /// In which round.
    pub round: u32,
    /// Which block.
    pub block_id: BlockId,
}

#[derive(Default)]
struct Heard {
    votes: Vec<Bytes>,
    headers: BTreeMap<BlockId, Header>,
    /// Who has precommitted which block of a height.
    commits: BTreeMap<(Height, BlockId), Vec<PublicKey>>,
    /// The headers of decided blocks.
    decided: BTreeMap<Height, Header>,
}

/// Listens on all connections that it is given to.
pub struct Ear {
    heard: Mutex<Heard>,
    /// The height that the nodes decide now.
    height: watch::Sender<Height>,
    /// The last proposal.
    proposed: watch::Sender<Option<Proposed>>,
    /// The last decided height of which the header was heard.
    tip: watch::Sender<Height>,
    quorum: usize,
}

impl Ear {
    /// Takes a block for decided when so many have precommitted it.
    pub fn new(quorum: usize) -> Arc<Self> {
        Arc::new(Self {
            heard: Mutex::default(),
            height: watch::Sender::new(Height(0)),
            proposed: watch::Sender::new(None),
            tip: watch::Sender::new(Height(0)),
            quorum,
        })
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The height that the nodes decide, as far as their votes say; 0 before any.
    pub fn height(&self) -> Height {
        *self.height.borrow()
    }

    /// The last proposal, and every further one.
    pub fn proposals(&self) -> watch::Receiver<Option<Proposed>> {
        self.proposed.subscribe()
    }

    /// The last decided height, and every further one.
    pub fn tips(&self) -> watch::Receiver<Height> {
        self.tip.subscribe()
    }

    /// The header of the last decided block, once one was heard.
    pub fn tip(&self) -> Option<Header> {
        self.heard().decided.last_key_value().map(|(_, header)| header.clone())
    }

    /// The headers of decided blocks from a height on.
    pub fn decided_from(&self, height: Height) -> Vec<Header> {
        self.heard().decided.range(height..).map(|(_, header)| header.clone()).collect()
    }

    /// A header that came another way.
    pub fn learn(&self, header: Header) {
        self.tip.send_if_modified(|tip| {
            let higher = header.height > *tip;
            *tip = (*tip).max(header.height);
            higher
        });
        self.heard().decided.insert(header.height, header);
    }

    /// Frames with votes of others, oldest first.
    pub fn votes(&self) -> Vec<Bytes> {
        self.heard().votes.clone()
    }

    fn reached(&self, height: Height) {
        self.height.send_if_modified(|known| {
            let higher = height > *known;
            *known = height.max(*known);
            higher
        });
    }

    fn consensus(&self, payload: Bytes) {
        let decoded: Result<SignedConsensusMsg<LedgerContext>, CodecError> =
            LedgerCodec.decode(payload.clone());
        let Ok(message) = decoded else { return };
        match message {
            SignedConsensusMsg::Proposal(proposal) => {
                let proposal = proposal.message;
                self.reached(proposal.height.ledger());
                self.proposed.send_replace(Some(Proposed {
                    height: proposal.height.ledger(),
                    round: proposal.round.as_u32().unwrap_or(0),
                    block_id: proposal.value.0,
                }));
            }
            SignedConsensusMsg::Vote(vote) => {
                let vote = vote.message;
                self.reached(vote.height.ledger());
                let mut heard = self.heard();
                if heard.votes.len() == VOTES_MAX {
                    heard.votes.drain(..VOTES_MAX / 2);
                }
                heard.votes.push(payload);
                if let (VoteType::Precommit, NilOrVal::Val(block_id)) = (vote.kind, vote.value) {
                    let block = (vote.height.ledger(), block_id);
                    let decided = heard.commit(block, vote.voter.0, self.quorum);
                    drop(heard);
                    if let Some(header) = decided {
                        self.learn(header);
                    }
                }
            }
        }
    }

    fn part(&self, payload: &Bytes) {
        let Ok(part) = Part::decode(payload) else { return };
        if part.index != 0 {
            return;
        }
        // Blocks of several parts are not needed here.
        let Ok(Block { header, .. }) = codec::decode(&part.chunk, BLOCK_DECODE_BYTES_MAX) else { return };
        self.proposed_header(header);
    }

    /// The header of a block that was proposed, also by whoever listens here: its own it does not hear.
    pub fn proposed_header(&self, header: Header) {
        let mut heard = self.heard();
        while heard.headers.len() >= HEADERS_MAX {
            let oldest = heard.headers.iter().min_by_key(|(_, header)| header.height).map(|(id, _)| *id);
            let Some(oldest) = oldest else { break };
            heard.headers.remove(&oldest);
        }
        let block = (header.height, header.id());
        heard.headers.insert(block.1, header);
        // Its votes may have come first.
        let decided = heard.decided_by(block, self.quorum);
        drop(heard);
        if let Some(header) = decided {
            self.learn(header);
        }
    }
}

impl Heard {
    /// Notes a precommit; the block's header when this one decides it.
    fn commit(&mut self, block: (Height, BlockId), voter: PublicKey, quorum: usize) -> Option<Header> {
        let voters = self.commits.entry(block).or_default();
        if !voters.contains(&voter) {
            voters.push(voter);
        }
        self.decided_by(block, quorum)
    }

    /// The header of a block that enough have precommitted, once both are known.
    fn decided_by(&mut self, block: (Height, BlockId), quorum: usize) -> Option<Header> {
        let voters = self.commits.get(&block).map_or(0, Vec::len);
        if voters < quorum || self.decided.contains_key(&block.0) {
            return None;
        }
        let header = self.headers.get(&block.1).cloned()?;
        self.commits = self.commits.split_off(&(block.0, BlockId([0; 32])));
        Some(header)
    }
}

impl Host for Ear {
    fn frame(&self, topic: Topic, payload: Bytes) {
        match topic {
            Topic::Consensus => self.consensus(payload),
            Topic::Part => self.part(&payload),
            Topic::Work => {
                if let Ok(height) = decode_work(&payload) {
                    self.reached(height);
                }
            }
            Topic::Liveness | Topic::Status | Topic::Transactions | Topic::Addresses => {}
        }
    }
}
