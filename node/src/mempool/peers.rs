//! How peers behave in gossip: how much of theirs waits, and who sends what does not verify, has expired or is of nobody.
//!
//! Account is kept of institutions, so that more node keys give no more room; of a single peer where its institution is
//! not known, as in tests.

use std::collections::BTreeMap;

use libp2p::PeerId;
use yilian_spec::base::id::InstitutionId;

use crate::base::limits;

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sender {
    /// A node of an institution.
    Institution(InstitutionId),
    /// A peer whose institution is not known.
    Peer(PeerId),
}

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
struct Account {
    waiting: usize,
    /// What did not verify, less what time has forgiven.
    invalid: u32,
    /// Since when time forgives.
    forgiven_ms: u64,
    muted_until_ms: u64,
}

/// The accounts of all that sent something.
#[derive(Debug, Default)]
pub(super) struct Peers {
    accounts: BTreeMap<Sender, Account>,
}

impl Peers {
    /// Whether a batch of the sender may wait; if so, it is counted until [`Peers::done`].
    pub fn admit(&mut self, sender: &Sender, now_ms: u64) -> GossipOutcome {
        if self.accounts.len() >= limits::GOSSIP_PEERS_MAX && !self.accounts.contains_key(sender) {
            self.accounts.retain(|_, account| account.waiting > 0 || account.muted_until_ms > now_ms);
            if self.accounts.len() >= limits::GOSSIP_PEERS_MAX {
                return GossipOutcome::NodeBusy;
            }
        }
        let account = self.accounts.entry(sender.clone()).or_default();
        if account.muted_until_ms > now_ms {
            return GossipOutcome::Muted;
        }
        if account.waiting >= limits::GOSSIP_PEER_QUEUE_MAX {
            return GossipOutcome::PeerBusy;
        }
        account.waiting += 1;
        GossipOutcome::Queued
    }

    /// A batch of the sender is done; `invalid` of its transactions were in vain. Returns whether the sender is now muted.
    pub fn done(&mut self, sender: &Sender, invalid: u32, now_ms: u64) -> bool {
        let account = self.accounts.entry(sender.clone()).or_default();
        account.waiting = account.waiting.saturating_sub(1);
        // An honest node has a few now and then: what expires on the way, or an author whose block has not come yet.
        let forgiven = now_ms.saturating_sub(account.forgiven_ms) / limits::GOSSIP_FORGIVE_MS;
        // What is left of the last interval counts for the next one.
        account.forgiven_ms = account.forgiven_ms.saturating_add(forgiven * limits::GOSSIP_FORGIVE_MS);
        account.invalid = account.invalid.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
        account.invalid = account.invalid.saturating_add(invalid);
        if account.invalid < limits::GOSSIP_INVALID_MAX {
            return false;
        }
        account.invalid = 0;
        account.muted_until_ms = now_ms.saturating_add(limits::GOSSIP_MUTE_MS);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_sends_rubbish_is_muted_for_a_while_and_the_others_are_not() {
        let mut peers = Peers::default();
        let [bad, good] = [PeerId::random(), PeerId::random()].map(Sender::Peer);
        assert_eq!(peers.admit(&bad, 0), GossipOutcome::Queued);
        assert!(!peers.done(&bad, limits::GOSSIP_INVALID_MAX - 1, 0), "not yet");
        assert_eq!(peers.admit(&bad, 0), GossipOutcome::Queued);
        assert!(peers.done(&bad, 1, 0));
        assert_eq!(peers.admit(&bad, limits::GOSSIP_MUTE_MS - 1), GossipOutcome::Muted);
        assert_eq!(peers.admit(&good, 0), GossipOutcome::Queued);
        assert_eq!(peers.admit(&bad, limits::GOSSIP_MUTE_MS), GossipOutcome::Queued);
    }

    #[test]
    fn a_peer_may_have_only_so_much_waiting() {
        let mut peers = Peers::default();
        let peer = Sender::Peer(PeerId::random());
        for _ in 0..limits::GOSSIP_PEER_QUEUE_MAX {
            assert_eq!(peers.admit(&peer, 0), GossipOutcome::Queued);
        }
        assert_eq!(peers.admit(&peer, 0), GossipOutcome::PeerBusy);
        peers.done(&peer, 0, 0);
        assert_eq!(peers.admit(&peer, 0), GossipOutcome::Queued);
    }

    #[test]
    fn a_few_in_vain_now_and_then_are_forgiven() {
        let mut peers = Peers::default();
        let institution = Sender::Institution(InstitutionId::new("honest").unwrap());
        for number in 0..u64::from(10 * limits::GOSSIP_INVALID_MAX) {
            assert!(!peers.done(&institution, 1, number * limits::GOSSIP_FORGIVE_MS), "number {number}");
        }
    }
}
