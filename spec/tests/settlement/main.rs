//! Settlement from outside: every arrangement's worked example, late events, refusals, properties, frozen bytes.
//!
//! Expected figures are written down as numbers or computed in plain integers here, never by the code under test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod arrangements;
mod arrangements_more;
mod encoding;
mod late_events;
mod properties;
mod refusals;
mod shared_savings;
mod support;
