//! Everything that a node's home holds, read in full: what `yilian-node check` says and `repair` acts on.
//!
//! | file | read how |
//! |---|---|
//! | `data/ledger` | every log's end, every block executed again, every row of every column: [`crate::storage::audit`] |
//! | `data/votes.wal` | every entry under its checksum, its heights against the ledger's: [`crate::consensus::vote_log`] |
//! | `data/abstention.json` | under its checksum: [`crate::voting`] |
//! | `genesis.json` | its rules, and its chain id against the ledger's |
//! | `network.key` | its form, and whether the ledger names its public half; where there is none, the genesis |
//! | `config.toml` | strictly, with ranges; a value that is merely another one is the operator's to know |
//!
//! The validator's key is sealed with authentication: an altered file does not open, so the node does not start. What
//! carries no truth is not looked at: RocksDB's `LOG` and `LOG.old` (text for people), `LOCK` (empty), `IDENTITY` (a name
//! that nothing reads), `OPTIONS-*` (written, never read by this program); the node's own `lock` and log.

use std::path::PathBuf;

use yilian_spec::base::height::Height;
use yilian_spec::domain::membership::{KeyRecord, Role};
use yilian_spec::state::key::StateKey;

use crate::consensus::vote_log::{self, VoteLog};
use crate::home::{Home, HomeError};
use crate::storage::audit::{self, Finding, Report};
use crate::storage::{Damage, StorageError, StorageOptions, Store};
use crate::voting;

/// What an inspection found.
#[derive(Debug)]
pub struct Inspection {
    /// The ledger's audit, without findings; `None` when there is no ledger yet. Or what is wrong, in one sentence.
    pub ledger: Result<Option<Report>, String>,
    /// All findings of the audit.
    pub findings: Vec<Finding>,
    /// The log of votes, or what is wrong with it.
    pub votes: Result<VoteLog, String>,
    /// What is wrong with the files that no peer has.
    pub files: Vec<String>,
    /// What an operator should know although nothing is damaged.
    pub notes: Vec<String>,
}

impl Inspection {
    /// Whether nothing is damaged.
    pub fn is_clean(&self) -> bool {
        self.ledger.is_ok() && self.votes.is_ok() && self.files.is_empty()
    }

    /// All that is wrong, a line each.
    pub fn complaints(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.files.clone();
        match &self.ledger {
            Err(_) if !self.findings.is_empty() => lines.extend(self.findings.iter().map(Finding::to_string)),
            Err(reason) => lines.push(reason.clone()),
            Ok(_) => {}
        }
        lines.extend(self.votes.as_ref().err().cloned());
        lines
    }
}

/// Reads a stopped node's home in full and changes nothing. The caller has locked it.
///
/// # Errors
/// When the system refuses to read something.
pub fn inspect(home: &Home, progress: impl FnMut(Height, Height)) -> Result<Inspection, HomeError> {
    inspect_at(home, || Ok(home.ledger_directory()), progress)
}

/// [`inspect`] with the ledger in another directory than the home's: a copy of a moment that `ledger` makes while the node
/// goes on. It is asked for after the log of votes has been read, which runs ahead of the ledger.
///
/// # Errors
/// As [`inspect`], or that of `ledger`.
pub fn inspect_at(
    home: &Home,
    ledger: impl FnOnce() -> Result<PathBuf, HomeError>,
    progress: impl FnMut(Height, Height),
) -> Result<Inspection, HomeError> {
    let mut files = Vec::new();
    let mut notes = Vec::new();
    let path = home.vote_log();
    let votes = match vote_log::read(&path).map_err(HomeError::File)? {
        VoteLog::Damaged { reason } => {
            Err(format!("the log of votes {} is damaged: {reason}", path.display()))
        }
        whole => Ok(whole),
    };
    let directory = ledger()?;
    let (ledger, findings) = match audit::check(&directory, progress) {
        Ok(report) if report.is_clean() => (Ok(Some(report)), Vec::new()),
        Ok(report) => {
            let own = home.ledger_directory();
            let reason = format!("the ledger in {} is damaged: {}", own.display(), report.findings[0]);
            (Err(reason), report.findings)
        }
        Err(StorageError::NoLedger { .. }) => (Ok(None), Vec::new()),
        Err(error) if error.is_damage() => (Err(error.to_string()), Vec::new()),
        Err(error) => return Err(HomeError::Ledger(error.to_string())),
    };
    match home.genesis() {
        Err(error) => files.push(error.to_string()),
        Ok(genesis) => {
            let chain_id =
                ledger.as_ref().ok().and_then(|report| report.as_ref()).map(|report| report.chain_id);
            if let Some(found) = chain_id.filter(|found| *found != genesis.chain_id()) {
                files.push(format!(
                    "the genesis is that of ledger {}, the data directory holds {found}",
                    genesis.chain_id()
                ));
            }
        }
    }
    if let (Ok(None), Ok(genesis)) = (&ledger, home.genesis()) {
        notes.extend(home.unnamed_keys(&genesis));
    }
    let has_ledger = ledger.as_ref().is_ok_and(Option::is_some);
    if let Err(reason) = network_key(home, has_ledger.then_some(&directory)) {
        files.push(reason);
    }
    if let (Ok(Some(report)), Ok(VoteLog::Intact { height, .. })) = (&ledger, &votes)
        && *height > report.height.next()
    {
        notes.push(format!(
            "the log of votes is at height {height}, the ledger ends at {}: the ledger was replaced by an older one, or \
             the log's height was altered; the node will not vote up to block {height}",
            report.height
        ));
    }
    let recorded = voting::recorded(home).map_err(|error| HomeError::Ledger(error.to_string()))?;
    if let (Ok(Some(report)), None) = (&ledger, recorded)
        // A node that runs has gone on since, so the log is read again: it is never behind the ledger that was read before it.
        && let Ok(VoteLog::Intact { height, .. }) = vote_log::read(&path)
        && voting::is_older(height, report.height)
    {
        notes.push(format!(
            "the log of votes is at height {height}, the ledger ends at {}: the log was replaced by an older one; the node \
             will not vote up to block {}",
            report.height,
            report.height.next()
        ));
    }
    if let Some((abstention, cause)) = recorded {
        notes.push(format!("{cause}: the node follows without voting {abstention}"));
    }
    Ok(Inspection { ledger, findings, votes, files, notes })
}

/// Whether the network key can be read, and is one of those that the ledger names.
fn network_key(home: &Home, ledger: Option<&PathBuf>) -> Result<(), String> {
    let key = home.network_key().map_err(|error| error.to_string())?.secret.public_key();
    let Some(directory) = ledger else { return Ok(()) };
    let named = Store::open_read_only(directory, StorageOptions::default())
        .and_then(|store| store.state_record::<KeyRecord>(&StateKey::Key(key)));
    let path = home.path.join(&home.config.node.network_key);
    let unknown = || {
        format!(
            "{} is not the key of a node that the ledger names ({key}): peers will refuse this node; restore the file, \
             or have an administrator register the key",
            path.display()
        )
    };
    match named {
        Ok(record) if record.role == Role::Node => Ok(()),
        Ok(_) | Err(StorageError::Damage(Damage::RowMissing { .. })) => Err(unknown()),
        Err(error) => Err(error.to_string()),
    }
}
