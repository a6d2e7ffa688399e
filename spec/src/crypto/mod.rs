//! Ed25519 under one rule, API tokens, and the trees whose roots headers carry.

pub mod merkle;
pub mod signature;
pub mod token;
