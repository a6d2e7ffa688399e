//! Validity: an operation takes effect if and only if chapter 5 of the protocol allows it, said again as one question per
//! operation. Not said again: what a new key needs (O-1), and sums that do not fit.

use std::collections::BTreeSet;

use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::id::{InstitutionId, ReferralId};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{AccessScope, Decision, GrantAccess, RecordDisclosure, RecordReceipt};
use yilian_spec::domain::agreement::AgreementState;
use yilian_spec::domain::agreement::{ClosePeriod, ProposeAgreement, Schedule, SignAgreement};
use yilian_spec::domain::membership::{Role, Tier};
use yilian_spec::domain::referral::ReferralState;
use yilian_spec::domain::referral::{
    AcceptReferral, Direction, RedirectReferral, RequestReferral, ReturnDownward,
};
use yilian_spec::domain::service::DeliverService;
use yilian_spec::settlement::terms::Terms;

use super::history::{Act, Grant, History, Referral};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
const GRANT_DAYS_MAX: u64 = 3_660;
const GROSS_MINOR_MAX: i64 = 1_000_000_000_000;
const SLOTS_MAX: u32 = 1_000_000;
const REDIRECTS_MAX: u8 = 8;
/// What every operation that begins something under a subject's tag may lack.
const ANOTHERS_TAG: &str = "another institution keeps the tag";

/// Why an operation must not take effect; nothing if it must.
type Objection = Option<&'static str>;

fn unless(holds: bool, objection: &'static str) -> Objection {
    if holds { None } else { Some(objection) }
}

/// The key's right to an operation, as it stood before the transaction (rules ).
pub fn key_objection(
    history: &History,
    author: PublicKey,
    institution: &InstitutionId,
    operation: &Operation,
    time: LedgerTime,
) -> Objection {
    let Some(key) = history.keys.get(&author) else { return Some("the key is not registered") };
    unless(key.institution == *institution, "the key is another institution's")
        .or(unless(key.role == role(operation), "the key has another role"))
        .or(unless(!key.revoked, "the key was revoked"))
        .or(unless(key.window.starts <= time && time < key.window.expires, "the key is out of its window"))
}

fn role(operation: &Operation) -> Role {
    match operation {
        Operation::RegisterKey(_) | Operation::RotateKey(_) | Operation::RevokeKey(_) => Role::Administrator,
        Operation::GrantAccess(_)
        | Operation::RevokeGrant(_)
        | Operation::RecordDisclosure(_)
        | Operation::RecordReceipt(_) => Role::AccessGateway,
        Operation::DeliverService(_)
        | Operation::ReverseService(_)
        | Operation::ProposeAgreement(_)
        | Operation::SignAgreement(_)
        | Operation::TerminateAgreement(_)
        | Operation::ClosePeriod(_) => Role::Finance,
        Operation::PublishCapacity(_)
        | Operation::RequestReferral(_)
        | Operation::AcceptReferral(_)
        | Operation::DeclineReferral(_)
        | Operation::RedirectReferral(_)
        | Operation::ConfirmRedirect(_)
        | Operation::CancelReferral(_)
        | Operation::HandOver(_)
        | Operation::AcknowledgeHandover(_)
        | Operation::ReportOutcome(_)
        | Operation::AmendOutcome(_)
        | Operation::CloseClinically(_)
        | Operation::CloseAdministratively(_)
        | Operation::ReturnDownward(_) => Role::ReferralGateway,
    }
}

/// Whether [`objection`] knows all needs of an operation.
pub fn is_judged(operation: &Operation) -> bool {
    !matches!(operation, Operation::RegisterKey(_) | Operation::RotateKey(_) | Operation::RevokeKey(_))
}

/// What an operation lacks, the key's right apart.
pub fn objection(history: &History, act: &Act<'_>) -> Objection {
    use ReferralState::{
        Accepted, ClosedClinically, HandedOver, InCare, OutcomeReported, Redirected, Requested,
    };
    match act.operation {
        // See [`is_judged`].
        Operation::RegisterKey(_) | Operation::RotateKey(_) | Operation::RevokeKey(_) => None,
        Operation::GrantAccess(grant) => grant_objection(history, act, grant),
        Operation::RevokeGrant(revoke) => {
            let open = |grant: &Grant| grant.grantor == *act.institution && !grant.ended;
            unless(history.grants.get(&revoke.grant).is_some_and(open), "no open grant of the author")
        }
        Operation::RecordDisclosure(disclosure) => disclosure_objection(history, act, disclosure),
        Operation::RecordReceipt(receipt) => receipt_objection(history, act, receipt),
        Operation::PublishCapacity(capacity) => {
            let held = history.held(act.institution, &capacity.service);
            unless((held..=SLOTS_MAX).contains(&capacity.slots), "too few or too many slots")
        }
        Operation::DeliverService(service) => delivery_objection(history, act, service),
        Operation::ReverseService(reverse) => {
            let service = history.services.get(&reverse.service);
            let may = service
                .is_some_and(|service| service.recorder == *act.institution && service.reversed_at.is_none());
            unless(may, "no service of the author that is not reversed")
        }
        Operation::ProposeAgreement(proposed) => proposal_objection(history, act, proposed),
        Operation::SignAgreement(sign) => signature_objection(history, act, sign),
        Operation::TerminateAgreement(end) => {
            let agreement = history.agreements.get(&end.agreement);
            let may = agreement.is_some_and(|agreement| {
                is_party(&agreement.proposed.terms, act.institution)
                    && agreement.state != AgreementState::Terminated
            });
            unless(may, "no agreement of the author that goes on")
        }
        Operation::ClosePeriod(close) => closing_objection(history, act, close),
        Operation::RequestReferral(request) => request_objection(history, act, request),
        Operation::AcceptReferral(accept) => {
            step_objection(history, act, accept.referral, RECEIVER, &[Requested])
                .or_else(|| lapse_objection(history, act, accept.referral))
                .or_else(|| slot_objection(history, act, accept))
        }
        Operation::DeclineReferral(decline) => {
            step_objection(history, act, decline.referral, RECEIVER, &[Requested])
        }
        Operation::RedirectReferral(redirect) => {
            step_objection(history, act, redirect.referral, RECEIVER, &[Requested])
                .or_else(|| lapse_objection(history, act, redirect.referral))
                .or_else(|| redirect_objection(history, act, redirect))
        }
        Operation::ConfirmRedirect(confirm) => {
            let proposed = history.referrals.get(&confirm.referral).and_then(|one| one.redirect_to.as_ref());
            step_objection(history, act, confirm.referral, REQUESTER, &[Redirected])
                .or_else(|| lapse_objection(history, act, confirm.referral))
                .or(unless(proposed == Some(&confirm.receiver), "another institution was proposed"))
        }
        Operation::CancelReferral(cancel) => {
            step_objection(history, act, cancel.referral, REQUESTER, &[Requested, Redirected, Accepted])
        }
        Operation::HandOver(hand_over) => {
            step_objection(history, act, hand_over.referral, REQUESTER, &[Accepted])
        }
        Operation::AcknowledgeHandover(acknowledge) => {
            let referral = history.referrals.get(&acknowledge.referral);
            let same = referral.is_some_and(|one| one.package == Some(acknowledge.package));
            step_objection(history, act, acknowledge.referral, RECEIVER, &[HandedOver])
                .or(unless(same, "something else was handed over"))
        }
        Operation::ReportOutcome(report) => {
            step_objection(history, act, report.referral, RECEIVER, &[InCare])
        }
        Operation::AmendOutcome(amend) => {
            step_objection(history, act, amend.referral, RECEIVER, &[OutcomeReported, ClosedClinically])
        }
        Operation::CloseClinically(close) => {
            step_objection(history, act, close.referral, REQUESTER, &[OutcomeReported])
        }
        Operation::CloseAdministratively(close) => {
            step_objection(history, act, close.referral, RECEIVER, &[ClosedClinically])
        }
        Operation::ReturnDownward(back) => return_objection(history, act, back),
    }
}

fn useful(scope: &AccessScope) -> bool {
    !scope.categories.is_empty() && !scope.purposes.is_empty()
}

fn is_other_member(history: &History, act: &Act<'_>, other: &InstitutionId) -> bool {
    other != act.institution && history.institutions.contains_key(other)
}

fn grant_objection(history: &History, act: &Act<'_>, grant: &GrantAccess) -> Objection {
    let (starts, expires) = (grant.window.starts.0, grant.window.expires.0);
    let fits = starts < expires && expires - starts <= GRANT_DAYS_MAX * DAY_MS && expires > act.time.0;
    unless(is_other_member(history, act, &grant.grantee), "the grantee is no other member")
        .or(unless(useful(&grant.scope), "the scope is empty"))
        .or(unless(fits, "the window is empty, too long or over"))
        .or(unless(History::may_keep(grant.subject, act.institution), ANOTHERS_TAG))
}

/// A permitted disclosure is covered by a grant that is in force.
fn disclosure_objection(history: &History, act: &Act<'_>, disclosure: &RecordDisclosure) -> Objection {
    if !is_other_member(history, act, &disclosure.recipient) {
        return Some("the recipient is no other member");
    }
    let Decision::Permit { grant } = disclosure.decision else {
        return unless(History::may_keep(disclosure.subject, act.institution), ANOTHERS_TAG);
    };
    let Some(grant) = history.grants.get(&grant) else { return Some("there is no such grant") };
    let between = grant.grantor == *act.institution
        && grant.grantee == disclosure.recipient
        && grant.subject == disclosure.subject;
    let in_force = !grant.ended && grant.window.starts <= act.time && act.time < grant.window.expires;
    let covers = grant.scope.categories.contains(&disclosure.category)
        && grant.scope.highest_sensitivity >= disclosure.sensitivity
        && grant.scope.purposes.contains(&disclosure.purpose);
    unless(between, "the grant is between others or about another subject")
        .or(unless(in_force, "the grant is not in force"))
        .or(unless(covers, "the grant does not cover it"))
}

fn receipt_objection(history: &History, act: &Act<'_>, receipt: &RecordReceipt) -> Objection {
    let Some(disclosure) = history.disclosures.get(&receipt.disclosure) else {
        return Some("there is no such disclosure");
    };
    let recorded = &disclosure.recorded;
    let permitted = matches!(recorded.decision, Decision::Permit { .. });
    unless(recorded.recipient == *act.institution, "it was disclosed to another institution")
        .or(unless(permitted, "it was not permitted"))
        .or(unless(!disclosure.received, "it has a receipt"))
        .or(unless(recorded.content == receipt.content, "something else was disclosed"))
}

/// Who of the two parties of a referral must take a step.
type Party = fn(&Referral) -> &InstitutionId;
const REQUESTER: Party = |referral| &referral.requester;
const RECEIVER: Party = |referral| &referral.receiver;

fn step_objection(
    history: &History,
    act: &Act<'_>,
    id: ReferralId,
    party: Party,
    from: &[ReferralState],
) -> Objection {
    let may = |referral: &Referral| from.contains(&referral.state) && party(referral) == act.institution;
    unless(history.referrals.get(&id).is_some_and(may), "no referral in that state of that party")
}

fn lapse_objection(history: &History, act: &Act<'_>, id: ReferralId) -> Objection {
    let due = history.referrals.get(&id).map(|referral| referral.answer_due);
    unless(due.is_some_and(|due| act.time <= due), "the request has lapsed")
}

fn tier(history: &History, institution: &InstitutionId) -> Option<Tier> {
    history.institutions.get(institution)?.tier
}

/// Up, down and lateral between tiers; lateral alone where a side has none.
fn fits(history: &History, direction: Direction, from: &InstitutionId, to: &InstitutionId) -> bool {
    let expected = match (tier(history, from), tier(history, to)) {
        (Some(from), Some(to)) if to > from => Direction::Up,
        (Some(from), Some(to)) if to < from => Direction::Down,
        _ => Direction::Lateral,
    };
    direction == expected
}

fn request_objection(history: &History, act: &Act<'_>, request: &RequestReferral) -> Objection {
    unless(is_other_member(history, act, &request.receiver), "the receiver is no other member")
        .or(unless(useful(&request.access), "the scope is empty"))
        .or(unless(
            fits(history, request.direction, act.institution, &request.receiver),
            "it goes another way",
        ))
        .or(unless(History::may_keep(request.subject, act.institution), ANOTHERS_TAG))
}

fn slot_objection(history: &History, act: &Act<'_>, accept: &AcceptReferral) -> Objection {
    let service = &history.referrals.get(&accept.referral)?.service;
    let slots = history.slots.get(&(act.institution.clone(), service.clone()))?;
    unless(history.held(act.institution, service) < *slots, "there is no free slot")
}

fn redirect_objection(history: &History, act: &Act<'_>, redirect: &RedirectReferral) -> Objection {
    let referral = history.referrals.get(&redirect.referral)?;
    let elsewhere = is_other_member(history, act, &redirect.proposed_receiver)
        && redirect.proposed_receiver != referral.requester;
    let agrees = fits(history, referral.direction, &referral.requester, &redirect.proposed_receiver);
    unless(elsewhere, "it goes to no other member")
        .or(unless(referral.redirects < REDIRECTS_MAX, "it was redirected too often"))
        .or(unless(agrees, "it goes another way"))
}

fn return_objection(history: &History, act: &Act<'_>, back: &ReturnDownward) -> Objection {
    let Some(first) = history.referrals.get(&back.returns) else { return Some("there is no such referral") };
    let treated = [ReferralState::OutcomeReported, ReferralState::ClosedClinically, ReferralState::Closed];
    unless(first.receiver == *act.institution, "it is not the receiver who returns the patient")
        .or(unless(treated.contains(&first.state), "the patient was not treated"))
        .or(unless(first.direction == Direction::Up, "the patient did not come up"))
        .or(unless(!first.returned, "the patient was returned before"))
        .or(unless(useful(&back.access), "the scope is empty"))
}

fn delivery_objection(history: &History, act: &Act<'_>, service: &DeliverService) -> Objection {
    let played = service.parts.iter().any(|part| part.institution == *act.institution);
    let bounded = (0..=GROSS_MINOR_MAX).contains(&service.gross_minor.0);
    // The last day begins at most a day after the block.
    let performed = service.performed.expires.0 <= act.time.0 + 2 * DAY_MS;
    let mut named = service.parts.iter().map(|part| &part.institution).chain([&service.payer]);
    let members = named.all(|one| history.institutions.contains_key(one));
    unless(played, "the author played no part")
        .or(unless(performed, "the service was not performed yet"))
        .or(unless(bounded, "the amount is out of bounds"))
        .or(unless(members, "somebody is no member"))
        .or(unless(!history.evidence.contains(&service.evidence), "another service has this evidence"))
}

fn is_party(terms: &Terms, institution: &InstitutionId) -> bool {
    terms.parties.iter().any(|party| party.institution == *institution)
}

fn proposal_objection(history: &History, act: &Act<'_>, proposed: &ProposeAgreement) -> Objection {
    let window = proposed.window;
    let parties: BTreeSet<&InstitutionId> =
        proposed.terms.parties.iter().map(|party| &party.institution).collect();
    let belong = parties.iter().all(|party| {
        history.institutions.get(*party).is_some_and(|one| one.consortia.contains(&proposed.consortium))
    });
    unless(parties.contains(act.institution), "the author is no party")
        .or(unless(
            window.starts < window.expires && window.expires > act.time,
            "the window is empty or over",
        ))
        .or(unless(belong, "a party does not belong to the consortium"))
}

fn signature_objection(history: &History, act: &Act<'_>, sign: &SignAgreement) -> Objection {
    let Some(agreement) = history.agreements.get(&sign.agreement) else {
        return Some("there is no such agreement");
    };
    let terms = &agreement.proposed.terms;
    unless(is_party(terms, act.institution), "the author is no party")
        .or(unless(agreement.state == AgreementState::Proposed, "it is not open for signature"))
        .or(unless(codec::hash(Domain::Terms, terms) == sign.terms_hash, "other terms are meant"))
        .or(unless(!agreement.signed.contains(act.institution), "the author has signed"))
}

fn closing_objection(history: &History, act: &Act<'_>, close: &ClosePeriod) -> Objection {
    let Some(agreement) = history.agreements.get(&close.agreement) else {
        return Some("there is no such agreement");
    };
    let over = match agreement.proposed.schedule {
        Schedule::Fixed { length_ms } => agreement.period_began.plus_ms(length_ms) <= act.time,
        Schedule::OnDemand => true,
    };
    unless(is_party(&agreement.proposed.terms, act.institution), "the author is no party")
        .or(unless(agreement.state != AgreementState::Proposed, "it was never in force"))
        .or(unless(agreement.open_period == close.period, "another period is open"))
        .or(unless(over, "the period is not over"))
}
