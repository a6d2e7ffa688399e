//! Who floods a node is named, once in a while; who is disconnected stays out until it is let in.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use yilian_node::config::Config;
use yilian_tests::cluster::{ALL, COUNTY, Cluster, PATIENCE, REGULATOR, TEACHING, VALIDATORS};
use yilian_tests::programs::{Ended, run_to_end};
use yilian_tests::work;

const LIMIT: Duration = Duration::from_secs(30);
/// Connections of somebody who has no key.
const CONNECTIONS: usize = 3_000;
/// What a node may write to its log about them.
const LOG_BYTES_MAX: u64 = 16 << 10;

fn node(cluster: &Cluster, of: usize, words: &[&str]) -> Result<Ended> {
    let home = &cluster.member(of).home;
    run_to_end(Command::new(cluster.program()).args(words).arg("--home").arg(home), LIMIT)
}

/// What a node tells of one institution.
fn account(cluster: &Cluster, of: usize, institution: &str) -> Result<Value> {
    let ended = node(cluster, of, &["peers", "--json"])?;
    let all: Vec<Value> = serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))?;
    Ok(all.into_iter().find(|account| account["institution"] == institution).unwrap_or(Value::Null))
}

async fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !holds()? {
        ensure!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[tokio::test]
async fn strangers_fill_neither_the_log_nor_the_places() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let listen = Config::load(&cluster.member(TEACHING).home)?.network.listen;
    let before = std::fs::metadata(cluster.log_file(TEACHING))?.len();
    // Some are left half open, the others say something that no handshake begins with.
    let mut half_open = Vec::new();
    for number in 0..CONNECTIONS {
        // A refused one is what this is about.
        let Ok(mut stream) = TcpStream::connect(listen) else { continue };
        if number % 50 == 0 {
            half_open.push(stream);
        } else {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\n\r\n");
        }
    }
    let desk = cluster.desk(TEACHING).await?;
    desk.record(vec![work::grant(
        work::subject(&cluster.institution(TEACHING))?,
        &cluster.institution(COUNTY),
    )?])
    .await?;
    until("the strangers are counted", || {
        let strangers = account(&cluster, TEACHING, "strangers")?;
        let refused = strangers["refused"].as_array().cloned().unwrap_or_default();
        let count: u64 = refused.iter().filter_map(|row| row["count"].as_u64()).sum();
        Ok(count > CONNECTIONS as u64 / 2)
    })
    .await?;
    let written = std::fs::metadata(cluster.log_file(TEACHING))?.len() - before;
    ensure!(written < LOG_BYTES_MAX, "{written} bytes of log:\n{}", cluster.log_tail(TEACHING));
    let log = cluster.log(TEACHING);
    ensure!(log.contains("strangers") && log.contains("network.listen"), "who and what to do: {log}");
    // A member still gets in.
    cluster.stop(COUNTY)?;
    drop(half_open);
    cluster.start_nodes(&[COUNTY]).await?;
    cluster.check_all_nodes().await?;
    Ok(())
}

#[tokio::test]
async fn a_member_is_disconnected_until_it_is_let_in() -> Result<()> {
    let mut cluster = Cluster::start(&ALL).await?;
    let name = cluster.institution(REGULATOR).to_string();
    let own = cluster.institution(TEACHING).to_string();
    until("the regulator is connected", || {
        Ok(account(&cluster, TEACHING, &name)?["connected"].as_array().is_some_and(|nodes| !nodes.is_empty()))
    })
    .await?;
    for (typo, says) in [("no-such-hospital", "names no node"), (own.as_str(), "own institution")] {
        let ended = node(&cluster, TEACHING, &["peers", "disconnect", typo])?;
        ensure!(ended.code == Some(1) && ended.stderr.contains(says), "{ended:?}");
    }
    let ended = node(&cluster, TEACHING, &["peers", "disconnect", &name])?;
    ensure!(ended.code == Some(0), "{ended:?}");
    let is_out = |cluster: &Cluster| -> Result<bool> {
        let account = account(cluster, TEACHING, &name)?;
        let is_connected = account["connected"].as_array().is_some_and(|nodes| !nodes.is_empty());
        Ok(account["is_disconnected"] == true && !is_connected)
    };
    until("it is out", || is_out(&cluster)).await?;
    // The others still have it, and the ledger goes on; also after a restart it stays out.
    cluster.stop(TEACHING)?;
    cluster.start_nodes(&[TEACHING]).await?;
    let desk = cluster.desk(TEACHING).await?;
    desk.record(vec![work::grant(
        work::subject(&cluster.institution(TEACHING))?,
        &cluster.institution(COUNTY),
    )?])
    .await?;
    until("it tries in vain", || {
        let account = account(&cluster, TEACHING, &name)?;
        let refused = account["refused"].as_array().cloned().unwrap_or_default();
        Ok(is_out(&cluster)? && refused.iter().any(|row| row["offence"] == "shut_out"))
    })
    .await?;
    let ended = node(&cluster, TEACHING, &["peers", "disconnect", &name, "--reconnect"])?;
    ensure!(ended.code == Some(0), "{ended:?}");
    until("it is in again", || {
        Ok(account(&cluster, TEACHING, &name)?["connected"].as_array().is_some_and(|nodes| !nodes.is_empty()))
    })
    .await?;
    cluster.check_all_nodes().await?;
    Ok(())
}
