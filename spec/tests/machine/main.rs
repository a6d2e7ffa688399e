//! The state machine seen from outside: signed transactions go in, outcomes, rows and streams come out.

mod access;
mod authority;
mod membership;
mod referral;
mod settlement;
mod world;
