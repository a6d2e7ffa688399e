//! What can go wrong between a caller and the ledger, and the exit code that scripts see for it.

use std::path::PathBuf;

use thiserror::Error;
use yilian_spec::id::{ChainId, TransactionId};
use yilian_spec::proof::ProofError;
use yilian_spec::refusal::Refusal;
use yilian_spec::token::TokenError;

use crate::durable::FileError;
use crate::keyfile::KeyFileError;
use crate::limits;
use crate::passphrase::PassphraseError;

/// Exit codes of the command line.
pub mod exit {
    /// Done.
    pub const OK: u8 = 0;
    /// The rules of the ledger, or the node, refuse it.
    pub const REFUSED: u8 = 1;
    /// The command is not well-formed.
    pub const USAGE: u8 = 2;
    /// No node answers, or not in time.
    pub const UNREACHABLE: u8 = 3;
    /// A proof does not verify.
    pub const VERIFICATION: u8 = 4;
    /// A local file, passphrase or the configuration.
    pub const LOCAL: u8 = 5;
}

/// Why a request had no result.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The transaction is on the ledger, and the rules refused it.
    #[error("refused: operation {operation} of transaction {transaction_id}: {reason}")]
    Refused {
        /// The transaction.
        transaction_id: TransactionId,
        /// The operation, counted from 0.
        operation: u16,
        /// The rule.
        reason: Refusal,
    },
    /// The node does not take the request.
    #[error("{node} answers {status} {code}: {message}")]
    Rejected {
        /// The node's address.
        node: String,
        /// HTTP status.
        status: u16,
        /// The error's name.
        code: String,
        /// One sentence for people.
        message: String,
    },
    /// The ledger has no such thing.
    #[error("there is no {what} on the ledger")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// No node answered.
    #[error("no node answers: {}", attempts.join("; "))]
    Unreachable {
        /// What happened at each node in the last round.
        attempts: Vec<String>,
    },
    /// It was submitted, and is not final yet.
    #[error(
        "transaction {transaction_id} was not final after {waited_ms} ms; it may still become so: `yilian transaction show {transaction_id}`"
    )]
    NotFinal {
        /// The transaction.
        transaction_id: TransactionId,
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// The node answered something that is not of the API.
    #[error("{node} gives an answer that cannot be read ({reason}): is it a node of the same version?")]
    Answer {
        /// The node's address.
        node: String,
        /// Why.
        reason: String,
    },
    /// The node answered too much.
    #[error("{node} answers more than {} bytes: ask for less at a time", limits::ANSWER_BYTES_MAX)]
    AnswerTooLong {
        /// The node's address.
        node: String,
    },
    /// The list is longer than what is collected at once.
    #[error("the list has more than {} items: narrow it down", limits::LIST_ITEMS_MAX)]
    ListTooLong,
    /// What the node answered is not proven.
    #[error("the answer does not verify: {0}")]
    Verification(#[from] ProofError),
    /// The node proves something else than what was asked for.
    #[error("the answer does not verify: it proves something else than {what}")]
    OtherProof {
        /// What was asked for.
        what: String,
    },
    /// The node belongs to another ledger.
    #[error(
        "the node serves chain {found}, expected {expected}: check the profile's chain_id, checkpoint and nodes"
    )]
    OtherChain {
        /// What the node says.
        found: ChainId,
        /// What the profile or the checkpoint says.
        expected: ChainId,
    },
    /// There is no key to sign with.
    #[error("no key for {purpose}: give --key FILE, or set `key` or `[profiles.NAME.keys]` in the profile")]
    NoKey {
        /// What it is needed for.
        purpose: String,
    },
    /// A token could not be made.
    #[error("cannot sign the request: {0}")]
    Token(#[from] TokenError),
    /// The HTTP client could not be set up.
    #[error("cannot set up the connection: {0}")]
    Setup(String),
    /// A local file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that holds something else.
    #[error("{} is not {expected}: {reason}", path.display())]
    FileContent {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// Why it is not.
        reason: String,
    },
    /// A key file.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The operating system gave no randomness.
    #[error("the operating system gave no random bytes: {0}")]
    Randomness(#[from] rand::rngs::SysError),
    /// The clock is before 1970.
    #[error("the clock of this machine is before 1970: set it")]
    Clock,
}

impl ClientError {
    /// The exit code that a script sees.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { .. } | Self::Rejected { .. } | Self::NotFound { .. } | Self::ListTooLong => {
                exit::REFUSED
            }
            Self::Unreachable { .. }
            | Self::NotFinal { .. }
            | Self::Answer { .. }
            | Self::AnswerTooLong { .. } => exit::UNREACHABLE,
            Self::Verification(_) | Self::OtherProof { .. } | Self::OtherChain { .. } => exit::VERIFICATION,
            Self::NoKey { .. }
            | Self::Token(_)
            | Self::Setup(_)
            | Self::File(_)
            | Self::FileContent { .. }
            | Self::KeyFile(_)
            | Self::Passphrase(_)
            | Self::Randomness(_)
            | Self::Clock => exit::LOCAL,
        }
    }

    /// The error's name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Rejected { .. } => "rejected",
            Self::NotFound { .. } => "not_found",
            Self::Unreachable { .. } => "unreachable",
            Self::NotFinal { .. } => "not_final",
            Self::Answer { .. } => "unreadable_answer",
            Self::AnswerTooLong { .. } => "answer_too_long",
            Self::ListTooLong => "list_too_long",
            Self::Verification(_) => "verification_failed",
            Self::OtherProof { .. } => "other_proof",
            Self::OtherChain { .. } => "other_chain",
            Self::NoKey { .. } => "no_key",
            Self::Token(_) => "token",
            Self::Setup(_) => "setup",
            Self::File(_) => "file",
            Self::FileContent { .. } => "file_content",
            Self::KeyFile(_) => "key_file",
            Self::Passphrase(_) => "passphrase",
            Self::Randomness(_) => "randomness",
            Self::Clock => "clock",
        }
    }
}
