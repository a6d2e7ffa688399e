//! An answer that the caller has comes once, and long ones come compressed to who asks for that.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::Response;
use yilian_spec::domain::membership::Role;

use super::world::{HOSPITAL, World};

const CALLER: (&str, Role) = (HOSPITAL, Role::Auditor);

async fn ask(world: &World, path: &str, known: Option<&str>) -> Response {
    let mut request: Request<Body> = world.request(Method::GET, CALLER, path, "", Body::empty());
    if let Some(known) = known {
        request.headers_mut().insert(header::IF_NONE_MATCH, known.parse().unwrap());
    }
    world.send(request).await
}

fn tag(response: &Response) -> String {
    response.headers()[header::ETAG].to_str().unwrap().to_owned()
}

async fn bytes(response: Response) -> Vec<u8> {
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_caller_has_is_not_sent_again_and_a_new_one_is() {
    let mut world = World::new();
    let grant = world.grant(1);
    let id = world.committed(vec![grant])[0];
    let path = format!("/v1/transactions/{id}");
    let first = ask(&world, &path, None).await;
    let own = tag(&first);
    assert_eq!(first.headers()[header::CACHE_CONTROL], "private, no-cache");
    let body = bytes(first).await;
    for known in
        [own.clone(), format!("\"other\", {own}"), own.trim_start_matches("W/").to_owned(), "*".to_owned()]
    {
        let again = ask(&world, &path, Some(&known)).await;
        assert_eq!((again.status(), tag(&again)), (StatusCode::NOT_MODIFIED, own.clone()), "{known}");
        assert!(bytes(again).await.is_empty(), "{known}");
    }
    for unknown in ["\"other\"", "", "W/"] {
        let again = ask(&world, &path, Some(unknown)).await;
        assert_eq!((again.status(), bytes(again).await), (StatusCode::OK, body.clone()), "{unknown}");
    }
    // The tag is of what is answered: the chain moves on, the transaction stays.
    let chain = tag(&ask(&world, "/v1/chain", None).await);
    world.commit();
    assert_eq!(ask(&world, "/v1/chain", Some(&chain)).await.status(), StatusCode::OK);
    assert_eq!(ask(&world, &path, Some(&own)).await.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_has_no_tag() {
    let world = World::new();
    let refused = ask(&world, "/v1/grants/00", Some("*")).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert!(!refused.headers().contains_key(header::ETAG));
    let events = ask(&world, "/v1/events", Some("*")).await;
    assert_eq!(events.status(), StatusCode::OK);
    assert!(!events.headers().contains_key(header::ETAG));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_comes_compressed_to_who_takes_that() {
    let world = World::new();
    let plain = bytes(ask(&world, "/v1/openapi.json", None).await).await;
    let mut request = world.request(Method::GET, CALLER, "/v1/openapi.json", "", Body::empty());
    request.headers_mut().insert(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
    let response = world.send(request).await;
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
    let packed = bytes(response).await;
    assert!(
        packed.starts_with(&[0x1f, 0x8b]) && packed.len() * 4 < plain.len(),
        "{} of {}",
        packed.len(),
        plain.len()
    );
}
