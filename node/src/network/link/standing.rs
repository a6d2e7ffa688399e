//! What this node has said in the current round, for peers that connect while it lasts.
//!
//! A frame reaches who is connected when it is sent, and the engine repeats neither its proposals nor the parts of a
//! block. Without this, a peer that connects a moment later (a consortium that starts, a cut that heals) waits for the
//! round's timeouts, and with it everybody.

use bytes::Bytes;

use super::Topic;
use super::wire::Frame;
use crate::network::limits::STANDING_BYTES_MAX;

/// The frames of the current round, oldest first.
#[derive(Debug, Default)]
pub struct Standing {
    frames: Vec<Frame>,
    bytes: usize,
}

impl Standing {
    /// Keeps a frame, unless more than [`STANDING_BYTES_MAX`] would be kept: a peer can also sync what is decided.
    pub fn keep(&mut self, topic: Topic, payload: &Bytes) {
        if self.bytes + payload.len() > STANDING_BYTES_MAX {
            tracing::debug!(?topic, bytes = payload.len(), "not kept for peers that connect later: no room");
            return;
        }
        self.bytes += payload.len();
        self.frames.push(Frame { topic, payload: payload.clone() });
    }

    /// Forgets all: another round has begun.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What a peer that has just connected is sent.
    pub fn frames(&self) -> impl Iterator<Item = Frame> + '_ {
        self.frames.iter().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_kept_in_order_up_to_the_bound_and_until_cleared() {
        let mut standing = Standing::default();
        let large = Bytes::from(vec![7; STANDING_BYTES_MAX - 1]);
        standing.keep(Topic::Part, &large);
        standing.keep(Topic::Consensus, &Bytes::from_static(b"x"));
        standing.keep(Topic::Consensus, &Bytes::from_static(b"y"));
        let kept: Vec<(Topic, usize)> =
            standing.frames().map(|frame| (frame.topic, frame.payload.len())).collect();
        assert_eq!(kept, [(Topic::Part, STANDING_BYTES_MAX - 1), (Topic::Consensus, 1)]);
        standing.clear();
        standing.keep(Topic::Consensus, &Bytes::from_static(b"y"));
        assert_eq!(standing.frames().count(), 1);
    }
}
