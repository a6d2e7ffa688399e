//! Rules C-1 to C-6: where a transaction may stand.

use yilian_spec::base::id::{Commitment, ReferralId};
use yilian_spec::base::limits;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::base::version::ProtocolVersion;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::{RevocationReason, RevokeKey};
use yilian_spec::domain::referral::{AcceptReferral, AmendOutcome, OutcomeCode, PublishCapacity};
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::CheckedTransaction;
use yilian_spec::ledger::validation::contextual::{self, ContextualError};
use yilian_spec::ledger::validation::semantic;
use yilian_spec::state::key::StreamId;

use crate::world::{COUNTY, Unreadable, World, institution, secret, service_code};

fn publish() -> Operation {
    Operation::PublishCapacity(PublishCapacity { service: service_code("cardiology"), slots: 1 })
}

fn checked(world: &mut World, author: &SecretKey) -> CheckedTransaction {
    let transaction = world.body(COUNTY, author, vec![publish()]).sign(author);
    semantic::check(transaction, world.tip.chain_id).unwrap()
}

const LATEST: ProtocolVersion = ProtocolVersion::LATEST;

fn gateway() -> SecretKey {
    secret(COUNTY, Role::ReferralGateway)
}

#[test]
fn rules_c1_and_c2_a_transaction_has_its_time() {
    let mut world = World::new();
    let transaction = checked(&mut world, &gateway());
    let created = transaction.body().created;
    let expires = transaction.body().expires;
    let earliest = created.minus_ms(limits::CREATION_AHEAD_MS_MAX);
    let at = |time: LedgerTime| contextual::check(&transaction, &world.rows, LATEST, time);
    assert_eq!(at(earliest.minus_ms(1)), Err(ContextualError::FromTheFuture));
    assert_eq!(at(earliest), Ok(()));
    assert_eq!(at(expires.minus_ms(1)), Ok(()));
    assert_eq!(at(expires), Err(ContextualError::Expired));
}

#[test]
fn rule_c3_a_ledger_holds_a_transaction_once() {
    let mut world = World::new();
    let transaction = checked(&mut world, &gateway());
    world.execute(transaction.transaction().clone());
    let again = contextual::check(&transaction, &world.rows, LATEST, world.time());
    assert_eq!(again, Err(ContextualError::Repeated));
}

#[test]
fn rules_c4_and_c5_neither_a_stranger_nor_a_revoked_key_leaves_a_trace() {
    let mut world = World::new();
    let stranger = checked(&mut world, &SecretKey::from_seed(&[77; 32]));
    let time = world.time();
    assert_eq!(contextual::check(&stranger, &world.rows, LATEST, time), Err(ContextualError::UnknownAuthor));
    let key = gateway().public_key();
    let revoke = RevokeKey { key, reason: RevocationReason::Retired };
    world.apply_one(COUNTY, Operation::RevokeKey(revoke));
    let revoked = checked(&mut world, &gateway());
    let found = contextual::check(&revoked, &world.rows, LATEST, world.time());
    assert_eq!(found, Err(ContextualError::RevokedAuthor));
    // In the block of the revocation itself, behind it, it is refused, and its owner's stream does not grow.
    let stream = StreamId::Institution(institution(COUNTY));
    let before = world.stream(stream.clone()).len();
    let (_, outcome) = world.execute(revoked.transaction().clone());
    assert_eq!(outcome, Outcome::Refused { operation: 0, reason: Refusal::KeyRevoked });
    assert_eq!(world.stream(stream).len(), before);
}

#[test]
fn rule_c6_an_operation_exists_from_its_version_on() {
    let mut world = World::new();
    let report = Commitment([1; 32]);
    let amend = AmendOutcome { referral: ReferralId([1; 32]), outcome: OutcomeCode::Completed, report };
    let accept = Operation::AcceptReferral(AcceptReferral { referral: ReferralId([1; 32]) });
    let operations = vec![accept, Operation::AmendOutcome(amend)];
    let transaction = world.body(COUNTY, &gateway(), operations).sign(&gateway());
    let transaction = semantic::check(transaction, world.tip.chain_id).unwrap();
    let (since, version) = (ProtocolVersion::V2, ProtocolVersion::V1);
    let early = contextual::check(&transaction, &world.rows, version, world.time());
    assert_eq!(early, Err(ContextualError::NotYet { operation: 1, name: "amend_outcome", since, version }));
    assert_eq!(contextual::check(&transaction, &world.rows, since, world.time()), Ok(()));
}

#[test]
fn a_state_that_cannot_be_read_decides_nothing() {
    let mut world = World::new();
    let transaction = checked(&mut world, &gateway());
    let found = contextual::check(&transaction, &Unreadable, LATEST, world.time());
    assert_eq!(found, Err(ContextualError::View(Unreadable::error())));
}
