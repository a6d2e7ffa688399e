//! The node of an institution: network, consensus, mempool, execution, storage, proofs, API.
#![forbid(unsafe_code)]

mod abstaining;
pub mod alarm;
pub mod allowance;
pub mod api;
pub mod application;
mod chronicle;
pub mod clock;
pub mod clocks;
pub mod conduct;
pub mod config;
#[cfg(test)]
mod config_tests;
pub mod consensus;
pub mod consortium;
pub mod control;
pub mod descriptors;
pub mod health;
pub mod holder;
pub mod home;
pub mod inspection;
pub mod limits;
pub mod logging;
pub mod measures;
pub mod members;
pub mod mempool;
pub mod metrics;
pub mod network;
pub mod repair;
pub mod storage;
mod upgrade;
pub mod voting;
pub mod wiring;

// Behind it, its macros take the place of the standard ones.
#[macro_use]
mod output;
pub mod cli;
pub mod demo;

#[cfg(test)]
mod test_world;
#[cfg(test)]
mod wiring_tests;
