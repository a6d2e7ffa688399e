//! What every operation answers for: its structure, its work, whom and what it names, and what it does.

use thiserror::Error;

use super::call::{Call, Step};
use super::object::Object;
use crate::base::id::{IdError, InstitutionId};
use crate::base::limits;
use crate::settlement::terms::TermsError;
use crate::state::{StateView, ViewError};

/// An operation. No method has a default: whoever adds one answers every question.
pub(crate) trait Operate {
    /// What can be said of it without keys, clock and state (rules S-1, S-6 to S-9, S-12). The institutions that it names are
    /// checked for all operations alike.
    ///
    /// # Errors
    /// The first rule that is broken.
    fn check(&self) -> Result<(), OperationError>;

    /// What it costs on this state when this institution asks for it (rule X-5). What is others' costs what is not there
    /// costs (rule O-28): the work is told by receipts and quotas.
    ///
    /// # Errors
    /// [`ViewError`] when storage fails.
    fn work(&self, author: &InstitutionId, view: &dyn StateView) -> Result<u64, ViewError>;

    /// The institutions that it names beside its author's.
    fn names(&self) -> Vec<Named<'_>>;

    /// The object that it is about, when another operation created that.
    fn refers_to(&self) -> Option<Object>;

    /// Refuses, or changes the state: the rules of chapter 5.
    ///
    /// # Errors
    /// The first need that is not met.
    fn execute(&self, call: &mut Call<'_, '_>) -> Step;
}

/// An institution that an operation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// One that the operation concerns, so that it may read it.
    Party(&'a InstitutionId),
    /// One that learns nothing of it yet.
    Proposed(&'a InstitutionId),
}

impl<'a> Named<'a> {
    /// Which.
    pub const fn institution(self) -> &'a InstitutionId {
        match self {
            Self::Party(institution) | Self::Proposed(institution) => institution,
        }
    }
}

/// Why an operation is malformed.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum OperationError {
    /// Rule S-1.
    #[error(transparent)]
    Name(#[from] IdError),
    /// Rule S-6.
    #[error("a service has 1 to {} parts, ascending, one of each", limits::PARTS_PER_SERVICE_MAX)]
    Parts,
    /// Rule S-12.
    #[error(
        "a service is performed on 1 to {} whole days, from midnight to midnight UTC",
        limits::SERVICE_DAYS_MAX
    )]
    PerformedDays,
    /// Rule S-7.
    #[error("the currency is not three capital letters")]
    Currency,
    /// Rule S-8.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// Rule S-9.
    #[error("a period is longer than 0 and at most {} days", limits::PERIOD_LENGTH_MS_MAX / 86_400_000)]
    PeriodLength,
}
