//! Settlement: signed terms, the events of a period, and the exact way from one to the other.
//!
//! ```text
//! Terms (data, signed by all)          services delivered and reversed
//!        |                                        |
//!        |                                        v
//!        |                        Accumulator of one agreement and period
//!        v                                        |
//!   Expression --------- evaluate ----------------+--> Statement: lines per party, journal that sums to zero
//!                                                 |
//!                       late events --> ClosedPeriod --> adjustment lines for the next open period
//! ```
//!
//! [`rational`] and [`rounding`] are the arithmetic, [`expression`] the language of terms, [`check`] its rules,
//! [`evaluate`] its meaning, [`terms`] what an agreement carries, [`templates`] common arrangements written in it,
//! [`period`] what a period adds up and [`statement`] what comes out. Pure functions; rules T-1 to T-19 of
//! `spec/protocol/06-settlement.md`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

pub mod check;
pub mod evaluate;
pub mod expression;
pub mod period;
pub mod rational;
pub mod rounding;
pub mod statement;
pub mod templates;
pub mod terms;

/// The position of an institution in the signed list of an agreement's parties, from 0.
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
    ToSchema,
)]
#[serde(transparent)]
pub struct PartyIndex(pub u8);

impl PartyIndex {
    /// The position as an index into a list of one entry per party.
    pub fn position(self) -> usize {
        usize::from(self.0)
    }
}

/// The part that an institution played in a service.
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
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PartRole {
    /// Delivered it to the patient.
    Primary,
    /// Gave an expert opinion.
    Expert,
    /// Ran the platform.
    Platform,
    /// Read an image.
    Reader,
    /// Ran a test.
    Laboratory,
    /// Prescribed or dispensed.
    Pharmacy,
}
