//! Proofs of a real little ledger, verified, and then every way of bending them, refused.

mod bent;
mod ledger;
mod rules;
