//! Refusals that the stories of the other files do not come to.

use std::collections::BTreeSet;

use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::id::{AgreementId, Commitment, ConsortiumId, ReferralId, ServiceId};
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::AccessScope;
use yilian_spec::domain::agreement::{
    ClosePeriod, ProposeAgreement, Schedule, SignAgreement, TerminateAgreement,
};
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::{RegisterKey, possession_bytes};
use yilian_spec::domain::referral::{
    AcceptReferral, Direction, PublishCapacity, RequestReferral, ReturnDownward, Urgency,
};
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::domain::service::{CountedIn, Service};
use yilian_spec::domain::service::{DeliverService, PlayedPart, ReversalReason, ReverseService};
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::expression::{ExpressionBuilder, Measure, Step};
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::templates::{Frame, fixed_price};
use yilian_spec::settlement::terms::{Rounding, Terms};
use yilian_spec::state::key::StateKey;

use crate::world::{
    COUNTY, DAY_MS, INSURER, TEACHING, TOWNSHIP, World, commitment, institution, performed, scope,
    service_code, subject_of,
};

/// A fixed price for each consultation that the teaching hospital gives; the insurer pays.
fn terms() -> Terms {
    let frame = Frame {
        currency: Currency::CNY,
        services: BTreeSet::from([service_code("teleconsultation")]),
        payer: institution(INSURER),
    };
    fixed_price(&frame, &[institution(TEACHING)], PartRole::Expert, AmountMinor(18_000)).unwrap()
}

fn propose(world: &mut World, terms: &Terms) -> AgreementId {
    let operation = Operation::ProposeAgreement(ProposeAgreement {
        consortium: ConsortiumId::new("qinghe-community").unwrap(),
        terms: terms.clone(),
        window: Window { starts: world.time(), expires: world.time().plus_ms(365 * DAY_MS) },
        schedule: Schedule::OnDemand,
    });
    AgreementId(world.apply_one(TEACHING, operation))
}

fn sign(agreement: AgreementId, terms: &Terms) -> Operation {
    Operation::SignAgreement(SignAgreement { agreement, terms_hash: codec::hash(Domain::Terms, terms) })
}

fn active(world: &mut World, terms: &Terms) -> AgreementId {
    let id = propose(world, terms);
    world.apply_one(INSURER, sign(id, terms));
    id
}

fn close(agreement: AgreementId, period: u32) -> Operation {
    Operation::ClosePeriod(ClosePeriod { agreement, period })
}

fn delivery(evidence: u8, parts: &[(PartRole, &str)]) -> DeliverService {
    let part = |(role, id): &(PartRole, &str)| PlayedPart { role: *role, institution: institution(id) };
    DeliverService {
        service: service_code("teleconsultation"),
        parts: parts.iter().map(part).collect(),
        performed: performed(),
        payer: institution(INSURER),
        gross_minor: AmountMinor(20_000),
        currency: Currency::CNY,
        evidence: commitment(evidence),
    }
}

fn reverse(service: [u8; 32]) -> Operation {
    let service = ServiceId(service);
    Operation::ReverseService(ReverseService { service, reason: ReversalReason::Mistake })
}

fn request(access: AccessScope) -> RequestReferral {
    RequestReferral {
        subject: subject_of(TOWNSHIP, 1),
        receiver: institution(TEACHING),
        direction: Direction::Up,
        service: service_code("cardiology"),
        urgency: Urgency::Routine,
        reason: commitment(1),
        access,
    }
}

#[test]
fn rule_a4_a_key_does_not_act_before_its_window() {
    let mut world = World::new();
    let new = SecretKey::from_seed(&[1; 32]);
    let (key, role) = (new.public_key(), Role::ReferralGateway);
    let possession = new.sign(&possession_bytes(world.tip.chain_id, &institution(COUNTY), role, key));
    let starts = world.time().plus_ms(DAY_MS);
    let window = Window { starts, expires: starts.plus_ms(DAY_MS) };
    let register = RegisterKey { key, role, window, possession };
    world.apply_one(COUNTY, Operation::RegisterKey(register));
    let publish =
        Operation::PublishCapacity(PublishCapacity { service: service_code("cardiology"), slots: 1 });
    let early = world.body(COUNTY, &new, vec![publish.clone()]).sign(&new);
    let refused = Outcome::Refused { operation: 0, reason: Refusal::KeyNotYetValid };
    assert_eq!(world.execute(early).1, refused);
    world.pass(DAY_MS);
    let transaction = world.body(COUNTY, &new, vec![publish]).sign(&new);
    assert_eq!(world.execute(transaction).1, Outcome::Applied);
}

#[test]
fn rules_o9_and_o19_a_referral_needs_a_scope_and_a_case_to_return() {
    let mut world = World::new();
    let empty = AccessScope { purposes: BTreeSet::new(), ..scope() };
    world.refuse_one(TOWNSHIP, Operation::RequestReferral(request(empty.clone())), Refusal::EmptyScope);
    let to = institution("nobody-here");
    let nobody = RequestReferral { receiver: to, ..request(scope()) };
    world.refuse_one(TOWNSHIP, Operation::RequestReferral(nobody), Refusal::NoSuchInstitution);
    let id = ReferralId(world.apply_one(TOWNSHIP, Operation::RequestReferral(request(scope()))));
    let back = |returns, access| {
        Operation::ReturnDownward(ReturnDownward {
            returns,
            service: service_code("rehabilitation"),
            urgency: Urgency::Routine,
            reason: commitment(2),
            access,
        })
    };
    world.refuse_one(TEACHING, back(ReferralId([9; 32]), scope()), Refusal::NoSuchReferral);
    world.refuse_one(COUNTY, back(id, scope()), Refusal::NoSuchReferral);
    world.refuse_one(TOWNSHIP, back(id, scope()), Refusal::NotThatParty);
    world.apply_one(TEACHING, Operation::AcceptReferral(AcceptReferral { referral: id }));
    world.refuse_one(TEACHING, back(id, scope()), Refusal::WrongReferralState);
}

#[test]
fn rule_o20_who_pays_and_plays_is_a_member() {
    let mut world = World::new();
    let good = delivery(1, &[(PartRole::Primary, TOWNSHIP), (PartRole::Expert, TEACHING)]);
    let nobody = institution("nobody-here");
    let unpaid = DeliverService { payer: nobody.clone(), ..good.clone() };
    world.refuse_one(TOWNSHIP, Operation::DeliverService(unpaid), Refusal::NoSuchInstitution);
    let mut ghost = good;
    ghost.parts[1].institution = nobody;
    world.refuse_one(TOWNSHIP, Operation::DeliverService(ghost), Refusal::NoSuchInstitution);
}

#[test]
fn rule_o20_a_service_is_recorded_when_its_last_day_begins_at_most_a_day_later() {
    for (early_ms, refusal) in [(1, Some(Refusal::NotYetPerformed)), (0, None)] {
        let mut world = World::new();
        let last_day = LedgerTime((world.time().0 / DAY_MS + 3) * DAY_MS);
        let performed = Window { starts: last_day.minus_ms(DAY_MS), expires: last_day.plus_ms(DAY_MS) };
        let service = DeliverService { performed, ..delivery(1, &[(PartRole::Expert, TEACHING)]) };
        // A block follows a second after the one before.
        world.pass(last_day.0 - DAY_MS - early_ms - 1_000 - world.time().0);
        match refusal {
            Some(reason) => world.refuse_one(TEACHING, Operation::DeliverService(service), reason),
            None => {
                world.apply_one(TEACHING, Operation::DeliverService(service));
            }
        }
    }
}

/// The terms cover both services (T-14); only the one that a party recorded moves money.
#[test]
fn rule_o20_only_a_party_records_what_an_agreement_counts() {
    let mut world = World::new();
    let id = active(&mut world, &terms());
    let parts = [(PartRole::Primary, TOWNSHIP), (PartRole::Expert, TEACHING)];
    let outsider = world.apply_one(TOWNSHIP, Operation::DeliverService(delivery(1, &parts)));
    let party = world.apply_one(TEACHING, Operation::DeliverService(delivery(2, &parts)));
    let counted = |world: &World, service| {
        world.read::<Service>(&StateKey::Service(ServiceId(service))).unwrap().counted_in
    };
    assert_eq!(counted(&world, outsider), []);
    assert_eq!(counted(&world, party), [CountedIn { agreement: id, period: 0 }]);
}

#[test]
fn rule_o21_a_reversal_needs_a_service_and_leaves_its_evidence_taken() {
    let mut world = World::new();
    world.refuse_one(TEACHING, reverse([9; 32]), Refusal::NoSuchService);
    let delivered = delivery(1, &[(PartRole::Expert, TEACHING)]);
    let service = world.apply_one(TEACHING, Operation::DeliverService(delivered.clone()));
    world.apply_one(TEACHING, reverse(service));
    let again = Operation::DeliverService(delivered);
    world.refuse_one(TEACHING, again, Refusal::EvidenceRepeated);
}

#[test]
fn rules_o22_to_o25_an_agreement_that_is_not_there() {
    let mut world = World::new();
    let id = AgreementId([9; 32]);
    world.refuse_one(TEACHING, sign(id, &terms()), Refusal::NoSuchAgreement);
    world.refuse_one(TEACHING, close(id, 0), Refusal::NoSuchAgreement);
    let terminate = Operation::TerminateAgreement(TerminateAgreement { agreement: id });
    world.refuse_one(TEACHING, terminate, Refusal::NoSuchAgreement);
}

#[test]
fn rule_o23_a_service_is_covered_by_at_most_eight_agreements() {
    let mut world = World::new();
    let first = active(&mut world, &terms());
    for _ in 1..8 {
        active(&mut world, &terms());
    }
    let ninth = propose(&mut world, &terms());
    world.refuse_one(INSURER, sign(ninth, &terms()), Refusal::TooManyAgreements);
    world.apply_one(INSURER, Operation::TerminateAgreement(TerminateAgreement { agreement: first }));
    world.apply_one(INSURER, sign(ninth, &terms()));
}

/// A fee per consultation, as a share of a sum that may be zero: nobody guarded the divisor.
#[test]
fn rule_o25_terms_without_a_value_leave_the_period_open() {
    let mut builder = ExpressionBuilder::default();
    let one = builder.constant(Ratio::whole(1));
    let count = builder.push(Step::Events { service: None, measure: Measure::NetCount });
    let share = builder.push(Step::Divide { left: one, right: count });
    let figure = yilian_spec::base::id::FigureName::new("share").unwrap();
    let rounded = builder.push(Step::Round { value: share, figure });
    let party = yilian_spec::settlement::PartyIndex(0);
    builder.push(Step::Place { party, value: rounded });
    let terms = Terms { rounding: Rounding::PerPeriod, expression: builder.finish(), ..terms() };
    let mut world = World::new();
    let id = active(&mut world, &terms);
    world.refuse_one(TEACHING, close(id, 0), Refusal::TermsNotEvaluable);
    let operation = Operation::DeliverService(delivery(1, &[(PartRole::Expert, TEACHING)]));
    world.apply_one(TEACHING, operation);
    world.apply_one(TEACHING, close(id, 0));
}

#[test]
fn rule_o21_late_events_adjust_at_most_64_closed_periods() {
    let mut world = World::new();
    let id = active(&mut world, &terms());
    let mut services = Vec::new();
    for period in 0..65u32 {
        let mut evidence = [0; 32];
        evidence[..4].copy_from_slice(&period.to_le_bytes());
        let service =
            DeliverService { evidence: Commitment(evidence), ..delivery(0, &[(PartRole::Expert, TEACHING)]) };
        services.push(world.apply_one(TEACHING, Operation::DeliverService(service)));
        world.apply_one(TEACHING, close(id, period));
    }
    let last = services.pop().unwrap();
    for service in services {
        world.apply_one(TEACHING, reverse(service));
    }
    world.refuse_one(TEACHING, reverse(last), Refusal::Overflow);
    world.apply_one(TEACHING, close(id, 65));
    world.apply_one(TEACHING, reverse(last));
}
