//! The node of an institution: network, consensus, mempool, execution, storage, proofs, API.
#![forbid(unsafe_code)]

pub mod api;
pub mod application;
pub mod base;
pub mod conduct;
pub mod config;
pub mod consensus;
pub mod consortium;
mod health;
pub mod home;
pub mod members;
pub mod mempool;
mod metrics;
pub mod network;
pub mod operator;
pub mod storage;
pub mod voting;
mod wiring;

// Behind it, its macros take the place of the standard ones.
#[macro_use]
pub mod cli;
mod demo;

#[cfg(test)]
mod test_world;
