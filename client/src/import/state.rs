//! The import's own directory: its secret, its link table and its journal.
//!
//! They are made in this order, each synced before the next: journal, secret, table. Where a later one is there, an earlier
//! one that is not was lost, and making it anew would record everything twice. Nothing is in the journal before there is
//! a secret, and neither is made before a node has answered, so that an import which finds none leaves nothing behind.
//!
//! One import at a time has the directory. Only its owner may read it, like the rest of what a client keeps.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use age::secrecy::SecretString;
use rand::TryRng as _;
use yilian_spec::base::id::{ChainId, InstitutionId, SubjectTag};

use super::document::Secret;
use super::error::ImportError;
use super::journal::{Journal, JournalError};
use crate::memory::make_private_directory;
use crate::subject::SubjectTable;
use yilian_local::durable::{self, FileError};
use yilian_local::sealed::WorkFactor;

const SECRET: &str = "secret";
const SUBJECTS: &str = "subjects.age";
/// Says that there is a table, also where the table is gone.
const SUBJECTS_MADE: &str = "subjects.made";
const JOURNAL: &str = "journal";
/// Held while an import has the directory; says nothing.
const LOCK: &str = "lock";
/// Longest file with the secret in bytes.
const SECRET_BYTES_MAX: u64 = 128;

/// An import has the directory while this is there.
#[derive(Debug)]
pub struct Taken {
    _lock: File,
}

/// The directory.
#[derive(Debug, Clone)]
pub struct State {
    directory: PathBuf,
}

impl State {
    /// The state of an import, there or not.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The journal.
    pub fn journal(&self) -> PathBuf {
        self.directory.join(JOURNAL)
    }

    /// The file with the secret.
    pub fn secret(&self) -> PathBuf {
        self.directory.join(SECRET)
    }

    /// Whether an import began here.
    pub fn has_secret(&self) -> bool {
        self.secret().exists()
    }

    /// The table of subjects, where there is one or was one.
    fn made_table(&self) -> Option<PathBuf> {
        let table = self.directory.join(SUBJECTS);
        (table.exists() || self.directory.join(SUBJECTS_MADE).exists()).then_some(table)
    }

    /// Takes the directory for one import, until what this gives is dropped. Made where there is none.
    ///
    /// # Errors
    /// [`ImportError::StateBusy`] while another import has it; else what the system says.
    pub fn take(&self) -> Result<Taken, ImportError> {
        make_private_directory(&self.directory)?;
        let path = self.directory.join(LOCK);
        let io = |action| {
            let path = path.clone();
            move |source| FileError::Io { action, path, source }
        };
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(&path).map_err(io("open"))?;
        match file.try_lock() {
            Ok(()) => Ok(Taken { _lock: file }),
            Err(TryLockError::WouldBlock) => Err(ImportError::StateBusy { path: self.directory.clone() }),
            Err(TryLockError::Error(source)) => Err(io("lock")(source).into()),
        }
    }

    /// What shows that an import began here, beside its journal.
    fn begun(&self) -> Option<PathBuf> {
        let secret = self.secret();
        self.made_table().or_else(|| secret.exists().then_some(secret))
    }

    /// The secret, drawn when the directory is new; [`State::keep_secret`] keeps it.
    ///
    /// # Errors
    /// [`ImportError`] when it or the journal was lost, or it cannot be read.
    pub fn open_secret(&self) -> Result<Secret, ImportError> {
        if let Some(beside) = self.begun().filter(|_| !self.journal().exists()) {
            return Err(JournalError::Lost { path: self.journal(), beside }.into());
        }
        let path = self.secret();
        match durable::read(&path, SECRET_BYTES_MAX) {
            Ok(text) => parse(&path, &text),
            // What the journal knows, a new secret would record again.
            Err(FileError::Absent { .. }) if self.made_table().is_none() && self.knows_nothing()? => {
                draw_secret()
            }
            Err(FileError::Absent { path }) => Err(ImportError::SecretLost { path }),
            Err(other) => Err(other.into()),
        }
    }

    /// Whether no operation is in the journal.
    fn knows_nothing(&self) -> Result<bool, ImportError> {
        Ok(Journal::look(&self.journal())?.is_none_or(|contents| contents.is_empty()))
    }

    /// Keeps the secret, where it was just drawn. To be called once there is a journal, and before anything is in it.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep_secret(&self, secret: &Secret) -> Result<(), ImportError> {
        let path = self.secret();
        if path.exists() { Ok(()) } else { Ok(durable::create(&path, secret.to_hex().as_bytes())?) }
    }

    /// The secret for a look: one that nobody keeps where there is none yet.
    ///
    /// # Errors
    /// [`ImportError`] when it cannot be read.
    pub fn look_secret(&self) -> Result<Secret, ImportError> {
        let path = self.secret();
        match durable::read(&path, SECRET_BYTES_MAX) {
            Ok(text) => parse(&path, &text),
            Err(FileError::Absent { .. }) => draw_secret(),
            Err(other) => Err(other.into()),
        }
    }

    /// Opens the journal, or begins it.
    ///
    /// # Errors
    /// [`ImportError::Journal`].
    pub fn open_journal(&self, chain_id: ChainId) -> Result<Journal, ImportError> {
        Ok(Journal::open(&self.journal(), chain_id, self.begun().as_deref())?)
    }

    /// The tags of the subjects: those in the table, and where it has none, what follows from the secret, which is in the table
    /// from then on. A table that is gone is never silently begun anew.
    ///
    /// # Errors
    /// [`ImportError::Subjects`], [`ImportError::File`].
    pub fn tags(
        &self,
        subjects: &[(InstitutionId, String)],
        secret: &Secret,
        passphrase: &SecretString,
    ) -> Result<Vec<SubjectTag>, ImportError> {
        let records: Vec<_> =
            subjects.iter().map(|(custodian, number)| (custodian, number.as_str())).collect();
        let mut table = self.table(passphrase)?;
        let new = records.iter().filter(|(_, number)| table.tag_of(number).is_none());
        let new: Vec<_> = new.map(|(custodian, number)| (*number, secret.tag(custodian, number))).collect();
        table.adopt(&new)?;
        Ok(table.tags_for(&records)?)
    }

    fn table(&self, passphrase: &SecretString) -> Result<SubjectTable, ImportError> {
        let path = self.directory.join(SUBJECTS);
        let marker = self.directory.join(SUBJECTS_MADE);
        let table = if self.made_table().is_some() {
            SubjectTable::open(&path, passphrase, WorkFactor::PRODUCTION, Duration::ZERO)?
        } else {
            SubjectTable::create(&path, passphrase, WorkFactor::PRODUCTION)?
        };
        if !marker.exists() {
            durable::create(&marker, b"the subject tags of this import are in subjects.age\n")?;
        }
        Ok(table)
    }
}

fn parse(path: &Path, text: &[u8]) -> Result<Secret, ImportError> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.trim_ascii(), &mut bytes)
        .map_err(|_| ImportError::Secret { path: path.to_owned() })?;
    Ok(Secret::new(bytes))
}

/// A secret that nobody keeps.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn draw_secret() -> Result<Secret, ImportError> {
    let mut bytes = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes)?;
    Ok(Secret::new(bytes))
}

#[cfg(test)]
mod tests;
