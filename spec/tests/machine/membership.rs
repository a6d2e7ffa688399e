//! Keys come and go without an institution ever being locked out.

use yilian_spec::base::time::Window;
use yilian_spec::crypto::signature::{PublicKey, SecretKey, Signature};
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::{KeyRecord, Role};
use yilian_spec::domain::membership::{
    RegisterKey, RevocationReason, RevokeKey, RotateKey, possession_bytes,
};
use yilian_spec::domain::referral::PublishCapacity;
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::state::key::StateKey;

use crate::world::{COUNTY, DAY_MS, TEACHING, World, institution, secret, service_code};

fn register(world: &World, new: &SecretKey, role: Role) -> RegisterKey {
    let key = new.public_key();
    let bytes = possession_bytes(world.tip.chain_id, &institution(COUNTY), role, key);
    RegisterKey {
        key,
        role,
        window: Window { starts: world.time(), expires: world.time().plus_ms(365 * DAY_MS) },
        possession: new.sign(&bytes),
    }
}

fn rotate(world: &World, old_key: PublicKey, new: &SecretKey, role: Role) -> Operation {
    let RegisterKey { key, window, possession, .. } = register(world, new, role);
    Operation::RotateKey(RotateKey { old_key, new_key: key, window, possession })
}

#[test]
fn a_registered_key_acts_until_it_is_revoked() {
    let mut world = World::new();
    let new = SecretKey::from_seed(&[1; 32]);
    let operation = Operation::RegisterKey(register(&world, &new, Role::ReferralGateway));
    world.apply_one(COUNTY, operation.clone());
    world.refuse_one(COUNTY, operation, Refusal::KeyAlreadyRegistered);
    let publish = Operation::PublishCapacity(PublishCapacity { service: service_code("imaging"), slots: 2 });
    let transaction = world.body(COUNTY, &new, vec![publish.clone()]).sign(&new);
    assert_eq!(world.execute(transaction).1, Outcome::Applied);
    let revoke = RevokeKey { key: new.public_key(), reason: RevocationReason::Compromised };
    world.refuse_one(TEACHING, Operation::RevokeKey(revoke.clone()), Refusal::NoSuchKey);
    world.apply_one(COUNTY, Operation::RevokeKey(revoke.clone()));
    world.refuse_one(COUNTY, Operation::RevokeKey(revoke), Refusal::KeyAlreadyRevoked);
    let transaction = world.body(COUNTY, &new, vec![publish]).sign(&new);
    let outcome = Outcome::Refused { operation: 0, reason: Refusal::KeyRevoked };
    assert_eq!(world.execute(transaction).1, outcome);
}

#[test]
fn a_new_key_must_be_possessed_registrable_and_of_a_role_that_members_give() {
    let mut world = World::new();
    let new = SecretKey::from_seed(&[2; 32]);
    let good = register(&world, &new, Role::Finance);
    let small_order = PublicKey::Ed25519([0; 32]);
    let bad = [
        (RegisterKey { possession: Signature::Ed25519([0; 64]), ..good.clone() }, Refusal::BadPossession),
        (RegisterKey { role: Role::Auditor, ..good.clone() }, Refusal::BadPossession),
        (RegisterKey { role: Role::Validator, ..good.clone() }, Refusal::ValidatorKeyNeedsBallot),
        (RegisterKey { key: small_order, ..good.clone() }, Refusal::KeyNotRegistrable),
        (
            RegisterKey {
                window: Window { starts: world.time(), expires: world.time().plus_ms(4 * 366 * DAY_MS) },
                ..good
            },
            Refusal::BadWindow,
        ),
    ];
    for (attempt, reason) in bad {
        world.refuse_one(COUNTY, Operation::RegisterKey(attempt), reason);
    }
}

#[test]
fn the_last_administrator_can_be_rotated_but_not_revoked() {
    let mut world = World::new();
    let old = secret(COUNTY, Role::Administrator).public_key();
    let revoke = RevokeKey { key: old, reason: RevocationReason::Retired };
    world.refuse_one(COUNTY, Operation::RevokeKey(revoke), Refusal::LastAdministrator);
    let new = SecretKey::from_seed(&[3; 32]);
    let operation = rotate(&world, old, &new, Role::Administrator);
    world.apply_one(COUNTY, operation);
    let record: KeyRecord = world.read(&StateKey::Key(old)).unwrap();
    assert_eq!(record.revoked_at, Some(world.time()));
    let record: KeyRecord = world.read(&StateKey::Key(new.public_key())).unwrap();
    assert_eq!((record.role, record.revoked_at), (Role::Administrator, None));
}

#[test]
fn a_validator_key_is_neither_rotated_nor_revoked_without_a_ballot() {
    let mut world = World::new();
    let old = secret(COUNTY, Role::Validator).public_key();
    let operation = rotate(&world, old, &SecretKey::from_seed(&[4; 32]), Role::Validator);
    world.refuse_one(COUNTY, operation, Refusal::ValidatorKeyNeedsBallot);
    let revoke = RevokeKey { key: old, reason: RevocationReason::Retired };
    world.refuse_one(COUNTY, Operation::RevokeKey(revoke), Refusal::ValidatorKeyNeedsBallot);
}

#[test]
fn an_expired_key_is_mended_by_rotating_it() {
    let mut world = World::new();
    let new = SecretKey::from_seed(&[5; 32]);
    let short = Window { starts: world.time(), expires: world.time().plus_ms(DAY_MS) };
    let key = RegisterKey { window: short, ..register(&world, &new, Role::ReferralGateway) };
    world.apply_one(COUNTY, Operation::RegisterKey(key));
    world.pass(2 * DAY_MS);
    let next = SecretKey::from_seed(&[6; 32]);
    let operation = rotate(&world, new.public_key(), &next, Role::ReferralGateway);
    world.apply_one(COUNTY, operation);
}

#[test]
fn an_expired_administrator_rotates_itself_and_does_nothing_else() {
    let mut world = World::new();
    let old = secret(COUNTY, Role::Administrator).public_key();
    let (other, next) = (SecretKey::from_seed(&[7; 32]), SecretKey::from_seed(&[8; 32]));
    world.pass(500 * DAY_MS);
    let register_other = Operation::RegisterKey(register(&world, &other, Role::Finance));
    world.refuse_one(COUNTY, register_other.clone(), Refusal::KeyExpired);
    let finance = secret(COUNTY, Role::Finance).public_key();
    let rotate_other = rotate(&world, finance, &other, Role::Finance);
    world.refuse_one(COUNTY, rotate_other, Refusal::KeyExpired);
    // Together with anything else it is refused as a whole.
    let rotate_itself = rotate(&world, old, &next, Role::Administrator);
    let (_, outcome) = world.submit(COUNTY, vec![rotate_itself.clone(), register_other]);
    assert_eq!(outcome, Outcome::Refused { operation: 1, reason: Refusal::KeyExpired });
    world.apply_one(COUNTY, rotate_itself);
    let record: KeyRecord = world.read(&StateKey::Key(next.public_key())).unwrap();
    assert_eq!((record.role, record.revoked_at), (Role::Administrator, None));
}

#[test]
fn an_institution_has_a_few_node_keys_and_can_always_rotate_one() {
    let mut world = World::new();
    let nodes: Vec<SecretKey> = (0..8).map(|number| SecretKey::from_seed(&[100 + number; 32])).collect();
    let before: u32 = world.read(&StateKey::NodeKeys(institution(COUNTY))).unwrap();
    let room = yilian_spec::base::limits::NODE_KEYS_PER_INSTITUTION_MAX - before as usize;
    for node in &nodes[..room] {
        let operation = Operation::RegisterKey(register(&world, node, Role::Node));
        world.apply_one(COUNTY, operation);
    }
    let one_more = Operation::RegisterKey(register(&world, &nodes[room], Role::Node));
    world.refuse_one(COUNTY, one_more.clone(), Refusal::TooManyNodeKeys);
    let rotation = rotate(&world, nodes[0].public_key(), &nodes[7], Role::Node);
    world.apply_one(COUNTY, rotation);
    world.refuse_one(COUNTY, one_more.clone(), Refusal::TooManyNodeKeys);
    let revoke = RevokeKey { key: nodes[7].public_key(), reason: RevocationReason::Retired };
    world.apply_one(COUNTY, Operation::RevokeKey(revoke));
    world.apply_one(COUNTY, one_more);
    // Others are not counted.
    let gateway = Operation::RegisterKey(register(&world, &nodes[6], Role::AccessGateway));
    world.apply_one(COUNTY, gateway);
}
