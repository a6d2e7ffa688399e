//! From one block to the next: who builds and who checks come to the same bytes (rules B-9 to B-16, X-1 to X-6).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod blocks;
mod execution;
#[allow(dead_code, reason = "shared with a benchmark")]
#[path = "../support/heavy.rs"]
mod heavy;
mod rotation;
mod support;
mod versions;
mod work;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "../support/world.rs"]
mod world;
