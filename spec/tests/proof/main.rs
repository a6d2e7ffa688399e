//! Proofs of a real little ledger, verified, and then every way of bending them, refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod bent;
mod forgery;
#[allow(dead_code, reason = "the tests of the client use the rest of it")]
mod ledger;
mod rules;
mod sizes;
