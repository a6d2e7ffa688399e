//! The state machine seen from outside: signed transactions go in, outcomes, rows and streams come out.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod access;
mod authority;
mod membership;
mod referral;
mod refusals;
mod settlement;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "../support/world.rs"]
mod world;
