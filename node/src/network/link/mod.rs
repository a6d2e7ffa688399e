//! Links: frames pushed to every connected peer over three lanes, each with its own substream.
//!
//! A consortium's nodes are connected to each other directly, so a message goes once to each peer
//! over TCP and nobody relays it. Each [`Lane`] has a substream and a bounded backlog of its own:
//! a block's parts or a flood of transactions never stand in front of a vote. A frame on the wire is
//!
//! ```text
//! length of what follows, u32 little endian | topic, u8 | payload
//! ```
//!
//! and its length is checked against the lane's bound before anything is allocated.

mod behaviour;
mod handler;
mod standing;
mod wire;

pub use behaviour::{Link, LinkEvent};
pub use wire::{Frame, FrameError, read_frame, write_frames};

use super::limits;

/// What a frame is about. The first byte of a frame on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Topic {
    /// A signed vote or proposal.
    Consensus = 1,
    /// A certificate or a repeated vote that helps a lagging round.
    Liveness = 2,
    /// A node's tip and the lowest height it can serve.
    Status = 3,
    /// "There is work waiting for height h".
    Work = 4,
    /// A chunk of a proposed block.
    Part = 5,
    /// A batch of transactions for the mempool.
    Transactions = 6,
    /// Records of where nodes can be dialled.
    Addresses = 7,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 7] = [
        Self::Consensus,
        Self::Liveness,
        Self::Status,
        Self::Work,
        Self::Part,
        Self::Transactions,
        Self::Addresses,
    ];

    /// The lane this topic travels on.
    pub fn lane(self) -> Lane {
        match self {
            Self::Consensus | Self::Liveness | Self::Status | Self::Work => Lane::Consensus,
            Self::Part => Lane::Parts,
            Self::Transactions | Self::Addresses => Lane::Transactions,
        }
    }

    /// The name in JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consensus => "consensus",
            Self::Liveness => "liveness",
            Self::Status => "status",
            Self::Work => "work",
            Self::Part => "part",
            Self::Transactions => "transactions",
            Self::Addresses => "addresses",
        }
    }

    /// Its place in [`Topic::ALL`].
    pub const fn index(self) -> usize {
        self as usize - 1
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| *topic as u8 == byte)
    }
}

/// One of the three substreams of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Votes, proposals, certificates, status and work notices: small and urgent.
    Consensus,
    /// Chunks of proposed blocks: large and urgent.
    Parts,
    /// Transactions, large and patient, and the nodes' addresses, which are patient too.
    Transactions,
}

impl Lane {
    /// Every lane, in the order of urgency.
    pub const ALL: [Self; 3] = [Self::Consensus, Self::Parts, Self::Transactions];

    fn index(self) -> usize {
        match self {
            Self::Consensus => 0,
            Self::Parts => 1,
            Self::Transactions => 2,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Consensus => "consensus",
            Self::Parts => "parts",
            Self::Transactions => "transactions",
        }
    }

    /// Largest payload of one frame on this lane, in bytes.
    pub fn payload_bytes_max(self) -> usize {
        match self {
            Self::Consensus => limits::CONSENSUS_FRAME_BYTES_MAX,
            Self::Parts => limits::PART_FRAME_BYTES_MAX,
            Self::Transactions => limits::TRANSACTION_FRAME_BYTES_MAX,
        }
    }

    /// Bytes that may wait for one peer on this lane.
    fn backlog_bytes_max(self) -> usize {
        match self {
            Self::Consensus => limits::CONSENSUS_BACKLOG_BYTES_MAX,
            Self::Parts => limits::PART_BACKLOG_BYTES_MAX,
            Self::Transactions => limits::TRANSACTION_BACKLOG_BYTES_MAX,
        }
    }
}
