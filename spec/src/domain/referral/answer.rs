//! Answering: a request is accepted, declined, or redirected and confirmed (rules O-11 to O-13, O-27).

use super::capacity::reserve_slot;
use super::operation::{AcceptReferral, ConfirmRedirect, DeclineReferral, RedirectReferral};
use super::record::{Referral, ReferralState};
use super::request::direction_fits;
use super::state::member;
use super::step::{Party, ReferralStep};
use crate::base::id::ReferralId;
use crate::base::limits;
use crate::base::time::Window;
use crate::domain::access::record::Grant;
use crate::domain::access::rules::open_grant;
use crate::domain::call::{Call, Step, require};
use crate::domain::operate::Named;
use crate::domain::refusal::Refusal;
use crate::state::key::StateKey;

/// Rule O-11.
impl ReferralStep for AcceptReferral {
    const BY: Party = Party::Receiver;
    const FROM: &'static [ReferralState] = &[ReferralState::Requested];
    const TO: ReferralState = ReferralState::Accepted;

    fn referral(&self) -> ReferralId {
        self.referral
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn take(&self, call: &mut Call<'_, '_>, referral: &mut Referral) -> Step {
        require_in_time(call, referral)?;
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
        Ok(())
    }
}

/// Rule O-12.
impl ReferralStep for DeclineReferral {
    const BY: Party = Party::Receiver;
    const FROM: &'static [ReferralState] = &[ReferralState::Requested];
    const TO: ReferralState = ReferralState::Declined;

    fn referral(&self) -> ReferralId {
        self.referral
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn take(&self, _: &mut Call<'_, '_>, referral: &mut Referral) -> Step {
        referral.ended_because = Some(self.reason);
        Ok(())
    }
}

/// Rule O-13.
impl ReferralStep for RedirectReferral {
    const BY: Party = Party::Receiver;
    const FROM: &'static [ReferralState] = &[ReferralState::Requested];
    const TO: ReferralState = ReferralState::Redirected;

    fn referral(&self) -> ReferralId {
        self.referral
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named::Proposed(&self.proposed_receiver)]
    }

    fn take(&self, call: &mut Call<'_, '_>, referral: &mut Referral) -> Step {
        require_in_time(call, referral)?;
        let elsewhere =
            self.proposed_receiver != *call.institution && self.proposed_receiver != referral.requester;
        require(elsewhere, Refusal::SameInstitution)?;
        require(referral.redirects < limits::REDIRECTS_MAX, Refusal::TooManyRedirects)?;
        let from = member(call, &referral.requester)?;
        let to = member(call, &self.proposed_receiver)?;
        require(direction_fits(referral.direction, from.tier, to.tier), Refusal::DirectionMismatch)?;
        // Nothing of the case goes to that institution yet: the requester has not consented to it.
        referral.proposed_receiver = Some(self.proposed_receiver.clone());
        referral.redirects += 1;
        Ok(())
    }
}

/// Rule O-27.
impl ReferralStep for ConfirmRedirect {
    const BY: Party = Party::Requester;
    const FROM: &'static [ReferralState] = &[ReferralState::Redirected];
    const TO: ReferralState = ReferralState::Requested;

    fn referral(&self) -> ReferralId {
        self.referral
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named::Party(&self.receiver)]
    }

    fn take(&self, call: &mut Call<'_, '_>, referral: &mut Referral) -> Step {
        require_in_time(call, referral)?;
        require(referral.proposed_receiver.as_ref() == Some(&self.receiver), Refusal::OtherReceiver)?;
        // Who passed it on has no more to do with it.
        call.state.delete(&StateKey::ReferralIndex(referral.receiver.clone(), self.referral));
        call.state.mark(&StateKey::ReferralIndex(self.receiver.clone(), self.referral));
        referral.receiver = self.receiver.clone();
        referral.proposed_receiver = None;
        Ok(())
    }
}

/// Rule O-10: a request lapses at its deadline.
pub(super) fn require_in_time(call: &Call<'_, '_>, referral: &Referral) -> Step {
    require(referral.due.is_none_or(|due| call.time() <= due), Refusal::Lapsed)
}
