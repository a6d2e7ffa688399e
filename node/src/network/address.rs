//! Where a peer is and who it must be: a multiaddr that ends in `/p2p/…`, or `PEER@HOST:PORT`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};

/// An address together with the peer id that must answer there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerAddress {
    /// The peer that must prove itself; a connection to anybody else is dropped.
    pub peer: PeerId,
    /// Where to dial, without the `/p2p/…` suffix.
    pub address: Multiaddr,
}

/// Why a peer address was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerAddressError {
    /// Neither form could be read.
    #[error("`{text}` is not a peer address; write PEER@HOST:PORT or /ip4/…/tcp/…/p2p/PEER")]
    Malformed {
        /// What was given.
        text: String,
    },
    /// The multiaddr names no peer.
    #[error("`{text}` names no peer; add /p2p/PEER so that nobody else can answer in its place")]
    NoPeer {
        /// What was given.
        text: String,
    },
    /// The address has no TCP port.
    #[error("`{text}` has no TCP port; write /ip4/…/tcp/PORT/p2p/PEER")]
    NoTcpPort {
        /// What was given.
        text: String,
    },
}

impl FromStr for PeerAddress {
    type Err = PeerAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with('/') { from_multiaddr(text) } else { from_host_and_port(text) }
    }
}

fn from_multiaddr(text: &str) -> Result<PeerAddress, PeerAddressError> {
    let malformed = || PeerAddressError::Malformed { text: text.to_owned() };
    let mut address: Multiaddr = text.parse().map_err(|_| malformed())?;
    let Some(Protocol::P2p(peer)) = address.pop() else {
        return Err(PeerAddressError::NoPeer { text: text.to_owned() });
    };
    if !address.iter().any(|part| matches!(part, Protocol::Tcp(_))) {
        return Err(PeerAddressError::NoTcpPort { text: text.to_owned() });
    }
    Ok(PeerAddress { peer, address })
}

fn from_host_and_port(text: &str) -> Result<PeerAddress, PeerAddressError> {
    let malformed = || PeerAddressError::Malformed { text: text.to_owned() };
    let (peer, place) = text.split_once('@').ok_or_else(malformed)?;
    let peer: PeerId = peer.parse().map_err(|_| malformed())?;
    let address = host_and_port(place).ok_or_else(malformed)?;
    Ok(PeerAddress { peer, address })
}

/// The address that `HOST:PORT` means; `None` for anything else.
pub(super) fn host_and_port(place: &str) -> Option<Multiaddr> {
    let (host, port) = place.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    if host.is_empty() || port == 0 {
        return None;
    }
    let host = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
    let first = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => Protocol::Ip4(ip),
        Ok(IpAddr::V6(ip)) => Protocol::Ip6(ip),
        Err(_) => Protocol::Dns(host.into()),
    };
    Some(Multiaddr::from(first).with(Protocol::Tcp(port)))
}

impl TryFrom<String> for PeerAddress {
    type Error = PeerAddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PeerAddress> for String {
    fn from(peer: PeerAddress) -> Self {
        peer.to_string()
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.address.clone().with(Protocol::P2p(self.peer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWGjMCJiQNXWpjvcKVVcPwwSfcYLfQLAHkSJ6BSeYpfdfr";

    #[test]
    fn both_forms_mean_the_same() {
        let short: PeerAddress = format!("{PEER}@10.0.0.7:26000").parse().unwrap();
        let long: PeerAddress = format!("/ip4/10.0.0.7/tcp/26000/p2p/{PEER}").parse().unwrap();
        assert_eq!(short, long);
        assert_eq!(short.to_string().parse::<PeerAddress>().unwrap(), short);
        let named: PeerAddress = format!("{PEER}@node.hospital.example:26000").parse().unwrap();
        assert!(named.to_string().starts_with("/dns/node.hospital.example/tcp/26000/p2p/"));
        let v6: PeerAddress = format!("{PEER}@[::1]:26000").parse().unwrap();
        assert!(v6.to_string().starts_with("/ip6/::1/tcp/26000/p2p/"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |text: &str| text.parse::<PeerAddress>().unwrap_err();
        assert!(matches!(error("10.0.0.7:26000"), PeerAddressError::Malformed { .. }));
        assert!(matches!(error(&format!("{PEER}@10.0.0.7")), PeerAddressError::Malformed { .. }));
        assert!(matches!(error(&format!("{PEER}@10.0.0.7:0")), PeerAddressError::Malformed { .. }));
        assert!(matches!(error("/ip4/10.0.0.7/tcp/26000"), PeerAddressError::NoPeer { .. }));
        assert!(matches!(error(&format!("/ip4/10.0.0.7/p2p/{PEER}")), PeerAddressError::NoTcpPort { .. }));
        assert!(matches!(error("/nonsense"), PeerAddressError::Malformed { .. }));
    }
}
