//! Consensus: the Malachite engine behind our own application, over our own network.
//!
//! ```text
//!            peers
//!              │ frames, value sync
//!        crate::network ──── events ────► pump::EventPump ── verified, parts assembled ──┐
//!              ▲                                                                          ▼
//!              └──── frames ◄── bridge::EngineNetwork ◄─────────── the engine (actors, its log of votes)
//!              ▲                                                                          │ one message at a time
//!              └──── parts, work notices ◄──────────────── driver::Driver ◄───────────────┘
//!                                                               │ one thread
//!                                                     participant::Participant  (no runtime, no clock)
//!                                                               │
//!                                                       crate::application::Application
//! ```
//!
//! The engine runs Tendermint and keeps a log of what it signed, flushed before anything leaves. It votes on block
//! ids; the bytes travel as signed parts ([`proposal`], [`assembler`]). The [`driver`] passes the engine's messages to the
//! [`participant`], which has the application build, check, remember and commit blocks, and rests between heights while
//! there is no work ([`pacing`]). Peers that catch up are served beside all that ([`serving`]).
//!
//! What stops the node, each with its own message: a failed application call, a failed log of votes, an engine
//! that ends unasked. Nothing of these is retried in place.

pub(crate) mod answers;
pub mod assembler;
mod bridge;
pub(crate) mod certificate;
pub mod codec;
pub mod config;
pub mod context;
mod driver;
mod engine;
pub mod heights;
pub mod intake;
pub mod own_key;
pub mod pacing;
pub mod participant;
pub(crate) mod patience;
pub mod proposal;
mod pump;
pub mod serving;
pub mod signing;
pub(crate) mod status;
pub(crate) mod statuses;
pub mod timeouts;
pub mod vote_log;

pub use config::{ConsensusConfig, ConsensusConfigError};
pub use engine::{Consensus, ConsensusError, ConsensusSetup, export_metrics, start};
pub use status::{ConsensusStatus, Phase};

#[cfg(test)]
mod tests;
