//! What a node answers under `/v1` (chapter 8), as its callers read it: the types stand here once, for nodes, clients and the
//! description of the API.
//!
//! A reader passes over fields that it does not know, so that a newer node can say more. What is absent in some answers is an
//! `Option` that is left out, not `null`, unless its text says otherwise.

pub mod ledger;
pub mod settlement;
pub mod transaction;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::height::Height;

/// One record, under its identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry<I, T> {
    /// The identifier.
    pub id: I,
    /// The record as the protocol defines it.
    pub record: T,
    /// Whether its deadline has passed at the node's clock; only for what has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue: Option<bool>,
    /// The height that was read; absent in lists, whose page names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<Height>,
}

impl<I, T> Entry<I, T> {
    /// An item of a list.
    pub const fn item(id: I, record: T) -> Self {
        Self { id, record, overdue: None, height: None }
    }

    /// A single answer, read at `height`.
    pub fn single(id: I, record: T, height: Height) -> Self {
        Self { height: Some(height), ..Self::item(id, record) }
    }

    /// With the deadline's flag.
    #[must_use]
    pub fn with_overdue(self, overdue: bool) -> Self {
        Self { overdue: Some(overdue), ..self }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page starts; null at the end of the list.
    pub next_cursor: Option<String>,
    /// The height that was read.
    pub height: Height,
}

/// The body of an answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// A stable name, for programs.
    pub code: String,
    /// One sentence that names the bound or rule and the remedy, for people.
    pub message: String,
    /// What belongs to it: numbers, as a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub details: Option<serde_json::Value>,
}
