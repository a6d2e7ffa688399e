//! The bytes of the protocol (rules E-1 to E-7, S-1, S-2): frozen, equal to bincode's, and read strictly.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod allocation;
mod bincode_bytes;
mod digests;
mod generate;
mod names;
mod operations;
mod records;
mod rows;
mod strict;
mod types;
mod vectors;
mod vectors_operations;
