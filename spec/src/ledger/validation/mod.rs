//! Validity in three levels: by the value alone ([`structural`]), by cryptography and the ledger's identity
//! ([`semantic`]), and by the ledger's state ([`contextual`]). A value passes them in this order.

pub mod contextual;
pub mod semantic;
pub mod structural;
