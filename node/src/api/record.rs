//! The envelope in which single records and list items travel.

use serde::Serialize;
use utoipa::ToSchema;

/// One object: its name, and its record as the protocol defines it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Entry<T> {
    /// Identifier: 64 hexadecimal digits, or a slug.
    pub id: String,
    /// The record in the serde form of the protocol's type of that name.
    #[schema(value_type = Object)]
    pub record: T,
    /// Whether its deadline has passed at the node's clock; only for what has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overdue: Option<bool>,
    /// The height that was read; absent in lists, whose page names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
}

impl<T> Entry<T> {
    /// An item of a list.
    pub fn item(id: impl ToString, record: T) -> Self {
        Self { id: id.to_string(), record, overdue: None, height: None }
    }

    /// A single answer, read at `height`.
    pub fn single(id: impl ToString, record: T, height: u64) -> Self {
        Self { height: Some(height), ..Self::item(id, record) }
    }

    /// With the deadline's flag.
    #[must_use]
    pub fn with_overdue(self, overdue: bool) -> Self {
        Self { overdue: Some(overdue), ..self }
    }
}
