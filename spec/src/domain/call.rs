//! One operation in execution: who asks for it, when, and the state that it may change.

use std::collections::BTreeSet;

use super::Operation;
use super::party::HasParties;
use crate::base::codec::Canonical;
use crate::base::height::Height;
use crate::base::id::{ChainId, InstitutionId, TransactionId};
use crate::base::time::LedgerTime;
use crate::base::version::ProtocolVersion;
use crate::domain::parameters::Parameters;
use crate::domain::refusal::Refusal;
use crate::settlement::period::SettlementError;
use crate::state::ViewError;
use crate::state::key::{StateKey, StreamId};
use crate::state::overlay::Overlay;

/// What a block's execution depends on beside the state and the transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockContext {
    /// The ledger.
    pub chain_id: ChainId,
    /// The block's height.
    pub height: Height,
    /// The version of the rules (rule V-1).
    pub version: ProtocolVersion,
    /// The block's time; the only time there is.
    pub time: LedgerTime,
}

/// Why an operation stops: the rules refuse it, the block has no room for it, or the state cannot be read.
#[derive(Debug)]
pub(crate) enum Stop {
    Refused(Refusal),
    BlockIsFull,
    View(ViewError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ViewError> for Stop {
    fn from(error: ViewError) -> Self {
        Self::View(error)
    }
}

/// What the settlement's error is called on a receipt.
impl From<SettlementError> for Stop {
    fn from(error: SettlementError) -> Self {
        Stop::Refused(match error {
            SettlementError::Amount(_) | SettlementError::TooManyAdjustedPeriods => Refusal::Overflow,
            SettlementError::GrossOutOfRange { .. } => Refusal::AmountOutOfBounds,
            SettlementError::ServiceNotCovered { .. }
            | SettlementError::TooManyParts { .. }
            | SettlementError::PartNotAgreed { .. }
            | SettlementError::PartRepeated { .. }
            | SettlementError::ReversedMoreThanDelivered { .. }
            | SettlementError::MetricNotAgreed { .. }
            | SettlementError::UnknownParty { .. }
            | SettlementError::Evaluate(_) => Refusal::TermsNotEvaluable,
        })
    }
}

pub(crate) type Step<T = ()> = Result<T, Stop>;

/// One operation in execution: who asks, when, and the state it may change.
pub(crate) struct Call<'a, 'b> {
    pub context: &'a BlockContext,
    pub parameters: &'a Parameters,
    pub transaction_id: TransactionId,
    pub index: u16,
    pub operation: &'a Operation,
    /// The institution that the author acts for.
    pub institution: &'a InstitutionId,
    pub state: &'a mut Overlay<'b>,
    /// The streams that the operation belongs to, beside that of the author's institution.
    pub streams: BTreeSet<StreamId>,
}

impl Call<'_, '_> {
    pub fn time(&self) -> LedgerTime {
        self.context.time
    }

    /// The id of the object that this operation creates.
    pub fn object_id(&self) -> [u8; 32] {
        self.operation.object_id(self.transaction_id, self.index)
    }

    /// Has the operation appended to a stream once it has taken effect.
    pub fn append_to(&mut self, stream: StreamId) {
        self.streams.insert(stream);
    }

    /// Rule O-28: the object in a row, which is there for its parties alone.
    pub fn find<T: Canonical + HasParties>(&self, key: &StateKey, otherwise: Refusal) -> Step<T> {
        let found: Option<T> = self.state.read(key)?;
        Ok(found.filter(|object| object.has_party(self.institution)).ok_or(otherwise)?)
    }

    /// Refuses unless the institution is a member.
    pub fn require_member(&self, institution: &InstitutionId) -> Step {
        require(self.state.contains(&StateKey::Institution(institution.clone()))?, Refusal::NoSuchInstitution)
    }
}

/// Goes on where this holds.
pub(crate) fn require(holds: bool, otherwise: Refusal) -> Step {
    if holds { Ok(()) } else { Err(Stop::Refused(otherwise)) }
}
