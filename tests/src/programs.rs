//! The programs under test: found beside the one that runs, and run to their end within a bound of time.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const POLL: Duration = Duration::from_millis(20);

/// The program `name` that was built beside this one.
///
/// # Errors
/// When there is none; says how to build it.
pub fn program(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe().context("where is this program?")?;
    // Test programs lie in `deps`, one directory below the programs.
    let directories = here.ancestors().skip(1).take(2);
    let found = directories.map(|directory| directory.join(name)).find(|path| path.is_file());
    found.with_context(|| {
        let directory = here.parent().unwrap_or(&here).display();
        format!("there is no `{name}` in {directory} or above: build it with `cargo build --release --bins`")
    })
}

/// What a program that has ended left behind.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said about its work.
    pub stderr: String,
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// When it cannot be started, or does not end within `limit`; then it is killed.
pub fn run_to_end(command: &mut Command, limit: Duration) -> Result<Ended> {
    // Into files, because a pipe that nobody reads stops whoever writes into it.
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?)
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let began = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status.code());
        }
        if began.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(POLL);
    };
    let (stdout, stderr) = (text(&mut stdout)?, text(&mut stderr)?);
    match code {
        Some(code) => Ok(Ended { code, stdout, stderr }),
        None => bail!("{command:?} did not end in {limit:?}: {stderr}"),
    }
}

fn text(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
