//! Delivered services and their reversal (rules O-20, O-21).

pub mod operation;
pub mod record;
pub(super) mod rules;

pub use operation::*;
pub use record::*;
