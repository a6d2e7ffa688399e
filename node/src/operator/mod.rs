//! The operator's side: what is asked of a running node through its socket, and what is done to the home of a stopped one.

pub(crate) mod control;
pub mod inspection;
pub(crate) mod repair;
