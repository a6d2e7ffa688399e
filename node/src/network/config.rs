//! The network's settings, as they stand in the node's configuration file.

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{DialAddress, PeerAddress};

/// Reads an address to listen on; the standard message for a wrong one names no remedy.
///
/// # Errors
/// What is expected instead.
pub(crate) fn listen_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        de::Error::custom(format!(
            "{text:?} is no address to listen on: write HOST:PORT with an IP address, such as 127.0.0.1:8600 or [::]:8600"
        ))
    })
}

/// Where the node listens and whom it keeps connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// The one TCP address for consensus, mempool and sync; port 0 picks a free one.
    /// Default `0.0.0.0:26600`.
    #[serde(deserialize_with = "listen_address")]
    pub listen: SocketAddr,
    /// Peers to keep connected, each as `PEER@HOST:PORT` or `/ip4/…/tcp/…/p2p/PEER`.
    /// One side of a pair is enough. Default: none.
    pub peers: Vec<PeerAddress>,
    /// Where peers can dial this node, each as `HOST:PORT`; it signs this, and the peers pass it on. An empty list tells
    /// nothing. Default: where it listens, if that is one address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<Vec<DialAddress>>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([0, 0, 0, 0], 26600)), peers: Vec::new(), advertise: None }
    }
}
