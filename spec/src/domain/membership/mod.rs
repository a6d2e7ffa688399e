//! Members and their keys (rules O-1 to O-3).

pub mod operation;
pub mod record;
pub mod rotation;
pub(super) mod rules;
pub mod validators;

pub use operation::*;
pub use record::*;
pub use rotation::*;
pub use validators::*;
