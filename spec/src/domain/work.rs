//! Work: what executing an operation costs, in units that are known before it is executed (rules ).
//!
//! One unit is about what it takes to execute an ordinary operation, such as a grant: some tens of microseconds. Each
//! operation says its own; the factors were measured with `cargo bench -p yilian-spec --bench work`, which prints what a
//! unit of each operation takes.

/// Units of an ordinary operation.
pub const ORDINARY: u64 = 1;
/// Streams of institutions that an entry is appended to in one unit.
pub(crate) const STREAMS_PER_UNIT: u64 = 4;
/// Units of a new key: its signature is verified, and that its point has prime order.
pub(crate) const NEW_KEY: u64 = 8;
