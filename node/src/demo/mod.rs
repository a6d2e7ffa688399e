//! `yilian-node demo`: a consortium on this machine, a day of its work, and proofs checked offline.
//!
//! Starts five real node processes, records the day through the real client and API, saves a receipt and a
//! statement, and has the `yilian` command verify both from the files alone. Stops and removes everything at the end,
//! also on Ctrl-C.

mod day;
mod desk;
mod summary;
mod tally;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use yilian_client::client::{Client, Settings, Signers};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{AgreementId, BlockId, InstitutionId};
use yilian_spec::domain::agreement::Agreement;
use yilian_spec::proof::Checkpoint;
use yilian_spec::state::key::StateKey;

use crate::consortium::{self, ConsortiumFiles, INSTITUTIONS, NodeProcess, Options};
use day::Desks;
use desk::Desk;
use summary::Summary;
use tally::Tally;

/// How long the nodes may take until they all are healthy.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs the demo; with `keep` it goes on until Ctrl-C.
///
/// # Errors
/// When a node, the day or a verification fails; says which, with the end of the node's log.
pub async fn run(keep: bool) -> Result<()> {
    let directory = tempfile::Builder::new().prefix("yilian-demo-").tempdir()?;
    let place = directory.path().join("consortium");
    let played = tokio::select! {
        played = play(&place, keep) => played,
        signal = tokio::signal::ctrl_c() => signal.context("cannot listen for Ctrl-C").map(|()| println!("\nStopped.")),
    };
    // Dropping `directory` removes it; the processes have gone with the future above.
    if let Err(error) = directory.close() {
        eprintln!("the demo's directory could not be removed: {error}");
    }
    played
}

async fn play(directory: &std::path::Path, keep: bool) -> Result<()> {
    let program = std::env::current_exe().context("where is this program?")?;
    println!("Making keys for {} institutions and a genesis in {}", INSTITUTIONS.len(), directory.display());
    let files = consortium::create(directory, &Options::default())?;
    println!("Starting four validators and the regulator's observer on 127.0.0.1");
    let mut nodes = Vec::new();
    for member in &files.members {
        nodes.push(NodeProcess::start(&program, &member.home, member.api)?);
    }
    wait_until_healthy(&files, &mut nodes).await?;
    let observer = desk(&files, 4).await?;

    println!("\nA day of the consortium\n");
    let desks = Desks {
        teaching: desk(&files, 0).await?,
        county: desk(&files, 1).await?,
        township: desk(&files, 2).await?,
        insurer: desk(&files, 3).await?,
    };
    let mut tally = Tally::default();
    let began = Instant::now();
    let evening = day::play(&desks, &mut tally, &|line| println!("  {line}")).await?;
    let took = began.elapsed();

    let agree = nodes_agree(&files, &desks, evening.agreement).await?;
    let verified = verify_offline(&files, &observer, &evening).await?;
    let summary =
        Summary { files: &files, desks: &desks, observer: &observer, evening: &evening, took, keep };
    summary.print(&mut tally, &verified, &agree).await?;
    if keep {
        println!("\nThe consortium keeps running. Ctrl-C stops it and removes {}.", directory.display());
        return keep_running(nodes, &program).await;
    }
    println!("\nStopping the nodes and removing what the demo made.");
    nodes.iter_mut().try_for_each(|node| node.stop().map(|_| ()))
}

/// Goes on until no node runs. One that ends, as when somebody tries what the others do then, is told and left alone.
async fn keep_running(mut nodes: Vec<NodeProcess>, program: &std::path::Path) -> Result<()> {
    while !nodes.is_empty() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        nodes.retain_mut(|node| match node.check_alive() {
            Ok(()) => true,
            Err(error) => {
                let (program, home) = (program.display(), node.home().display());
                println!("\n{error}\n`{program} run --home {home}` starts it again; the others are left as they are.");
                false
            }
        });
    }
    bail!("no node of the demo runs any more")
}

/// A client for one institution that verifies what it receives against the genesis.
async fn desk(files: &ConsortiumFiles, position: usize) -> Result<Desk> {
    let member = &files.members[position];
    let settings = Settings {
        nodes: vec![format!("http://{}", member.api)],
        institution: Some(member.id.clone()),
        signers: Signers { by_role: member.secrets.clone(), other: None },
        checkpoint: Some(Checkpoint::of_genesis(&files.genesis)),
        ..Settings::default()
    };
    Ok(Desk { id: member.id.clone(), client: Client::connect(settings).await? })
}

async fn wait_until_healthy(files: &ConsortiumFiles, nodes: &mut [NodeProcess]) -> Result<()> {
    let began = Instant::now();
    for (position, member) in files.members.iter().enumerate() {
        let settings = Settings { nodes: vec![format!("http://{}", member.api)], ..Settings::default() };
        loop {
            nodes.iter_mut().try_for_each(NodeProcess::check_alive)?;
            let health = yilian_client::client::health(settings.clone()).await;
            if health.as_ref().is_ok_and(|health| health.status == "healthy") {
                break;
            }
            if began.elapsed() > START_TIMEOUT {
                let log = nodes[position].last_log_lines();
                bail!("{} is not healthy after {START_TIMEOUT:?} ({health:?}):\n{log}", member.id);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// What all nodes hold in the evening.
struct NodesAgree {
    height: Height,
    block_id: BlockId,
    state_root: String,
    /// The parties of the agreement, in signed order.
    parties: Vec<InstitutionId>,
}

/// Waits until all nodes are at the same block.
async fn nodes_agree(files: &ConsortiumFiles, desks: &Desks, agreement: AgreementId) -> Result<NodesAgree> {
    let began = Instant::now();
    loop {
        let mut tips = BTreeSet::new();
        for position in 0..files.members.len() {
            let chain = desk(files, position).await?.client.chain().await?;
            tips.insert((chain.height, chain.block_id));
        }
        if let (1, Some((height, block_id))) = (tips.len(), tips.first().copied()) {
            let key = StateKey::Agreement(agreement);
            let (proof, _) = desks.teaching.client.row_proof(&key).await?;
            let agreement = desks.teaching.client.record::<Agreement>(&key).await?.value;
            let state_root = proof.block().header.state_root.to_string();
            let parties = agreement.terms.parties.into_iter().map(|party| party.institution).collect();
            return Ok(NodesAgree { height, block_id, state_root, parties });
        }
        if began.elapsed() > START_TIMEOUT {
            bail!("the nodes are still at different blocks after {START_TIMEOUT:?}: {tips:?}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What the `yilian` command said about the saved proofs.
struct Verified {
    receipt: PathBuf,
    checkpoint: PathBuf,
    said: Vec<String>,
}

/// Saves a receipt and a statement, and has the `yilian` command verify them without any node.
async fn verify_offline(
    files: &ConsortiumFiles,
    observer: &Desk,
    evening: &day::Evening,
) -> Result<Verified> {
    use yilian_spec::proof::{Proof, ProofDocument};
    let (receipt_proof, _) = observer.client.transaction_proof(evening.disclosure_transaction).await?;
    let (statement_proof, _) = observer.client.statement(evening.agreement, 0).await?;
    let receipt = files.directory.join("receipt.json");
    let statement = files.directory.join("statement.json");
    let save = |path: &PathBuf, proof: Proof| std::fs::write(path, ProofDocument::from(proof).to_json());
    save(&receipt, Proof::Transaction(Box::new(receipt_proof)))?;
    save(&statement, Proof::Statement(Box::new(statement_proof)))?;
    let mut said = Vec::new();
    for file in [&receipt, &statement] {
        let output = std::process::Command::new(ConsortiumFiles::client_program()?)
            .arg("verify")
            .arg(file)
            .arg("--trust")
            .arg(&files.checkpoint)
            .output()
            .context("cannot run `yilian verify`")?;
        if !output.status.success() {
            bail!("`yilian verify` refused {}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
        }
        said.push(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Ok(Verified { receipt, checkpoint: files.checkpoint.clone(), said })
}
