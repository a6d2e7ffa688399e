//! `yilian-node run`: runs the node, and stops it in order on SIGTERM or SIGINT.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::HomeArgument;
use crate::home::Home;
use crate::logging;
use crate::repair;
use crate::wiring::{Ended, Node};

/// Blocking reads that may outlive the node are not waited for longer than this.
const RUNTIME_GRACE: Duration = Duration::from_secs(2);

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  yilian-node run --home node")]
pub(super) struct Arguments {
    #[command(flatten)]
    home: HomeArgument,
    /// When a file of the ledger or the log of votes is damaged, do what `yilian-node repair` does and go on.
    #[arg(long)]
    repair: bool,
}

/// Why a node that ran was stopped.
enum Stop {
    /// It was asked to.
    Asked,
    /// It is to start again: a validator that abstained may vote, or the key on the network was replaced.
    StartAgain,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let home = Home::open(&arguments.home.home)?;
    logging::start(&home.config.log);
    loop {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime")?;
        let ended = runtime.block_on(until_stopped(&home, arguments.repair));
        runtime.shutdown_timeout(RUNTIME_GRACE);
        // The log is where an operator looks; it goes to standard error as well.
        match ended {
            Ok(Stop::Asked) => return Ok(ExitCode::SUCCESS),
            Ok(Stop::StartAgain) => {}
            Err(error) => {
                tracing::error!("the node ends: {}", super::describe(&error));
                if !(arguments.repair && repaired(&home)) {
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
    }
}

/// Sets aside what is damaged; whether that gives a reason to start again.
fn repaired(home: &Home) -> bool {
    let moved = home.lock().map_err(anyhow::Error::from).and_then(|_lock| repair::repair(home, |_, _| {}));
    match moved {
        Ok(moved) => {
            for part in &moved {
                tracing::warn!(
                    "{}; the {} was set aside as {}, and the node rebuilds it from its peers",
                    part.reason,
                    part.what,
                    part.now.display()
                );
            }
            !moved.is_empty()
        }
        Err(error) => {
            tracing::error!("the node cannot repair itself: {}", super::describe(&error));
            false
        }
    }
}

async fn until_stopped(home: &Home, repairs: bool) -> Result<Stop> {
    let listen = |kind, name| signal(kind).with_context(|| format!("listening for {name}"));
    let mut signals =
        (listen(SignalKind::terminate(), "SIGTERM")?, listen(SignalKind::interrupt(), "SIGINT")?);
    let mut node = Node::start(home).await?;
    let ended = until_it_ends(&mut node, &mut signals, repairs).await;
    let stopped = node.shutdown().await;
    match ended {
        Ok(stop) => stopped.map(|()| stop),
        Err(error) => {
            // What ended it is the answer; stopping the rest may say it again.
            if let Err(second) = stopped {
                tracing::debug!(error = %second, "stopping after a failure");
            }
            Err(error)
        }
    }
}

async fn until_it_ends(node: &mut Node, signals: &mut (Signal, Signal), repairs: bool) -> Result<Stop> {
    let (terminate, interrupt) = signals;
    // A damaged row is served to nobody; without leave to repair, the node goes on with the others.
    tokio::select! {
        ended = node.ended(repairs) => match ended? {
            Ended::Stopped => Ok(Stop::Asked),
            Ended::MayVote | Ended::HasNewKey => Ok(Stop::StartAgain),
            Ended::Damaged { damage } => Err(anyhow!("{damage}")),
        },
        _ = terminate.recv() => { tracing::info!("SIGTERM: the node stops"); Ok(Stop::Asked) }
        _ = interrupt.recv() => { tracing::info!("SIGINT: the node stops"); Ok(Stop::Asked) }
    }
}
