//! The gate: who may connect at all, and how many connections there may be, of whom.
//!
//! A peer's id is proven by the Noise handshake. libp2p asks every behaviour about a connection
//! right after that and before any substream of any protocol exists, so a refusal here means that no
//! byte of a stranger reaches gossip, sync or the mempool. Removing a member closes its connections.
//!
//! Places are the institutions', not the peers', so that more keys give no more of them; and some are kept for the
//! institutions that validate, so that the others cannot take all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use yilian_spec::base::id::InstitutionId;

use super::limits;
use crate::conduct::{Conduct, Offence};
use crate::members::Members;

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The ledger names no node with this key, or its key was revoked.
    #[error("the ledger names no node with this key")]
    NotAMember,
    /// Its institution is shut out, for a while or until the operator says otherwise.
    #[error("its institution is shut out")]
    ShutOut,
    /// Its institution has all the connections it may have.
    #[error("its institution has all the connections it may have")]
    InstitutionFull,
    /// All places are taken, or all that are not kept for validators.
    #[error("all places for connections are taken")]
    Full,
    /// Too many connections are in their handshake, in all or from one address.
    #[error("too many connections are in their handshake")]
    HalfOpen,
}

impl Refusal {
    /// What it says about the peer; `None` when it is not the peer's doing.
    pub const fn offence(self) -> Option<Offence> {
        match self {
            Self::NotAMember => Some(Offence::NotAMember),
            Self::ShutOut => Some(Offence::ShutOut),
            Self::InstitutionFull => Some(Offence::TooManyConnections),
            Self::HalfOpen => Some(Offence::FailedHandshake),
            Self::Full => None,
        }
    }
}

/// The members' list and the bounds on connections, as one libp2p behaviour.
pub struct Gate {
    members: Arc<Members>,
    conduct: Conduct,
    /// Incoming connections that have proven no key yet, with the site they come from.
    half_open: BTreeMap<ConnectionId, IpAddr>,
    established: BTreeMap<ConnectionId, PeerId>,
    closing: VecDeque<PeerId>,
    waker: Option<Waker>,
}

impl Gate {
    /// A gate that admits `members` and nobody else, and of them nobody whom `conduct` shuts out.
    pub fn new(members: Arc<Members>, conduct: Conduct) -> Self {
        Self {
            members,
            conduct,
            half_open: BTreeMap::new(),
            established: BTreeMap::new(),
            closing: VecDeque::new(),
            waker: None,
        }
    }

    /// Admits `members` and nobody else from now on.
    pub fn set_members(&mut self, members: Arc<Members>) {
        let before = std::mem::replace(&mut self.members, members);
        // Whom the operator vouched for, and the ledger names by now, connects anew as its institution.
        let moved = |peer: &PeerId| match (before.institution(peer), self.members.institution(peer)) {
            (Some(before), Some(now)) => before != now,
            (None, _) | (_, None) => false,
        };
        self.closing.extend(self.established.values().copied().filter(moved).collect::<BTreeSet<_>>());
        self.enforce();
    }

    /// Closes the connections of those who are no longer named, or are shut out by now.
    pub fn enforce(&mut self) {
        let connected: BTreeSet<PeerId> = self.established.values().copied().collect();
        let refused: Vec<PeerId> =
            connected.into_iter().filter(|peer| self.admitted(peer).is_err()).collect();
        self.closing.extend(refused);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn admitted(&self, peer: &PeerId) -> Result<&InstitutionId, Refusal> {
        let institution = self.members.institution(peer).ok_or(Refusal::NotAMember)?;
        if self.conduct.is_shut_out(institution) { Err(Refusal::ShutOut) } else { Ok(institution) }
    }

    /// Whether there is a place for one more connection of a peer.
    fn check(&self, peer: &PeerId) -> Result<(), Refusal> {
        let institution = self.admitted(peer)?;
        let (mut of_peer, mut of_institution, mut not_validating) = (0, 0, 0);
        for other in self.established.values() {
            let theirs = self.members.institution(other);
            of_peer += usize::from(other == peer);
            of_institution += usize::from(theirs == Some(institution));
            not_validating += usize::from(!theirs.is_some_and(|id| self.members.validates(id)));
        }
        if of_peer >= limits::CONNECTIONS_PER_PEER_MAX
            || of_institution >= limits::CONNECTIONS_PER_INSTITUTION_MAX
        {
            return Err(Refusal::InstitutionFull);
        }
        let is_open_to_all =
            not_validating < limits::CONNECTIONS_MAX - limits::CONNECTIONS_KEPT_FOR_VALIDATORS;
        let has_place = self.members.validates(institution) || is_open_to_all;
        if has_place && self.established.len() < limits::CONNECTIONS_MAX {
            Ok(())
        } else {
            Err(Refusal::Full)
        }
    }

    fn check_half_open(&self, site: IpAddr) -> Result<(), Refusal> {
        let of_site = self.half_open.values().filter(|other| **other == site).count();
        let fits = self.half_open.len() < limits::HALF_OPEN_MAX && of_site < limits::HALF_OPEN_PER_SITE_MAX;
        if fits { Ok(()) } else { Err(Refusal::HalfOpen) }
    }
}

/// Where a connection comes from: an IPv4 address, or a /64 of IPv6, which one site has to itself (RFC 6177).
fn site(address: &Multiaddr) -> IpAddr {
    let ip = address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    });
    match ip.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V6(v6)) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        Some(v4) => v4,
        // TCP always has an address; without one all count as one site.
        None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let site = site(remote);
        self.check_half_open(site).map_err(ConnectionDenied::new)?;
        self.half_open.insert(connection, site);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _local: &Multiaddr,
        _remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.half_open.remove(&connection);
        self.check(&peer).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        peer: Option<PeerId>,
        _addresses: &[Multiaddr],
        _role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if let Some(peer) = peer {
            self.admitted(&peer).map_err(ConnectionDenied::new)?;
        }
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        peer: PeerId,
        _address: &Multiaddr,
        _role: Endpoint,
        _port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check(&peer).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                self.established.insert(established.connection_id, established.peer_id);
            }
            FromSwarm::ConnectionClosed(closed) => {
                self.established.remove(&closed.connection_id);
            }
            FromSwarm::ListenFailure(failure) => {
                self.half_open.remove(&failure.connection_id);
            }
            // What else the swarm tells is no connection that comes or goes; the library adds to it at will.
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _peer: PeerId,
        _connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        if let Some(peer) = self.closing.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection { peer_id: peer, connection: CloseConnection::All });
        }
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
