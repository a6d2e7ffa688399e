//! Referrals and capacity (rules O-8 to O-19, O-27).
//!
//! ```text
//! requested ──accept──▶ accepted ──hand over──▶ handed_over ──acknowledge──▶ in_care ──report──▶ outcome_reported
//!  │  ▲  │                 │                                                                      │ close clinically
//!  │ redirect, confirm     └──cancel──▶ cancelled                                       closed_clinically
//!  └──decline──▶ declined                                                                         │ close administratively
//!                                                                                               closed
//! ```

mod answer;
mod capacity;
mod course;
pub mod operation;
pub mod record;
mod request;
mod state;
mod step;

pub use operation::*;
pub use record::*;
