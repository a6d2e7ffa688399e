//! Reading: what concerns whom, pages, finality, and proofs that hold against the genesis alone.

use axum::http::StatusCode;
use yilian_spec::base::id::{Commitment, ReferralId, ServiceCode, SubjectTag};
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{
    AccessScope, Category, Decision, DenialReason, Purpose, RecordDisclosure, Sensitivity,
};
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::referral::{
    ConfirmRedirect, Direction, RedirectReferral, ReferralReason, RequestReferral, Urgency,
};
use yilian_spec::proof::{Proof, ProofDocument};
use yilian_spec::state::key::{StateKey, StreamId};

use super::world::{Answer, CLINIC, HOSPITAL, INSURER, REGULATOR, World, institution};

const HOSPITAL_READS: (&str, Role) = (HOSPITAL, Role::AccessGateway);
const CLINIC_READS: (&str, Role) = (CLINIC, Role::ReferralGateway);
const INSURER_READS: (&str, Role) = (INSURER, Role::Finance);
const REGULATOR_READS: (&str, Role) = (REGULATOR, Role::Auditor);

fn items(answer: &Answer) -> Vec<String> {
    let items = answer.json["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

pub async fn proof(world: &World, caller: (&'static str, Role), path: &str) -> Proof {
    let answer = world.ask(caller, path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
    let document = ProofDocument::from_json(answer.json.to_string().as_bytes()).unwrap();
    document.verify(&world.checkpoint()).unwrap();
    document.proof
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_read_by_its_parties_and_regulators_alone() {
    let mut world = World::new();
    let grant = world.grant(1);
    let id = hex::encode(grant.object_id(0).unwrap());
    let transaction = world.committed(vec![grant])[0];
    let paths = [
        format!("/v1/grants/{id}"),
        format!("/v1/grants/{id}/proof"),
        format!("/v1/transactions/{transaction}"),
        format!("/v1/transactions/{transaction}/proof"),
        format!("/v1/streams/grant/{id}"),
        format!("/v1/streams/grant/{id}/proof"),
    ];
    for path in &paths {
        for caller in [HOSPITAL_READS, CLINIC_READS, REGULATOR_READS] {
            assert_eq!(world.ask(caller, path).await.status, StatusCode::OK, "{path} {caller:?}");
        }
        // Who has a transaction's id was told of it; the ids of objects may be computed.
        let (status, code) = if path.contains("/transactions/") {
            (StatusCode::FORBIDDEN, "not_yours")
        } else {
            (StatusCode::NOT_FOUND, "not_found")
        };
        let answer = world.ask(INSURER_READS, path).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{path}");
    }
    let answer = world.ask(CLINIC_READS, &paths[0]).await;
    assert_eq!(answer.json["id"], id);
    assert_eq!(answer.json["record"]["grantor"], HOSPITAL);
    assert_eq!(answer.json["height"], 1);
    assert_eq!(items(&world.ask(CLINIC_READS, "/v1/grants").await), std::slice::from_ref(&id));
    assert_eq!(items(&world.ask(REGULATOR_READS, "/v1/grants").await), [id]);
    assert_eq!(items(&world.ask(INSURER_READS, "/v1/grants").await), Vec::<String>::new());
    let answer = world.ask(INSURER_READS, &format!("/v1/grants?institution={HOSPITAL}")).await;
    assert_eq!(answer.code(), "not_yours");
    let block = world.ask(INSURER_READS, "/v1/blocks/latest").await;
    assert_eq!(block.json["transactions"].as_array().unwrap().len(), 0);
    assert_eq!(block.json["header"]["transaction_count"], 1);
    let block = world.ask(CLINIC_READS, "/v1/blocks/1").await;
    assert_eq!(block.json["transactions"][0]["operations"][0], "grant_access");
}

/// The attack: an insurer that got 403 planted a denial on the tag, and then got 200 with the whole stream.
#[tokio::test(flavor = "multi_thread")]
async fn rule_o26_a_subjects_stream_is_read_by_its_custodian_and_regulators_whatever_others_record() {
    let mut world = World::new();
    let grant = world.grant(1);
    let id = hex::encode(grant.object_id(0).unwrap());
    world.committed(vec![grant]);
    let subject = World::patient(1);
    let head = hex::encode(StateKey::StreamHead(StreamId::Subject(subject)).bytes());
    let paths = [
        format!("/v1/streams/subject/{subject}"),
        format!("/v1/streams/subject/{subject}/proof"),
        format!("/v1/state/{head}/proof"),
    ];
    let denial = Operation::RecordDisclosure(RecordDisclosure {
        subject,
        recipient: institution(HOSPITAL),
        category: Category::Laboratory,
        sensitivity: Sensitivity::N,
        purpose: Purpose::Treat,
        content: Commitment([2; 32]),
        decision: Decision::Deny { reason: DenialReason::NoRecords },
        acting_person: None,
        origin: None,
    });
    for planted in [false, true] {
        if planted {
            let denial = world.transaction((INSURER, Role::AccessGateway), vec![denial.clone()]);
            let id = world.committed(vec![denial])[0];
            let said = world.ask(INSURER_READS, &format!("/v1/transactions/{id}")).await;
            assert_eq!(said.json["receipt"]["outcome"]["refused"]["reason"], "not_the_custodian");
        }
        for path in &paths {
            for caller in [HOSPITAL_READS, REGULATOR_READS] {
                assert_eq!(world.ask(caller, path).await.status, StatusCode::OK, "{path} {caller:?}");
            }
            // Not even who has a grant: the length and the times of the stream tell of every visit.
            for caller in [CLINIC_READS, INSURER_READS] {
                let answer = world.ask(caller, path).await;
                assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, "not_found"), "{path}");
            }
        }
    }
    let whole = world.ask(HOSPITAL_READS, &paths[0]).await;
    assert_eq!(whole.json["length"], 1, "nothing of the insurer's stands in it");
    let own = world.ask(CLINIC_READS, &format!("/v1/streams/grant/{id}")).await;
    assert_eq!((own.status, &own.json["length"]), (StatusCode::OK, &1.into()));
}

/// The attack: a grantee read the other institutions' grants of the same transaction, among them one for mental health of
/// another patient.
#[tokio::test(flavor = "multi_thread")]
async fn rule_n7_of_a_transaction_everybody_reads_the_operations_that_concern_it() {
    let mut world = World::new();
    let for_clinic = world.grant(1).body.operations.remove(0);
    let Operation::GrantAccess(mut other) = for_clinic.clone() else { panic!("not a grant") };
    other.subject = World::patient(2);
    other.grantee = institution(INSURER);
    other.scope.categories = [Category::MentalHealth].into();
    let both = vec![Operation::GrantAccess(other), for_clinic.clone()];
    let transaction = world.transaction((HOSPITAL, Role::AccessGateway), both);
    let [others, own] = [0, 1].map(|index| hex::encode(transaction.object_id(index).unwrap()));
    let id = world.committed(vec![transaction])[0];
    let path = format!("/v1/transactions/{id}");
    for caller in [HOSPITAL_READS, REGULATOR_READS] {
        let whole = world.ask(caller, &path).await.json;
        assert_eq!(whole["transaction"]["body"]["operations"].as_array().unwrap().len(), 2);
        assert!(whole["part"].is_null());
        proof(&world, caller, &format!("{path}/proof")).await;
    }
    let part = world.ask(CLINIC_READS, &path).await.json;
    assert!(part["transaction"].is_null());
    assert_eq!(part["part"]["institution"], HOSPITAL);
    assert_eq!(part["part"]["operations"].as_array().unwrap().len(), 1);
    assert_eq!(part["part"]["operations"][0]["number"], 1);
    assert_eq!(part["part"]["operations"][0]["operation"], serde_json::to_value(&for_clinic).unwrap());
    let text = part.to_string();
    assert!(!text.contains("mental_health") && !text.contains(&"02".repeat(32)) && !text.contains(INSURER));
    let refused = world.ask(CLINIC_READS, &format!("{path}/proof")).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "partly_yours"));
    let block = world.ask(CLINIC_READS, "/v1/blocks/1").await.json;
    assert_eq!(block["transactions"][0]["operations"].as_array().unwrap().len(), 1);
    // What remains proven to it: its grant, and all that happened under it.
    proof(&world, CLINIC_READS, &format!("/v1/grants/{own}/proof")).await;
    proof(&world, CLINIC_READS, &format!("/v1/streams/grant/{own}/proof")).await;
    // The attack: the ids of what the other operations create followed from the transaction's, and told how many there are.
    let tried = [0, 2].map(|index| hex::encode(for_clinic.object_id(id, index)));
    for id in [others].iter().chain(&tried) {
        for path in [format!("/v1/grants/{id}"), format!("/v1/grants/{id}/proof")] {
            assert_eq!(world.ask(CLINIC_READS, &path).await.code(), "not_found", "{path}");
        }
    }
}

/// The attack: the receipt of a refused transaction told whom one of its operations named which other operation was refused,
/// and why.
#[tokio::test(flavor = "multi_thread")]
async fn rule_n7_a_refused_transaction_concerns_its_author_alone() {
    let mut world = World::new();
    let for_clinic = world.grant(1).body.operations.remove(0);
    let Operation::GrantAccess(mut unkept) = for_clinic.clone() else { panic!("not a grant") };
    unkept.subject = SubjectTag::of(&institution(INSURER), [1; 16]);
    let both = vec![for_clinic, Operation::GrantAccess(unkept)];
    let transaction = world.transaction((HOSPITAL, Role::AccessGateway), both);
    let id = world.committed(vec![transaction])[0];
    for path in [format!("/v1/transactions/{id}"), format!("/v1/transactions/{id}/proof")] {
        for caller in [HOSPITAL_READS, REGULATOR_READS] {
            assert_eq!(world.ask(caller, &path).await.status, StatusCode::OK, "{path} {caller:?}");
        }
        assert_eq!(world.ask(CLINIC_READS, &path).await.code(), "not_yours", "{path}");
    }
    let block = world.ask(CLINIC_READS, "/v1/blocks/1").await.json;
    assert_eq!(block["transactions"].as_array().unwrap().len(), 0);
}

/// Whoever has a referral after a redirection reads what was asked, and whoever had it in between what named it.
#[tokio::test(flavor = "multi_thread")]
async fn rule_n7_a_redirected_referral_is_read_from_its_beginning_by_who_has_it() {
    const AUTHOR: Role = Role::ReferralGateway;
    let mut world = World::new();
    let request = RequestReferral {
        subject: SubjectTag::of(&institution(INSURER), [3; 16]),
        receiver: institution(CLINIC),
        direction: Direction::Lateral,
        service: ServiceCode::new("dialysis").unwrap(),
        urgency: Urgency::Routine,
        reason: Commitment([4; 32]),
        access: AccessScope {
            categories: [Category::Laboratory].into(),
            highest_sensitivity: Sensitivity::N,
            purposes: [Purpose::Treat].into(),
        },
    };
    let asked = world.transaction((INSURER, AUTHOR), vec![Operation::RequestReferral(request)]);
    let referral = ReferralId(asked.object_id(0).unwrap());
    let asked = world.committed(vec![asked])[0];
    let mut confirmations = Vec::new();
    for (from, receiver) in [(CLINIC, HOSPITAL), (HOSPITAL, CLINIC)] {
        let (to, reason) = (institution(receiver), ReferralReason::BetterElsewhere);
        let redirect =
            Operation::RedirectReferral(RedirectReferral { referral, proposed_receiver: to.clone(), reason });
        let redirect = world.transaction((from, AUTHOR), vec![redirect]);
        let redirect = world.committed(vec![redirect])[0];
        let confirm = Operation::ConfirmRedirect(ConfirmRedirect { referral, receiver: to });
        if confirmations.is_empty() {
            for id in [asked, redirect] {
                let early = world.ask((HOSPITAL, AUTHOR), &format!("/v1/transactions/{id}")).await;
                assert_eq!(early.code(), "not_yours", "nobody has confirmed it");
            }
        }
        let confirm = world.transaction((INSURER, AUTHOR), vec![confirm]);
        let confirm = world.committed(vec![confirm])[0];
        confirmations.push(confirm);
        for id in [asked, redirect, confirm] {
            proof(&world, (receiver, AUTHOR), &format!("/v1/transactions/{id}/proof")).await;
        }
    }
    // The hospital's own stream has an entry of this one, for ever.
    proof(&world, (HOSPITAL, AUTHOR), &format!("/v1/transactions/{}/proof", confirmations[0])).await;
    let gone = world.ask((HOSPITAL, AUTHOR), &format!("/v1/transactions/{asked}")).await;
    assert_eq!(gone.code(), "not_yours");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let mut world = World::new();
    let grants = (1..=7).map(|patient| world.grant(patient)).collect();
    world.committed(grants);
    let whole = items(&world.ask(CLINIC_READS, "/v1/grants").await);
    assert_eq!(whole.len(), 7);
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = world.ask(CLINIC_READS, &format!("/v1/grants?limit=3{cursor}")).await;
        paged.extend(items(&answer));
        match answer.json["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, whole);
    assert_eq!(items(&world.ask(CLINIC_READS, "/v1/institutions").await).len(), 4);
    assert_eq!(items(&world.ask(CLINIC_READS, &format!("/v1/institutions/{CLINIC}/keys")).await).len(), 7);
    let stream = world.ask(HOSPITAL_READS, &format!("/v1/streams/institution/{HOSPITAL}?limit=5")).await;
    assert_eq!((stream.json["items"].as_array().unwrap().len(), &stream.json["length"]), (5, &7.into()));
    let next = stream.json["next_cursor"].as_str().unwrap();
    let path = format!("/v1/streams/institution/{HOSPITAL}?cursor={next}");
    let rest = world.ask(HOSPITAL_READS, &path).await;
    assert_eq!(rest.json["items"][0]["index"], 5);
    assert_eq!(rest.json["items"][1]["operation_name"], "grant_access");
    assert!(rest.json["next_cursor"].is_null());
    // The attack: the number after the last of all numbers ended the reader with a panic.
    for beyond in [8, u64::MAX] {
        let path = format!("/v1/streams/institution/{HOSPITAL}?cursor={beyond:016x}");
        assert_eq!(world.ask(HOSPITAL_READS, &path).await.code(), "malformed");
    }
    world.commit();
    world.commit();
    let blocks = world.ask(HOSPITAL_READS, "/v1/blocks?limit=2").await;
    let heights = |answer: &Answer| -> Vec<u64> {
        let items = answer.json["items"].as_array().unwrap();
        items.iter().map(|item| item["header"]["height"].as_u64().unwrap()).collect()
    };
    assert_eq!(heights(&blocks), [3, 2]);
    let next = blocks.json["next_cursor"].as_str().unwrap();
    assert_eq!(heights(&world.ask(HOSPITAL_READS, &format!("/v1/blocks?cursor={next}")).await), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_carry_proofs_that_hold_against_the_genesis() {
    let mut world = World::new();
    let grants: Vec<_> = (1..=5).map(|_| world.grant(1)).collect();
    let ids = world.committed(grants);
    world.commit();
    let subject = World::patient(1);
    let Proof::Stream(stream) =
        proof(&world, HOSPITAL_READS, &format!("/v1/streams/subject/{subject}/proof")).await
    else {
        panic!("not the proof of a stream");
    };
    assert_eq!((stream.entries.len(), stream.before.length()), (5, 0));
    let later = format!("/v1/streams/subject/{subject}/proof?from=3");
    let Proof::Stream(stream) = proof(&world, REGULATOR_READS, &later).await else {
        panic!("not the proof of a stream");
    };
    assert_eq!((stream.entries.len(), stream.before.length()), (2, 3));
    let unknown = format!("/v1/streams/subject/{}/proof", "cd".repeat(32));
    let Proof::Stream(stream) = proof(&world, REGULATOR_READS, &unknown).await else {
        panic!("not the proof of a stream");
    };
    assert!(stream.entries.is_empty() && stream.head.value.is_none());
    let Proof::Transaction(transaction) =
        proof(&world, HOSPITAL_READS, &format!("/v1/transactions/{}/proof", ids[3])).await
    else {
        panic!("not the proof of a transaction");
    };
    assert_eq!(transaction.transaction.id(), ids[3]);
    let key = hex::encode(StateKey::Institution(institution(CLINIC)).bytes());
    let absent = hex::encode(StateKey::Institution(institution("nobody")).bytes());
    let Proof::State(state) = proof(&world, INSURER_READS, &format!("/v1/state/{key}/proof")).await else {
        panic!("not the proof of a row");
    };
    assert!(state.row.value.is_some());
    let Proof::State(state) = proof(&world, INSURER_READS, &format!("/v1/state/{absent}/proof")).await else {
        panic!("not the proof of a row");
    };
    assert!(state.row.value.is_none());
    let checkpoint = world.ask_openly("/v1/checkpoint").await.json;
    assert_eq!(checkpoint["height"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_followed_to_finality() {
    let mut world = World::new();
    let grant = world.grant(1);
    let path = format!("/v1/transactions/{}", grant.id());
    assert_eq!(world.ask(HOSPITAL_READS, &path).await.code(), "not_found");
    assert_eq!(world.submit(HOSPITAL_READS, &grant).await.status, StatusCode::ACCEPTED);
    let pending = world.ask(HOSPITAL_READS, &path).await;
    assert_eq!((pending.status, &pending.json["status"]), (StatusCode::ACCEPTED, &"pending".into()));
    let waiting = format!("{path}?wait_ms=20000");
    let request =
        world.request(axum::http::Method::GET, HOSPITAL_READS, &waiting, "", axum::body::Body::empty());
    let router = world.router.clone();
    let waits = tokio::spawn(tower::ServiceExt::oneshot(router, request));
    while world.api.waiters.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    // The one place for waiters is taken; the next one is told so.
    let second = world.ask(HOSPITAL_READS, &format!("{path}?wait_ms=1")).await;
    assert_eq!((second.status, second.code()), (StatusCode::TOO_MANY_REQUESTS, "too_many_waiters"));
    world.commit();
    assert_eq!(waits.await.unwrap().unwrap().status(), StatusCode::OK);
    let done = world.ask(HOSPITAL_READS, &path).await;
    assert_eq!(
        (done.status, &done.json["status"], &done.json["height"]),
        (StatusCode::OK, &"committed".into(), &1.into())
    );
    assert_eq!(done.json["receipt"]["outcome"], "applied");
    let too_long = world.ask(HOSPITAL_READS, &format!("{path}?wait_ms=30001")).await;
    assert_eq!(too_long.status, StatusCode::BAD_REQUEST);
}
