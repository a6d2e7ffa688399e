//! The network's settings, as they stand in the node's configuration file.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{DialAddress, PeerAddress};

/// Where the node listens and whom it keeps connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// The one TCP address for consensus, mempool and sync; port 0 picks a free one.
    /// Default `0.0.0.0:26600`.
    #[serde(deserialize_with = "crate::address::listen")]
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
