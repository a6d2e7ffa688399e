//! The protocol of Yilian: its rules as code that any party can run, without I/O, clock or randomness.
#![forbid(unsafe_code)]

pub mod signature;
