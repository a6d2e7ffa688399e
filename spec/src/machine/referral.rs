//! Referrals and capacity (rules O-8 to O-19, O-27).
//!
//! ```text
//! requested ──accept──▶ accepted ──hand over──▶ handed_over ──acknowledge──▶ in_care ──report──▶ outcome_reported
//!  │  ▲  │                 │                                                                      │ close clinically
//!  │ redirect, confirm     └──cancel──▶ cancelled                                       closed_clinically
//!  └──decline──▶ declined                                                                         │ close administratively
//!                                                                                               closed
//! ```

use super::access::{end_with_referral, is_useful, open_grant, require_custodian};
use super::{Call, Step, require};
use crate::id::{Commitment, InstitutionId, ReferralId, ServiceCode, SubjectTag};
use crate::limits;
use crate::membership::{Institution, Tier};
use crate::operation::access::AccessScope;
use crate::operation::referral::{
    AcceptReferral, AcknowledgeHandover, CancelReferral, CloseAdministratively, CloseClinically,
    ConfirmRedirect, DeclineReferral, Direction, HandOver, PublishCapacity, RedirectReferral, ReportOutcome,
    RequestReferral, ReturnDownward, Urgency,
};
use crate::refusal::Refusal;
use crate::state::key::{StateKey, StreamId};
use crate::state::record::{Capacity, Grant, Referral, ReferralState};
use crate::time::{LedgerTime, Window};

/// Rule O-8.
pub(super) fn publish_capacity(call: &mut Call<'_, '_>, operation: &PublishCapacity) -> Step {
    require(operation.slots <= limits::CAPACITY_SLOTS_MAX, Refusal::TooManySlots)?;
    let key = StateKey::Capacity(call.institution.clone(), operation.service.clone());
    let reserved = call.state.read(&key)?.map_or(0, |capacity: Capacity| capacity.reserved);
    require(operation.slots >= reserved, Refusal::CapacityInUse)?;
    call.state.write(&key, &Capacity { slots: operation.slots, reserved });
    Ok(())
}

/// Rule O-9.
pub(super) fn request(call: &mut Call<'_, '_>, operation: &RequestReferral) -> Step {
    require(operation.to != *call.institution, Refusal::SameInstitution)?;
    require(is_useful(&operation.access), Refusal::EmptyScope)?;
    let from = member(call, call.institution)?;
    let to = member(call, &operation.to)?;
    require(direction_fits(operation.direction, from.tier, to.tier), Refusal::DirectionMismatch)?;
    require_custodian(&operation.subject, call.institution)?;
    let request = Request {
        to: operation.to.clone(),
        subject: operation.subject,
        direction: operation.direction,
        service: operation.service.clone(),
        urgency: operation.urgency,
        reason: operation.reason,
        access: operation.access.clone(),
        returns: None,
    };
    open(call, request);
    Ok(())
}

/// Rule O-19.
pub(super) fn return_downward(call: &mut Call<'_, '_>, operation: &ReturnDownward) -> Step {
    let mut first = find(call, operation.returns)?;
    require(first.receiver == *call.institution, Refusal::NotThatParty)?;
    let treated = matches!(
        first.state,
        ReferralState::OutcomeReported | ReferralState::ClosedClinically | ReferralState::Closed
    );
    require(treated, Refusal::WrongReferralState)?;
    require(first.direction == Direction::Up, Refusal::DirectionMismatch)?;
    require(first.returned_by.is_none(), Refusal::AlreadyReturned)?;
    require(is_useful(&operation.access), Refusal::EmptyScope)?;
    let request = Request {
        to: first.requester.clone(),
        // The tag of the one who asked first, who keeps it: a tag of the author's own beside it would join the two.
        subject: first.subject,
        direction: Direction::Down,
        service: operation.service.clone(),
        urgency: operation.urgency,
        reason: operation.reason,
        access: operation.access.clone(),
        returns: Some(operation.returns),
    };
    let id = open(call, request);
    first.returned_by = Some(id);
    save(call, operation.returns, &first);
    Ok(())
}

/// Rule O-11.
pub(super) fn accept(call: &mut Call<'_, '_>, operation: &AcceptReferral) -> Step {
    let mut referral = find_in(call, operation.referral, ReferralState::Requested, Party::Receiver)?;
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
        referral: Some(operation.referral),
        ended: None,
    };
    referral.grant = Some(open_grant(call, &grant));
    advance(call, operation.referral, referral, ReferralState::Accepted)
}

/// Rule O-12.
pub(super) fn decline(call: &mut Call<'_, '_>, operation: &DeclineReferral) -> Step {
    let mut referral = find_in(call, operation.referral, ReferralState::Requested, Party::Receiver)?;
    referral.ended_because = Some(operation.reason);
    advance(call, operation.referral, referral, ReferralState::Declined)
}

/// Rule O-13.
pub(super) fn redirect(call: &mut Call<'_, '_>, operation: &RedirectReferral) -> Step {
    let mut referral = find_in(call, operation.referral, ReferralState::Requested, Party::Receiver)?;
    require_in_time(call, &referral)?;
    let elsewhere = operation.to != *call.institution && operation.to != referral.requester;
    require(elsewhere, Refusal::SameInstitution)?;
    require(referral.redirects < limits::REDIRECTS_MAX, Refusal::TooManyRedirects)?;
    let from = member(call, &referral.requester)?;
    let to = member(call, &operation.to)?;
    require(direction_fits(referral.direction, from.tier, to.tier), Refusal::DirectionMismatch)?;
    // Nothing of the case goes to that institution yet: the requester has not consented to it.
    referral.redirect_to = Some(operation.to.clone());
    referral.redirects += 1;
    advance(call, operation.referral, referral, ReferralState::Redirected)
}

/// Rule O-27.
pub(super) fn confirm_redirect(call: &mut Call<'_, '_>, operation: &ConfirmRedirect) -> Step {
    let mut referral = find_in(call, operation.referral, ReferralState::Redirected, Party::Requester)?;
    require_in_time(call, &referral)?;
    require(referral.redirect_to.as_ref() == Some(&operation.to), Refusal::OtherReceiver)?;
    // Who passed it on has no more to do with it.
    call.state.delete(&StateKey::ReferralIndex(referral.receiver.clone(), operation.referral));
    call.state.mark(&StateKey::ReferralIndex(operation.to.clone(), operation.referral));
    referral.receiver = operation.to.clone();
    referral.redirect_to = None;
    advance(call, operation.referral, referral, ReferralState::Requested)
}

/// Rule O-10: a request lapses at its deadline.
fn require_in_time(call: &Call<'_, '_>, referral: &Referral) -> Step {
    require(referral.due.is_none_or(|due| call.time() <= due), Refusal::Lapsed)
}

/// Rule O-14.
pub(super) fn cancel(call: &mut Call<'_, '_>, operation: &CancelReferral) -> Step {
    let mut referral = find(call, operation.referral)?;
    require(referral.requester == *call.institution, Refusal::NotThatParty)?;
    let early = matches!(
        referral.state,
        ReferralState::Requested | ReferralState::Redirected | ReferralState::Accepted
    );
    require(early, Refusal::WrongReferralState)?;
    referral.ended_because = Some(operation.reason);
    advance(call, operation.referral, referral, ReferralState::Cancelled)
}

/// Rule O-15.
pub(super) fn hand_over(call: &mut Call<'_, '_>, operation: &HandOver) -> Step {
    let mut referral = find_in(call, operation.referral, ReferralState::Accepted, Party::Requester)?;
    referral.package = Some(operation.package);
    advance(call, operation.referral, referral, ReferralState::HandedOver)
}

/// Rule O-16.
pub(super) fn acknowledge(call: &mut Call<'_, '_>, operation: &AcknowledgeHandover) -> Step {
    let referral = find_in(call, operation.referral, ReferralState::HandedOver, Party::Receiver)?;
    require(referral.package == Some(operation.package), Refusal::CommitmentMismatch)?;
    advance(call, operation.referral, referral, ReferralState::InCare)
}

/// Rule O-17.
pub(super) fn report_outcome(call: &mut Call<'_, '_>, operation: &ReportOutcome) -> Step {
    let mut referral = find_in(call, operation.referral, ReferralState::InCare, Party::Receiver)?;
    referral.outcome = Some((operation.outcome, operation.report));
    advance(call, operation.referral, referral, ReferralState::OutcomeReported)
}

/// Rule O-18.
pub(super) fn close_clinically(call: &mut Call<'_, '_>, operation: &CloseClinically) -> Step {
    let referral = find_in(call, operation.referral, ReferralState::OutcomeReported, Party::Requester)?;
    advance(call, operation.referral, referral, ReferralState::ClosedClinically)
}

/// Rule O-18.
pub(super) fn close_administratively(call: &mut Call<'_, '_>, operation: &CloseAdministratively) -> Step {
    let referral = find_in(call, operation.referral, ReferralState::ClosedClinically, Party::Receiver)?;
    advance(call, operation.referral, referral, ReferralState::Closed)
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
        redirect_to: None,
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

/// Moves a referral to its next state; a final one gives back what it held.
fn advance(call: &mut Call<'_, '_>, id: ReferralId, mut referral: Referral, state: ReferralState) -> Step {
    referral.state = state;
    referral.since = call.time();
    referral.due = deadline(call, state, referral.urgency);
    if state.is_final() {
        if referral.holds_slot {
            release_slot(call, &referral)?;
            referral.holds_slot = false;
        }
        if let Some(grant) = referral.grant {
            end_with_referral(call, grant)?;
        }
    }
    save(call, id, &referral);
    Ok(())
}

fn save(call: &mut Call<'_, '_>, id: ReferralId, referral: &Referral) {
    call.state.write(&StateKey::Referral(id), referral);
    call.concerns(StreamId::Referral(id));
    call.concerns(StreamId::Subject(referral.subject));
    call.concerns(StreamId::Institution(referral.requester.clone()));
    call.concerns(StreamId::Institution(referral.receiver.clone()));
}

/// Rule O-10: when a state must be left, from the parameters and the urgency.
fn deadline(call: &Call<'_, '_>, state: ReferralState, urgency: Urgency) -> Option<LedgerTime> {
    let routine_ms = match state {
        ReferralState::Requested | ReferralState::Redirected => call.parameters.referral_answer_deadline_ms,
        ReferralState::Accepted => call.parameters.referral_handover_deadline_ms,
        ReferralState::HandedOver => call.parameters.referral_acknowledge_deadline_ms,
        ReferralState::InCare => call.parameters.referral_outcome_deadline_ms,
        ReferralState::OutcomeReported | ReferralState::ClosedClinically => {
            call.parameters.referral_closure_deadline_ms
        }
        ReferralState::Closed | ReferralState::Declined | ReferralState::Cancelled => return None,
    };
    let divisor = match urgency {
        Urgency::Routine => 1,
        Urgency::Urgent => 4,
        Urgency::Emergency => 24,
    };
    Some(call.time().plus_ms(routine_ms / divisor))
}

/// Takes a slot where the receiver has published capacity; without published capacity there is nothing to take.
fn reserve_slot(call: &mut Call<'_, '_>, service: &ServiceCode) -> Step<bool> {
    let key = StateKey::Capacity(call.institution.clone(), service.clone());
    let Some(Capacity { slots, reserved }) = call.state.read(&key)? else {
        return Ok(false);
    };
    require(reserved < slots, Refusal::NoCapacity)?;
    call.state.write(&key, &Capacity { slots, reserved: reserved + 1 });
    Ok(true)
}

fn release_slot(call: &mut Call<'_, '_>, referral: &Referral) -> Step {
    let key = StateKey::Capacity(referral.receiver.clone(), referral.service.clone());
    if let Some(Capacity { slots, reserved }) = call.state.read(&key)? {
        call.state.write(&key, &Capacity { slots, reserved: reserved.saturating_sub(1) });
    }
    Ok(())
}

fn find(call: &Call<'_, '_>, id: ReferralId) -> Step<Referral> {
    call.find(&StateKey::Referral(id), Refusal::NoSuchReferral)
}

/// Who of the two must take a step.
#[derive(Clone, Copy)]
enum Party {
    Requester,
    Receiver,
}

/// A referral whose next step is the author's, who learns its state only then.
fn find_in(call: &Call<'_, '_>, id: ReferralId, state: ReferralState, party: Party) -> Step<Referral> {
    let referral = find(call, id)?;
    let must_act = match party {
        Party::Requester => &referral.requester,
        Party::Receiver => &referral.receiver,
    };
    require(must_act == call.institution, Refusal::NotThatParty)?;
    require(referral.state == state, Refusal::WrongReferralState)?;
    Ok(referral)
}

fn member(call: &Call<'_, '_>, id: &InstitutionId) -> Step<Institution> {
    Ok(call.state.read(&StateKey::Institution(id.clone()))?.ok_or(Refusal::NoSuchInstitution)?)
}

/// Rule O-9: up goes to a higher tier and down to a lower one; lateral stays, or a side has no tier.
fn direction_fits(direction: Direction, from: Option<Tier>, to: Option<Tier>) -> bool {
    match (from, to) {
        (Some(from), Some(to)) => match direction {
            Direction::Up => to > from,
            Direction::Down => to < from,
            Direction::Lateral => to == from,
        },
        _ => direction == Direction::Lateral,
    }
}
