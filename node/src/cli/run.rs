//! `yilian-node run`: runs the node, and stops it in order on SIGTERM or SIGINT.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::home::Home;
use crate::logging;
use crate::wiring::Node;

/// Blocking reads that may outlive the node are not waited for longer than this.
const RUNTIME_GRACE: Duration = Duration::from_secs(2);

pub(super) fn run(home: &Path) -> Result<ExitCode> {
    let home = Home::open(home)?;
    logging::start(&home.config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime")?;
    let ended = runtime.block_on(until_stopped(&home));
    runtime.shutdown_timeout(RUNTIME_GRACE);
    // The log is where an operator looks; it goes to standard error as well.
    Ok(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the node ends: {}", super::describe(&error));
            ExitCode::FAILURE
        }
    })
}

async fn until_stopped(home: &Home) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut node = Node::start(home).await?;
    let ended = tokio::select! {
        ended = node.ended() => ended,
        _ = terminate.recv() => { tracing::info!("SIGTERM: the node stops"); Ok(()) }
        _ = interrupt.recv() => { tracing::info!("SIGINT: the node stops"); Ok(()) }
    };
    match ended {
        Ok(()) => node.shutdown().await,
        Err(error) => {
            // What ended it is the answer; stopping the rest may say it again.
            if let Err(second) = node.shutdown().await {
                tracing::debug!(error = %second, "stopping after a failure");
            }
            Err(error)
        }
    }
}
