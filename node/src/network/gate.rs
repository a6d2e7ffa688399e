//! The gate: who may connect at all, and how many connections there may be.
//!
//! A peer's id is proven by the Noise handshake. libp2p asks every behaviour about a connection
//! right after that and before any substream of any protocol exists, so a refusal here means that no
//! byte of a stranger reaches gossip, sync or the mempool. Removing a member closes its connections.

use std::convert::Infallible;

use libp2p::allow_block_list::{self, AllowedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::swarm::NetworkBehaviour;

use super::{MemberSet, limits};

/// The members' list and the bounds on connections, as one libp2p behaviour.
#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "Never")]
pub struct Gate {
    members: allow_block_list::Behaviour<AllowedPeers>,
    limits: connection_limits::Behaviour,
}

/// The gate has nothing to report: a refusal shows as a failed connection.
#[derive(Debug)]
pub enum Never {}

impl From<Infallible> for Never {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Gate {
    /// A gate that admits `members` and nobody else.
    pub fn new(members: &MemberSet) -> Self {
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(limits::PENDING_INBOUND_MAX))
            .with_max_established(Some(limits::CONNECTIONS_MAX))
            .with_max_established_per_peer(Some(limits::CONNECTIONS_PER_PEER_MAX));
        let mut gate = Self {
            members: allow_block_list::Behaviour::default(),
            limits: connection_limits::Behaviour::new(limits),
        };
        gate.admit(members);
        gate
    }

    /// Admits `members` and nobody else from now on; those who are no longer named are disconnected.
    pub fn admit(&mut self, members: &MemberSet) {
        let removed: Vec<_> =
            self.members.allowed_peers().iter().filter(|peer| !members.contains(peer)).copied().collect();
        for peer in removed {
            self.members.disallow_peer(peer);
        }
        for peer in members {
            self.members.allow_peer(*peer);
        }
    }

    /// Whether a peer may connect.
    pub fn admits(&self, peer: &libp2p::PeerId) -> bool {
        self.members.allowed_peers().contains(peer)
    }
}
