//! Grants, disclosures within and beyond them, receipts, revocations, and a rotated key.

use std::collections::BTreeSet;

use yilian_spec::base::id::{Commitment, DisclosureId, GrantId, SubjectTag};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{
    AccessScope, Category, Decision, DenialReason, GrantAccess, GrantRevocationReason, Purpose,
    RecordDisclosure, RecordReceipt, RevokeGrant, Sensitivity,
};
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::{RevocationReason, RevokeKey, RotateKey, possession_bytes};

use super::author::{Author, END};
use super::{DAY_MS, START_MS, VALIDATORS, institution, secret};

/// A grant that was signed.
struct Granted {
    place: u64,
    grantor: usize,
    grantee: usize,
    subject: SubjectTag,
    id: GrantId,
}

/// Tells of grants until there are `count` transactions.
pub fn story(author: &mut Author<'_>, count: usize) {
    if author.random.chance(300) {
        end_key(author);
    }
    while author.count() < count {
        let granted = grant(author);
        for _ in 0..author.place(1, 3) {
            if author.count() < count {
                use_grant(author, &granted);
            }
        }
        if author.count() < count && author.random.chance(120) {
            intrude(author, &granted);
        }
        if author.count() < count && author.random.chance(350) {
            revoke(author, &granted);
        }
    }
}

/// What a grant of the simulated consortium covers.
pub fn scope() -> AccessScope {
    AccessScope {
        categories: BTreeSet::from([Category::Laboratory, Category::Imaging]),
        highest_sensitivity: Sensitivity::N,
        purposes: BTreeSet::from([Purpose::Treat]),
    }
}

fn grant(author: &mut Author<'_>) -> Granted {
    let grantor = author.random.position(VALIDATORS);
    // Another member than the grantor.
    let grantee = (grantor + 1 + author.random.position(VALIDATORS - 1)) % VALIDATORS;
    let subject = author.subject(grantor);
    let starts_ms = START_MS + if author.random.chance(100) { 8_000 } else { 0 };
    // Some end while the run lasts.
    let length_ms = if author.random.chance(150) { author.place(4_000, 14_000) } else { DAY_MS };
    let grant = GrantAccess {
        subject,
        grantee: institution(if author.random.chance(40) { grantor } else { grantee }),
        scope: scope(),
        window: Window { starts: LedgerTime(starts_ms), expires: LedgerTime(starts_ms + length_ms) },
        consent: Commitment(author.random.bytes()),
    };
    let place = author.place(0, 700);
    let signed = author.sign(place, grantor, vec![Operation::GrantAccess(grant)]);
    Granted { place, grantor, grantee, subject, id: GrantId(signed.object(0)) }
}

/// A disclosure under a grant, mostly covered by it.
pub fn disclosure(
    author: &mut Author<'_>,
    subject: SubjectTag,
    recipient: usize,
    grant: GrantId,
) -> RecordDisclosure {
    let chance = author.random.below(1_000);
    RecordDisclosure {
        subject: if chance < 30 { SubjectTag([7; 32]) } else { subject },
        recipient: institution(recipient),
        category: if (30..130).contains(&chance) { Category::Genomic } else { Category::Laboratory },
        sensitivity: if (130..180).contains(&chance) { Sensitivity::R } else { Sensitivity::L },
        purpose: if (180..220).contains(&chance) { Purpose::Hresch } else { Purpose::Treat },
        content: Commitment(author.random.bytes()),
        decision: match chance {
            220..300 => Decision::Deny { reason: DenialReason::NoTreatmentRelation },
            300..330 => Decision::Permit { grant: GrantId([7; 32]) },
            _ => Decision::Permit { grant },
        },
        acting_person: author.random.chance(500).then(|| Commitment(author.random.bytes())),
        origin: author.random.chance(500).then(|| Commitment(author.random.bytes())),
    }
}

/// One disclosure or two in one transaction, and perhaps the recipient's receipt.
fn use_grant(author: &mut Author<'_>, granted: &Granted) {
    let number = if author.random.chance(200) { 2 } else { 1 };
    let disclosures: Vec<RecordDisclosure> =
        (0..number).map(|_| disclosure(author, granted.subject, granted.grantee, granted.id)).collect();
    let content = disclosures[0].content;
    let place = author.place(granted.place + 100, granted.place + 500).min(END);
    let operations = disclosures.into_iter().map(Operation::RecordDisclosure).collect();
    let signed = author.sign(place, granted.grantor, operations);
    if author.random.chance(500) {
        let content = if author.random.chance(100) { Commitment([7; 32]) } else { content };
        let receipt =
            RecordReceipt { disclosure: DisclosureId(signed.object(0)), content, acting_person: None };
        let place = author.place(place + 100, place + 250).min(END);
        author.sign(place, granted.grantee, vec![Operation::RecordReceipt(receipt)]);
    }
}

/// The grantee writes about a tag that it does not keep: a denial, or a grant of its own.
fn intrude(author: &mut Author<'_>, granted: &Granted) {
    let recipient = institution(granted.grantor);
    let operation = if author.random.chance(500) {
        let decision = Decision::Deny { reason: DenialReason::NoRecords };
        let asked = disclosure(author, granted.subject, granted.grantor, granted.id);
        Operation::RecordDisclosure(RecordDisclosure { subject: granted.subject, decision, ..asked })
    } else {
        Operation::GrantAccess(GrantAccess {
            subject: granted.subject,
            grantee: recipient,
            scope: scope(),
            window: Window { starts: LedgerTime(START_MS), expires: LedgerTime(START_MS + DAY_MS) },
            consent: Commitment(author.random.bytes()),
        })
    };
    let place = author.place(granted.place + 100, granted.place + 400).min(END);
    author.sign(place, granted.grantee, vec![operation]);
}

fn revoke(author: &mut Author<'_>, granted: &Granted) {
    let place = author.place(granted.place + 100, granted.place + 400).min(END);
    let reason = GrantRevocationReason::ConsentWithdrawn;
    let revoker = if author.random.chance(100) { granted.grantee } else { granted.grantor };
    author.sign(place, revoker, vec![Operation::RevokeGrant(RevokeGrant { grant: granted.id, reason })]);
}

/// A member rotates or revokes its access gateway's key: what that key signs later is refused. Nobody uses the new one,
/// for a node takes no transaction of a key that the ledger does not know yet.
fn end_key(author: &mut Author<'_>) {
    let member = author.random.position(VALIDATORS);
    let old_key = secret(member, Role::AccessGateway).public_key();
    let operation = if author.random.chance(500) {
        let new = SecretKey::from_seed(&author.random.bytes());
        let id = institution(member);
        let possession =
            new.sign(&possession_bytes(author.chain_id(), &id, Role::AccessGateway, new.public_key()));
        let window = Window { starts: LedgerTime(START_MS), expires: LedgerTime(START_MS + DAY_MS) };
        Operation::RotateKey(RotateKey { old_key, new_key: new.public_key(), window, possession })
    } else {
        Operation::RevokeKey(RevokeKey { key: old_key, reason: RevocationReason::Retired })
    };
    let place = author.place(600, END);
    author.sign(place, member, vec![operation]);
}
