//! Answering: a request is accepted, declined, or redirected and confirmed (rules O-11 to O-13, O-27).

use super::capacity::reserve_slot;
use super::operation::{AcceptReferral, ConfirmRedirect, DeclineReferral, RedirectReferral};
use super::record::{Referral, ReferralState};
use super::request::direction_fits;
use super::state::{Party, advance, find_in, member};
use crate::base::id::InstitutionId;
use crate::base::limits;
use crate::base::time::Window;
use crate::domain::access::record::Grant;
use crate::domain::access::rules::open_grant;
use crate::domain::call::{Call, Step, require};
use crate::domain::object::Object;
use crate::domain::operate::{Named, Operate, OperationError};
use crate::domain::refusal::Refusal;
use crate::domain::work::ORDINARY;
use crate::state::key::StateKey;
use crate::state::{StateView, ViewError};

/// Rule O-11.
impl Operate for AcceptReferral {
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
        let mut referral = find_in(call, self.referral, ReferralState::Requested, Party::Receiver)?;
        require_in_time(call, &referral)?;
        referral.holds_slot = reserve_slot(call, &referral.service)?;
        let grant = Grant {
            grantor: referral.requester.clone(),
            grantee: referral.receiver.clone(),
            subject: referral.subject,
            scope: referral.access.clone(),
            window: Window {
                starts: call.time(),
                expires: call.time().plus_ms(call.parameters.referral_access_ms),
            },
            consent: referral.reason,
            referral: Some(self.referral),
            ended: None,
        };
        referral.grant = Some(open_grant(call, &grant));
        advance(call, self.referral, referral, ReferralState::Accepted)
    }
}

/// Rule O-12.
impl Operate for DeclineReferral {
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
        let mut referral = find_in(call, self.referral, ReferralState::Requested, Party::Receiver)?;
        referral.ended_because = Some(self.reason);
        advance(call, self.referral, referral, ReferralState::Declined)
    }
}

/// Rule O-13.
impl Operate for RedirectReferral {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(ORDINARY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named::Proposed(&self.to)]
    }

    fn refers_to(&self) -> Option<Object> {
        Some(Object::Referral(self.referral))
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let mut referral = find_in(call, self.referral, ReferralState::Requested, Party::Receiver)?;
        require_in_time(call, &referral)?;
        let elsewhere = self.to != *call.institution && self.to != referral.requester;
        require(elsewhere, Refusal::SameInstitution)?;
        require(referral.redirects < limits::REDIRECTS_MAX, Refusal::TooManyRedirects)?;
        let from = member(call, &referral.requester)?;
        let to = member(call, &self.to)?;
        require(direction_fits(referral.direction, from.tier, to.tier), Refusal::DirectionMismatch)?;
        // Nothing of the case goes to that institution yet: the requester has not consented to it.
        referral.redirect_to = Some(self.to.clone());
        referral.redirects += 1;
        advance(call, self.referral, referral, ReferralState::Redirected)
    }
}

/// Rule O-27.
impl Operate for ConfirmRedirect {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(ORDINARY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named::Party(&self.to)]
    }

    fn refers_to(&self) -> Option<Object> {
        Some(Object::Referral(self.referral))
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let mut referral = find_in(call, self.referral, ReferralState::Redirected, Party::Requester)?;
        require_in_time(call, &referral)?;
        require(referral.redirect_to.as_ref() == Some(&self.to), Refusal::OtherReceiver)?;
        // Who passed it on has no more to do with it.
        call.state.delete(&StateKey::ReferralIndex(referral.receiver.clone(), self.referral));
        call.state.mark(&StateKey::ReferralIndex(self.to.clone(), self.referral));
        referral.receiver = self.to.clone();
        referral.redirect_to = None;
        advance(call, self.referral, referral, ReferralState::Requested)
    }
}

/// Rule O-10: a request lapses at its deadline.
pub(super) fn require_in_time(call: &Call<'_, '_>, referral: &Referral) -> Step {
    require(referral.due.is_none_or(|due| call.time() <= due), Refusal::Lapsed)
}
