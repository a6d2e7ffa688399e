//! How peers behave in gossip: how much of theirs waits, and who sends what does not verify.

use std::collections::BTreeMap;

use libp2p::PeerId;

use crate::limits;

/// What became of a batch from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GossipOutcome {
    /// It waits to be verified.
    Queued,
    /// The peer has too much waiting; the batch is dropped, and its sender will repeat it.
    PeerBusy,
    /// The peer sent too much that does not verify; the batch is dropped.
    Muted,
    /// This node has too much waiting; the batch is dropped, and its sender will repeat it.
    NodeBusy,
}

#[derive(Debug, Default)]
struct Conduct {
    waiting: usize,
    invalid: u32,
    muted_until_ms: u64,
}

/// The conduct of all peers that sent something.
#[derive(Debug, Default)]
pub(super) struct Peers {
    conduct: BTreeMap<PeerId, Conduct>,
}

impl Peers {
    /// Whether a batch of the peer may wait; if so, it is counted until [`Peers::done`].
    pub fn admit(&mut self, peer: PeerId, now_ms: u64) -> GossipOutcome {
        if self.conduct.len() >= limits::GOSSIP_PEERS_MAX && !self.conduct.contains_key(&peer) {
            self.conduct.retain(|_, conduct| conduct.waiting > 0 || conduct.muted_until_ms > now_ms);
            if self.conduct.len() >= limits::GOSSIP_PEERS_MAX {
                return GossipOutcome::NodeBusy;
            }
        }
        let conduct = self.conduct.entry(peer).or_default();
        if conduct.muted_until_ms > now_ms {
            return GossipOutcome::Muted;
        }
        if conduct.waiting >= limits::GOSSIP_PEER_QUEUE_MAX {
            return GossipOutcome::PeerBusy;
        }
        conduct.waiting += 1;
        GossipOutcome::Queued
    }

    /// A batch of the peer is done; `invalid` of its transactions did not verify. Returns whether the peer is now muted.
    pub fn done(&mut self, peer: PeerId, invalid: u32, now_ms: u64) -> bool {
        let conduct = self.conduct.entry(peer).or_default();
        conduct.waiting = conduct.waiting.saturating_sub(1);
        conduct.invalid = conduct.invalid.saturating_add(invalid);
        if conduct.invalid < limits::GOSSIP_INVALID_MAX {
            return false;
        }
        conduct.invalid = 0;
        conduct.muted_until_ms = now_ms.saturating_add(limits::GOSSIP_MUTE_MS);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_sends_rubbish_is_muted_for_a_while_and_the_others_are_not() {
        let mut peers = Peers::default();
        let (bad, good) = (PeerId::random(), PeerId::random());
        assert_eq!(peers.admit(bad, 0), GossipOutcome::Queued);
        assert!(!peers.done(bad, limits::GOSSIP_INVALID_MAX - 1, 0), "not yet");
        assert_eq!(peers.admit(bad, 0), GossipOutcome::Queued);
        assert!(peers.done(bad, 1, 0));
        assert_eq!(peers.admit(bad, limits::GOSSIP_MUTE_MS - 1), GossipOutcome::Muted);
        assert_eq!(peers.admit(good, 0), GossipOutcome::Queued);
        assert_eq!(peers.admit(bad, limits::GOSSIP_MUTE_MS), GossipOutcome::Queued);
    }

    #[test]
    fn a_peer_may_have_only_so_much_waiting() {
        let mut peers = Peers::default();
        let peer = PeerId::random();
        for _ in 0..limits::GOSSIP_PEER_QUEUE_MAX {
            assert_eq!(peers.admit(peer, 0), GossipOutcome::Queued);
        }
        assert_eq!(peers.admit(peer, 0), GossipOutcome::PeerBusy);
        peers.done(peer, 0, 0);
        assert_eq!(peers.admit(peer, 0), GossipOutcome::Queued);
    }
}
