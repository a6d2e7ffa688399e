//! Whether this validator may vote, after a start in which something is missing or damaged.
//!
//! A validator must never sign two different votes for one round. What it has signed stands in the log of votes, and
//! in nothing else. When that log is lost or damaged, or belongs to a ledger that is no longer there, the node follows
//! without voting until the ledger has passed every height at which it may have voted; then it votes again. The rule
//! and why it is safe: `spec/decisions/0014-corruption-and-repair.md`.
//!
//! | log of votes | ledger | it abstains |
//! |---|---|---|
//! | whole, at the ledger's last height or the one after it | any | not at all |
//! | whole, further ahead | shorter than it was | up to the log's height |
//! | whole, further behind: an older copy | whole | up to the height after the ledger's last |
//! | none, the key has never voted | any | not at all |
//! | none | any | up to [`MARGIN`] heights after what a quorum of peers has decided |
//! | damaged, set aside by a repair | whole | up to the height after the ledger's last |
//! | damaged, set aside by a repair | set aside as well | as with none |
//!
//! What it abstains from stands in a file of the data directory before the engine starts, so that a second start does
//! not forget it.

pub(crate) mod abstaining;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use yilian_local::durable::{self, FileError};
use yilian_spec::base::height::Height;

use crate::consensus::vote_log::{self, VoteLog};
use crate::home::Home;

/// The file that says that a validator's key has never signed a vote; in the node's home.
pub const NEVER_VOTED: &str = "never-voted";
/// What stands in it, for people.
const NEVER_VOTED_TEXT: &str = "This validator's key has never signed a vote. `yilian-node run` removes this file before the first one. \
     Do not copy it, and do not make it again.\n";
/// The file that says up to where the node abstains; beside the log of votes.
const ABSTENTION: &str = "abstention.json";
const ABSTENTION_BYTES_MAX: u64 = 1 << 10;
/// Whoever voted at a height has the block before it, and that block's signers have at least the one before that.
pub const MARGIN: u64 = 2;

/// From what the node abstains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "abstains", rename_all = "snake_case")]
pub enum Abstention {
    /// From all heights up to this one.
    UpTo {
        /// The last one.
        height: Height,
    },
    /// From all heights, until the ledger has reached what a quorum of peers told.
    UntilCaughtUp,
}

impl Abstention {
    /// What covers both.
    fn and(self, other: Option<Self>) -> Self {
        match (self, other) {
            (Self::UpTo { height }, Some(Self::UpTo { height: other })) => {
                Self::UpTo { height: height.max(other) }
            }
            (Self::UpTo { .. }, None) => self,
            (Self::UntilCaughtUp, _) | (_, Some(Self::UntilCaughtUp)) => Self::UntilCaughtUp,
        }
    }

    /// Of a validator that knows nothing of its votes, once its ledger has reached what a quorum told: it ends at `highest`.
    pub const fn after(highest: Height) -> Self {
        Self::UpTo { height: Height(highest.0.saturating_add(MARGIN)) }
    }

    /// Whether nothing is left to abstain from once the ledger has come to `tip`.
    pub fn is_over(self, tip: Height) -> bool {
        matches!(self, Self::UpTo { height } if height <= tip)
    }
}

impl fmt::Display for Abstention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpTo { height } => write!(f, "up to block {height}"),
            Self::UntilCaughtUp => f.write_str("until it has caught up with a quorum of its peers"),
        }
    }
}

/// Why the node abstains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// There is no log of votes, and the key may have voted.
    LogMissing,
    /// A repair has set the log of votes aside.
    LogSetAside,
    /// A repair has set the ledger aside.
    LedgerSetAside,
    /// A backup was restored in the ledger's place.
    LedgerRestored,
    /// The ledger ends before what the log of votes tells.
    LedgerShorter,
    /// The log of votes ends before the ledger.
    LogOlder,
    /// The file that says what is abstained from is damaged.
    NoteDamaged,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LogMissing => "this validator's log of votes is missing",
            Self::LogSetAside => "this validator's log of votes was damaged and set aside",
            Self::LedgerSetAside => "this validator's ledger was damaged and set aside",
            Self::LedgerRestored => "this validator's ledger was restored from a backup",
            Self::LedgerShorter => "this validator's ledger is older than its votes",
            Self::LogOlder => "this validator's log of votes is older than its ledger",
            Self::NoteDamaged => "the file that says where this validator must not vote is damaged",
        })
    }
}

/// Why it cannot be told whether the node may vote.
#[derive(Debug, Error)]
pub enum VotingError {
    /// The log of votes is damaged.
    #[error(
        "the log of votes {} is damaged ({reason}), and without it this validator could sign two different votes",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AbstentionFile {
    abstention: Abstention,
    cause: Cause,
    sha256: String,
}

/// Decides at a start whether the validator of `home`, whose ledger ends at `tip`, may vote, and makes what it abstains
/// from durable. `None`: it votes. Call it before the engine starts, with the home locked.
///
/// # Errors
/// [`VotingError::Damaged`], or when a file cannot be read or written.
pub fn at_start(home: &Home, tip: Height) -> Result<Option<Abstention>, VotingError> {
    let path = home.vote_log();
    let is_new = home.path.join(NEVER_VOTED).is_file();
    let recorded = recorded(home)?.map(|(abstention, _)| abstention);
    let mut cause = Cause::LogMissing;
    let abstention = match vote_log::read(&path)? {
        VoteLog::Damaged { reason } => return Err(VotingError::Damaged { path, reason }),
        VoteLog::Absent if is_new => {
            durable::create(&path, &vote_log::empty(Height(0)))?;
            recorded
        }
        // Whoever abstains has not voted since that was recorded.
        VoteLog::Absent => Some(recorded.unwrap_or(Abstention::UntilCaughtUp)),
        VoteLog::Intact { height, .. } if height > tip.next() => {
            cause = Cause::LedgerShorter;
            Some(Abstention::UpTo { height }.and(recorded))
        }
        // Where something is recorded, the ledger may have been replaced by a newer one.
        VoteLog::Intact { height, .. } if recorded.is_none() && is_older(height, tip) => {
            cause = Cause::LogOlder;
            Some(Abstention::UpTo { height: tip.next() })
        }
        VoteLog::Intact { height, votes, .. } => {
            if votes.is_some_and(|votes| votes < height) {
                // The engine was moving on to `height` and had not thrown the last height's votes away yet.
                durable::replace(&path, &vote_log::empty(height))?;
            }
            recorded
        }
    };
    if is_new {
        remove(&home.path.join(NEVER_VOTED))?;
    }
    match abstention.filter(|abstention| !abstention.is_over(tip)) {
        Some(abstention) => record(home, abstention, cause).map(|()| Some(abstention)),
        None => remove(&file(home)).map(|()| None),
    }
}

/// Whether a log of votes at this height was put in the place of a later one. The engine makes the log's height durable before it
/// does anything at that height, and no block comes into the ledger by another way.
pub fn is_older(log: Height, tip: Height) -> bool {
    log < tip
}

/// Refuses a damaged log of votes also where nobody votes: the engine would not start with it.
///
/// # Errors
/// [`VotingError::Damaged`], or when the log cannot be read.
pub fn require_whole_log(home: &Home) -> Result<(), VotingError> {
    let path = home.vote_log();
    match vote_log::read(&path)? {
        VoteLog::Damaged { reason } => Err(VotingError::Damaged { path, reason }),
        VoteLog::Absent | VoteLog::Intact { .. } => Ok(()),
    }
}

/// Says that the key of this home has never voted; for whoever makes a new key.
///
/// # Errors
/// When the file cannot be written.
pub fn mark_never_voted(home: &Path) -> Result<(), FileError> {
    match durable::create(&home.join(NEVER_VOTED), NEVER_VOTED_TEXT.as_bytes()) {
        Err(FileError::Exists { .. }) => Ok(()),
        done => done,
    }
}

/// Notes that the ledger of `home` is about to be replaced or set aside, as `cause` says. What the node may have signed
/// stands in the log of votes alone from then on, and the engine will empty that.
///
/// # Errors
/// When a file cannot be read or written.
pub fn ledger_goes(home: &Home, cause: Cause) -> Result<(), VotingError> {
    let abstention = match vote_log::read(&home.vote_log())? {
        VoteLog::Intact { height: Height(0), .. } => return Ok(()),
        VoteLog::Absent if home.path.join(NEVER_VOTED).is_file() => return Ok(()),
        VoteLog::Intact { height, .. } => Abstention::UpTo { height },
        VoteLog::Absent | VoteLog::Damaged { .. } => Abstention::UntilCaughtUp,
    };
    widen(home, abstention, cause)
}

/// Notes that the log of votes of `home` is about to be set aside, with a whole ledger that ends at `tip`, or none.
///
/// # Errors
/// When a file cannot be read or written.
pub fn vote_log_goes(home: &Home, tip: Option<Height>) -> Result<(), VotingError> {
    // A height is started only when the block before it is in the ledger.
    let abstention = match tip {
        Some(tip) => Abstention::UpTo { height: tip.next() },
        None => Abstention::UntilCaughtUp,
    };
    widen(home, abstention, Cause::LogSetAside)
}

/// Abstains from this as well.
fn widen(home: &Home, abstention: Abstention, cause: Cause) -> Result<(), VotingError> {
    let recorded = recorded(home)?.map(|(abstention, _)| abstention);
    record(home, abstention.and(recorded), cause)
}

/// The ledger has reached `highest`, and with it what a quorum told: the end of abstaining is known, too.
///
/// # Errors
/// When the file cannot be written.
pub fn caught_up(home: &Home, highest: Height) -> Result<Abstention, VotingError> {
    let abstention = Abstention::after(highest);
    record(home, abstention, Cause::LogMissing).map(|()| abstention)
}

/// Ends what the validator of `home` abstains from, by the operators' word that no node has block `next`, the one after the
/// ledger's last. What it signed at that height is forgotten for good; there is no block that it could contradict.
///
/// # Errors
/// When a file cannot be written.
pub fn vote_again(home: &Home, next: Height) -> Result<(), VotingError> {
    durable::replace(&home.vote_log(), &vote_log::empty(next))?;
    remove(&file(home))
}

/// What the file says, and why. One that is damaged says nothing, so everything is abstained from.
///
/// # Errors
/// When it cannot be read.
pub fn recorded(home: &Home) -> Result<Option<(Abstention, Cause)>, VotingError> {
    match durable::read(&file(home), ABSTENTION_BYTES_MAX) {
        Err(FileError::Absent { .. }) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(bytes) => {
            let stored: Option<AbstentionFile> = serde_json::from_slice(&bytes).ok();
            let whole = stored.filter(|stored| stored.sha256 == checksum(stored.abstention, stored.cause));
            Ok(Some(whole.map_or((Abstention::UntilCaughtUp, Cause::NoteDamaged), |stored| {
                (stored.abstention, stored.cause)
            })))
        }
    }
}

/// Makes durable from what the node abstains. The cause that was recorded first stays: the others follow from it.
fn record(home: &Home, abstention: Abstention, cause: Cause) -> Result<(), VotingError> {
    let cause = recorded(home)?.map_or(cause, |(_, first)| first);
    let stored = AbstentionFile { abstention, cause, sha256: checksum(abstention, cause) };
    let text = serde_json::to_string(&stored).expect("an enum and a string are JSON") + "\n";
    Ok(durable::replace(&file(home), text.as_bytes())?)
}

fn checksum(abstention: Abstention, cause: Cause) -> String {
    hex::encode(Sha256::digest(format!("yilian abstention {abstention}: {cause}")))
}

fn file(home: &Home) -> PathBuf {
    home.vote_log().with_file_name(ABSTENTION)
}

/// Removes a file for good, if it is there.
fn remove(path: &Path) -> Result<(), VotingError> {
    if path.exists() {
        durable::remove(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
