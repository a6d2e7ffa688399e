//! One member that floods, and the others that work on beside it: what a test asserts about them and a benchmark
//! measures.

pub mod flooder;
pub mod members;

pub use flooder::{Flood, Tally};
pub use members::Member;
