//! Files with altered bytes: a stopped node's home is copied, one byte at a time is altered and put right again, and what
//! the node's own inspection says each time is compared with what the files still hold.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use yilian_node::consensus::vote_log::VoteLog;
use yilian_node::home::Home;
use yilian_node::operator::inspection;
use yilian_node::storage::disk::Column;
use yilian_node::storage::{StorageOptions, Store};

/// What is altered in a byte: one bit, several, or all.
const PATTERNS: [u8; 5] = [0x01, 0x80, 0x20, 0x07, 0xff];
/// Bytes at both ends of a file that are altered always: heads and footers are where formats keep what is not checked.
const ENDS: u64 = 96;

/// What a file is to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The ledger or the log of votes: every alteration is found, or the node holds the same as before.
    Truth,
    /// Keys and genesis, which no peer can give back: every alteration is found, or what is read is the same.
    Own,
    /// What the operator writes: an alteration is refused, or it is another setting.
    Setting,
    /// Text for people, what nothing reads, or what peers tell again: every alteration changes nothing.
    NoTruth,
}

impl Kind {
    /// By the file's name.
    pub fn of(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match &*name {
            "config.toml" | "passphrase" => Self::Setting,
            "genesis.json" | "network.key" | "validator.key" => Self::Own,
            "LOCK" | "IDENTITY" | "lock" | "node.log" | "addresses.bin" => Self::NoTruth,
            _ if name.starts_with("LOG") || name.starts_with("OPTIONS-") => Self::NoTruth,
            _ => Self::Truth,
        }
    }
}

/// What came of an alteration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The inspection says so, in these words.
    Found(String),
    /// The inspection finds nothing wrong, and every row, vote and key is as it was.
    Harmless,
}

/// A stopped node's home, copied for altering.
pub struct Specimen {
    home: PathBuf,
    truth: String,
    _directory: tempfile::TempDir,
}

impl Specimen {
    /// Copies the home of a node that does not run; what it holds must be whole.
    ///
    /// # Errors
    /// When it cannot be copied, or is damaged already.
    pub fn copy(home: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("yilian-damage-").tempdir()?;
        let copy = directory.path().join("home");
        copy_directory(home, &copy)?;
        let truth = match inspect(&copy) {
            Ok((complaints, truth)) if complaints.is_empty() => truth,
            Ok((complaints, _)) => bail!("the specimen is damaged already: {complaints:?}"),
            Err(error) => return Err(error.context("the specimen is damaged already")),
        };
        Ok(Self { home: copy, truth, _directory: directory })
    }

    /// Where the copy lies.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// All its files, with their sizes, in order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn files(&self) -> Result<BTreeMap<PathBuf, u64>> {
        let mut found = BTreeMap::new();
        list(&self.home, &mut found)?;
        Ok(found)
    }

    /// Alters one byte, inspects, and puts the byte right again.
    ///
    /// # Errors
    /// When nothing is found although what the node would answer has changed: that must never be.
    pub fn alter(&self, path: &Path, place: u64, pattern: u8) -> Result<Outcome> {
        let file = File::options().read(true).write(true).open(path)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, place)?;
        file.write_all_at(&[byte[0] ^ pattern], place)?;
        let inspected = inspect(&self.home);
        file.write_all_at(&byte, place)?;
        match inspected {
            Err(error) => Ok(Outcome::Found(format!("{error:#}"))),
            Ok((complaints, _)) if !complaints.is_empty() => Ok(Outcome::Found(complaints.join("; "))),
            Ok((_, truth)) => {
                ensure!(
                    truth == self.truth || Kind::of(path) == Kind::Setting,
                    "byte {place} of {} ^ {pattern:#04x} changed what the node holds, and nothing was found:\n{}\n{truth}",
                    path.display(),
                    self.truth
                );
                Ok(Outcome::Harmless)
            }
        }
    }
}

/// The places of a file of `length` bytes to alter, and how: each byte of its ends, and about `samples` in all regions
/// between; all of them when `samples` is `None`. The same for the same file.
pub fn places(length: u64, samples: Option<u64>) -> Vec<(u64, u8)> {
    let step = samples.map_or(1, |samples| (length / samples.max(1)).max(1));
    let ends =
        if samples.is_some_and(|samples| samples < 2 * ENDS) { samples.unwrap_or(0) / 4 } else { ENDS };
    let wanted = |place: &u64| place.is_multiple_of(step) || *place < ends || length - place <= ends;
    (0..length).filter(wanted).map(|place| (place, pattern(place))).collect()
}

fn pattern(place: u64) -> u8 {
    let mixed = place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    PATTERNS[(mixed % PATTERNS.len() as u64) as usize]
}

/// What the inspection complains of, and everything that the node would answer from or sign with.
fn inspect(home: &Path) -> Result<(Vec<String>, String)> {
    let home = Home::open(home)?;
    let found = inspection::inspect(&home, |_, _| {})?;
    let complaints: Vec<String> = [found.complaints(), found.notes.clone()].concat();
    if !complaints.is_empty() {
        return Ok((complaints, String::new()));
    }
    let key = home.validator_key()?.map(|key| key.public_key().to_string());
    let network = Sha256::digest(*home.network_key()?.secret.seed());
    let rows = match &found.ledger {
        Ok(Some(_)) => rows(&home.ledger_directory())?,
        _ => "no ledger".to_owned(),
    };
    let chain = home.genesis()?.chain_id();
    // The log's own height says nothing by itself: ahead of the ledger it is noted, and entries must agree with it.
    let votes = match &found.votes {
        Ok(VoteLog::Intact { votes, entries, .. }) => format!("{entries} entries of {votes:?}"),
        other => format!("{other:?}"),
    };
    Ok((complaints, format!("{key:?} {} {chain} {rows} {votes}", hex::encode(network))))
}

/// A digest of every row of every column, and how many there are.
fn rows(ledger: &Path) -> Result<String> {
    let store = Store::open_read_only(ledger, StorageOptions::default())?;
    let (mut digest, mut count) = (Sha256::new(), 0_u64);
    for column in Column::ALL {
        digest.update(column.name());
        for row in store.disk().scan(column, &[]) {
            let (key, value) = row?;
            for part in [&key, &value] {
                digest.update((part.len() as u64).to_le_bytes());
                digest.update(part);
            }
            // Single reads take another way through the files than listings do.
            ensure!(store.disk().get(column, &key)?.as_deref() == Some(&*value), "a row reads in two ways");
            count += 1;
        }
    }
    Ok(format!("{count} rows {}", hex::encode(digest.finalize())))
}

fn list(directory: &Path, found: &mut BTreeMap<PathBuf, u64>) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), found)?;
        } else if kind.is_file() {
            found.insert(entry.path(), entry.metadata()?.len());
        }
    }
    Ok(())
}

/// Copies the files of a directory; sockets are left out.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
