//! The real `yilian` command in a directory of its own, with the configuration of a cluster's members.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::programs::{self, Ended, run_to_end};

/// How long one command may take; it waits for finality, and opens tables sealed for production.
const LIMIT: Duration = Duration::from_secs(90);

/// Exit codes, as `yilian --help` documents them.
pub mod exit {
    /// Done.
    pub const OK: i32 = 0;
    /// The rules, or a node, refuse it.
    pub const REFUSED: i32 = 1;
    /// The command is not well-formed.
    pub const USAGE: i32 = 2;
    /// No node answers.
    pub const UNREACHABLE: i32 = 3;
    /// A proof does not verify.
    pub const VERIFICATION: i32 = 4;
    /// A local file or a passphrase.
    pub const LOCAL: i32 = 5;
    /// The ledger knows no such stream, or it does not concern the caller.
    pub const UNKNOWN: i32 = 6;
}

/// A shell of one person: the command, a directory, a configuration and a profile in it.
#[derive(Debug, Clone)]
pub struct Shell {
    program: PathBuf,
    directory: PathBuf,
    config: PathBuf,
    profile: String,
    /// What the system would keep for the person alone, in memory.
    runtime: PathBuf,
}

impl Shell {
    /// A shell of an institution, working in `directory`.
    ///
    /// # Errors
    /// When `yilian` is not built.
    pub fn of(cluster: &Cluster, institution: usize, directory: &Path) -> Result<Self> {
        let runtime = cluster.files.directory.join("run");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&runtime)?;
        Ok(Self {
            runtime,
            program: programs::program("yilian")?,
            directory: directory.to_owned(),
            config: cluster.files.client_config.clone(),
            profile: cluster.institution(institution).to_string(),
        })
    }

    /// The same shell with another configuration file.
    #[must_use]
    pub fn with_config(&self, config: &Path) -> Self {
        Self { config: config.to_owned(), ..self.clone() }
    }

    /// The same shell in another directory.
    #[must_use]
    pub fn in_directory(&self, directory: &Path) -> Self {
        Self { directory: directory.to_owned(), ..self.clone() }
    }

    /// Runs a command as somebody types it; words are separated by spaces.
    ///
    /// # Errors
    /// When it cannot be run, or does not end.
    pub fn run(&self, line: &str) -> Result<Ended> {
        self.run_words(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// As [`Shell::run`], by words.
    ///
    /// # Errors
    /// When it cannot be run, or does not end.
    pub fn run_words(&self, words: &[&str]) -> Result<Ended> {
        let mut command = Command::new(&self.program);
        command.args(words).current_dir(&self.directory);
        // Through the environment, so that the words are exactly those that a person types.
        self.set_environment(&mut command);
        run_to_end(&mut command, LIMIT)
    }

    fn set_environment(&self, command: &mut Command) {
        command.env("YILIAN_CONFIG", &self.config).env("YILIAN_PROFILE", &self.profile);
        command.env("XDG_RUNTIME_DIR", &self.runtime);
    }

    /// Starts a command that goes on by itself; what it prints goes to a file in the directory.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn start(&self, line: &str, output: &str) -> Result<Child> {
        let file = std::fs::File::create(self.directory.join(output))?;
        let mut command = Command::new(&self.program);
        command.args(line.split_whitespace()).current_dir(&self.directory).stdin(Stdio::null()).stdout(file);
        self.set_environment(&mut command);
        command.spawn().with_context(|| format!("cannot start yilian {line}"))
    }

    /// Runs a command that must succeed, and returns the JSON that it prints.
    ///
    /// # Errors
    /// When it fails or prints something else.
    pub fn json(&self, line: &str) -> Result<Value> {
        let ended = self.run(&format!("{line} --json"))?;
        ensure!(ended.code == Some(exit::OK), "yilian {line}: {ended:?}");
        serde_json::from_str(&ended.stdout).with_context(|| format!("yilian {line}: {ended:?}"))
    }

    /// Runs a command that must end with this code, and returns what it said on standard error and output.
    ///
    /// # Errors
    /// When it ends otherwise.
    pub fn ends_with(&self, code: i32, line: &str) -> Result<String> {
        let ended = self.run(line)?;
        ensure!(ended.code == Some(code), "yilian {line}: expected code {code}, got {ended:?}");
        Ok(format!("{}{}", ended.stderr, ended.stdout))
    }

    /// Submits by a command and returns the identifier of the object of this kind that it created.
    ///
    /// # Errors
    /// When the command fails, is not verified, or creates no such object.
    pub fn create(&self, kind: &str, line: &str) -> Result<String> {
        let printed = self.json(line)?;
        ensure!(printed["status"] == "applied" && printed["verified"] == true, "yilian {line}: {printed}");
        let created = printed["created"].as_array().context("what was created")?;
        let object = created.iter().find(|object| object["kind"] == kind);
        let id = object.and_then(|object| object["id"].as_str());
        id.map(str::to_owned).with_context(|| format!("yilian {line} created no {kind}: {printed}"))
    }
}
