//! The node's network: one TCP port, one peer identity, members only.
//!
//! Everything that nodes say to each other passes through one libp2p swarm (TCP, Noise, Yamux):
//!
//! | part | what it does |
//! |---|---|
//! | [`gate`] | refuses every peer that the ledger does not name, before any substream exists |
//! | [`link`] | pushes frames to each connected peer over three lanes: consensus, parts, transactions |
//! | value sync | request and response, the engine's own protocol for lagging nodes |
//! | [`address_record`], [`address_book`] | where nodes say that they can be dialled, signed and passed on |
//! | [`redial`] | keeps the peers connected whose addresses are known, with growing pauses |
//! | [`swarm`] | the one task that owns the swarm and turns it into commands and events |
//!
//! The gate decides on the peer id that Noise has proven, so it depends neither on what a peer says
//! about itself nor on when it says it. What peers pass on about addresses is
//! signed by the node that it is about, and decides only where to dial.
//!
//! Frames are opaque here. [`crate::consensus`] gives them meaning, the mempool reads the batches
//! that arrive on the transaction lane.

pub(crate) mod address;
pub(crate) mod address_book;
mod address_file;
pub mod address_record;
pub(crate) mod config;
pub(crate) mod dial_address;
pub(crate) mod gate;
pub(crate) mod handle;
pub(crate) mod identity;
pub mod limits;
pub mod link;
pub(crate) mod redial;
pub(crate) mod swarm;

pub use address::PeerAddress;
pub use address_book::AddressBook;
pub use config::NetworkConfig;
pub(crate) use config::listen_address;
pub use dial_address::DialAddress;
pub use handle::{NetworkEvent, NetworkHandle, TransactionBatch};
pub use identity::{NodeIdentity, peer_id_of_ed25519};
pub use libp2p::{Multiaddr, PeerId};
pub use link::Topic;
pub use swarm::{Network, NetworkError, spawn};

#[cfg(test)]
mod tests;
