//! The height of a block and the round in which it was decided.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::adapter::FromInto;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::integer::Unsigned;

/// The position of a block in the ledger; the first block has height 1.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    SchemaRead,
    SchemaWrite,
    Default,
    ToSchema,
)]
#[serde(transparent)]
pub struct Height(#[wincode(with = "FromInto<Unsigned, _>")] pub u64);

impl Height {
    /// The height of the first block.
    pub const FIRST: Self = Self(1);

    /// The next height.
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("a ledger does not reach 2^64 blocks"))
    }

    /// The height before, or `None` before the first block.
    pub fn previous(self) -> Option<Self> {
        self.0.checked_sub(1).filter(|height| *height > 0).map(Self)
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
