//! What can go wrong between a caller and the ledger, and the exit code that scripts see for it.

use std::path::PathBuf;

use thiserror::Error;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId, TransactionId};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::crypto::token::TokenError;
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::proof::ProofError;

use crate::limits;
use yilian_local::durable::FileError;
use yilian_local::keyfile::KeyFileError;
use yilian_local::moment::{self, ClockError};
use yilian_local::passphrase::PassphraseError;

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
    /// The ledger knows nothing under that name, which is proven where answers are verified; or nothing that concerns the
    /// caller.
    pub const UNKNOWN: u8 = 6;
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
    #[error("the ledger has no {what}")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// There is no such thing, or it is there for others alone: a node does not tell which.
    #[error(
        "there is no {what}, or it does not concern your institution: check the identifier, and for which institution you \
         ask (--as); who it concerns, or a regulator, can say more"
    )]
    NoneOfYours {
        /// What was asked for.
        what: String,
    },
    /// No node answered.
    #[error(
        "no node answers: {}; is the node running, and is this its address? --node URL names another one, `yilian profile list` \
         shows what is set",
        attempts.join("; ")
    )]
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
    /// The node at an address is not the one it was.
    #[error(
        "{node} names node key {found}, and named {known} before: another node answers there, or its key was replaced. \
         Ask its operator; if the new key is right: `yilian node trust {node} --node-key {found}`"
    )]
    NodeChanged {
        /// The address.
        node: String,
        /// The key that is remembered or configured.
        known: PublicKey,
        /// The key that it names now.
        found: PublicKey,
    },
    /// The answer is proven against an earlier block than one that was verified before.
    #[error(
        "the answer is as of block {height}{}, but block {} ({}) was verified before: the node is behind, was restored from \
         a backup, or hides what came since. Ask another node with --node, wait until it has caught up, or accept it with \
         --max-lag {}",
        time.map(|time| format!(" ({})", moment::show(time))).unwrap_or_default(), highest.height, moment::show(highest.time), highest.height.0 - height.0
    )]
    Stale {
        /// The block of the answer.
        height: Height,
        /// Its time; a list, which is not proven, does not say it.
        time: Option<LedgerTime>,
        /// The highest block that was verified.
        highest: HighestVerified,
    },
    /// The answer is proven against a block that is older than the caller allows.
    #[error(
        "the answer is proven as of block {height} ({}), {} before this machine's clock ({}), more than --max-age {}: \
         {}the node is behind, the ledger stands still, or one of the clocks is wrong",
        moment::show(*time), moment::show_length(now.0.saturating_sub(time.0)), moment::show(*now),
        moment::show_length(*bound_ms),
        quiet(now.0.saturating_sub(time.0))
    )]
    TooOld {
        /// The block of the answer.
        height: Height,
        /// Its time.
        time: LedgerTime,
        /// This machine's clock.
        now: LedgerTime,
        /// What the caller allows.
        bound_ms: u64,
    },
    /// Two final headers of one height.
    #[error(
        "two final headers of height {height} were seen, {} and {}: a third of the validators signed both. The evidence is \
         in {}; show it to the regulator, and believe neither history until it is cleared up",
        ids[0], ids[1], evidence.display()
    )]
    Conflict {
        /// The height.
        height: Height,
        /// The two blocks.
        ids: [BlockId; 2],
        /// The file that holds both headers with their certificates.
        evidence: PathBuf,
    },
    /// There is no key to sign with.
    #[error(
        "no key for {purpose}: give --key FILE, or set `key` or `[profiles.NAME.keys]` in the profile; for an import, name the \
         institution's keys in the consortium file"
    )]
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
    /// The salt of a received document is missing.
    #[error(
        "{} has no salt beside it: {} must come with the document. Who sent the document has it beside the document; without \
         it nobody comes to the commitment that is on the ledger. Send both over the same protected way",
        document.display(), salt.display()
    )]
    NoSalt {
        /// The document.
        document: PathBuf,
        /// Where its salt should be.
        salt: PathBuf,
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
    #[error(transparent)]
    Clock(#[from] ClockError),
}

/// The highest header that was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HighestVerified {
    /// Its height.
    pub height: Height,
    /// Its time.
    pub time: LedgerTime,
}

/// What an age says that a quiet ledger can have, too.
fn quiet(age_ms: u64) -> String {
    if age_ms > limits::HEARTBEAT_MS_MAX {
        return String::new();
    }
    format!(
        "on a quiet ledger the newest block may be as old as its validators' heartbeat ({} s, unless they set up to {} s), so \
         give a --max-age above that; else ",
        limits::HEARTBEAT_MS_DEFAULT / 1_000,
        limits::HEARTBEAT_MS_MAX / 1_000
    )
}

impl ClientError {
    /// The exit code that a script sees.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } | Self::NoneOfYours { .. } => exit::UNKNOWN,
            Self::Rejected { code, .. } if code == "not_yours" => exit::UNKNOWN,
            Self::Refused { .. } | Self::Rejected { .. } | Self::ListTooLong => exit::REFUSED,
            Self::Unreachable { .. }
            | Self::NotFinal { .. }
            | Self::Answer { .. }
            | Self::AnswerTooLong { .. } => exit::UNREACHABLE,
            Self::Verification(_)
            | Self::OtherProof { .. }
            | Self::OtherChain { .. }
            | Self::NodeChanged { .. }
            | Self::Stale { .. }
            | Self::TooOld { .. }
            | Self::Conflict { .. } => exit::VERIFICATION,
            Self::NoKey { .. }
            | Self::Token(_)
            | Self::Setup(_)
            | Self::File(_)
            | Self::FileContent { .. }
            | Self::NoSalt { .. }
            | Self::KeyFile(_)
            | Self::Passphrase(_)
            | Self::Randomness(_)
            | Self::Clock(_) => exit::LOCAL,
        }
    }

    /// The error's name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Rejected { .. } => "rejected",
            Self::NotFound { .. } | Self::NoneOfYours { .. } => "not_found",
            Self::Unreachable { .. } => "unreachable",
            Self::NotFinal { .. } => "not_final",
            Self::Answer { .. } => "unreadable_answer",
            Self::AnswerTooLong { .. } => "answer_too_long",
            Self::ListTooLong => "list_too_long",
            Self::Verification(_) => "verification_failed",
            Self::OtherProof { .. } => "other_proof",
            Self::OtherChain { .. } => "other_chain",
            Self::NodeChanged { .. } => "node_changed",
            Self::Stale { .. } => "stale",
            Self::TooOld { .. } => "too_old",
            Self::Conflict { .. } => "conflicting_headers",
            Self::NoKey { .. } => "no_key",
            Self::Token(_) => "token",
            Self::Setup(_) => "setup",
            Self::File(_) => "file",
            Self::FileContent { .. } => "file_content",
            Self::NoSalt { .. } => "no_salt",
            Self::KeyFile(_) => "key_file",
            Self::Passphrase(_) => "passphrase",
            Self::Randomness(_) => "randomness",
            Self::Clock(_) => "clock",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_that_a_quiet_ledger_has_is_told_as_such() {
        let now = LedgerTime(1_790_000_000_000);
        let of_age = |age_ms| {
            let time = now.minus_ms(age_ms);
            ClientError::TooOld { height: Height(4), time, now, bound_ms: 5_000 }.to_string()
        };
        let quiet = of_age(20_000);
        assert!(quiet.contains("heartbeat (30 s, unless they set up to 3600 s)"), "{quiet}");
        assert!(quiet.contains("--max-age above that; else the node is behind"), "{quiet}");
        assert!(
            quiet.contains("20 s before this machine's clock") && quiet.contains("more than --max-age 5 s:"),
            "{quiet}"
        );
        let (time, bound_ms) = (now.minus_ms(20), 1);
        let short = ClientError::TooOld { height: Height(4), time, now, bound_ms }.to_string();
        assert!(short.contains(", 20 ms before") && short.contains("more than --max-age 1 ms:"), "{short}");
        assert!(!of_age(limits::HEARTBEAT_MS_MAX + 1).contains("heartbeat"));
    }
}
