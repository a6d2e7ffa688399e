//! Asking: a referral is requested, or returned downward, and taken back (rules O-9, O-14, O-19).

use super::operation::{CancelReferral, Direction, RequestReferral, ReturnDownward, Urgency};
use super::record::{Referral, ReferralState};
use super::state::{deadline, find, member, save};
use super::step::{Party, ReferralStep};
use crate::base::id::{Commitment, InstitutionId, ReferralId, ServiceCode, SubjectTag};
use crate::domain::access::operation::AccessScope;
use crate::domain::access::rules::{is_useful, require_custodian};
use crate::domain::call::{Call, Step, require};
use crate::domain::membership::record::Tier;
use crate::domain::object::Object;
use crate::domain::operate::{Named, Operate, OperationError};
use crate::domain::refusal::Refusal;
use crate::domain::work::ORDINARY;
use crate::state::key::StateKey;
use crate::state::{StateView, ViewError};

/// Rule O-9.
impl Operate for RequestReferral {
    fn check(&self) -> Result<(), OperationError> {
        Ok(self.service.check()?)
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(ORDINARY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named::Party(&self.receiver)]
    }

    fn refers_to(&self) -> Option<Object> {
        None
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        require(self.receiver != *call.institution, Refusal::SameInstitution)?;
        require(is_useful(&self.access), Refusal::EmptyScope)?;
        let from = member(call, call.institution)?;
        let to = member(call, &self.receiver)?;
        require(direction_fits(self.direction, from.tier, to.tier), Refusal::DirectionMismatch)?;
        require_custodian(&self.subject, call.institution)?;
        let request = Request {
            to: self.receiver.clone(),
            subject: self.subject,
            direction: self.direction,
            service: self.service.clone(),
            urgency: self.urgency,
            reason: self.reason,
            access: self.access.clone(),
            returns: None,
        };
        open(call, request);
        Ok(())
    }
}

/// Rule O-19.
impl Operate for ReturnDownward {
    fn check(&self) -> Result<(), OperationError> {
        Ok(self.service.check()?)
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(ORDINARY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn refers_to(&self) -> Option<Object> {
        Some(Object::Referral(self.returns))
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let mut first = find(call, self.returns)?;
        require(first.receiver == *call.institution, Refusal::NotThatParty)?;
        let treated = matches!(
            first.state,
            ReferralState::OutcomeReported | ReferralState::ClosedClinically | ReferralState::Closed
        );
        require(treated, Refusal::WrongReferralState)?;
        require(first.direction == Direction::Up, Refusal::DirectionMismatch)?;
        require(first.returned_by.is_none(), Refusal::AlreadyReturned)?;
        require(is_useful(&self.access), Refusal::EmptyScope)?;
        let request = Request {
            to: first.requester.clone(),
            // The tag of the one who asked first, who keeps it: a tag of the author's own beside it would join the two.
            subject: first.subject,
            direction: Direction::Down,
            service: self.service.clone(),
            urgency: self.urgency,
            reason: self.reason,
            access: self.access.clone(),
            returns: Some(self.returns),
        };
        let id = open(call, request);
        first.returned_by = Some(id);
        save(call, self.returns, &first);
        Ok(())
    }
}

/// Rule O-14.
impl ReferralStep for CancelReferral {
    const BY: Party = Party::Requester;
    const FROM: &'static [ReferralState] =
        &[ReferralState::Requested, ReferralState::Redirected, ReferralState::Accepted];
    const TO: ReferralState = ReferralState::Cancelled;

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

/// What a new referral asks for.
struct Request {
    to: InstitutionId,
    subject: SubjectTag,
    direction: Direction,
    service: ServiceCode,
    urgency: Urgency,
    reason: Commitment,
    access: AccessScope,
    returns: Option<ReferralId>,
}

fn open(call: &mut Call<'_, '_>, request: Request) -> ReferralId {
    let id = ReferralId(call.object_id());
    let referral = Referral {
        requester: call.institution.clone(),
        receiver: request.to,
        subject: request.subject,
        direction: request.direction,
        service: request.service,
        urgency: request.urgency,
        reason: request.reason,
        access: request.access,
        state: ReferralState::Requested,
        since: call.time(),
        due: deadline(call, ReferralState::Requested, request.urgency),
        grant: None,
        holds_slot: false,
        proposed_receiver: None,
        redirects: 0,
        package: None,
        outcome: None,
        ended_because: None,
        returns: request.returns,
        returned_by: None,
    };
    for party in [&referral.requester, &referral.receiver] {
        call.state.mark(&StateKey::ReferralIndex(party.clone(), id));
    }
    save(call, id, &referral);
    id
}

/// Rule O-9: up goes to a higher tier and down to a lower one; lateral stays, or a side has no tier.
pub(super) fn direction_fits(direction: Direction, from: Option<Tier>, to: Option<Tier>) -> bool {
    match (from, to) {
        (Some(from), Some(to)) => match direction {
            Direction::Up => to > from,
            Direction::Down => to < from,
            Direction::Lateral => to == from,
        },
        _ => direction == Direction::Lateral,
    }
}
