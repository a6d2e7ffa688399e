//! One encoding put together by hand for each kind of operation.

use std::collections::BTreeSet;

use yilian_spec::base::id::*;
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::crypto::signature::{PublicKey, Signature};
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::*;
use yilian_spec::domain::agreement::*;
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::*;
use yilian_spec::domain::referral::*;
use yilian_spec::domain::service::*;
use yilian_spec::settlement::expression::{Expression, Measure, Step, StepIndex};
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::terms::{Party, Rounding, Terms};
use yilian_spec::settlement::{PartRole, PartyIndex};

use crate::vectors::check;

const WINDOW: Window = Window { starts: LedgerTime(1), expires: LedgerTime(2) };
const REFERRAL: ReferralId = ReferralId([0x44; 32]);

fn institution() -> InstitutionId {
    InstitutionId::new("ab").unwrap()
}

fn service() -> ServiceCode {
    ServiceCode::new("cd").unwrap()
}

fn scope() -> AccessScope {
    AccessScope {
        categories: BTreeSet::from([Category::MentalHealth, Category::EncounterSummary]),
        highest_sensitivity: Sensitivity::R,
        purposes: BTreeSet::from([Purpose::Coc]),
    }
}

#[test]
fn keys() {
    let (key, new_key) = (PublicKey::Ed25519([1; 32]), PublicKey::Ed25519([2; 32]));
    let possession = Signature::Ed25519([3; 64]);
    let register = RegisterKey { key, role: Role::Auditor, window: WINDOW, possession };
    check(
        "register_key",
        &Operation::RegisterKey(register),
        "00000000 01 01*32 06000000 0100000000000000 0200000000000000 01 03*64",
    );
    let rotate = RotateKey { old_key: key, new_key, window: WINDOW, possession };
    check(
        "rotate_key",
        &Operation::RotateKey(rotate),
        "01000000 01 01*32 01 02*32 0100000000000000 0200000000000000 01 03*64",
    );
    let revoke = RevokeKey { key, reason: RevocationReason::Retired };
    check("revoke_key", &Operation::RevokeKey(revoke), "02000000 01 01*32 02000000");
}

#[test]
fn access() {
    let (subject, content) = (SubjectTag([5; 32]), Commitment([6; 32]));
    let grant =
        GrantAccess { subject, grantee: institution(), scope: scope(), window: WINDOW, consent: content };
    check(
        "grant_access",
        &Operation::GrantAccess(grant),
        "03000000 05*32 0200000000000000 'ab' 0200000000000000 00000000 0c000000 04000000
         0100000000000000 07000000 0100000000000000 0200000000000000 06*32",
    );
    let revoke = RevokeGrant { grant: GrantId([7; 32]), reason: GrantRevocationReason::Mistake };
    check("revoke_grant", &Operation::RevokeGrant(revoke), "04000000 07*32 02000000");
    let (person, origin) = (Commitment([9; 32]), Commitment([10; 32]));
    let disclosure = |decision, acting_person, origin| {
        Operation::RecordDisclosure(RecordDisclosure {
            subject,
            recipient: institution(),
            category: Category::Imaging,
            sensitivity: Sensitivity::V,
            purpose: Purpose::Hlegal,
            content,
            decision,
            acting_person,
            origin,
        })
    };
    check(
        "record_disclosure, permit",
        &disclosure(Decision::Permit { grant: GrantId([7; 32]) }, Some(person), Some(origin)),
        "05000000 05*32 0200000000000000 'ab' 03000000 05000000 08000000 06*32 00000000 07*32 01 09*32 01 0a*32",
    );
    check(
        "record_disclosure, deny",
        &disclosure(Decision::Deny { reason: DenialReason::NoRecords }, None, None),
        "05000000 05*32 0200000000000000 'ab' 03000000 05000000 08000000 06*32 01000000 03000000 00 00",
    );
    let receipt = RecordReceipt { disclosure: DisclosureId([8; 32]), content, acting_person: Some(person) };
    check("record_receipt", &Operation::RecordReceipt(receipt), "06000000 08*32 06*32 01 09*32");
}

#[test]
fn referral_requests() {
    let capacity = PublishCapacity { service: service(), slots: 258 };
    check(
        "publish_capacity",
        &Operation::PublishCapacity(capacity),
        "07000000 0200000000000000 'cd' 02010000",
    );
    let scope_text = "0200000000000000 00000000 0c000000 04000000 0100000000000000 07000000";
    let request = RequestReferral {
        subject: SubjectTag([5; 32]),
        receiver: institution(),
        direction: Direction::Lateral,
        service: service(),
        urgency: Urgency::Emergency,
        reason: Commitment([6; 32]),
        access: scope(),
    };
    check(
        "request_referral",
        &Operation::RequestReferral(request),
        &format!(
            "08000000 05*32 0200000000000000 'ab' 02000000 0200000000000000 'cd' 02000000 06*32 {scope_text}"
        ),
    );
    let back = ReturnDownward {
        returns: REFERRAL,
        service: service(),
        urgency: Urgency::Urgent,
        reason: Commitment([6; 32]),
        access: scope(),
    };
    check(
        "return_downward",
        &Operation::ReturnDownward(back),
        &format!("12000000 44*32 0200000000000000 'cd' 01000000 06*32 {scope_text}"),
    );
}

#[test]
fn referral_steps() {
    let package = Commitment([6; 32]);
    let reason = ReferralReason::NoLongerNeeded;
    let vectors = [
        (Operation::AcceptReferral(AcceptReferral { referral: REFERRAL }), "09000000 44*32"),
        (
            Operation::DeclineReferral(DeclineReferral { referral: REFERRAL, reason }),
            "0a000000 44*32 06000000",
        ),
        (
            Operation::RedirectReferral(RedirectReferral {
                referral: REFERRAL,
                proposed_receiver: institution(),
                reason,
            }),
            "0b000000 44*32 0200000000000000 'ab' 06000000",
        ),
        (
            Operation::ConfirmRedirect(ConfirmRedirect { referral: REFERRAL, receiver: institution() }),
            "19000000 44*32 0200000000000000 'ab'",
        ),
        (Operation::CancelReferral(CancelReferral { referral: REFERRAL, reason }), "0c000000 44*32 06000000"),
        (Operation::HandOver(HandOver { referral: REFERRAL, package }), "0d000000 44*32 06*32"),
        (
            Operation::AcknowledgeHandover(AcknowledgeHandover { referral: REFERRAL, package }),
            "0e000000 44*32 06*32",
        ),
        (
            Operation::ReportOutcome(ReportOutcome {
                referral: REFERRAL,
                outcome: OutcomeCode::NotTreated,
                report: package,
            }),
            "0f000000 44*32 04000000 06*32",
        ),
        (
            Operation::AmendOutcome(AmendOutcome {
                referral: REFERRAL,
                outcome: OutcomeCode::NotTreated,
                report: package,
            }),
            "1a000000 44*32 04000000 06*32",
        ),
        (Operation::CloseClinically(CloseClinically { referral: REFERRAL }), "10000000 44*32"),
        (Operation::CloseAdministratively(CloseAdministratively { referral: REFERRAL }), "11000000 44*32"),
    ];
    for (operation, text) in vectors {
        check(operation.name(), &operation, text);
    }
}

#[test]
fn services() {
    let deliver = DeliverService {
        service: service(),
        parts: vec![PlayedPart { role: PartRole::Pharmacy, institution: institution() }],
        performed: WINDOW,
        payer: institution(),
        gross_minor: AmountMinor(-2),
        currency: Currency::CNY,
        evidence: Commitment([6; 32]),
    };
    check(
        "deliver_service",
        &Operation::DeliverService(deliver),
        "13000000 0200000000000000 'cd' 0100000000000000 0200000000000000 0100000000000000 05000000 0200000000000000 'ab' 0200000000000000 'ab'
         feffffffffffffff 'CNY' 06*32",
    );
    let reverse = ReverseService { service: ServiceId([9; 32]), reason: ReversalReason::ClaimRejected };
    check("reverse_service", &Operation::ReverseService(reverse), "14000000 09*32 03000000");
}

#[test]
fn agreements() {
    let agreement = AgreementId([0x0a; 32]);
    let steps = vec![
        Step::Constant { value: Ratio::new(-3, 100) },
        Step::Events { service: None, measure: Measure::NetGross },
        Step::Place { party: PartyIndex(1), value: StepIndex(1) },
    ];
    let terms = Terms {
        currency: Currency::USD,
        services: BTreeSet::from([service()]),
        metrics: BTreeSet::new(),
        parties: vec![Party { institution: institution(), roles: BTreeSet::from([PartRole::Expert]) }],
        payer: PartyIndex(1),
        rounding: Rounding::PerPeriod,
        expression: Expression { steps },
    };
    let propose = ProposeAgreement {
        consortium: ConsortiumId::new("ef").unwrap(),
        terms,
        window: WINDOW,
        schedule: Schedule::Fixed { length_ms: 0x0d },
    };
    check(
        "propose_agreement",
        &Operation::ProposeAgreement(propose),
        "15000000 0200000000000000 'ef'
         'USD' 0100000000000000 0200000000000000 'cd' 0000000000000000
         0100000000000000 0200000000000000 'ab' 0100000000000000 01000000 01 01000000
         0300000000000000
           00000000 fdffffffffffffff 6400000000000000
           02000000 00 05000000
           0f000000 01 0100
         0100000000000000 0200000000000000 00000000 0d00000000000000",
    );
    let sign = SignAgreement { agreement, terms_hash: Hash([0x0b; 32]) };
    check("sign_agreement", &Operation::SignAgreement(sign), "16000000 0a*32 0b*32");
    let terminate = TerminateAgreement { agreement };
    check("terminate_agreement", &Operation::TerminateAgreement(terminate), "17000000 0a*32");
    let close = ClosePeriod { agreement, period: 7 };
    check("close_period", &Operation::ClosePeriod(close), "18000000 0a*32 07000000");
}
