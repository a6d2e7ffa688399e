//! Access to records: grants, their revocation, disclosures by the source, receipts by the recipient (rules O-4 to O-7, O-26).

pub mod operation;
pub mod record;
pub(super) mod rules;

pub use operation::*;
pub use record::*;
