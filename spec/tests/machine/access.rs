//! Grants and what may happen under them.

use yilian_spec::base::id::{DisclosureId, GrantId};
use yilian_spec::base::time::Window;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::Disclosure;
use yilian_spec::domain::access::{
    AccessScope, Category, Decision, DenialReason, GrantAccess, GrantRevocationReason, Purpose,
    RecordDisclosure, RecordReceipt, RevokeGrant, Sensitivity,
};
use yilian_spec::domain::referral::{Direction, RequestReferral, Urgency};
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::state::key::{StateKey, StreamId};
use yilian_spec::state::stream::EntryKind;

use crate::world::{
    COUNTY, DAY_MS, INSURER, TEACHING, TOWNSHIP, World, commitment, institution, scope, service_code,
    subject, subject_of,
};

fn grant(world: &World) -> GrantAccess {
    GrantAccess {
        subject: subject(1),
        grantee: institution(TEACHING),
        scope: scope(),
        window: Window { starts: world.time(), expires: world.time().plus_ms(30 * DAY_MS) },
        consent: commitment(9),
    }
}

fn disclosure(grant: GrantId) -> RecordDisclosure {
    RecordDisclosure {
        subject: subject(1),
        recipient: institution(TEACHING),
        category: Category::Laboratory,
        sensitivity: Sensitivity::N,
        purpose: Purpose::Treat,
        content: commitment(7),
        decision: Decision::Permit { grant },
        acting_person: None,
        origin: None,
    }
}

fn granted(world: &mut World) -> GrantId {
    let operation = Operation::GrantAccess(grant(world));
    GrantId(world.apply_one(COUNTY, operation))
}

#[test]
fn a_disclosure_under_a_grant_is_matched_by_its_receipt() {
    let mut world = World::new();
    let id = granted(&mut world);
    let disclosed = DisclosureId(world.apply_one(COUNTY, Operation::RecordDisclosure(disclosure(id))));
    let open = StateKey::OpenDisclosureIndex(institution(TEACHING), institution(COUNTY), disclosed);
    assert!(world.contains(&open));
    let receipt = RecordReceipt { disclosure: disclosed, content: commitment(7), acting_person: None };
    world.apply_one(TEACHING, Operation::RecordReceipt(receipt.clone()));
    assert!(!world.contains(&open));
    let record: Disclosure = world.read(&StateKey::Disclosure(disclosed)).unwrap();
    assert_eq!(record.received_at, Some(world.time()));
    world.refuse_one(TEACHING, Operation::RecordReceipt(receipt), Refusal::AlreadyReceived);
    assert_eq!(world.stream(StreamId::Subject(subject(1))).len(), 1, "contents: the grant, and no more");
    assert_eq!(world.stream(StreamId::Grant(id)).len(), 3);
}

#[test]
fn every_term_of_a_grant_is_enforced_and_the_attempt_stays_on_record() {
    let mut world = World::new();
    let id = granted(&mut world);
    let good = disclosure(id);
    let attempts = [
        (RecordDisclosure { category: Category::Genomic, ..good.clone() }, Refusal::CategoryNotGranted),
        (RecordDisclosure { sensitivity: Sensitivity::R, ..good.clone() }, Refusal::SensitivityNotGranted),
        (RecordDisclosure { purpose: Purpose::Hresch, ..good.clone() }, Refusal::PurposeNotGranted),
        (RecordDisclosure { recipient: institution(TOWNSHIP), ..good.clone() }, Refusal::OtherGrantee),
        (RecordDisclosure { subject: subject(2), ..good.clone() }, Refusal::OtherSubject),
        (
            RecordDisclosure { decision: Decision::Permit { grant: GrantId([5; 32]) }, ..good.clone() },
            Refusal::NoSuchGrant,
        ),
        (RecordDisclosure { recipient: institution(COUNTY), ..good.clone() }, Refusal::SameInstitution),
        (
            RecordDisclosure { recipient: institution("nobody-here"), ..good.clone() },
            Refusal::NoSuchInstitution,
        ),
    ];
    for (attempt, reason) in attempts {
        let about = attempt.subject;
        let before = world.stream(StreamId::Subject(about)).len();
        world.refuse_one(COUNTY, Operation::RecordDisclosure(attempt), reason);
        let entries = world.stream(StreamId::Subject(about));
        assert_eq!(entries.len(), before + 1);
        assert!(entries[before..].iter().all(|entry| entry.kind == EntryKind::Refused));
    }
    let attempt = RecordDisclosure { recipient: institution(TOWNSHIP), ..good };
    world.refuse_one(TEACHING, Operation::RecordDisclosure(attempt.clone()), Refusal::NotTheGrantor);
    world.refuse_one(INSURER, Operation::RecordDisclosure(attempt), Refusal::NoSuchGrant);
}

#[test]
fn a_grant_counts_in_its_window_only() {
    let mut world = World::new();
    let later = Window { starts: world.time().plus_ms(DAY_MS), expires: world.time().plus_ms(2 * DAY_MS) };
    let operation = Operation::GrantAccess(GrantAccess { window: later, ..grant(&world) });
    let id = GrantId(world.apply_one(COUNTY, operation));
    world.refuse_one(COUNTY, Operation::RecordDisclosure(disclosure(id)), Refusal::GrantNotYetValid);
    world.pass(DAY_MS);
    world.apply_one(COUNTY, Operation::RecordDisclosure(disclosure(id)));
    world.pass(DAY_MS);
    world.refuse_one(COUNTY, Operation::RecordDisclosure(disclosure(id)), Refusal::GrantExpired);
}

#[test]
fn a_revoked_grant_allows_nothing_and_only_the_grantor_revokes() {
    let mut world = World::new();
    let id = granted(&mut world);
    let revoke =
        Operation::RevokeGrant(RevokeGrant { grant: id, reason: GrantRevocationReason::ConsentWithdrawn });
    world.refuse_one(TEACHING, revoke.clone(), Refusal::NotTheGrantor);
    world.refuse_one(INSURER, revoke.clone(), Refusal::NoSuchGrant);
    world.apply_one(COUNTY, revoke.clone());
    world.refuse_one(COUNTY, Operation::RecordDisclosure(disclosure(id)), Refusal::GrantRevoked);
    world.refuse_one(COUNTY, revoke, Refusal::GrantRevoked);
}

#[test]
fn a_denial_is_recorded_and_cannot_be_received() {
    let mut world = World::new();
    let denied = RecordDisclosure {
        decision: Decision::Deny { reason: DenialReason::NoGrant },
        ..disclosure(GrantId([0; 32]))
    };
    let id = DisclosureId(world.apply_one(COUNTY, Operation::RecordDisclosure(denied)));
    let receipt = RecordReceipt { disclosure: id, content: commitment(7), acting_person: None };
    world.refuse_one(TEACHING, Operation::RecordReceipt(receipt), Refusal::DisclosureDenied);
    assert_eq!(world.stream(StreamId::Subject(subject(1))).len(), 1);
    assert!(!world.contains(&StateKey::OpenDisclosureIndex(institution(TEACHING), institution(COUNTY), id)));
}

/// The attack: an insurer that was refused the stream of a subject planted a denial on its tag, and so came to be one whom
/// the stream concerns; it recorded a grant and a disclosure of its own under the tag, too.
#[test]
fn rule_o26_nobody_but_its_custodian_begins_anything_about_a_tag() {
    let mut world = World::new();
    granted(&mut world);
    let before = world.stream(StreamId::Subject(subject(1)));
    let denied = RecordDisclosure {
        decision: Decision::Deny { reason: DenialReason::NoTreatmentRelation },
        ..disclosure(GrantId([0; 32]))
    };
    world.refuse_one(INSURER, Operation::RecordDisclosure(denied.clone()), Refusal::NotTheCustodian);
    let own = grant(&world);
    world.refuse_one(INSURER, Operation::GrantAccess(own), Refusal::NotTheCustodian);
    let request = RequestReferral {
        subject: subject(1),
        receiver: institution(TEACHING),
        direction: Direction::Lateral,
        service: service_code("cardiology"),
        urgency: Urgency::Routine,
        reason: commitment(1),
        access: scope(),
    };
    world.refuse_one(INSURER, Operation::RequestReferral(request), Refusal::NotTheCustodian);
    // A grant of its own under its own tag allows nothing under another's.
    let own = Operation::GrantAccess(GrantAccess { subject: subject_of(INSURER, 3), ..grant(&world) });
    let own = GrantId(world.apply_one(INSURER, own));
    world.refuse_one(INSURER, Operation::RecordDisclosure(disclosure(own)), Refusal::OtherSubject);
    assert_eq!(world.stream(StreamId::Subject(subject(1))), before, "no refused attempt stands in it either");
    // Also a tag of which the ledger has never heard: it may have been seen on its way.
    let first = RecordDisclosure { subject: subject(4), ..denied.clone() };
    world.refuse_one(INSURER, Operation::RecordDisclosure(first), Refusal::NotTheCustodian);
    let own = RecordDisclosure { subject: subject_of(INSURER, 4), ..denied };
    world.apply_one(INSURER, Operation::RecordDisclosure(own));
}

#[test]
fn a_receipt_is_for_its_recipient_and_its_content() {
    let mut world = World::new();
    let id = granted(&mut world);
    let disclosed = DisclosureId(world.apply_one(COUNTY, Operation::RecordDisclosure(disclosure(id))));
    let receipt = |content| {
        Operation::RecordReceipt(RecordReceipt { disclosure: disclosed, content, acting_person: None })
    };
    world.refuse_one(COUNTY, receipt(commitment(7)), Refusal::OtherRecipient);
    world.refuse_one(INSURER, receipt(commitment(7)), Refusal::NoSuchDisclosure);
    world.refuse_one(TEACHING, receipt(commitment(8)), Refusal::CommitmentMismatch);
    let unknown =
        RecordReceipt { disclosure: DisclosureId([1; 32]), content: commitment(7), acting_person: None };
    world.refuse_one(TEACHING, Operation::RecordReceipt(unknown), Refusal::NoSuchDisclosure);
}

#[test]
fn a_grant_needs_a_scope_a_window_and_another_member() {
    let mut world = World::new();
    let good = grant(&world);
    let empty = AccessScope { categories: Default::default(), ..scope() };
    let bad = [
        (GrantAccess { scope: empty, ..good.clone() }, Refusal::EmptyScope),
        (GrantAccess { grantee: institution(COUNTY), ..good.clone() }, Refusal::SameInstitution),
        (GrantAccess { grantee: institution("nobody-here"), ..good.clone() }, Refusal::NoSuchInstitution),
        (
            GrantAccess {
                window: Window { starts: world.time(), expires: world.time().plus_ms(20 * 366 * DAY_MS) },
                ..good.clone()
            },
            Refusal::BadWindow,
        ),
        (
            GrantAccess { window: Window { starts: world.time(), expires: world.time() }, ..good },
            Refusal::BadWindow,
        ),
    ];
    for (attempt, reason) in bad {
        world.refuse_one(COUNTY, Operation::GrantAccess(attempt), reason);
    }
}
