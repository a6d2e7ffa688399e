//! The server on a real socket: taken ports, crowds, slow and endless headers, a tidy end.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::World;
use crate::api::limits::{API_HEADER_BYTES_MAX, API_HEADER_READ_BYTES_MAX};
use crate::api::server::{ApiListener, ApiServer, ListenError, ListenOptions};

fn options(listen: &str, connections_max: usize) -> ListenOptions {
    ListenOptions {
        listen: listen.parse().unwrap(),
        tls: None,
        connections_max,
        connections_per_address_max: connections_max,
        header_timeout_ms: 300,
    }
}

async fn start(world: &World, connections_max: usize) -> ApiServer {
    ApiListener::bind(&options("127.0.0.1:0", connections_max)).await.unwrap().serve(world.router.clone())
}

/// Sends bytes and reads until the server closes the connection.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may close while we still send; what it said before counts.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

const REQUEST: &[u8] = b"GET /v1/chain HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_refuses_endless_headers_and_drops_slow_ones() {
    let world = World::new();
    let server = start(&world, 8).await;
    let answer = exchange(server.address, REQUEST).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("api-tests"), "{answer}");
    let value = "a".repeat(API_HEADER_BYTES_MAX);
    let long = format!("GET /v1/chain HTTP/1.1\r\nconnection: close\r\nx: {value}\r\n\r\n");
    let answer = exchange(server.address, long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431") && answer.contains("headers_too_large"), "{answer}");
    assert!(answer.contains("16384"), "the bound is named: {answer}");
    let mut endless = b"GET /v1/chain HTTP/1.1\r\nx: ".to_vec();
    endless.resize(API_HEADER_READ_BYTES_MAX, b'a');
    let answer = exchange(server.address, &endless).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    // Says nothing at all, or speaks HTTP/2: closed by the server.
    for silent in [b"".as_slice(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let answer = exchange(server.address, silent).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    // Never finishes its headers: the server closes the connection by itself.
    let answer = exchange(server.address, b"GET /v1/chain HTTP/1.1\r\nhost:").await;
    assert!(!answer.contains("200 OK"), "{answer}");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_with_the_remedy() {
    let world = World::new();
    let server = start(&world, 8).await;
    let second = ApiListener::bind(&options(&server.address.to_string(), 8)).await;
    let Err(error @ ListenError::Bind { .. }) = second else { panic!("two servers on one port") };
    assert!(error.to_string().contains("api.listen"), "{error}");
    let tls = ListenOptions { tls: Some(("a.pem".into(), "b.pem".into())), ..options("127.0.0.1:0", 8) };
    let Err(error) = ApiListener::bind(&tls).await else { panic!("TLS without a key") };
    assert!(
        matches!(error, ListenError::Tls(_)) && error.to_string().contains("a.pem cannot be read"),
        "{error}"
    );
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_bound_connections_are_closed_and_places_come_back() {
    let world = World::new();
    let server = start(&world, 1).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(b"GET /v1/chain HTTP/1.1\r\nhost: node\r\n\r\n").await.unwrap();
    let mut byte = [0; 1];
    first.read_exact(&mut byte).await.unwrap();
    assert_eq!(exchange(server.address, REQUEST).await, "");
    drop(first);
    loop {
        // The place is free once the server has noticed the end.
        if exchange(server.address, REQUEST).await.starts_with("HTTP/1.1 200") {
            break;
        }
        tokio::task::yield_now().await;
    }
    let address = server.address;
    server.shutdown().await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
