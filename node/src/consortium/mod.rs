//! A consortium on this machine: five institutions with their keys, a genesis, and a process for each node.
//!
//! The demo, the whole-system tests and the benchmark run on it, so that all three run what an operator runs: the
//! real binary, over real sockets and disks. What is special here is only that one program holds everybody's keys.

mod files;
mod member;
mod process;
mod stagger;

pub use files::{ConsortiumFiles, MemberFiles, Options, create};
pub use member::{CONSORTIUM, INSTITUTIONS, Member};
pub use process::{NodeProcess, free_ports};
pub use stagger::stagger_days;
