//! From one block to the next: who builds and who checks come to the same bytes (rules B-9 to B-15, X-1 to X-4).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod blocks;
mod execution;
mod support;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "../support/world.rs"]
mod world;
