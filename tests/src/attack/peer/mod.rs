//! A peer that speaks the nodes' protocol and obeys none of its rules: TCP, Noise and Yamux under it are the real ones, all
//! above is written by hand, so that it can stop, lie and stay silent at any byte.
//!
//! - [`connection`]: one connection, with as many substreams as one likes. [`substream`]: what is agreed on and said there.
//! - [`line`]: a lane to one node that is opened again whenever the node ends it.
//! - [`ear`]: what the nodes say, kept for whoever wants to answer, repeat or alter it.

pub mod connection;
pub mod ear;
pub mod line;
pub mod substream;

pub use connection::Connection;
pub use ear::Ear;
pub use line::Line;
pub use substream::{Host, Lane};
