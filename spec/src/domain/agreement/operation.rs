//! Agreements: terms proposed by one party, signed by all, settled period by period.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::id::{AgreementId, ConsortiumId, Hash};
use crate::base::time::Window;
use crate::settlement::terms::Terms;

/// When the periods of an agreement end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// A period ends `length_ms` after it began; it can be closed from then on.
    Fixed {
        /// The length, at most [`crate::base::limits::PERIOD_LENGTH_MS_MAX`].
        length_ms: u64,
    },
    /// A period ends when a party closes it.
    OnDemand,
}

/// Proposes an agreement. The proposer signs by proposing.
///
/// By a finance key of a party. Needs: well-formed terms, registered parties and payer, a window. Creates an agreement
/// in state `proposed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposeAgreement {
    /// The consortium it is made in.
    pub consortium: ConsortiumId,
    /// What is agreed.
    pub terms: Terms,
    /// When services count.
    pub window: Window,
    /// When periods end.
    pub schedule: Schedule,
}

/// Signs a proposed agreement; the last signature makes it active and opens its first period.
///
/// By a finance key of a party that has not signed. Needs: state `proposed`, and the hash of the terms, so that nobody
/// signs what they have not seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignAgreement {
    /// The agreement.
    pub agreement: AgreementId,
    /// The hash of its terms.
    pub terms_hash: Hash,
}

/// Terminates an agreement: services no longer count; what was counted can still be closed.
///
/// By a finance key of a party. Needs: state `proposed` or `active`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TerminateAgreement {
    /// The agreement.
    pub agreement: AgreementId,
}

/// Closes the open period of an agreement: fixes its events, computes its statement, opens the next.
///
/// By a finance key of a party. Needs: the number of the open period (so that a repeat closes nothing else), and its
/// end reached where the schedule is fixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClosePeriod {
    /// The agreement.
    pub agreement: AgreementId,
    /// The open period, counted from 0.
    pub period: u32,
}
