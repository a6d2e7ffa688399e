//! A step of a referral: by whom it is taken, from which states and to which, and what it changes beside that.

use super::record::{Referral, ReferralState};
use super::state::{advance, find};
use crate::base::id::{InstitutionId, ReferralId};
use crate::domain::call::{Call, Step, require};
use crate::domain::object::Object;
use crate::domain::operate::{Named, Operate, OperationError};
use crate::domain::refusal::Refusal;
use crate::domain::work::ORDINARY;
use crate::state::{StateView, ViewError};

/// Which of its two parties takes a step.
pub(super) enum Party {
    Requester,
    Receiver,
}

/// An operation that moves a referral on.
pub(super) trait ReferralStep {
    /// Who takes it.
    const BY: Party;
    /// The states that it starts from.
    const FROM: &'static [ReferralState];
    /// The state that it leads to.
    const TO: ReferralState;

    /// Which referral.
    fn referral(&self) -> ReferralId;

    /// The institutions that it names beside its author's.
    fn names(&self) -> Vec<Named<'_>>;

    /// What it needs and changes beside party and state.
    ///
    /// # Errors
    /// The first need that is not met.
    fn take(&self, call: &mut Call<'_, '_>, referral: &mut Referral) -> Step;
}

impl<T: ReferralStep> Operate for T {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(ORDINARY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        ReferralStep::names(self)
    }

    fn refers_to(&self) -> Option<Object> {
        Some(Object::Referral(self.referral()))
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let mut referral = find(call, self.referral())?;
        let author = match T::BY {
            Party::Requester => &referral.requester,
            Party::Receiver => &referral.receiver,
        };
        // Who may not take the step does not learn where the referral stands.
        require(author == call.institution, Refusal::NotThatParty)?;
        require(T::FROM.contains(&referral.state), Refusal::WrongReferralState)?;
        self.take(call, &mut referral)?;
        advance(call, self.referral(), referral, T::TO)
    }
}
