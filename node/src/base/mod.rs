//! What every part of the node uses: every bound, the clock, rates, and what the operating system says.

pub(crate) mod allowance;
pub mod clock;
pub(crate) mod descriptors;
pub mod limits;
pub(crate) mod port_holder;
