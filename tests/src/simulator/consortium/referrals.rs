//! A referral from its request to its end, with the capacity that it takes and the access that it gives.

use std::cmp::Ordering;

use yilian_spec::base::id::{Commitment, GrantId, ReferralId, ServiceCode, SubjectTag};
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::domain::Operation;
use yilian_spec::domain::referral::{
    AcceptReferral, AcknowledgeHandover, AmendOutcome, CancelReferral, CloseAdministratively,
    CloseClinically, ConfirmRedirect, DeclineReferral, Direction, HandOver, OutcomeCode, PublishCapacity,
    RedirectReferral, ReferralReason, ReportOutcome, RequestReferral, ReturnDownward, Urgency,
};
use yilian_spec::domain::service::{DeliverService, PlayedPart};
use yilian_spec::settlement::PartRole;

use super::access::{disclosure, scope};
use super::author::{Author, END};
use super::{INSURER, PROVIDERS, START_MS, institution};

const SERVICES: [&str; 2] = ["cardiology", "rehabilitation"];

fn service(author: &mut Author<'_>) -> ServiceCode {
    let name = author.one_of(&SERVICES);
    ServiceCode::new(name).expect("the services' names are well-formed")
}

/// The way between two members; a higher position is a higher tier.
fn direction(from: usize, to: usize) -> Direction {
    match to.cmp(&from) {
        Ordering::Greater => Direction::Up,
        Ordering::Less => Direction::Down,
        Ordering::Equal => Direction::Lateral,
    }
}

/// One case.
struct Case {
    id: ReferralId,
    subject: SubjectTag,
    requester: usize,
    receiver: usize,
    place: u64,
}

impl Case {
    /// The next transaction about it, a while after the last one.
    fn next(&mut self, author: &mut Author<'_>, member: usize, operations: Vec<Operation>) -> GrantId {
        self.place = author.place(self.place + 110, self.place + 170).min(END);
        GrantId(author.sign(self.place, member, operations).object(0))
    }
}

/// Tells of one referral.
pub fn story(author: &mut Author<'_>) {
    let mut case = request(author);
    let id = case.id;
    match author.random.below(1_000) {
        0..120 => {
            let decline = DeclineReferral { referral: id, reason: ReferralReason::NoCapacity };
            case.next(author, case.receiver, vec![Operation::DeclineReferral(decline)]);
            return;
        }
        120..200 => {
            cancel(author, &mut case);
            return;
        }
        200..320 => redirect(author, &mut case),
        _ => {}
    }
    let accept = Operation::AcceptReferral(AcceptReferral { referral: id });
    let grant = case.next(author, case.receiver, vec![accept]);
    if author.random.chance(500) {
        let disclosure = disclosure(author, case.subject, case.receiver, grant);
        let place = author.place(case.place + 100, END);
        author.sign(place, case.requester, vec![Operation::RecordDisclosure(disclosure)]);
    }
    if author.random.chance(100) {
        cancel(author, &mut case);
    } else {
        treat(author, &mut case);
    }
}

fn request(author: &mut Author<'_>) -> Case {
    let requester = author.one_of(&PROVIDERS);
    let others: Vec<usize> = PROVIDERS.into_iter().filter(|other| *other != requester).collect();
    let receiver = author.one_of(&others);
    let service = service(author);
    let place = author.place(0, 150);
    if author.random.chance(500) {
        let slots = u32::from(!author.random.chance(150));
        let capacity = PublishCapacity { service: service.clone(), slots };
        author.sign(place, receiver, vec![Operation::PublishCapacity(capacity)]);
    }
    let subject = author.subject(requester);
    let wrong = author.random.chance(50);
    let request = RequestReferral {
        subject,
        receiver: institution(receiver),
        direction: if wrong { Direction::Lateral } else { direction(requester, receiver) },
        service,
        urgency: author.one_of(&[Urgency::Routine, Urgency::Urgent, Urgency::Emergency]),
        reason: Commitment(author.random.bytes()),
        access: scope(),
    };
    let place = author.place(place, 200);
    let signed = author.sign(place, requester, vec![Operation::RequestReferral(request)]);
    Case { id: ReferralId(signed.object(0)), subject, requester, receiver, place }
}

fn cancel(author: &mut Author<'_>, case: &mut Case) {
    let cancel = CancelReferral { referral: case.id, reason: ReferralReason::NoLongerNeeded };
    case.next(author, case.requester, vec![Operation::CancelReferral(cancel)]);
}

/// To the third provider, whether or not it lies in the same direction.
fn redirect(author: &mut Author<'_>, case: &mut Case) {
    let elsewhere = PROVIDERS.iter().sum::<usize>() - case.requester - case.receiver;
    let reason = ReferralReason::BetterElsewhere;
    let redirect = RedirectReferral { referral: case.id, proposed_receiver: institution(elsewhere), reason };
    case.next(author, case.receiver, vec![Operation::RedirectReferral(redirect)]);
    // Now and then the new receiver does not wait, or another one is confirmed than was proposed.
    if !author.random.chance(150) {
        let wrong = author.random.chance(100);
        let to = institution(if wrong { INSURER } else { elsewhere });
        let confirm = Operation::ConfirmRedirect(ConfirmRedirect { referral: case.id, receiver: to });
        case.next(author, case.requester, vec![confirm]);
    }
    case.receiver = elsewhere;
}

/// From the hand-over to the closures, and sometimes back down.
fn treat(author: &mut Author<'_>, case: &mut Case) {
    let referral = case.id;
    let (requester, receiver) = (case.requester, case.receiver);
    let package = Commitment(author.random.bytes());
    case.next(author, requester, vec![Operation::HandOver(HandOver { referral, package })]);
    let arrived = if author.random.chance(60) { Commitment([7; 32]) } else { package };
    let report = Commitment(author.random.bytes());
    let operations = vec![
        Operation::AcknowledgeHandover(AcknowledgeHandover { referral, package: arrived }),
        Operation::ReportOutcome(ReportOutcome { referral, outcome: OutcomeCode::ContinuingCare, report }),
    ];
    case.next(author, receiver, operations);
    if author.random.chance(400) {
        let place = author.place(case.place, END);
        let treatment = Operation::DeliverService(treatment(author, case));
        author.sign(place, receiver, vec![treatment]);
    }
    case.next(author, requester, vec![Operation::CloseClinically(CloseClinically { referral })]);
    if author.random.chance(200) {
        let report = Commitment(author.random.bytes());
        let amend = AmendOutcome { referral, outcome: OutcomeCode::Completed, report };
        case.next(author, receiver, vec![Operation::AmendOutcome(amend)]);
        case.next(author, requester, vec![Operation::CloseClinically(CloseClinically { referral })]);
    }
    let mut operations = vec![Operation::CloseAdministratively(CloseAdministratively { referral })];
    if author.random.chance(500) {
        operations.push(Operation::ReturnDownward(ReturnDownward {
            returns: referral,
            service: service(author),
            urgency: Urgency::Routine,
            reason: Commitment(author.random.bytes()),
            access: scope(),
        }));
    }
    case.next(author, receiver, operations);
}

/// A service to the referred patient, which no agreement covers.
fn treatment(author: &mut Author<'_>, case: &Case) -> DeliverService {
    DeliverService {
        service: service(author),
        performed: Window::day_of(LedgerTime(START_MS)),
        parts: vec![PlayedPart { role: PartRole::Primary, institution: institution(case.receiver) }],
        payer: institution(INSURER),
        gross_minor: AmountMinor(author.place(1, 90_000) as i64),
        currency: Currency::CNY,
        evidence: Commitment(author.random.bytes()),
    }
}
