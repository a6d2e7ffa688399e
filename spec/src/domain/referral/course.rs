//! The course of an accepted referral, from the hand-over to its closure (rules O-15 to O-18).

use super::operation::{
    AcknowledgeHandover, CloseAdministratively, CloseClinically, HandOver, ReportOutcome,
};
use super::record::ReferralState;
use super::state::{Party, advance, find_in};
use crate::base::id::InstitutionId;
use crate::domain::call::{Call, Step, require};
use crate::domain::object::Object;
use crate::domain::operate::{Named, Operate, OperationError};
use crate::domain::refusal::Refusal;
use crate::domain::work::ORDINARY;
use crate::state::{StateView, ViewError};

/// Rule O-15.
impl Operate for HandOver {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(ORDINARY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn refers_to(&self) -> Option<Object> {
        Some(Object::Referral(self.referral))
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let mut referral = find_in(call, self.referral, ReferralState::Accepted, Party::Requester)?;
        referral.package = Some(self.package);
        advance(call, self.referral, referral, ReferralState::HandedOver)
    }
}

/// Rule O-16.
impl Operate for AcknowledgeHandover {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(ORDINARY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn refers_to(&self) -> Option<Object> {
        Some(Object::Referral(self.referral))
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let referral = find_in(call, self.referral, ReferralState::HandedOver, Party::Receiver)?;
        require(referral.package == Some(self.package), Refusal::CommitmentMismatch)?;
        advance(call, self.referral, referral, ReferralState::InCare)
    }
}

/// Rule O-17.
impl Operate for ReportOutcome {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(ORDINARY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn refers_to(&self) -> Option<Object> {
        Some(Object::Referral(self.referral))
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let mut referral = find_in(call, self.referral, ReferralState::InCare, Party::Receiver)?;
        referral.outcome = Some((self.outcome, self.report));
        advance(call, self.referral, referral, ReferralState::OutcomeReported)
    }
}

/// Rule O-18.
impl Operate for CloseClinically {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(ORDINARY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn refers_to(&self) -> Option<Object> {
        Some(Object::Referral(self.referral))
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let referral = find_in(call, self.referral, ReferralState::OutcomeReported, Party::Requester)?;
        advance(call, self.referral, referral, ReferralState::ClosedClinically)
    }
}

/// Rule O-18.
impl Operate for CloseAdministratively {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(ORDINARY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn refers_to(&self) -> Option<Object> {
        Some(Object::Referral(self.referral))
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let referral = find_in(call, self.referral, ReferralState::ClosedClinically, Party::Receiver)?;
        advance(call, self.referral, referral, ReferralState::Closed)
    }
}
