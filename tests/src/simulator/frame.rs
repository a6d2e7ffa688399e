//! What travels between simulated nodes: the bytes that real nodes send, by lane.

use arc_malachitebft_app_channel::app::types::SignedConsensusMsg;
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use bytes::Bytes;
use yilian_node::consensus::codec::LedgerCodec;
use yilian_node::consensus::context::LedgerContext;

/// A message between two nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A vote or a proposal.
    Consensus(Bytes),
    /// A repeated vote or a certificate of a round.
    Liveness(Bytes),
    /// A part of a proposed block.
    Part(Bytes),
    /// A node's tip.
    Status(Bytes),
    /// "There is work for this height".
    Work(Bytes),
    /// Transactions.
    Transactions(Bytes),
    /// Asks for decided blocks.
    SyncRequest(Bytes),
    /// Decided blocks.
    SyncResponse(Bytes),
}

impl Frame {
    /// Its name, for the trace.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Consensus(_) => "consensus",
            Self::Liveness(_) => "liveness",
            Self::Part(_) => "part",
            Self::Status(_) => "status",
            Self::Work(_) => "work",
            Self::Transactions(_) => "transactions",
            Self::SyncRequest(_) => "sync request",
            Self::SyncResponse(_) => "sync response",
        }
    }

    /// The vote or proposal inside, if it is one.
    pub fn signed(&self) -> Option<SignedConsensusMsg<LedgerContext>> {
        match self {
            Self::Consensus(bytes) => LedgerCodec.decode(bytes.clone()).ok(),
            _ => None,
        }
    }
}

/// What a node wants done after a step.
#[derive(Debug)]
pub enum Output {
    /// To every other node.
    Broadcast(Frame),
    /// To one node.
    Send {
        /// To which.
        to: usize,
        /// What.
        frame: Frame,
    },
    /// Wake the node for a timeout of the engine.
    Timer {
        /// When, in virtual milliseconds.
        at_ms: u64,
        /// Tells this start of the timer from later ones.
        token: u64,
    },
    /// Look at the node again, it may start the next height then.
    Wake {
        /// When, in virtual milliseconds.
        at_ms: u64,
    },
}
