//! Where a referral stands, and how it moves on (rule O-10).

use super::capacity::release_slot;
use super::operation::Urgency;
use super::record::{Referral, ReferralState};
use crate::base::id::{InstitutionId, ReferralId};
use crate::base::time::LedgerTime;
use crate::domain::access::rules::end_with_referral;
use crate::domain::call::{Call, Step};
use crate::domain::membership::record::Institution;
use crate::domain::refusal::Refusal;
use crate::state::key::{StateKey, StreamId};

/// Moves a referral to its next state; a final one gives back what it held.
pub(super) fn advance(
    call: &mut Call<'_, '_>,
    id: ReferralId,
    mut referral: Referral,
    state: ReferralState,
) -> Step {
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

pub(super) fn save(call: &mut Call<'_, '_>, id: ReferralId, referral: &Referral) {
    call.state.write(&StateKey::Referral(id), referral);
    call.append_to(StreamId::Referral(id));
    call.append_to(StreamId::Subject(referral.subject));
    call.append_to(StreamId::Institution(referral.requester.clone()));
    call.append_to(StreamId::Institution(referral.receiver.clone()));
}

/// Rule O-10: when a state must be left, from the parameters and the urgency.
pub(super) fn deadline(call: &Call<'_, '_>, state: ReferralState, urgency: Urgency) -> Option<LedgerTime> {
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

pub(super) fn find(call: &Call<'_, '_>, id: ReferralId) -> Step<Referral> {
    call.find(&StateKey::Referral(id), Refusal::NoSuchReferral)
}

pub(super) fn member(call: &Call<'_, '_>, id: &InstitutionId) -> Step<Institution> {
    Ok(call.state.read(&StateKey::Institution(id.clone()))?.ok_or(Refusal::NoSuchInstitution)?)
}
