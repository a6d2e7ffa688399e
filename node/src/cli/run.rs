//! `yilian-node run`: runs the node, and stops it in order on SIGTERM or SIGINT. SIGHUP reads the certificate again.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::HomeArgument;
use super::remedy::with_remedy;
use crate::cli::logging;
use crate::home::Home;
use crate::operator::repair;
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
    /// Stop when standard input ends: for a program that starts nodes and must not leave them behind when it is killed.
    #[arg(long)]
    until_stdin_ends: bool,
}

/// What the node listens to beside its callers.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind, name| signal(kind).with_context(|| format!("listening for {name}"));
        Ok(Self {
            terminate: listen(SignalKind::terminate(), "SIGTERM")?,
            interrupt: listen(SignalKind::interrupt(), "SIGINT")?,
            hang_up: listen(SignalKind::hangup(), "SIGHUP")?,
        })
    }

    /// Waits until the node shall stop; says why.
    async fn stop(&mut self, mut hang_up: impl FnMut()) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hang_up.recv() => hang_up(),
            }
        }
    }
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
    let mut stdin =
        arguments.until_stdin_ends.then(stdin_end).transpose().context("watching standard input")?;
    loop {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime")?;
        let ended = runtime.block_on(until_stopped(&home, arguments.repair, &mut stdin));
        runtime.shutdown_timeout(RUNTIME_GRACE);
        // The log is where an operator looks; it goes to standard error as well.
        match ended {
            Ok(Stop::Asked) => return Ok(ExitCode::SUCCESS),
            Ok(Stop::StartAgain) => {}
            Err(error) => {
                // Where it repairs itself there is nothing to do.
                let error = match arguments.repair {
                    true => error,
                    false => with_remedy(error, &arguments.home.home),
                };
                tracing::error!("the node ends: {}", super::describe(&error));
                if !(arguments.repair && repaired(&home)) {
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
    }
}

/// Becomes ready when standard input ends. The thread that waits for it goes with the process.
fn stdin_end() -> std::io::Result<oneshot::Receiver<()>> {
    let (ended, ends) = oneshot::channel();
    let wait = move || {
        // However it ends, whoever held it is gone; what was written into it means nothing.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = ended.send(());
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(wait)?;
    Ok(ends)
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

async fn until_stopped(
    home: &Home,
    repairs: bool,
    stdin: &mut Option<oneshot::Receiver<()>>,
) -> Result<Stop> {
    let mut signals = Signals::listen()?;
    let mut node = Node::start(home).await?;
    let ended = until_it_ends(&mut node, &mut signals, stdin, repairs).await;
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

async fn until_it_ends(
    node: &mut Node,
    signals: &mut Signals,
    stdin: &mut Option<oneshot::Receiver<()>>,
    repairs: bool,
) -> Result<Stop> {
    let certificate = node.certificate();
    let hang_up = || match &certificate {
        Some(certificate) => certificate.reload("SIGHUP"),
        None => tracing::info!("SIGHUP: there is no certificate to read again"),
    };
    // A damaged row is served to nobody; without leave to repair, the node goes on with the others.
    tokio::select! {
        ended = node.ended(repairs) => match ended? {
            Ended::Stopped => Ok(Stop::Asked),
            Ended::MayVote | Ended::HasNewKey => Ok(Stop::StartAgain),
            Ended::Damaged { damage } => Err(anyhow!("{damage}")),
        },
        why = signals.stop(hang_up) => { tracing::info!("{why}: the node stops"); Ok(Stop::Asked) }
        () = ended(stdin) => { tracing::info!("standard input has ended: the node stops"); Ok(Stop::Asked) }
    }
}

/// Waits until standard input ends, if that means anything.
async fn ended(stdin: &mut Option<oneshot::Receiver<()>>) {
    match stdin {
        // An error says that the thread is gone, and with it standard input.
        Some(ends) => drop(ends.await),
        None => std::future::pending().await,
    }
}
