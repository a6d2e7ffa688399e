//! One node as a process: how it stops, and why it refuses to start.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use yilian_node::config::Config;
use yilian_node::consortium::Options;
use yilian_tests::cluster::{COUNTY, Cluster, TEACHING, TOWNSHIP, VALIDATORS};
use yilian_tests::programs::{Ended, run_to_end};
use yilian_tests::work;

/// How long a node that must not start may take to say so.
const REFUSAL_LIMIT: Duration = Duration::from_secs(30);

fn run_node(cluster: &Cluster, node: usize) -> Result<Ended> {
    let home = &cluster.member(node).home;
    run_to_end(Command::new(cluster.program()).arg("run").arg("--home").arg(home), REFUSAL_LIMIT)
}

#[tokio::test]
async fn a_stopped_node_ends_in_good_order_and_starts_where_it_was() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let township = cluster.desk(TOWNSHIP).await?;
    let grantee = cluster.institution(COUNTY);
    let recorded =
        township.record(vec![work::grant(work::subject(&cluster.institution(TOWNSHIP))?, &grantee)?]).await?;
    let status = cluster.stop(TOWNSHIP)?;
    ensure!(status.code() == Some(0), "it ended with {status}:\n{}", cluster.log_tail(TOWNSHIP));
    ensure!(!cluster.log(TOWNSHIP).contains("panicked"), "{}", cluster.log(TOWNSHIP));
    let log = cluster.log(TOWNSHIP);
    let (_, stopping) = log.split_once("SIGTERM").context("it says why it stops")?;
    ensure!(
        !stopping.contains("WARN") && !stopping.contains("ERROR"),
        "a tidy stop is no trouble: {stopping}"
    );
    ensure!(stopping.contains("the node has stopped"), "{stopping}");
    cluster.start_nodes(&[TOWNSHIP]).await?;
    ensure!(cluster.height(TOWNSHIP).await? >= recorded.height);
    let (_, verified) = township.client.transaction_proof(recorded.transaction_id()).await?;
    ensure!(verified);
    cluster.check_all_nodes().await?;
    Ok(())
}

#[tokio::test]
async fn a_home_has_one_node_at_a_time() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let second = run_node(&cluster, COUNTY)?;
    ensure!(second.code.is_some_and(|code| code != 0), "{second:?}");
    let said = format!("{}{}", second.stdout, second.stderr);
    ensure!(said.contains("is used by another node"), "it says why: {said}");
    // The first one has not noticed.
    let desk = cluster.desk(COUNTY).await?;
    desk.record(vec![work::grant(
        work::subject(&cluster.institution(COUNTY))?,
        &cluster.institution(TEACHING),
    )?])
    .await?;
    cluster.check_all_nodes().await?;
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_named() -> Result<()> {
    let cluster = Cluster::prepare(&Options::default()).await?;
    let member = cluster.member(TEACHING);
    let peers = Config::load(&member.home)?.network.listen;
    for (what, address) in [("the API's", member.api), ("the network's", peers)] {
        let holder = TcpListener::bind(address)?;
        let ended = run_node(&cluster, TEACHING)?;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        ensure!(ended.code.is_some_and(|code| code != 0), "{what} port is taken: {ended:?}");
        ensure!(said.contains(&address.port().to_string()), "{what} port {address} is not named: {said}");
        let own = format!("process {} (", std::process::id());
        ensure!(said.contains(&own), "who holds {what} port is not named: {said}");
        drop(holder);
    }
    Ok(())
}
