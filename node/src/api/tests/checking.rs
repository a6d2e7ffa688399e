//! A transaction that is checked is tried out by the real rules, by its own institution alone, and leaves nothing behind.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use yilian_spec::base::codec;
use yilian_spec::base::id::GrantId;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{GrantRevocationReason, RevokeGrant};
use yilian_spec::domain::membership::Role;
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};

use super::world::{Answer, As, CLINIC, HOSPITAL, World};
use crate::api::limits::{API_CHECKS_MAX, API_VAIN_MAX};

const GATEWAY: As = (HOSPITAL, Role::AccessGateway);
const PATH: &str = "/v1/transactions/check";

async fn check(world: &World, caller: As, body: &TransactionBody) -> Answer {
    let bytes = Body::from(codec::encode(body));
    world.answer(world.request(Method::POST, caller, PATH, "application/octet-stream", bytes)).await
}

fn revoke(world: &mut World, author: As, grant: [u8; 32]) -> Transaction {
    let reason = GrantRevocationReason::ConsentWithdrawn;
    let revoke = Operation::RevokeGrant(RevokeGrant { grant: GrantId(grant), reason });
    world.transaction(author, vec![revoke])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_speak_and_nothing_is_recorded() {
    let mut world = World::new();
    let given = world.grant(1);
    let grant = given.object_id(0).unwrap();
    let before = revoke(&mut world, GATEWAY, grant);
    let told = check(&world, GATEWAY, &before.body).await;
    assert_eq!(told.status, StatusCode::OK);
    assert_eq!(told.json["outcome"]["refused"]["operation"], 0, "{told:?}");
    assert_eq!(check(&world, GATEWAY, &given.body).await.json["outcome"], "applied");
    assert_eq!((world.mempool.pending(), world.ledger.tip().height.0), (0, 0), "a check was recorded");
    world.committed(vec![given.clone()]);
    // The state of the last block decides.
    let told = check(&world, GATEWAY, &before.body).await;
    assert_eq!((&told.json["outcome"], &told.json["height"]), (&"applied".into(), &1.into()));
    assert_eq!(world.mempool.pending(), 0);
    // Also in JSON, and then it is the real thing that applies.
    let json = Body::from(serde_json::to_vec(&before.body).unwrap());
    let told = world.answer(world.request(Method::POST, GATEWAY, PATH, "application/json", json)).await;
    assert_eq!(told.json["outcome"], "applied");
    let root = world.ledger.tip().state_root;
    assert_eq!(check(&world, GATEWAY, &before.body).await.json["outcome"], "applied");
    assert_eq!(world.ledger.tip().state_root, root);
    let again = check(&world, GATEWAY, &given.body).await;
    assert_eq!((again.status, again.code()), (StatusCode::UNPROCESSABLE_ENTITY, "repeated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_tries_out_what_others_could_do() {
    let mut world = World::new();
    let given = world.grant(1);
    let clinic = (CLINIC, Role::AccessGateway);
    let answer = check(&world, clinic, &given.body).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "not_yours"));
    // In one's own name with another's key: the rules say whose key it is.
    let body = TransactionBody { institution: super::world::institution(CLINIC), ..given.body.clone() };
    let answer = check(&world, clinic, &body).await;
    assert_eq!(answer.json["outcome"]["refused"]["reason"], "key_of_another_institution", "{answer:?}");
    let answer = check(&world, (HOSPITAL, Role::Auditor), &given.body).await;
    assert_eq!(answer.code(), "role_cannot_submit");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_block_could_carry_is_an_error_by_its_rule() {
    let mut world = World::new();
    let body = world.grant(1).body;
    let cases = [
        (
            TransactionBody { chain_id: yilian_spec::base::id::ChainId([9; 32]), ..body.clone() },
            "wrong_chain",
        ),
        (TransactionBody { operations: Vec::new(), ..body.clone() }, "operation_count"),
        (
            TransactionBody { operations: vec![body.operations[0].clone(); 257], ..body.clone() },
            "operation_count",
        ),
        (TransactionBody { expires: body.created, ..body.clone() }, "lifetime"),
        (
            TransactionBody {
                created: body.created.plus_ms(3_600_000),
                expires: body.expires.plus_ms(3_600_000),
                ..body.clone()
            },
            "from_the_future",
        ),
    ];
    for (body, code) in cases {
        let answer = check(&world, GATEWAY, &body).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::UNPROCESSABLE_ENTITY, code));
    }
    for (kind, bytes, code) in [
        ("application/octet-stream", &b"garbage"[..], "malformed"),
        ("application/json", b"{}", "malformed"),
        ("text/plain", b"", "content_type"),
    ] {
        let answer = world.answer(world.request(Method::POST, GATEWAY, PATH, kind, Body::from(bytes))).await;
        assert_eq!(answer.code(), code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_are_bounded_in_number_at_a_time_and_in_vain() {
    let mut world = World::new();
    let body = revoke(&mut world, GATEWAY, [7; 32]).body;
    let permits = world.api.checks.clone().acquire_many_owned(API_CHECKS_MAX as u32).await.unwrap();
    let answer = check(&world, GATEWAY, &body).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::TOO_MANY_REQUESTS, "too_many_checks"));
    drop(permits);
    for _ in 0..API_VAIN_MAX {
        assert_eq!(check(&world, GATEWAY, &body).await.status, StatusCode::OK);
    }
    let answer = check(&world, GATEWAY, &body).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::TOO_MANY_REQUESTS, "too_much_in_vain"));
    // Others have their own allowance.
    let clinic = (CLINIC, Role::AccessGateway);
    let other = revoke(&mut world, clinic, [7; 32]).body;
    assert_eq!(check(&world, clinic, &other).await.status, StatusCode::OK);
}
