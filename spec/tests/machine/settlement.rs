//! Agreements, the services they count, and the statements of their periods.

use std::collections::BTreeSet;

use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::id::{AgreementId, ConsortiumId, Hash, ServiceId};
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::base::time::Window;
use yilian_spec::domain::Operation;
use yilian_spec::domain::agreement::{Agreement, AgreementState, ClosedPeriod, PeriodStatement};
use yilian_spec::domain::agreement::{
    ClosePeriod, ProposeAgreement, Schedule, SignAgreement, TerminateAgreement,
};
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::domain::service::{CountedIn, Service};
use yilian_spec::domain::service::{DeliverService, PlayedPart, ReversalReason, ReverseService};
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::templates::{Frame, SplitShare, percentage_split};
use yilian_spec::settlement::terms::{Rounding, Terms};
use yilian_spec::state::key::{StateKey, StreamId};

use crate::world::{
    COUNTY, DAY_MS, INSURER, REGULATOR, TEACHING, TOWNSHIP, World, commitment, institution, performed,
    service_code,
};

/// A2 of the settlement rules: 30 / 55 / 15 for primary, expert and platform, rounded per event.
fn terms() -> Terms {
    let frame = Frame {
        currency: Currency::CNY,
        services: BTreeSet::from([service_code("teleconsultation")]),
        payer: institution(INSURER),
    };
    let share =
        |id, role, weight| SplitShare { institution: institution(id), role, weight: Ratio::percent(weight) };
    let shares = [
        share(TOWNSHIP, PartRole::Primary, 30),
        share(TEACHING, PartRole::Expert, 55),
        share(COUNTY, PartRole::Platform, 15),
    ];
    percentage_split(&frame, &shares, Rounding::PerEvent).unwrap()
}

fn proposal(world: &World, schedule: Schedule) -> ProposeAgreement {
    ProposeAgreement {
        consortium: ConsortiumId::new("qinghe-community").unwrap(),
        terms: terms(),
        window: Window { starts: world.time(), expires: world.time().plus_ms(365 * DAY_MS) },
        schedule,
    }
}

fn sign(agreement: AgreementId) -> Operation {
    Operation::SignAgreement(SignAgreement { agreement, terms_hash: codec::hash(Domain::Terms, &terms()) })
}

fn active(world: &mut World, schedule: Schedule) -> AgreementId {
    let operation = Operation::ProposeAgreement(proposal(world, schedule));
    let id = AgreementId(world.apply_one(TEACHING, operation));
    for party in [COUNTY, TOWNSHIP, INSURER] {
        world.apply_one(party, sign(id));
    }
    id
}

fn delivery(gross_minor: i64, evidence: u8) -> DeliverService {
    let part = |role, id| PlayedPart { role, institution: institution(id) };
    DeliverService {
        service: service_code("teleconsultation"),
        parts: vec![
            part(PartRole::Primary, TOWNSHIP),
            part(PartRole::Expert, TEACHING),
            part(PartRole::Platform, COUNTY),
        ],
        performed: performed(),
        payer: institution(INSURER),
        gross_minor: AmountMinor(gross_minor),
        currency: Currency::CNY,
        evidence: commitment(evidence),
    }
}

fn deliver(world: &mut World, gross_minor: i64, evidence: u8) -> ServiceId {
    ServiceId(world.apply_one(TOWNSHIP, Operation::DeliverService(delivery(gross_minor, evidence))))
}

fn close(agreement: AgreementId, period: u32) -> Operation {
    Operation::ClosePeriod(ClosePeriod { agreement, period })
}

/// The amounts of a statement's lines, in order.
fn amounts(world: &World, agreement: AgreementId, period: u32) -> Vec<i64> {
    let statement: PeriodStatement = world.read(&StateKey::Statement(agreement, period)).unwrap();
    statement.statement.lines.iter().map(|line| line.share.amount_minor.0).collect()
}

#[test]
fn an_agreement_counts_once_all_have_signed() {
    let mut world = World::new();
    let operation = Operation::ProposeAgreement(proposal(&world, Schedule::OnDemand));
    let id = AgreementId(world.apply_one(TEACHING, operation));
    world.refuse_one(TEACHING, sign(id), Refusal::AlreadySigned);
    world.refuse_one(REGULATOR, sign(id), Refusal::NoSuchAgreement);
    let blind = SignAgreement { agreement: id, terms_hash: Hash([0; 32]) };
    world.refuse_one(COUNTY, Operation::SignAgreement(blind), Refusal::TermsMismatch);
    world.apply_one(COUNTY, sign(id));
    world.apply_one(TOWNSHIP, sign(id));
    let early = deliver(&mut world, 500, 1);
    world.refuse_one(TEACHING, close(id, 0), Refusal::WrongAgreementState);
    world.apply_one(INSURER, sign(id));
    world.refuse_one(INSURER, sign(id), Refusal::WrongAgreementState);
    let agreement: Agreement = world.read(&StateKey::Agreement(id)).unwrap();
    assert_eq!(agreement.state, AgreementState::Active);
    let service: Service = world.read(&StateKey::Service(early)).unwrap();
    assert_eq!(service.counted_in, []);
    let later = deliver(&mut world, 500, 2);
    let service: Service = world.read(&StateKey::Service(later)).unwrap();
    assert_eq!(service.counted_in, [CountedIn { agreement: id, period: 0 }]);
}

#[test]
fn a_closed_period_says_who_is_owed_what() {
    let mut world = World::new();
    let id = active(&mut world, Schedule::OnDemand);
    (1..=3).for_each(|evidence| {
        deliver(&mut world, 10_001, evidence);
    });
    world.apply_one(INSURER, close(id, 0));
    // Three events of 10001 by 30 / 55 / 15, rounded per event; the insurer only pays.
    assert_eq!(amounts(&world, id, 0), [9_000, 16_503, 4_500, 0]);
    let closed: ClosedPeriod = world.read(&StateKey::ClosedPeriod(id, 0)).unwrap();
    assert_eq!(closed.events, 3);
    assert_eq!(world.stream(StreamId::Period { agreement: id, period: 0 }).len(), 3);
    let statement: PeriodStatement = world.read(&StateKey::Statement(id, 0)).unwrap();
    assert_eq!(closed.statement_hash, codec::hash(Domain::Statement, &statement));
    world.refuse_one(INSURER, close(id, 0), Refusal::NotTheOpenPeriod);
}

#[test]
fn what_is_reversed_after_closing_is_posted_to_the_next_period() {
    let mut world = World::new();
    let id = active(&mut world, Schedule::OnDemand);
    let first = deliver(&mut world, 10_001, 1);
    deliver(&mut world, 10_001, 2);
    world.apply_one(INSURER, close(id, 0));
    let reverse =
        Operation::ReverseService(ReverseService { service: first, reason: ReversalReason::ClaimRejected });
    world.refuse_one(TEACHING, reverse.clone(), Refusal::NotTheRecorder);
    world.refuse_one(REGULATOR, reverse.clone(), Refusal::NoSuchService);
    world.apply_one(TOWNSHIP, reverse.clone());
    world.refuse_one(TOWNSHIP, reverse, Refusal::AlreadyReversed);
    world.apply_one(COUNTY, close(id, 1));
    // Earned in the open period: nothing. Adjusted: recomputed less settled, per event -3000 / -5501 / -1500.
    assert_eq!(amounts(&world, id, 1), [0, 0, 0, 0, -3_000, -5_501, -1_500]);
    assert_eq!(amounts(&world, id, 0), [6_000, 11_002, 3_000, 0]);
}

#[test]
fn a_fixed_period_is_closed_after_its_end() {
    let mut world = World::new();
    let id = active(&mut world, Schedule::Fixed { length_ms: 30 * DAY_MS });
    world.refuse_one(TEACHING, close(id, 0), Refusal::PeriodNotOver);
    world.pass(30 * DAY_MS);
    world.apply_one(TEACHING, close(id, 0));
    world.refuse_one(TEACHING, close(id, 1), Refusal::PeriodNotOver);
}

#[test]
fn a_terminated_agreement_counts_no_more_and_can_still_be_closed() {
    let mut world = World::new();
    let id = active(&mut world, Schedule::OnDemand);
    deliver(&mut world, 10_001, 1);
    let terminate = Operation::TerminateAgreement(TerminateAgreement { agreement: id });
    world.refuse_one(REGULATOR, terminate.clone(), Refusal::NoSuchAgreement);
    world.apply_one(COUNTY, terminate.clone());
    world.refuse_one(COUNTY, terminate, Refusal::WrongAgreementState);
    let late = deliver(&mut world, 10_001, 2);
    let service: Service = world.read(&StateKey::Service(late)).unwrap();
    assert_eq!(service.counted_in, []);
    world.apply_one(COUNTY, close(id, 0));
    assert_eq!(amounts(&world, id, 0), [3_000, 5_501, 1_500, 0]);
}

#[test]
fn an_event_settles_once_and_within_bounds() {
    let mut world = World::new();
    active(&mut world, Schedule::OnDemand);
    deliver(&mut world, 100, 1);
    world.refuse_one(TOWNSHIP, Operation::DeliverService(delivery(100, 1)), Refusal::EvidenceRepeated);
    world.refuse_one(TOWNSHIP, Operation::DeliverService(delivery(-1, 2)), Refusal::AmountOutOfBounds);
    let most = yilian_spec::base::limits::AMOUNT_MINOR_MAX;
    world.refuse_one(TOWNSHIP, Operation::DeliverService(delivery(most + 1, 2)), Refusal::AmountOutOfBounds);
    world.refuse_one(INSURER, Operation::DeliverService(delivery(100, 2)), Refusal::NoPartPlayed);
}

#[test]
fn an_agreement_needs_its_own_parties_and_their_consortium() {
    let mut world = World::new();
    let good = proposal(&world, Schedule::OnDemand);
    world.refuse_one(REGULATOR, Operation::ProposeAgreement(good.clone()), Refusal::NotAParty);
    let elsewhere = ProposeAgreement { consortium: ConsortiumId::new("elsewhere").unwrap(), ..good.clone() };
    world.refuse_one(TEACHING, Operation::ProposeAgreement(elsewhere), Refusal::NotInConsortium);
    let over = Window { starts: world.time().minus_ms(2), expires: world.time().minus_ms(1) };
    let past = ProposeAgreement { window: over, ..good };
    world.refuse_one(TEACHING, Operation::ProposeAgreement(past), Refusal::BadWindow);
}
