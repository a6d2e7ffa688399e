//! Hostile callers of a real node's API: whatever they hold or send, others are served, memory and descriptors stay
//! bounded, and all of it comes back when they go.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use yilian_node::consortium::Options;
use yilian_tests::cluster::{Cluster, PATIENCE, TEACHING, VALIDATORS};
use yilian_tests::load::Load;

/// Where the hostile callers come from; the honest ones come from 127.0.0.1.
const HOSTILE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Connections of one address that the node serves.
const PER_ADDRESS_MAX: usize = 128;
/// What the hostile callers may cost the node in memory, beside the honest work done meanwhile.
const MEMORY_KIB_MAX: u64 = 256 << 10;
/// Descriptors that come and go with the ledger's files and the honest callers.
const DESCRIPTORS_SLACK: usize = 64;

async fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((HOSTILE, 0)))?;
    socket.connect(to).await
}

/// Sends bytes, and returns what the node says until it closes the connection.
async fn exchange(to: SocketAddr, bytes: &[u8]) -> Result<String> {
    let mut stream = connect(to).await?;
    // The node may refuse and close while this still sends; what it has said counts.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer));
    let _ = read.await.context("the node neither answers nor closes the connection")?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Keeps a connection open and sends `head`, then `piece` every tenth of a second, until the node closes it.
async fn dribble(to: SocketAddr, head: &'static [u8], piece: &'static [u8]) {
    let Ok(mut stream) = connect(to).await else { return };
    if stream.write_all(head).await.is_err() {
        return;
    }
    while stream.write_all(piece).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Asks again and again and never reads an answer.
async fn never_read(to: SocketAddr) {
    const REQUEST: &[u8] = b"GET /v1/chain HTTP/1.1\r\nhost: node\r\n\r\n";
    let Ok(mut stream) = connect(to).await else { return };
    while stream.write_all(REQUEST).await.is_ok() {}
}

const POST: &str = "POST /v1/transactions HTTP/1.1\r\nhost: node\r\ncontent-type: application/json\r\n";
const SLOW_BODY: &[u8] =
    b"POST /v1/transactions HTTP/1.1\r\nhost: node\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n";

/// Connections that stay as long as the node lets them, of every kind at once and more than one address may have.
fn hold(to: SocketAddr) -> JoinSet<()> {
    let mut held = JoinSet::new();
    for number in 0..2 * PER_ADDRESS_MAX {
        match number % 4 {
            0 => held.spawn(dribble(to, b"", b"")),
            1 => held.spawn(dribble(to, b"GET /v1/chain HTTP/1.1\r\nx: ", b"a")),
            2 => held.spawn(dribble(to, SLOW_BODY, b"[")),
            _ => held.spawn(never_read(to)),
        };
    }
    held
}

/// Requests that break a rule of HTTP or a bound of the node, and how the answer may begin; none but a closed connection
/// if empty. A stranger's body is not even read.
fn nonsense() -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    let get = "GET /v1/chain HTTP/1.1\r\nhost: node\r\n";
    let many: String = (0..5_000).map(|number| format!("x-{number}: y\r\n")).collect();
    let chunk = format!("100000\r\n{}\r\n", "[".repeat(1 << 20));
    let body = |head: &str, body: &str| format!("{POST}{head}\r\n\r\n{body}").into_bytes();
    vec![
        ("thousands of headers", format!("{get}{many}\r\n").into_bytes(), &["HTTP/1.1 431", "HTTP/1.1 400"]),
        (
            "one endless header",
            format!("{get}x: {}\r\n\r\n", "a".repeat(1 << 20)).into_bytes(),
            &["HTTP/1.1 431"],
        ),
        (
            "an endless path",
            format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1 << 20)).into_bytes(),
            &["HTTP/1.1 414", "HTTP/1.1 431"],
        ),
        (
            "a body of 20 MiB in pieces",
            body("transfer-encoding: chunked", &chunk.repeat(20)),
            &["HTTP/1.1 401"],
        ),
        ("a length that is none", body("content-length: -1", "[]"), &["HTTP/1.1 400"]),
        ("two lengths", body("content-length: 2\r\ncontent-length: 3", "[]]"), &["HTTP/1.1 400"]),
        (
            "a piece without a length",
            body("transfer-encoding: chunked", "zz\r\n[]\r\n"),
            &["HTTP/1.1 400", "HTTP/1.1 401"],
        ),
        (
            "the hello of TLS",
            vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03],
            &["HTTP/1.1 400", ""],
        ),
        ("bytes", (0..=255).cycle().take(100_000).collect(), &["HTTP/1.1 400", ""]),
        ("HTTP/2 without asking", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &["HTTP/1.1 400", ""]),
    ]
}

fn memory_kib(process: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

fn descriptors(process: u32) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{process}/fd"))?.count())
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_callers_take_nothing_from_the_others() -> Result<()> {
    let mut cluster = Cluster::prepare(&Options::default()).await?;
    cluster.configure(TEACHING, |config| {
        config.api.connections_per_address_max = PER_ADDRESS_MAX;
        config.api.header_timeout_ms = 2_000;
        config.api.request_timeout_ms = 2_000;
    })?;
    cluster.start_nodes(&VALIDATORS).await?;
    let mut load = Load::start(&cluster, &[TEACHING]).await?;
    load.wait_for_more(20).await?;
    let process = cluster.process_id(TEACHING).context("the node runs")?;
    let to: SocketAddr = cluster.url(TEACHING).trim_start_matches("http://").parse()?;
    let (memory_before, descriptors_before) = (memory_kib(process)?, descriptors(process)?);

    for (what, bytes, answers) in nonsense() {
        let answer = exchange(to, &bytes).await.with_context(|| what.to_owned())?;
        let fits =
            |start: &&str| if start.is_empty() { answer.is_empty() } else { answer.starts_with(*start) };
        let start: String = answer.chars().take(200).collect();
        ensure!(answers.iter().any(fits), "{what}: {start:?}");
    }
    load.wait_for_more(5).await?;

    let held = hold(to);
    for _ in 0..5 {
        load.wait_for_more(10).await?;
        cluster.wait_for_status(TEACHING, "healthy").await?;
        let (memory, open) = (memory_kib(process)?, descriptors(process)?);
        ensure!(memory < memory_before + MEMORY_KIB_MAX, "{memory_before} KiB before, {memory} KiB now");
        let open_max = descriptors_before + PER_ADDRESS_MAX + DESCRIPTORS_SLACK;
        ensure!(open <= open_max, "{open} descriptors are open, {descriptors_before} before");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!(
        "held: {} KiB before, {} KiB now; {descriptors_before} descriptors before, {} now",
        memory_before,
        memory_kib(process)?,
        descriptors(process)?
    );
    let log = cluster.log(TEACHING);
    ensure!(log.contains("api.connections_per_address_max"), "the log names the bound:\n{log}");
    ensure!(log.matches("connections were closed").count() <= 5, "the flood fills the log");
    drop(held);
    let began = Instant::now();
    while descriptors(process)? > descriptors_before + DESCRIPTORS_SLACK {
        ensure!(began.elapsed() < PATIENCE, "{} descriptors stay open", descriptors(process)?);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    load.finish().await?;
    cluster.check_all_nodes().await?;
    Ok(())
}
