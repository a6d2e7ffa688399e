//! Tests of the whole system: clusters of real processes, their independent reading, and the benchmark.
//!
//! - [`cluster`]: a consortium on this machine, killed, stopped, wiped and waited for; [`programs`]: what it runs.
//! - [`work`] and [`load`]: operations to record, and steady load. [`caller`]: requests that no good client would send.
//! - [`flood`]: a member that floods, and the others that work on beside it.
//! - [`attack`]: a peer with a member's key that does what no honest node would, one file for each attack.
//! - [`proxy`]: a network that misbehaves between the nodes. [`damage`]: files with altered bytes.
//! - [`command_line`]: the real `yilian` command. [`importer`]: its imports.
//! - [`simulator`]: a consortium in one thread, from one seed.
//! - [`fuzz`]: targets for every reader of bytes from outside and for the state machine, and `yilian-fuzz`.
//! - [`bench`]: the load benchmark behind `yilian-bench`.

pub mod attack;
pub mod bench;
pub mod caller;
pub mod cluster;
pub mod command_line;
pub mod damage;
pub mod flood;
pub mod fuzz;
pub mod importer;
pub mod load;
pub mod programs;
pub mod proxy;
pub mod simulator;
pub mod work;

// What a client says of an age is what nodes do.
const _: () =
    assert!(yilian_client::limits::HEARTBEAT_MS_MAX == yilian_node::consensus::config::HEARTBEAT_MS_MAX);
