//! Who may act: key, institution, role and window; all operations of a transaction or none.

use yilian_spec::base::time::Window;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::GrantAccess;
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::referral::Capacity;
use yilian_spec::domain::referral::PublishCapacity;
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::state::key::{StateKey, StreamId};

use crate::world::{
    COUNTY, DAY_MS, TEACHING, World, commitment, institution, scope, secret, service_code, subject,
};

fn publish(slots: u32) -> Operation {
    Operation::PublishCapacity(PublishCapacity { service: service_code("teleconsultation"), slots })
}

fn refused(reason: Refusal) -> Outcome {
    Outcome::Refused { operation: 0, reason }
}

#[test]
fn a_key_of_another_role_institution_or_ledger_member_is_refused() {
    let mut world = World::new();
    let finance = secret(COUNTY, Role::Finance);
    let transaction = world.body(COUNTY, &finance, vec![publish(3)]).sign(&finance);
    assert_eq!(world.execute(transaction).1, refused(Refusal::WrongRole));
    let gateway = secret(COUNTY, Role::ReferralGateway);
    let transaction = world.body(TEACHING, &gateway, vec![publish(3)]).sign(&gateway);
    assert_eq!(world.execute(transaction).1, refused(Refusal::KeyOfAnotherInstitution));
    let stranger = SecretKey::from_seed(&[77; 32]);
    let before = world.stream(StreamId::Institution(institution(COUNTY))).len();
    let transaction = world.body(COUNTY, &stranger, vec![publish(3)]).sign(&stranger);
    assert_eq!(world.execute(transaction).1, refused(Refusal::KeyUnknown));
    assert_eq!(world.stream(StreamId::Institution(institution(COUNTY))).len(), before);
}

#[test]
fn a_key_acts_in_its_window_only() {
    let mut world = World::new();
    world.pass(500 * DAY_MS);
    world.refuse_one(COUNTY, publish(3), Refusal::KeyExpired);
}

#[test]
fn operations_succeed_or_fail_together() {
    let mut world = World::new();
    world.apply_one(COUNTY, publish(1));
    let over = yilian_spec::base::limits::CAPACITY_SLOTS_MAX + 1;
    let (_, outcome) = world.submit(COUNTY, vec![publish(2), publish(5), publish(over)]);
    assert_eq!(outcome, Outcome::Refused { operation: 2, reason: Refusal::TooManySlots });
    let key = StateKey::Capacity(institution(COUNTY), service_code("teleconsultation"));
    assert_eq!(world.read::<Capacity>(&key).unwrap().slots, 1);
}

#[test]
fn an_institution_has_every_operation_of_its_own_in_its_stream() {
    let mut world = World::new();
    let window = Window { starts: world.time(), expires: world.time().plus_ms(DAY_MS) };
    let grant = |number| {
        Operation::GrantAccess(GrantAccess {
            subject: subject(number),
            grantee: institution(TEACHING),
            scope: scope(),
            window,
            consent: commitment(1),
        })
    };
    let (id, _) = world.submit(COUNTY, vec![grant(1), grant(2), grant(3)]);
    for party in [COUNTY, TEACHING] {
        let entries = world.stream(StreamId::Institution(institution(party)));
        let operations: Vec<u16> =
            entries.iter().filter(|entry| entry.transaction_id == id).map(|entry| entry.operation).collect();
        assert_eq!(operations, [0, 1, 2]);
    }
}
