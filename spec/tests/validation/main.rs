//! Every refusal of a transaction, a genesis and a certificate, each by its rule.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod certificate;
mod context;
mod genesis;
mod transactions;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "../support/world.rs"]
mod world;
