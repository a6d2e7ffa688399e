//! Integers that every JSON reader holds exactly (rule E-8): of a magnitude of at most 2^53 - 1 (RFC 7493, section 2.2).
//!
//! Bytes that say a larger one are read as the largest, so that they are not the encoding of what was read (rule E-4).

use wincode::{SchemaRead, SchemaWrite};

use crate::base::limits::INTEGER_MAX;

/// How an unsigned integer is encoded.
#[derive(SchemaRead, SchemaWrite)]
pub(crate) struct Unsigned(u64);

/// How a signed integer is encoded.
#[derive(SchemaRead, SchemaWrite)]
pub(crate) struct Signed(i64);

impl From<&u64> for Unsigned {
    fn from(value: &u64) -> Self {
        Self(*value)
    }
}

impl From<Unsigned> for u64 {
    fn from(Unsigned(value): Unsigned) -> Self {
        value.min(INTEGER_MAX)
    }
}

impl From<&i64> for Signed {
    fn from(value: &i64) -> Self {
        Self(*value)
    }
}

impl From<Signed> for i64 {
    fn from(Signed(value): Signed) -> Self {
        value.clamp(-(INTEGER_MAX as Self), INTEGER_MAX as Self)
    }
}

/// Whether a number is one that JSON carries exactly.
pub const fn is_exact(value: i64) -> bool {
    value.unsigned_abs() <= INTEGER_MAX
}
