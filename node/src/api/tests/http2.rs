//! The server over TLS: HTTP/2 to those who agree on it, HTTP/1.1 to the rest, and what an HTTP/2 caller may not do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode, Version};
use axum::response::Response;
use axum::routing::get;
use futures::StreamExt;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::world::World;
use crate::api::limits::{API_HEADER_READ_BYTES_MAX, API_HTTP2_ABANDONED_MAX, API_HTTP2_STREAMS_MAX};
use crate::api::server::{ApiListener, ApiServer, ListenOptions};

/// A server with a certificate of its own, and what its callers trust.
struct Secure {
    server: ApiServer,
    roots: RootCertStore,
    _directory: TempDir,
}

/// Bytes of the answer of `/large`.
const LARGE_BYTES: usize = 1 << 20;

fn routes() -> Router {
    Router::new()
        .route("/quick", get(|| async { "quick" }))
        .route("/large", get(|| async { vec![7_u8; LARGE_BYTES] }))
        .route("/never", get(std::future::pending::<Response>))
}

impl Secure {
    async fn start(router: Router, per_address_max: usize, header_timeout_ms: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (directory.path().join("api.pem"), directory.path().join("api.key"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.key_pair.serialize_pem()).unwrap();
        let options = ListenOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: Some((certificate, key)),
            connections_max: 64,
            connections_per_address_max: per_address_max,
            header_timeout_ms,
        };
        let server = ApiListener::bind(&options).await.unwrap().serve(router);
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        Self { server, roots, _directory: directory }
    }

    async fn connect(&self, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        connect(self.server.address, self.roots.clone(), protocols).await
    }

    /// An HTTP/2 connection whose answers may have `window` bytes that are not taken; the task ends with it.
    async fn http2(&self, window: u32) -> (SendRequest<Body>, JoinHandle<()>) {
        let stream = self.connect(&[b"h2", b"http/1.1"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let mut builder = Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window).initial_connection_window_size(1 << 20);
        let (caller, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        // How it ends is seen by the requests.
        let task = tokio::spawn(async move {
            let _ = connection.await;
        });
        (caller, task)
    }
}

async fn connect(address: SocketAddr, roots: RootCertStore, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|one| one.to_vec()).collect();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::from(address.ip());
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

fn request(path: &str) -> Request<Body> {
    Request::get(format!("https://node{path}")).body(Body::empty()).unwrap()
}

async fn answer(caller: &mut SendRequest<Body>, path: &str) -> (StatusCode, Vec<u8>) {
    caller.ready().await.unwrap();
    let response = caller.send_request(request(path)).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let status = response.status();
    let parts: Vec<Bytes> =
        Body::new(response.into_body()).into_data_stream().map(Result::unwrap).collect().await;
    (status, parts.concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_served_to_those_who_agree_on_it_and_http1_to_the_rest() {
    let world = World::new();
    let secure = Secure::start(world.router.clone(), 64, 10_000).await;
    let (mut caller, _) = secure.http2(1 << 16).await;
    for _ in 0..3 {
        let (status, body) = answer(&mut caller, "/v1/chain").await;
        assert_eq!(status, StatusCode::OK);
        assert!(String::from_utf8(body).unwrap().contains("api-tests"));
    }
    assert_eq!(answer(&mut caller, "/health").await.0, StatusCode::OK);
    assert_eq!(answer(&mut caller, "/nowhere").await.0, StatusCode::NOT_FOUND);
    for protocols in [&[b"http/1.1".as_slice()][..], &[]] {
        let mut stream = secure.connect(protocols).await;
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = Vec::new();
        // The server may close without a word of TLS; the answer counts.
        let _ = stream.read_to_end(&mut text).await;
        assert!(text.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&text));
    }
    secure.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_come_whole_many_at_a_time() {
    let secure = Secure::start(routes(), 64, 10_000).await;
    // The connection's window holds one of the answers: they take turns.
    let (caller, _) = secure.http2(1 << 16).await;
    let answers = (0..8).map(|_| {
        let mut caller = caller.clone();
        async move { answer(&mut caller, "/large").await }
    });
    for (status, body) in futures::future::join_all(answers).await {
        assert_eq!(status, StatusCode::OK);
        assert!(body.len() == LARGE_BYTES && body.iter().all(|byte| *byte == 7));
    }
    secure.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_an_addresss_places_are_refused_and_places_come_back() {
    let held = Arc::new(AtomicUsize::new(0));
    let hold = {
        let held = Arc::clone(&held);
        move || {
            held.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<Response>()
        }
    };
    let secure = Secure::start(routes().route("/held", get(hold)), 2, 10_000).await;
    let (mut caller, _) = secure.http2(1 << 16).await;
    // The connection has the address's first place, for its first request; the second request takes the other.
    let waiting: Vec<_> = (0..2).map(|_| tokio::spawn(caller.send_request(request("/held")))).collect();
    while held.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (status, body) = answer(&mut caller, "/quick").await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(String::from_utf8(body).unwrap().contains("connections_per_address_max"));
    waiting.iter().for_each(JoinHandle::abort);
    while answer(&mut caller, "/quick").await.0 != StatusCode::OK {}
    secure.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_gives_up_request_after_request_loses_its_connection_and_others_do_not() {
    let secure = Secure::start(routes(), 64, 60_000).await;
    let (mut honest, _) = secure.http2(1 << 16).await;
    let (caller, connection) = secure.http2(1 << 16).await;
    let flood = async {
        // Each is sent, seen by the node after a moment, and given up.
        for _ in 0..(API_HTTP2_ABANDONED_MAX + API_HTTP2_STREAMS_MAX) {
            let mut caller = caller.clone();
            if caller.ready().await.is_err() {
                return;
            }
            let _ =
                tokio::time::timeout(Duration::from_millis(5), caller.send_request(request("/never"))).await;
        }
        // Not more than that, or this test would wait for ever.
        while caller.clone().ready().await.is_ok() && !connection.is_finished() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), flood).await.expect("the connection is closed");
    assert_eq!(answer(&mut honest, "/quick").await.0, StatusCode::OK);
    secure.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_requests_ends_and_endless_headers_are_refused() {
    let secure = Secure::start(routes(), 64, 300).await;
    let (mut caller, connection) = secure.http2(1 << 16).await;
    caller.ready().await.unwrap();
    let mut endless = request("/quick");
    endless.headers_mut().insert("x", "a".repeat(API_HEADER_READ_BYTES_MAX).parse().unwrap());
    match caller.send_request(endless).await {
        Ok(response) => assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        Err(error) => assert!(!error.is_user(), "{error}"),
    }
    // Nothing more is asked: the node ends it, and one that never said a word after the handshake as well.
    connection.await.unwrap();
    let mut silent = secure.connect(&[b"h2"]).await;
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest).await;
    secure.server.shutdown().await;
}
