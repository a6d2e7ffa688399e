//! Who may call: every reason to refuse a token or a key, each with its name.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::crypto::token::{self, Audience, Claims};
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::{RevocationReason, RevokeKey};

use super::world::{Answer, CLINIC, HOSPITAL, REGULATOR, World, secret};

const PATH: &str = "/v1/institutions";

async fn with_token(world: &World, token: &str) -> Answer {
    let request = Request::get(PATH).header("authorization", format!("Bearer {token}"));
    world.answer(request.body(Body::empty()).unwrap()).await
}

fn claims(world: &World, issuer: &str) -> Claims {
    Claims::new(issuer, &world.api.audience(), world.now().0 / 1_000, 60)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_no_token_is_open_and_all_else_is_not() {
    let world = World::new();
    for path in ["/v1/chain", "/v1/checkpoint", "/v1/openapi.json", "/health", "/metrics"] {
        assert_eq!(world.ask_openly(path).await.status, StatusCode::OK, "{path}");
    }
    let description = world.ask_openly("/v1/openapi.json").await.json;
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() > 30, "the description lists the routes");
    for (path, methods) in paths {
        let is_open =
            methods["get"]["security"].as_array().is_some_and(|list| list[0].as_object().unwrap().is_empty());
        let concrete = path.replace("{kind}", "grant").replace("{period}", "0").replace("{height}", "1");
        let concrete = concrete.replace("{service}", "ct").replace("{institution}", CLINIC);
        let concrete = concrete.replace("{id}", &"ab".repeat(32)).replace("{key}", &"ab".repeat(32));
        let concrete = concrete.replace(&format!("institutions/{}", "ab".repeat(32)), "institutions/ab");
        if !is_open && methods.get("get").is_some() {
            let answer = world.ask_openly(&concrete).await;
            assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "no_token"), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_is_refused_by_name() {
    let world = World::new();
    let key = secret(HOSPITAL, Role::AccessGateway);
    let good = token::sign(&claims(&world, HOSPITAL), &key).unwrap();
    assert_eq!(with_token(&world, &good).await.status, StatusCode::OK);
    let expired = Claims { issued_s: 1_000, expires_s: 1_060, ..claims(&world, HOSPITAL) };
    let other_chain = Claims { audience: "ab".repeat(32), ..claims(&world, HOSPITAL) };
    let elsewhere = Audience { node: secret(CLINIC, Role::Node).public_key(), ..world.api.audience() };
    let other_node = Claims { audience: elsewhere.to_string(), ..claims(&world, HOSPITAL) };
    let now_s = world.now().0 / 1_000;
    let ahead = Claims::new(HOSPITAL, &world.api.audience(), now_s + 31, 60);
    let sign = |claims: &Claims, key: &SecretKey| token::sign(claims, key).unwrap();
    let mut forged = good.clone().into_bytes();
    let last = forged.len() - 3;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let cases = [
        ("garbage".to_owned(), "bad_token"),
        (String::from_utf8(forged).unwrap(), "bad_token"),
        (sign(&expired, &key), "token_expired"),
        (sign(&ahead, &key), "token_from_the_future"),
        (sign(&other_chain, &key), "token_for_another_chain"),
        (sign(&other_node, &key), "token_for_another_node"),
        (sign(&claims(&world, HOSPITAL), &SecretKey::from_seed(&[99; 32])), "key_unknown"),
        (sign(&claims(&world, CLINIC), &key), "issuer_mismatch"),
    ];
    for (token, code) in cases {
        let answer = with_token(&world, &token).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, code));
    }
    for role in [Role::Validator, Role::Node] {
        let answer = world.ask((HOSPITAL, role), PATH).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "role_has_no_api"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_accepted_expires_all_the_same() {
    let world = World::new();
    let token = world.token((HOSPITAL, Role::Auditor));
    assert_eq!(with_token(&world, &token).await.status, StatusCode::OK);
    world.clock.advance(121_000);
    assert_eq!(with_token(&world, &token).await.code(), "token_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_or_past_its_window_calls_no_more() {
    let mut world = World::new();
    let caller = (CLINIC, Role::AccessGateway);
    assert_eq!(world.ask(caller, PATH).await.status, StatusCode::OK);
    let revoke = Operation::RevokeKey(RevokeKey {
        key: secret(CLINIC, Role::AccessGateway).public_key(),
        reason: RevocationReason::Lost,
    });
    let transaction = world.transaction((CLINIC, Role::Administrator), vec![revoke]);
    world.committed(vec![transaction]);
    let answer = world.ask(caller, PATH).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "key_revoked"));
    world.clock.advance(40 * 86_400_000);
    assert_eq!(world.ask((REGULATOR, Role::Auditor), PATH).await.code(), "key_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn auditors_read_and_submit_nothing() {
    let mut world = World::new();
    let transaction = world.grant(1);
    let answer = world.submit((HOSPITAL, Role::Auditor), &transaction).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "role_cannot_submit"));
    assert_eq!(world.mempool.pending(), 0);
}
