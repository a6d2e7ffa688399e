//! What can happen next in a run.

use super::super::frame::Frame;
use super::super::plan::{ClockJump, Crash, DiskFault};

/// An event in virtual time. `life` is that of the node when it came up: what it was for may be over.
#[derive(Debug)]
pub enum Event {
    /// A frame arrives.
    Deliver {
        from: usize,
        to: usize,
        life: u64,
        frame: Frame,
    },
    /// A timer of the engine runs out.
    Timer {
        node: usize,
        life: u64,
        token: u64,
    },
    /// A node looks again whether the next height starts.
    Wake {
        node: usize,
        life: u64,
    },
    /// A second is over for a node.
    Tick {
        node: usize,
        life: u64,
    },
    /// A client submits a transaction.
    Submit {
        transaction: usize,
        attempt: u32,
    },
    /// The power of a node is about to go.
    Crash {
        crash: Crash,
    },
    /// It goes now, if it has not.
    PowerOff {
        node: usize,
        life: u64,
        down_ms: u64,
    },
    /// A node starts.
    Restart {
        node: usize,
    },
    DiskFails {
        fault: DiskFault,
    },
    DiskHeals {
        fault: DiskFault,
    },
    ClockJumps {
        jump: ClockJump,
    },
}

impl Event {
    /// The node that has to do something for it, and waits for its disk meanwhile.
    pub fn worker(&self) -> Option<usize> {
        match self {
            Self::Deliver { to, .. } => Some(*to),
            Self::Timer { node, .. } | Self::Wake { node, .. } | Self::Tick { node, .. } => Some(*node),
            _ => None,
        }
    }
}
