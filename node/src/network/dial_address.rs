//! Where a node can be dialled: an IP address or a name of the DNS, and a TCP port. Nothing else can be written down.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use serde::{Deserialize, Serialize};
use wincode::{SchemaRead, SchemaWrite};

use super::address::host_and_port;
use super::limits::{NAME_BYTES_MAX, NAME_LABEL_BYTES_MAX};

/// Where a node can be dialled. What was decoded may still be nothing to dial: [`DialAddress::is_dialable`].
#[derive(Debug, Clone, PartialEq, Eq, SchemaRead, SchemaWrite, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DialAddress {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, SchemaRead, SchemaWrite)]
enum Host {
    Ip4([u8; 4]),
    Ip6([u8; 16]),
    Name(String),
}

/// Why an address was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no address that peers could dial: write HOST:PORT, where HOST is an IP address or a name"
)]
pub struct DialAddressError {
    text: String,
}

impl DialAddress {
    /// The address of a socket.
    pub const fn of(socket: SocketAddr) -> Self {
        let host = match socket.ip() {
            IpAddr::V4(ip) => Host::Ip4(ip.octets()),
            IpAddr::V6(ip) => Host::Ip6(ip.octets()),
        };
        Self { host, port: socket.port() }
    }

    /// Whether it could be one node's: a port, and a host that is neither unspecified nor many.
    pub fn is_dialable(&self) -> bool {
        let is_one = |ip: IpAddr| {
            let ip = ip.to_canonical();
            !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
        };
        let has_host = match &self.host {
            Host::Ip4(octets) => is_one(Ipv4Addr::from(*octets).into()),
            Host::Ip6(octets) => is_one(Ipv6Addr::from(*octets).into()),
            Host::Name(name) => is_name(name),
        };
        has_host && self.port != 0
    }

    /// For the swarm.
    pub fn multiaddr(&self) -> Multiaddr {
        let host = match &self.host {
            Host::Ip4(octets) => Protocol::Ip4((*octets).into()),
            Host::Ip6(octets) => Protocol::Ip6((*octets).into()),
            Host::Name(name) => Protocol::Dns(name.into()),
        };
        Multiaddr::from(host).with(Protocol::Tcp(self.port))
    }

    /// `None` for everything but a host with a TCP port.
    pub fn from_multiaddr(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter();
        let host = match parts.next()? {
            Protocol::Ip4(ip) => Host::Ip4(ip.octets()),
            Protocol::Ip6(ip) => Host::Ip6(ip.octets()),
            Protocol::Dns(name) => Host::Name(name.into_owned()),
            _ => return None,
        };
        let Some(Protocol::Tcp(port)) = parts.next() else { return None };
        parts.next().is_none().then_some(Self { host, port })
    }
}

/// A name as hosts have it (RFC 1123, section 2.1).
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=NAME_LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)
}

impl FromStr for DialAddress {
    type Err = DialAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = if text.starts_with('/') { text.parse().ok() } else { host_and_port(text) };
        address
            .and_then(|address| Self::from_multiaddr(&address))
            .filter(Self::is_dialable)
            .ok_or_else(|| DialAddressError { text: text.to_owned() })
    }
}

impl TryFrom<String> for DialAddress {
    type Error = DialAddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DialAddress> for String {
    fn from(address: DialAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for DialAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        match host {
            Host::Ip4(octets) => write!(formatter, "{}:{port}", Ipv4Addr::from(*octets)),
            Host::Ip6(octets) => write!(formatter, "[{}]:{port}", Ipv6Addr::from(*octets)),
            Host::Name(name) => write!(formatter, "{name}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_a_port_read_back_and_nothing_else_is_taken() {
        for text in ["10.0.0.7:26600", "[2001:db8::1]:26600", "node.hospital.example:26600"] {
            let address: DialAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.multiaddr().to_string().parse(), Ok(address), "the long form means the same");
        }
        let refused = [
            "10.0.0.7",
            "10.0.0.7:0",
            "0.0.0.0:1",
            "[::]:1",
            "[::ffff:0.0.0.0]:1",
            "224.0.0.1:1",
            "255.255.255.255:1",
            "a b:1",
            "a..b:1",
            "/ip4/10.0.0.7/udp/1",
            "/ip4/10.0.0.7/tcp/1/ws",
            "/dns/a/tcp/1/p2p-circuit",
            "/unix/a",
            "/tcp/1",
        ];
        for text in refused {
            assert!(text.parse::<DialAddress>().is_err(), "{text}");
        }
        assert!(format!("{}:1", "a".repeat(64)).parse::<DialAddress>().is_err());
        assert!(format!("{}:1", "a.".repeat(127) + "a").parse::<DialAddress>().is_err());
    }
}
