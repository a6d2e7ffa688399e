//! The node of an institution: network, consensus, mempool, execution, storage, proofs, API.

pub mod application;
pub mod clock;
pub mod consensus;
pub mod limits;
pub mod mempool;
pub mod network;
pub mod storage;
