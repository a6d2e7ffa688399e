//! Referrals from the request to both closures, and every way they may end earlier.

use yilian_spec::base::id::{GrantId, ReferralId};
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::Grant;
use yilian_spec::domain::access::{Category, Decision, Purpose, RecordDisclosure, Sensitivity};
use yilian_spec::domain::referral::{
    AcceptReferral, AcknowledgeHandover, AmendOutcome, CancelReferral, CloseAdministratively,
    CloseClinically, ConfirmRedirect, DeclineReferral, Direction, HandOver, OutcomeCode, PublishCapacity,
    RedirectReferral, ReferralReason, ReportOutcome, RequestReferral, ReturnDownward, Urgency,
};
use yilian_spec::domain::referral::{Capacity, Referral, ReferralState, ReportedOutcome};
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::state::key::{StateKey, StreamId};

use crate::world::{
    COUNTY, DAY_MS, INSURER, TEACHING, TOWNSHIP, World, commitment, institution, scope, service_code,
    subject_of,
};

fn request_up() -> RequestReferral {
    RequestReferral {
        subject: subject_of(TOWNSHIP, 1),
        receiver: institution(TEACHING),
        direction: Direction::Up,
        service: service_code("cardiology"),
        urgency: Urgency::Routine,
        reason: commitment(1),
        access: scope(),
    }
}

fn requested(world: &mut World) -> ReferralId {
    ReferralId(world.apply_one(TOWNSHIP, Operation::RequestReferral(request_up())))
}

fn accept(referral: ReferralId) -> Operation {
    Operation::AcceptReferral(AcceptReferral { referral })
}

fn hand_over(referral: ReferralId) -> Operation {
    Operation::HandOver(HandOver { referral, package: commitment(2) })
}

fn acknowledge(referral: ReferralId, package: u8) -> Operation {
    Operation::AcknowledgeHandover(AcknowledgeHandover { referral, package: commitment(package) })
}

fn report(referral: ReferralId) -> Operation {
    let outcome = OutcomeCode::ContinuingCare;
    Operation::ReportOutcome(ReportOutcome { referral, outcome, report: commitment(3) })
}

fn close_clinically(referral: ReferralId) -> Operation {
    Operation::CloseClinically(CloseClinically { referral })
}

fn close_administratively(referral: ReferralId) -> Operation {
    Operation::CloseAdministratively(CloseAdministratively { referral })
}

fn confirm(referral: ReferralId, to: &str) -> Operation {
    Operation::ConfirmRedirect(ConfirmRedirect { referral, receiver: institution(to) })
}

fn cancel(referral: ReferralId) -> Operation {
    Operation::CancelReferral(CancelReferral { referral, reason: ReferralReason::NoLongerNeeded })
}

fn read(world: &World, id: ReferralId) -> Referral {
    world.read(&StateKey::Referral(id)).unwrap()
}

fn publish(world: &mut World, slots: u32) {
    let capacity = PublishCapacity { service: service_code("cardiology"), slots };
    world.apply_one(TEACHING, Operation::PublishCapacity(capacity));
}

fn reserved(world: &World) -> u32 {
    let key = StateKey::Capacity(institution(TEACHING), service_code("cardiology"));
    world.read::<Capacity>(&key).unwrap().reserved
}

fn disclose(grant: GrantId) -> Operation {
    Operation::RecordDisclosure(RecordDisclosure {
        subject: subject_of(TOWNSHIP, 1),
        recipient: institution(TEACHING),
        category: Category::Imaging,
        sensitivity: Sensitivity::N,
        purpose: Purpose::Treat,
        content: commitment(4),
        decision: Decision::Permit { grant },
        acting_person: None,
        origin: None,
    })
}

#[test]
fn a_referral_goes_up_is_treated_and_comes_back_down() {
    let mut world = World::new();
    publish(&mut world, 1);
    let up = requested(&mut world);
    world.apply_one(TEACHING, accept(up));
    assert_eq!(reserved(&world), 1);
    let grant = read(&world, up).grant.unwrap();
    world.apply_one(TOWNSHIP, disclose(grant));
    world.apply_one(TOWNSHIP, hand_over(up));
    world.refuse_one(TEACHING, acknowledge(up, 9), Refusal::CommitmentMismatch);
    world.apply_one(TEACHING, acknowledge(up, 2));
    world.apply_one(TEACHING, report(up));
    let back = ReturnDownward {
        returns: up,
        service: service_code("rehabilitation"),
        urgency: Urgency::Routine,
        reason: commitment(5),
        access: scope(),
    };
    let down = ReferralId(world.apply_one(TEACHING, Operation::ReturnDownward(back.clone())));
    world.refuse_one(TEACHING, Operation::ReturnDownward(back), Refusal::AlreadyReturned);
    world.apply_one(TOWNSHIP, close_clinically(up));
    world.apply_one(TEACHING, close_administratively(up));
    assert_eq!(reserved(&world), 0);
    world.refuse_one(TOWNSHIP, disclose(grant), Refusal::GrantEnded);
    let (first, second) = (read(&world, up), read(&world, down));
    assert_eq!((first.state, first.returned_by, first.due), (ReferralState::Closed, Some(down), None));
    assert_eq!((second.returns, second.direction), (Some(up), Direction::Down));
    assert_eq!(second.receiver, institution(TOWNSHIP));
    // No second tag: who has a copy of the ledger cannot join the tags of two custodians.
    assert_eq!(second.subject, first.subject);
    // Accepting the return opens the way back: the returning institution discloses under the tag that it was given.
    world.apply_one(TOWNSHIP, accept(down));
    let grant = read(&world, down).grant.unwrap();
    let disclosed = |subject_number| {
        Operation::RecordDisclosure(RecordDisclosure {
            subject: subject_of(TOWNSHIP, subject_number),
            recipient: institution(TOWNSHIP),
            category: Category::Laboratory,
            sensitivity: Sensitivity::N,
            purpose: Purpose::Treat,
            content: commitment(6),
            decision: Decision::Permit { grant },
            acting_person: None,
            origin: None,
        })
    };
    world.apply_one(TEACHING, disclosed(1));
    world.refuse_one(TEACHING, disclosed(2), Refusal::OtherSubject);
    // request, accept, hand over, acknowledge, report, return, both closures
    assert_eq!(world.stream(StreamId::Referral(up)).len(), 8);
}

#[test]
fn an_outcome_is_amended_until_the_referral_is_closed_and_read_again() {
    let mut world = World::new();
    let id = requested(&mut world);
    let amend = |report: u8| {
        let outcome = OutcomeCode::Completed;
        Operation::AmendOutcome(AmendOutcome { referral: id, outcome, report: commitment(report) })
    };
    world.apply_one(TEACHING, accept(id));
    world.apply_one(TOWNSHIP, hand_over(id));
    world.apply_one(TEACHING, acknowledge(id, 2));
    world.refuse_one(TEACHING, amend(7), Refusal::WrongReferralState);
    world.apply_one(TEACHING, report(id));
    world.refuse_one(TOWNSHIP, amend(7), Refusal::NotThatParty);
    world.refuse_one(COUNTY, amend(7), Refusal::NoSuchReferral);
    world.apply_one(TEACHING, amend(7));
    assert_eq!(
        read(&world, id).outcome,
        Some(ReportedOutcome { outcome: OutcomeCode::Completed, report: commitment(7) })
    );
    world.apply_one(TOWNSHIP, close_clinically(id));
    world.apply_one(TEACHING, amend(8));
    let amended = read(&world, id);
    assert_eq!(amended.state, ReferralState::OutcomeReported, "the requester has not read this one");
    assert_eq!(
        amended.outcome,
        Some(ReportedOutcome { outcome: OutcomeCode::Completed, report: commitment(8) })
    );
    assert!(amended.due.is_some());
    world.refuse_one(TEACHING, close_administratively(id), Refusal::WrongReferralState);
    world.apply_one(TOWNSHIP, close_clinically(id));
    world.apply_one(TEACHING, close_administratively(id));
    world.refuse_one(TEACHING, amend(9), Refusal::WrongReferralState);
    // request, accept, hand over, acknowledge, report, two amendments, two clinical closures, the last one
    assert_eq!(world.stream(StreamId::Referral(id)).len(), 10);
}

#[test]
fn each_step_needs_its_state_and_its_party() {
    let mut world = World::new();
    let id = requested(&mut world);
    let steps: [(&str, Operation); 6] = [
        (TEACHING, accept(id)),
        (TOWNSHIP, hand_over(id)),
        (TEACHING, acknowledge(id, 2)),
        (TEACHING, report(id)),
        (TOWNSHIP, close_clinically(id)),
        (TEACHING, close_administratively(id)),
    ];
    for now in 0..steps.len() {
        for (position, (party, step)) in steps.iter().enumerate() {
            if position != now {
                world.refuse_one(party, step.clone(), Refusal::WrongReferralState);
            }
            // Who may not take the step is not told where the referral stands, and a stranger not that there is one.
            let other = if *party == TEACHING { TOWNSHIP } else { TEACHING };
            world.refuse_one(other, step.clone(), Refusal::NotThatParty);
            world.refuse_one(COUNTY, step.clone(), Refusal::NoSuchReferral);
        }
        let (party, step) = &steps[now];
        world.apply_one(party, step.clone());
    }
    for (party, step) in steps {
        world.refuse_one(party, step, Refusal::WrongReferralState);
    }
    world.refuse_one(TOWNSHIP, cancel(id), Refusal::WrongReferralState);
    world.refuse_one(TEACHING, cancel(id), Refusal::NotThatParty);
    world.refuse_one(COUNTY, cancel(id), Refusal::NoSuchReferral);
    world.refuse_one(TEACHING, accept(ReferralId([1; 32])), Refusal::NoSuchReferral);
}

#[test]
fn published_capacity_bounds_what_is_accepted() {
    let mut world = World::new();
    publish(&mut world, 1);
    let (first, second) = (requested(&mut world), requested(&mut world));
    world.apply_one(TEACHING, accept(first));
    world.refuse_one(TEACHING, accept(second), Refusal::NoCapacity);
    let fewer = PublishCapacity { service: service_code("cardiology"), slots: 0 };
    world.refuse_one(TEACHING, Operation::PublishCapacity(fewer), Refusal::CapacityInUse);
    world.apply_one(TOWNSHIP, cancel(first));
    assert_eq!(reserved(&world), 0);
    world.apply_one(TEACHING, accept(second));
}

#[test]
fn a_cancelled_referral_ends_the_access_it_gave() {
    let mut world = World::new();
    let id = requested(&mut world);
    world.apply_one(TEACHING, accept(id));
    let grant = read(&world, id).grant.unwrap();
    world.apply_one(TOWNSHIP, cancel(id));
    world.refuse_one(TOWNSHIP, disclose(grant), Refusal::GrantEnded);
    assert_eq!(read(&world, id).ended_because, Some(ReferralReason::NoLongerNeeded));
}

#[test]
fn a_referral_is_declined_or_redirected_by_the_one_who_was_asked() {
    let mut world = World::new();
    let id = requested(&mut world);
    let decline =
        Operation::DeclineReferral(DeclineReferral { referral: id, reason: ReferralReason::NoCapacity });
    let redirect = |to| {
        let reason = ReferralReason::BetterElsewhere;
        Operation::RedirectReferral(RedirectReferral {
            referral: id,
            proposed_receiver: institution(to),
            reason,
        })
    };
    world.refuse_one(COUNTY, decline.clone(), Refusal::NoSuchReferral);
    world.refuse_one(TOWNSHIP, decline.clone(), Refusal::NotThatParty);
    world.refuse_one(TEACHING, redirect(TOWNSHIP), Refusal::SameInstitution);
    world.refuse_one(TEACHING, redirect(INSURER), Refusal::DirectionMismatch);
    world.apply_one(TEACHING, redirect(COUNTY));
    world.refuse_one(TEACHING, accept(id), Refusal::WrongReferralState);
    world.apply_one(TOWNSHIP, confirm(id, COUNTY));
    // The attack: whoever had passed it on asked the check of transactions what had become of it.
    world.refuse_one(TEACHING, accept(id), Refusal::NoSuchReferral);
    world.apply_one(COUNTY, decline);
    world.refuse_one(TEACHING, accept(id), Refusal::NoSuchReferral);
    assert_eq!(read(&world, id).state, ReferralState::Declined);
    world.refuse_one(COUNTY, accept(id), Refusal::WrongReferralState);
}

/// The attack: who was asked redirected the request, the other accepted, and the requester had granted it access to records
/// on mental health without having done anything.
#[test]
fn rule_o27_nobody_gets_access_by_a_redirection_that_the_requester_has_not_confirmed() {
    let mut world = World::new();
    let id = requested(&mut world);
    let reason = ReferralReason::BetterElsewhere;
    let redirect = RedirectReferral { referral: id, proposed_receiver: institution(COUNTY), reason };
    let before = world.stream(StreamId::Institution(institution(COUNTY))).len();
    world.apply_one(TEACHING, Operation::RedirectReferral(redirect.clone()));
    let referral = read(&world, id);
    assert_eq!(
        (referral.state, referral.proposed_receiver),
        (ReferralState::Redirected, Some(institution(COUNTY)))
    );
    // The institution that is proposed can do nothing, and learns nothing.
    world.refuse_one(COUNTY, accept(id), Refusal::NoSuchReferral);
    world.refuse_one(COUNTY, confirm(id, COUNTY), Refusal::NoSuchReferral);
    world.refuse_one(TEACHING, confirm(id, COUNTY), Refusal::NotThatParty);
    world.refuse_one(TEACHING, Operation::RedirectReferral(redirect), Refusal::WrongReferralState);
    assert!(!world.contains(&StateKey::ReferralIndex(institution(COUNTY), id)));
    // Its two refused attempts stand in its own stream, and nothing else.
    assert_eq!(world.stream(StreamId::Institution(institution(COUNTY))).len(), before + 2);
    assert_eq!(read(&world, id).grant, None);

    world.refuse_one(TOWNSHIP, confirm(id, INSURER), Refusal::OtherReceiver);
    world.apply_one(TOWNSHIP, confirm(id, COUNTY));
    assert!(!world.contains(&StateKey::ReferralIndex(institution(TEACHING), id)), "it is asked no more");
    world.refuse_one(TEACHING, accept(id), Refusal::NoSuchReferral);
    world.apply_one(COUNTY, accept(id));
    let referral = read(&world, id);
    assert_eq!((referral.receiver, referral.proposed_receiver), (institution(COUNTY), None));
    let grant: Grant = world.read(&StateKey::Grant(referral.grant.unwrap())).unwrap();
    assert_eq!((grant.grantor, grant.grantee), (institution(TOWNSHIP), institution(COUNTY)));
}

#[test]
fn rule_o27_a_redirection_can_be_answered_by_taking_the_request_back() {
    let mut world = World::new();
    let id = requested(&mut world);
    let reason = ReferralReason::BetterElsewhere;
    let redirect = RedirectReferral { referral: id, proposed_receiver: institution(COUNTY), reason };
    world.apply_one(TEACHING, Operation::RedirectReferral(redirect));
    world.apply_one(TOWNSHIP, cancel(id));
    assert_eq!(read(&world, id).state, ReferralState::Cancelled);
    world.refuse_one(TOWNSHIP, confirm(id, COUNTY), Refusal::WrongReferralState);
}

#[test]
fn rule_o10_a_request_lapses_at_its_deadline() {
    let mut world = World::new();
    let (late, redirected) = (requested(&mut world), requested(&mut world));
    let reason = ReferralReason::BetterElsewhere;
    let redirect = |referral| {
        Operation::RedirectReferral(RedirectReferral {
            referral,
            proposed_receiver: institution(COUNTY),
            reason,
        })
    };
    world.apply_one(TEACHING, redirect(redirected));
    // The time of the next block is a second later.
    let due = read(&world, redirected).due.unwrap();
    world.pass(due.0 - world.time().0 - 1_000);
    let in_time = requested(&mut world);
    world.refuse_one(TEACHING, accept(late), Refusal::Lapsed);
    world.refuse_one(TEACHING, redirect(late), Refusal::Lapsed);
    world.refuse_one(TOWNSHIP, confirm(redirected, COUNTY), Refusal::Lapsed);
    assert_eq!(read(&world, late).grant, None);
    world.apply_one(TEACHING, accept(in_time));
    // Both sides can still tidy up.
    let decline = DeclineReferral { referral: late, reason: ReferralReason::NoCapacity };
    world.apply_one(TEACHING, Operation::DeclineReferral(decline));
    world.apply_one(TOWNSHIP, cancel(redirected));
}

#[test]
fn a_referral_is_not_passed_around_for_ever() {
    let mut world = World::new();
    let id = requested(&mut world);
    let mut from = TEACHING;
    for _ in 0..yilian_spec::base::limits::REDIRECTS_MAX {
        let to = if from == TEACHING { COUNTY } else { TEACHING };
        let redirect = RedirectReferral {
            referral: id,
            proposed_receiver: institution(to),
            reason: ReferralReason::BetterElsewhere,
        };
        world.apply_one(from, Operation::RedirectReferral(redirect));
        world.apply_one(TOWNSHIP, confirm(id, to));
        from = to;
    }
    let once_more = RedirectReferral {
        referral: id,
        proposed_receiver: institution(COUNTY),
        reason: ReferralReason::BetterElsewhere,
    };
    world.refuse_one(from, Operation::RedirectReferral(once_more), Refusal::TooManyRedirects);
}

#[test]
fn the_direction_agrees_with_the_tiers() {
    let mut world = World::new();
    let asked = |subject, to, direction| {
        let to = institution(to);
        Operation::RequestReferral(RequestReferral { subject, receiver: to, direction, ..request_up() })
    };
    let request = |to, direction| asked(subject_of(TOWNSHIP, 1), to, direction);
    world.refuse_one(TOWNSHIP, request(TEACHING, Direction::Down), Refusal::DirectionMismatch);
    world.refuse_one(TOWNSHIP, request(TEACHING, Direction::Lateral), Refusal::DirectionMismatch);
    world.refuse_one(TOWNSHIP, request(TOWNSHIP, Direction::Lateral), Refusal::SameInstitution);
    world.refuse_one(TOWNSHIP, request(INSURER, Direction::Up), Refusal::DirectionMismatch);
    world.apply_one(COUNTY, asked(subject_of(COUNTY, 1), TOWNSHIP, Direction::Down));
}

#[test]
fn every_state_has_a_deadline_that_urgency_shortens() {
    let mut world = World::new();
    let urgent = RequestReferral { urgency: Urgency::Emergency, ..request_up() };
    let id = ReferralId(world.apply_one(TOWNSHIP, Operation::RequestReferral(urgent)));
    let referral = read(&world, id);
    assert_eq!(referral.due, Some(referral.since.plus_ms(3 * DAY_MS / 24)));
    world.apply_one(TEACHING, accept(id));
    let referral = read(&world, id);
    assert_eq!(referral.due, Some(referral.since.plus_ms(7 * DAY_MS / 24)));
}
