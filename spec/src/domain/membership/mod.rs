//! Members and their keys (rules O-1 to O-3).

pub mod operation;
pub mod record;
pub(super) mod rules;

pub use operation::*;
pub use record::*;
