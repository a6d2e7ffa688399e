//! Running the binary, away from the user's own configuration.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A home of its own, with the binary to run in it.
pub struct Yilian {
    pub home: TempDir,
}

/// What a run gave.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }

    /// Demands an exit code.
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }
}

impl Yilian {
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.home.path().join(name), content).unwrap();
        self.path(name)
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(&[], arguments)
    }

    /// As [`Yilian::run`], with more variables in the environment.
    pub fn run_with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Run {
        let mut command = command(self.home.path());
        command.envs(environment.iter().copied()).args(arguments);
        let Output { status, stdout, stderr } = command.output().unwrap();
        Run {
            code: status.code().unwrap_or(-1),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }
}

fn command(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_yilian"));
    command.current_dir(home).env_clear();
    command.env("HOME", home).env("YILIAN_PASSPHRASE", "correct horse battery");
    command
}
