//! Server-sent events: a block's transactions, then the block, and a resume that loses none.

use axum::body::{Body, BodyDataStream};
use axum::http::{Method, StatusCode};
use futures::StreamExt;
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::{RevocationReason, RevokeKey};

use super::world::{HOSPITAL, INSURER, World, secret};

/// Reads events until `count` blocks have been told of.
async fn blocks(stream: &mut BodyDataStream, count: usize) -> String {
    let mut text = String::new();
    while text.matches("event: block\n").count() < count || !text.ends_with("\n\n") {
        let part = stream.next().await.expect("the stream goes on").unwrap();
        text.push_str(std::str::from_utf8(&part).unwrap());
    }
    text
}

async fn open(world: &World, institution: &'static str, last: Option<&str>) -> axum::response::Response {
    let mut request =
        world.request(Method::GET, (institution, Role::Auditor), "/v1/events", "", Body::empty());
    if let Some(last) = last {
        request.headers_mut().insert("last-event-id", last.parse().unwrap());
    }
    world.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn new_blocks_come_as_they_are_committed_and_a_resume_gets_those_in_between() {
    let mut world = World::new();
    let response = open(&world, HOSPITAL, None).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut stream = response.into_body().into_data_stream();
    let grant = world.grant(1);
    let id = world.committed(vec![grant])[0];
    let text = blocks(&mut stream, 1).await;
    let (transaction, block) = text.split_once("event: block\n").unwrap();
    assert!(transaction.contains("event: transaction\n") && transaction.contains(&id.to_string()), "{text}");
    assert!(!transaction.contains("id: 1\n"), "only the block's event carries an id: {text}");
    assert!(block.contains("id: 1\n"), "{text}");
    // Another stream finds no place until this one ends.
    assert_eq!(open(&world, INSURER, None).await.status(), StatusCode::TOO_MANY_REQUESTS);
    drop(stream);
    world.commit();
    world.commit();
    let mut resumed = open(&world, INSURER, Some("0")).await.into_body().into_data_stream();
    let text = blocks(&mut resumed, 3).await;
    assert!(["id: 1\n", "id: 2\n", "id: 3\n"].iter().all(|id| text.contains(id)), "{text}");
    assert!(!text.contains("event: transaction"), "the grant does not concern the insurer: {text}");
    world.stopping.send(true).unwrap();
    while let Some(part) = resumed.next().await {
        part.unwrap();
    }
}

/// Reads a stream to its end.
async fn rest(mut stream: BodyDataStream) -> String {
    let mut text = String::new();
    while let Some(part) = stream.next().await {
        text.push_str(std::str::from_utf8(&part.unwrap()).unwrap());
    }
    text
}

/// The attack: a stream that was open when its key was revoked went on telling everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_key_is_revoked() {
    let mut world = World::new();
    let mut stream = open(&world, HOSPITAL, None).await.into_body().into_data_stream();
    let grant = world.grant(1);
    world.committed(vec![grant]);
    assert!(blocks(&mut stream, 1).await.contains("event: transaction\n"));
    let key = secret(HOSPITAL, Role::Auditor).public_key();
    let revoke = Operation::RevokeKey(RevokeKey { key, reason: RevocationReason::Compromised });
    let (revoke, grant) = (world.transaction((HOSPITAL, Role::Administrator), vec![revoke]), world.grant(2));
    world.committed(vec![revoke]);
    world.committed(vec![grant]);
    let text = rest(stream).await;
    assert!(text.contains("event: end\n") && text.contains("key_revoked"), "{text}");
    assert!(!text.contains("event: transaction") && !text.contains("event: block"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_token() {
    let mut world = World::new();
    let mut stream = open(&world, HOSPITAL, None).await.into_body().into_data_stream();
    world.commit();
    blocks(&mut stream, 1).await;
    world.clock.advance(121_000);
    world.commit();
    let text = rest(stream).await;
    assert!(text.contains("event: end\n") && text.contains("token_expired"), "{text}");
    assert!(!text.contains("event: block"), "{text}");
    // Who comes with another one goes on where it was.
    let mut resumed = open(&world, HOSPITAL, Some("1")).await.into_body().into_data_stream();
    assert!(blocks(&mut resumed, 1).await.contains("id: 2\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_event_that_is_no_height_is_refused() {
    let world = World::new();
    assert_eq!(open(&world, HOSPITAL, Some("yesterday")).await.status(), StatusCode::BAD_REQUEST);
}

/// Whoever comes from a node that is some blocks ahead is told of the blocks after those; beyond, it is an id of something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_last_event_may_be_some_blocks_ahead_and_not_any_number() {
    let mut world = World::new();
    let ahead = open(&world, HOSPITAL, Some("1")).await;
    assert_eq!(ahead.status(), StatusCode::OK);
    world.commit();
    world.commit();
    let text = blocks(&mut ahead.into_body().into_data_stream(), 1).await;
    assert!(text.contains("id: 2\n") && !text.contains("id: 1\n"), "{text}");
    assert_eq!(open(&world, INSURER, Some("103")).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(open(&world, INSURER, Some("18446744073709551615")).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(open(&world, INSURER, Some("102")).await.status(), StatusCode::OK);
}
