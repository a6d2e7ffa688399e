//! Nodes that are killed, stopped, wiped or late: nothing that was acknowledged is lost, and all hold the same bytes.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use yilian_client::error::ClientError;
use yilian_spec::base::id::GrantId;
use yilian_spec::domain::access::Grant;
use yilian_spec::state::key::StateKey;
use yilian_tests::cluster::{ALL, COUNTY, Cluster, INSURER, REGULATOR, TEACHING, TOWNSHIP, VALIDATORS};
use yilian_tests::load::Load;
use yilian_tests::programs::run_to_end;
use yilian_tests::work;

/// How long one command may take on a slow machine.
const VOTE_AGAIN_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_one_institution_records_is_read_on_every_node_with_its_proof() -> Result<()> {
    let mut cluster = Cluster::start(&ALL).await?;
    let mut grants = Vec::new();
    for custodian in VALIDATORS {
        let grantee = cluster.institution((custodian + 1) % VALIDATORS.len());
        let grant = || work::grant(work::subject(&cluster.institution(custodian))?, &grantee);
        let operations = vec![grant()?, grant()?];
        let recorded = cluster.desk(custodian).await?.record(operations).await?;
        grants.push((custodian, recorded));
    }
    cluster.wait_until_caught_up(&ALL).await?;
    for reader in ALL {
        for (custodian, recorded) in &grants {
            // A regulator reads all; the rows of grants are read by those whom they concern.
            let asking = if reader == REGULATOR { REGULATOR } else { *custodian };
            let client = cluster.client(asking, &[reader]).await?;
            let (proof, verified) = client.transaction_proof(recorded.transaction_id()).await?;
            ensure!(verified && proof.block.header.height == recorded.height);
            let key = StateKey::Grant(GrantId(recorded.object(1)));
            let row = client.record::<Grant>(&key).await?;
            ensure!(row.verified && row.value.grantor == cluster.institution(*custodian));
        }
    }
    let readings = cluster.check_all_nodes().await?;
    ensure!(readings.len() == ALL.len() && readings.iter().all(|reading| reading.report.transactions == 4));
    Ok(())
}

#[tokio::test]
async fn one_of_four_is_killed_under_load_and_comes_back() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let mut load = Load::start(&cluster, &VALIDATORS).await?;
    load.wait_for_more(30).await?;
    cluster.kill(COUNTY)?;
    load.wait_for_more(30).await?;
    cluster.start_nodes(&[COUNTY]).await?;
    load.wait_for_more(30).await?;
    // The one that proposes or votes next may be hit as well, and more than once.
    cluster.kill(TEACHING)?;
    cluster.start_nodes(&[TEACHING]).await?;
    load.wait_for_more(10).await?;
    let recorded = load.finish().await?;
    ensure!(cluster.acknowledged.count() == recorded + 1, "the grant and the disclosures");
    let readings = cluster.check_all_nodes().await?;
    ensure!(readings.len() == VALIDATORS.len());
    Ok(())
}

#[tokio::test]
async fn all_four_are_killed_under_load_and_start_again() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let mut load = Load::start(&cluster, &VALIDATORS).await?;
    load.wait_for_more(40).await?;
    for node in VALIDATORS {
        cluster.kill(node)?;
    }
    let before = cluster.acknowledged.count();
    cluster.start_nodes(&VALIDATORS).await?;
    load.wait_for_more(20).await?;
    load.finish().await?;
    ensure!(cluster.acknowledged.count() > before);
    cluster.check_all_nodes().await?;
    Ok(())
}

#[tokio::test]
async fn without_two_of_four_nothing_is_decided_and_health_says_so() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let township = cluster.desk(TOWNSHIP).await?;
    let grantee = cluster.institution(TEACHING);
    township.record(vec![work::grant(work::subject(&cluster.institution(TOWNSHIP))?, &grantee)?]).await?;
    cluster.kill(COUNTY)?;
    cluster.kill(INSURER)?;
    for node in [TEACHING, TOWNSHIP] {
        let health = cluster.wait_for_status(node, "no_quorum").await?;
        let reason = health.reason.unwrap_or_default();
        ensure!(reason.contains("2 of 4"), "the reason says how much is missing: {reason}");
        ensure!(health.remedy.is_some_and(|remedy| !remedy.is_empty()));
    }
    let submitted = township
        .client
        .submit(vec![work::grant(work::subject(&cluster.institution(TOWNSHIP))?, &grantee)?])
        .await?;
    let height = cluster.height(TOWNSHIP).await?;
    let waited = township.client.wait(&submitted, 3_000).await;
    ensure!(matches!(waited, Err(ClientError::NotFinal { .. })), "{waited:?}");
    ensure!(cluster.height(TOWNSHIP).await? == height, "a block without a quorum");

    cluster.start_nodes(&[COUNTY]).await?;
    township.follow(submitted).await?;
    cluster.start_nodes(&[INSURER]).await?;
    cluster.check_all_nodes().await?;
    Ok(())
}

#[tokio::test]
async fn a_wiped_node_rebuilds_its_ledger_from_its_peers() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let mut load = Load::start(&cluster, &VALIDATORS).await?;
    load.wait_for_more(60).await?;
    cluster.kill(INSURER)?;
    cluster.wipe(INSURER)?;
    load.wait_for_more(10).await?;
    cluster.start_nodes(&[INSURER]).await?;
    load.finish().await?;
    cluster.wait_until_caught_up(&[INSURER]).await?;
    let readings = cluster.check_all_nodes().await?;
    let insurer = readings.iter().find(|reading| reading.node == INSURER);
    ensure!(
        insurer.is_some_and(|reading| reading.report.transactions as usize >= cluster.acknowledged.count())
    );
    Ok(())
}

#[tokio::test]
async fn an_observer_joins_late_and_holds_the_same_ledger() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let mut load = Load::start(&cluster, &VALIDATORS).await?;
    load.wait_for_more(60).await?;
    cluster.start_nodes(&[REGULATOR]).await?;
    load.wait_for_more(10).await?;
    load.finish().await?;
    cluster.wait_until_caught_up(&[REGULATOR]).await?;
    let regulator = cluster.desk(REGULATOR).await?;
    for id in cluster.acknowledged.all().into_keys() {
        let (_, verified) = regulator.client.transaction_proof(id).await?;
        ensure!(verified, "the observer proves what the validators have decided");
    }
    let readings = cluster.check_all_nodes().await?;
    ensure!(readings.iter().any(|reading| reading.node == REGULATOR));
    Ok(())
}

/// All four lost what they had voted, as after four restores: each waits for the others, until their operators say that no node has
/// the next block.
#[tokio::test]
async fn where_all_abstain_they_vote_again_by_their_operators_word() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let township = cluster.desk(TOWNSHIP).await?;
    let (own, grantee) = (cluster.institution(TOWNSHIP), cluster.institution(TEACHING));
    township.record(vec![work::grant(work::subject(&own)?, &grantee)?]).await?;
    cluster.wait_until_caught_up(&VALIDATORS).await?;
    cluster.stop_all()?;
    for node in VALIDATORS {
        std::fs::remove_file(cluster.data_directory(node)?.join("votes.wal"))?;
        cluster.start_process(node)?;
    }
    for node in VALIDATORS {
        cluster.wait_for_status(node, "abstaining").await?;
    }
    let height = cluster.height(TOWNSHIP).await?;
    let submitted = township.client.submit(vec![work::grant(work::subject(&own)?, &grantee)?]).await?;
    let waited = township.client.wait(&submitted, 3_000).await;
    ensure!(matches!(waited, Err(ClientError::NotFinal { .. })), "{waited:?}");
    cluster.stop_all()?;

    for node in VALIDATORS {
        let vote_again = |block: u64| {
            let mut command = Command::new(cluster.program());
            command.args(["vote-again", "--none-has-block", &block.to_string(), "--home"]);
            run_to_end(command.arg(&cluster.member(node).home), VOTE_AGAIN_LIMIT)
        };
        let wrong = vote_again(height.0)?;
        let asked = format!("--none-has-block {}", height.next());
        ensure!(wrong.code == Some(1) && wrong.stderr.contains(&asked), "it says which block: {wrong:?}");
        let done = vote_again(height.next().0)?;
        ensure!(done.code == Some(0) && done.stdout.contains("votes again"), "{done:?}");
        let repeated = vote_again(height.next().0)?;
        ensure!(repeated.code == Some(0) && repeated.stdout.contains("does not abstain"), "{repeated:?}");
    }
    cluster.start_nodes(&VALIDATORS).await?;
    township.record(vec![work::grant(work::subject(&own)?, &grantee)?]).await?;
    cluster.check_all_nodes().await?;
    Ok(())
}
