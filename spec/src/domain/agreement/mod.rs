//! Agreements: terms proposed by one party, signed by all, settled period by period (rules O-22 to O-25).

pub mod operation;
pub mod record;
pub(super) mod rules;
pub mod work;

pub use operation::*;
pub use record::*;
