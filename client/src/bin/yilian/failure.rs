//! Why a command failed, as text or JSON, and its exit code.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};
use yilian_client::config::ConfigError;
use yilian_client::error::{ClientError, exit};
use yilian_client::session::SessionError;
use yilian_client::subject::SubjectError;
use yilian_local::durable::FileError;
use yilian_local::keyfile::KeyFileError;
use yilian_local::moment::ClockError;
use yilian_local::passphrase::PassphraseError;
use yilian_spec::proof::ProofError;

/// What every command gives: an exit code, or why there is none.
pub type Outcome = Result<u8, Failure>;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// Between the client and the ledger.
    Client(ClientError),
    /// The command, in a way that its parser cannot see.
    Usage(String),
    /// A local file, a passphrase or the configuration.
    Local(String),
    /// A saved proof breaks a rule.
    Proof(ProofError),
    /// One of several saved proofs breaks a rule.
    ProofAt {
        /// Its line in the file, from 1.
        line: u64,
        /// Which rule.
        error: ProofError,
    },
    /// What was proven does not say what was asked for.
    Verification(String),
    /// A stream that the ledger does not know, or that is others'.
    Unknown(String),
}

impl Failure {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Client(error) => error.exit_code(),
            Self::Usage(_) => exit::USAGE,
            Self::Local(_) => exit::LOCAL,
            Self::Proof(_) | Self::ProofAt { .. } | Self::Verification(_) => exit::VERIFICATION,
            Self::Unknown(_) => exit::UNKNOWN,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Client(error) => error.code(),
            Self::Usage(_) => "usage",
            Self::Local(_) => "local",
            Self::Proof(_) | Self::ProofAt { .. } | Self::Verification(_) => "verification_failed",
            Self::Unknown(_) => "not_found",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Client(error) => error.to_string(),
            Self::Proof(error) => error.to_string(),
            Self::ProofAt { line, error } => format!("line {line}: {error}"),
            Self::Usage(text) | Self::Local(text) | Self::Verification(text) | Self::Unknown(text) => {
                text.clone()
            }
        }
    }

    /// What a program may want to act on, beside the code.
    fn details(&self) -> Option<Value> {
        match self {
            Self::Proof(error) | Self::Client(ClientError::Verification(error)) => {
                Some(json!({"rule": error.rule(), "name": error.name(), "at": error.at()}))
            }
            Self::ProofAt { line, error } => {
                Some(json!({"rule": error.rule(), "name": error.name(), "at": error.at(), "line": line}))
            }
            Self::Client(ClientError::Refused { transaction_id, operation, reason }) => {
                Some(json!({"transaction_id": transaction_id, "operation": operation, "reason": reason}))
            }
            Self::Client(ClientError::Rejected { node, status, code, .. }) => {
                Some(json!({"node": node, "status": status, "code": code}))
            }
            Self::Client(_) | Self::Usage(_) | Self::Local(_) | Self::Verification(_) | Self::Unknown(_) => {
                None
            }
        }
    }

    /// Prints the failure: to people on standard error, to programs as the one JSON document on standard output.
    pub fn report(&self, json: bool) -> ExitCode {
        if json {
            let mut error = json!({"code": self.code(), "message": self.message()});
            if let Some(details) = self.details() {
                error["details"] = details;
            }
            crate::output::print_json(&json!({ "error": error }));
        } else {
            // As with what is printed: that nobody reads it is no error.
            let _ = writeln!(std::io::stderr(), "error: {}", self.message());
        }
        ExitCode::from(self.exit_code())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<ProofError> for Failure {
    fn from(error: ProofError) -> Self {
        Self::Proof(error)
    }
}

macro_rules! local {
    ($($error:ty)*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Local(error.to_string())
            }
        }
    )*};
}

local! { ClockError ConfigError FileError KeyFileError PassphraseError SessionError SubjectError }
