//! `yilian-node check`: an independent reading of a node's files, also while the node runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use yilian_spec::base::height::Height;

use super::{HomeArgument, remedy};
use crate::home::{Home, HomeError};
use crate::operator::control::{self, Answer, Command};
use crate::operator::inspection::{self, Inspection};

/// The first part of the name under which a running node's ledger is linked; the process's number follows.
const MOMENT: &str = "check-";

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  yilian-node check --home node

The node may run meanwhile: it hard-links the current files of its ledger, which takes no space, and this command reads the \
links and removes them at the end.")]
pub(super) struct Arguments {
    #[command(flatten)]
    home: HomeArgument,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let home = Home::open(&arguments.home.home)?;
    let began = Instant::now();
    let found = match home.lock() {
        Ok(_lock) => inspection::inspect(&home, blocks_read()?)?,
        Err(HomeError::InUse { .. }) => inspect_running(&home)?,
        Err(error) => return Err(error.into()),
    };
    report(&home, &found, began)
}

/// Inspects the home of a node that runs.
fn inspect_running(home: &Home) -> Result<Inspection> {
    let data = std::path::absolute(home.path.join(&home.config.node.data))?;
    remove_leftovers(&data)?;
    let moment = Moment(data.join(format!("{MOMENT}{}", std::process::id())));
    Ok(inspection::inspect_at(home, || moment.make(home), blocks_read()?)?)
}

/// The ledger of a moment; removed when this is dropped.
struct Moment(PathBuf);

impl Moment {
    fn make(&self, home: &Home) -> Result<PathBuf, HomeError> {
        let failed = |reason: String| HomeError::Running { home: home.path.clone(), reason };
        let command = Command::Checkpoint { directory: self.0.clone() };
        let answer =
            super::block_on(control::ask(&home.path, &command)).map_err(|error| failed(error.to_string()));
        match answer?.map_err(|error| failed(error.to_string()))? {
            Answer::Checkpoint => Ok(self.0.clone()),
            Answer::Failed { reason } => Err(failed(reason)),
            other => Err(failed(format!("it answered {other:?}"))),
        }
    }
}

impl Drop for Moment {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            eprintln!("{} could not be removed: {error}; remove it", self.0.display());
        }
    }
}

/// Removes what commands left that were killed: as long as the links are there, the disk keeps what the node deletes.
fn remove_leftovers(data: &Path) -> Result<()> {
    let entries = std::fs::read_dir(data).with_context(|| format!("cannot read {}", data.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let owner = name.strip_prefix(MOMENT).and_then(|number| number.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
            std::fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn report(home: &Home, found: &Inspection, began: Instant) -> Result<ExitCode> {
    match &found.ledger {
        Ok(Some(report)) => {
            let seconds = began.elapsed().as_secs_f64();
            println!(
                "chain {}, {} blocks, {} transactions, read in {seconds:.1} s",
                report.chain_id, report.height, report.transactions
            );
        }
        Ok(None) => println!("there is no ledger yet"),
        Err(_) => {}
    }
    for note in &found.notes {
        println!("note: {note}");
    }
    for complaint in found.complaints() {
        println!("{complaint}");
    }
    if found.is_clean() {
        println!("everything is as it must be");
        return Ok(ExitCode::SUCCESS);
    }
    if found.ledger.is_err() || found.votes.is_err() {
        println!(
            "When the node has stopped, {}. A backup can be restored instead.",
            remedy::repair(&home.path)
        );
    }
    Ok(ExitCode::FAILURE)
}

/// Shows how many blocks have been read, until it is dropped. Draws nothing unless standard error is a terminal.
pub(super) fn blocks_read() -> Result<impl FnMut(Height, Height)> {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} blocks, {per_sec}, {eta} left")?;
    let bar = ProgressBar::new(0).with_style(style).with_finish(ProgressFinish::AndClear);
    Ok(move |height: Height, last: Height| {
        bar.set_length(last.0);
        bar.set_position(height.0);
    })
}
