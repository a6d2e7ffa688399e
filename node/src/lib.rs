//! The node of an institution: network, consensus, execution, storage and API.

pub mod application;
pub mod consensus;
pub mod network;
