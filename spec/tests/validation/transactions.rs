//! Rules S-1 and S-3 to S-11: what can be said of a transaction by itself.

use std::collections::BTreeSet;

use yilian_spec::base::codec::{self, Canonical, DecodeError};
use yilian_spec::base::id::{
    ChainId, Commitment, ConsortiumId, IdError, InstitutionId, ReferralId, ServiceCode,
};
use yilian_spec::base::limits;
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::crypto::signature::{SecretKey, Signature};
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{
    Category, Decision, DenialReason, GrantAccess, Purpose, RecordDisclosure, Sensitivity,
};
use yilian_spec::domain::agreement::{ProposeAgreement, Schedule};
use yilian_spec::domain::operate::OperationError;
use yilian_spec::domain::referral::{
    AcceptReferral, Direction, PublishCapacity, RedirectReferral, ReferralReason, RequestReferral,
    ReturnDownward, Urgency,
};
use yilian_spec::domain::service::{DeliverService, PlayedPart};
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};
use yilian_spec::ledger::validation::semantic::{self, SemanticError};
use yilian_spec::ledger::validation::structural::{self, StructuralError};
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::templates::{Frame, fixed_price};
use yilian_spec::settlement::terms::TermsError;

use crate::world::{commitment, institution, performed, scope, service_code, subject};

const CHAIN: ChainId = ChainId([7; 32]);

fn author() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

fn body(operations: Vec<Operation>) -> TransactionBody {
    TransactionBody {
        chain_id: CHAIN,
        author: author().public_key(),
        institution: institution("renhe-hospital"),
        created: LedgerTime(1_000),
        expires: LedgerTime(2_000),
        nonce: [9; 16],
        operations,
    }
}

fn accept() -> Operation {
    Operation::AcceptReferral(AcceptReferral { referral: ReferralId([4; 32]) })
}

fn refusal(body: TransactionBody) -> SemanticError {
    semantic::check(body.sign(&author()), CHAIN).expect_err("the transaction breaks a rule")
}

fn structural(body: TransactionBody) -> StructuralError {
    match refusal(body) {
        SemanticError::Structural(error) => error,
        other => panic!("{other} is no structural error"),
    }
}

/// A value that came from bytes and was not checked.
fn unchecked<T: Canonical, F: Canonical>(field: &F) -> T {
    let bytes = codec::encode(field);
    codec::decode(&bytes, bytes.len()).unwrap()
}

fn delivery() -> DeliverService {
    DeliverService {
        service: service_code("teleconsultation"),
        parts: vec![PlayedPart { role: PartRole::Expert, institution: institution("renhe-hospital") }],
        performed: performed(),
        payer: institution("anping-insurer"),
        gross_minor: AmountMinor(1),
        currency: Currency::CNY,
        evidence: commitment(1),
    }
}

fn proposal() -> ProposeAgreement {
    let frame = Frame {
        currency: Currency::CNY,
        services: BTreeSet::from([service_code("teleconsultation")]),
        payer: institution("anping-insurer"),
    };
    let providers = [institution("renhe-hospital")];
    ProposeAgreement {
        consortium: ConsortiumId::new("qinghe-community").unwrap(),
        terms: fixed_price(&frame, &providers, PartRole::Expert, AmountMinor(100)).unwrap(),
        window: Window { starts: LedgerTime(0), expires: LedgerTime(1) },
        schedule: Schedule::OnDemand,
    }
}

#[test]
fn a_transaction_that_keeps_all_rules_passes_with_its_id_and_length() {
    let operations =
        vec![accept(), Operation::DeliverService(delivery()), Operation::ProposeAgreement(proposal())];
    let transaction = body(operations).sign(&author());
    let bytes = codec::encode(&transaction);
    assert_eq!(structural::decode(&bytes), Ok(transaction.clone()));
    let checked = semantic::check(transaction.clone(), CHAIN).unwrap();
    assert_eq!((checked.id(), checked.encoded()), (transaction.id(), bytes.as_slice()));
    assert_eq!(checked.transaction(), &transaction);
}

#[test]
fn bytes_that_are_no_transaction_are_refused_by_the_rules_of_the_encoding() {
    let bytes = codec::encode(&body(vec![accept()]).sign(&author()));
    let longer = [&bytes[..], &[0]].concat();
    let error = structural::decode(&longer).unwrap_err();
    assert!(matches!(error, StructuralError::Encoding(DecodeError::Malformed(_))), "{error}");
    let long = vec![0; limits::TRANSACTION_BYTES_MAX + 1];
    let length = long.len();
    let limit = limits::TRANSACTION_BYTES_MAX;
    let expected = StructuralError::Encoding(DecodeError::TooLong { length, limit });
    assert_eq!(structural::decode(&long), Err(expected));
}

#[test]
fn rule_s3_a_transaction_has_1_to_256_operations() {
    assert_eq!(structural(body(vec![])), StructuralError::OperationCount { count: 0 });
    assert_eq!(structural(body(vec![accept(); 257])), StructuralError::OperationCount { count: 257 });
    assert!(semantic::check(body(vec![accept(); 256]).sign(&author()), CHAIN).is_ok());
}

#[test]
fn rule_s4_a_transaction_has_at_most_128_kib() {
    let mut long = proposal();
    long.terms.parties = vec![long.terms.parties[0].clone(); limits::PARTIES_MAX];
    let body = body(vec![Operation::ProposeAgreement(long); 256]);
    let length = codec::encode(&body).len() + 65;
    assert!(length > limits::TRANSACTION_BYTES_MAX, "{length}");
    assert_eq!(structural(body), StructuralError::TooLong { length });
    let short = self::body(vec![accept()]).sign(&author());
    assert_eq!(structural::check(&short, limits::TRANSACTION_BYTES_MAX), Ok(()));
    let length = limits::TRANSACTION_BYTES_MAX + 1;
    assert_eq!(structural::check(&short, length), Err(StructuralError::TooLong { length }));
}

#[test]
fn rule_s5_a_transaction_lives_from_1_ms_to_24_hours() {
    let lasting = |ms: i64| {
        let expires = LedgerTime(1_000u64.saturating_add_signed(ms));
        TransactionBody { expires, ..body(vec![accept()]) }
    };
    let most = i64::try_from(limits::TRANSACTION_LIFETIME_MS_MAX).unwrap();
    for ms in [0, -1, most + 1] {
        assert_eq!(structural(lasting(ms)), StructuralError::Lifetime, "{ms}");
    }
    for ms in [1, most] {
        assert!(semantic::check(lasting(ms).sign(&author()), CHAIN).is_ok(), "{ms}");
    }
}

fn malformed(operation: usize, reason: OperationError) -> StructuralError {
    StructuralError::Operation { operation, reason }
}

#[test]
fn rule_s1_every_name_that_came_from_bytes_is_a_slug() {
    let bad: InstitutionId = unchecked(&String::from("Bad"));
    let code: ServiceCode = unchecked(&String::from("x"));
    let named = TransactionBody { institution: bad.clone(), ..body(vec![accept()]) };
    assert_eq!(structural(named), StructuralError::Institution { reason: IdError::NotSlug });
    let part = PlayedPart { role: PartRole::Expert, institution: bad.clone() };
    let consent: Commitment = commitment(1);
    let window = Window { starts: LedgerTime(0), expires: LedgerTime(1) };
    let grant = GrantAccess { subject: subject(1), grantee: bad.clone(), scope: scope(), window, consent };
    let disclosure = RecordDisclosure {
        subject: subject(1),
        recipient: bad.clone(),
        category: Category::Imaging,
        sensitivity: Sensitivity::N,
        purpose: Purpose::Treat,
        content: consent,
        decision: Decision::Deny { reason: DenialReason::NoGrant },
        acting_person: None,
        origin: None,
    };
    let request = RequestReferral {
        subject: subject(1),
        receiver: institution("renhe-hospital"),
        direction: Direction::Up,
        service: service_code("cardiology"),
        urgency: Urgency::Routine,
        reason: consent,
        access: scope(),
    };
    let referral = ReferralId([1; 32]);
    let redirect =
        RedirectReferral { referral, proposed_receiver: bad.clone(), reason: ReferralReason::NoCapacity };
    let back = ReturnDownward {
        returns: referral,
        service: code.clone(),
        urgency: Urgency::Routine,
        reason: consent,
        access: scope(),
    };
    let attempts = [
        Operation::GrantAccess(grant),
        Operation::RecordDisclosure(disclosure),
        Operation::PublishCapacity(PublishCapacity { service: code.clone(), slots: 1 }),
        Operation::RequestReferral(RequestReferral { receiver: bad.clone(), ..request.clone() }),
        Operation::RequestReferral(RequestReferral { service: code.clone(), ..request }),
        Operation::RedirectReferral(redirect),
        Operation::ReturnDownward(back),
        Operation::DeliverService(DeliverService { parts: vec![part], ..delivery() }),
        Operation::DeliverService(DeliverService { service: code.clone(), ..delivery() }),
        Operation::DeliverService(DeliverService { payer: bad, ..delivery() }),
        Operation::ProposeAgreement(ProposeAgreement {
            consortium: unchecked(&String::from("1st")),
            ..proposal()
        }),
    ];
    for attempt in attempts {
        let name = attempt.name();
        let error = structural(body(vec![accept(), attempt]));
        assert_eq!(error, malformed(1, OperationError::Name(IdError::NotSlug)), "{name}");
    }
    let mut terms = proposal().terms;
    terms.services.insert(code);
    let attempt = Operation::ProposeAgreement(ProposeAgreement { terms, ..proposal() });
    let expected = malformed(0, OperationError::Terms(TermsError::Name(IdError::NotSlug)));
    assert_eq!(structural(body(vec![attempt])), expected);
}

#[test]
fn rule_s6_parts_ascend_and_do_not_repeat() {
    let part = |role| PlayedPart { role, institution: institution("renhe-hospital") };
    let (primary, expert) = (part(PartRole::Primary), part(PartRole::Expert));
    let bad = [
        vec![],
        vec![expert.clone(), primary.clone()],
        vec![primary.clone(), primary.clone()],
        vec![primary.clone(); limits::PARTS_PER_SERVICE_MAX + 1],
    ];
    for parts in bad {
        let attempt = Operation::DeliverService(DeliverService { parts, ..delivery() });
        assert_eq!(structural(body(vec![attempt])), malformed(0, OperationError::Parts));
    }
    let attempt = Operation::DeliverService(DeliverService { parts: vec![primary, expert], ..delivery() });
    assert!(semantic::check(body(vec![attempt]).sign(&author()), CHAIN).is_ok());
}

#[test]
fn rule_s12_a_service_is_performed_on_whole_days() {
    let midnight = |day: u64| LedgerTime(day * 86_400_000);
    let after = |time: LedgerTime, milliseconds: u64| LedgerTime(time.0 + milliseconds);
    let attempt = |starts, expires| {
        let performed = Window { starts, expires };
        body(vec![Operation::DeliverService(DeliverService { performed, ..delivery() })])
    };
    let days_max = 366;
    for (starts, expires) in [
        (midnight(3), midnight(3)),
        (midnight(4), midnight(3)),
        (after(midnight(3), 1), midnight(5)),
        (midnight(3), after(midnight(5), 1)),
        (midnight(3), midnight(3 + days_max + 1)),
    ] {
        assert_eq!(structural(attempt(starts, expires)), malformed(0, OperationError::PerformedDays));
    }
    for (starts, expires) in [(midnight(0), midnight(1)), (midnight(3), midnight(3 + days_max))] {
        assert!(semantic::check(attempt(starts, expires).sign(&author()), CHAIN).is_ok());
    }
}

#[test]
fn rule_s7_a_currency_is_three_capital_letters() {
    for bad in [*b"cny", *b"C1Y", [0; 3]] {
        let deliver = DeliverService { currency: unchecked(&bad), ..delivery() };
        let error = structural(body(vec![accept(), Operation::DeliverService(deliver)]));
        assert_eq!(error, malformed(1, OperationError::Currency));
    }
}

#[test]
fn rule_s8_proposed_terms_are_well_formed() {
    let mut attempt = proposal();
    attempt.terms.parties.truncate(1);
    let error = structural(body(vec![Operation::ProposeAgreement(attempt)]));
    let reason = TermsError::PartyCount { count: 1 };
    assert_eq!(error, malformed(0, OperationError::Terms(reason)));
}

#[test]
fn rule_s9_a_period_is_longer_than_0_and_at_most_366_days() {
    let lasting = |length_ms| {
        let schedule = Schedule::Fixed { length_ms };
        body(vec![Operation::ProposeAgreement(ProposeAgreement { schedule, ..proposal() })])
    };
    for ms in [0, limits::PERIOD_LENGTH_MS_MAX + 1] {
        assert_eq!(structural(lasting(ms)), malformed(0, OperationError::PeriodLength));
    }
    for ms in [1, limits::PERIOD_LENGTH_MS_MAX] {
        assert!(semantic::check(lasting(ms).sign(&author()), CHAIN).is_ok());
    }
}

#[test]
fn rule_s10_a_transaction_is_for_one_ledger() {
    let other = ChainId([8; 32]);
    let found = TransactionBody { chain_id: other, ..body(vec![accept()]) };
    assert_eq!(refusal(found), SemanticError::WrongChain { found: other, expected: CHAIN });
}

#[test]
fn rule_s11_the_author_signed_exactly_this() {
    let signed = body(vec![accept()]).sign(&author());
    let stranger = SecretKey::from_seed(&[2; 32]);
    let mut later = signed.clone();
    later.body.expires = LedgerTime(2_001);
    let unsigned = Transaction { signature: Signature::Ed25519([0; 64]), ..signed.clone() };
    let bad = [body(vec![accept()]).sign(&stranger), later, unsigned];
    for transaction in bad.clone() {
        assert_eq!(semantic::check(transaction, CHAIN), Err(SemanticError::BadSignature));
    }
    // In a batch the good ones pass, and every other keeps its place and its own reason.
    let [first, second, third] = bad;
    let elsewhere = TransactionBody { chain_id: ChainId([8; 32]), ..body(vec![accept()]) }.sign(&author());
    let all = vec![signed.clone(), first, elsewhere, signed.clone(), second, third, signed];
    let results = semantic::check_many(all, CHAIN);
    let good: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, false, false, true, false, false, true]);
    assert!(matches!(results[2], Err(SemanticError::WrongChain { .. })));
    for index in [1, 4, 5] {
        assert_eq!(results[index], Err(SemanticError::BadSignature));
    }
}
