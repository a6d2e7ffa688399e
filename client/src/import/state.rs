//! The import's own directory: its secret, its link table and its journal.
//!
//! They are made in this order, each synced before the next: secret, journal, table. Where a later one is there, an earlier
//! one that is not was lost, and making it anew would record everything twice.

use std::path::{Path, PathBuf};
use std::time::Duration;

use age::secrecy::SecretString;
use rand::TryRng as _;
use yilian_spec::id::{ChainId, InstitutionId, SubjectTag};

use super::document::Secret;
use super::error::ImportError;
use super::journal::Journal;
use crate::durable::{self, FileError};
use crate::sealed::WorkFactor;
use crate::subject::SubjectTable;

const SECRET: &str = "secret";
const SUBJECTS: &str = "subjects.age";
/// Says that there is a table, also where the table is gone.
const SUBJECTS_MADE: &str = "subjects.made";
const JOURNAL: &str = "journal";
/// Longest file with the secret in bytes.
const SECRET_BYTES_MAX: u64 = 128;

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

    /// The table of subjects, where there is one or was one.
    fn made_table(&self) -> Option<PathBuf> {
        let table = self.directory.join(SUBJECTS);
        (table.exists() || self.directory.join(SUBJECTS_MADE).exists()).then_some(table)
    }

    /// The secret, drawn when the directory is new.
    ///
    /// # Errors
    /// [`ImportError`] when it was lost or cannot be read.
    pub fn open_secret(&self) -> Result<Secret, ImportError> {
        let state = |source| ImportError::State { path: self.directory.clone(), source };
        std::fs::create_dir_all(&self.directory).map_err(state)?;
        let path = self.directory.join(SECRET);
        match durable::read(&path, SECRET_BYTES_MAX) {
            Ok(text) => parse(&path, &text),
            // Where there is more, its secret was lost; a new one would record everything again.
            Err(FileError::Absent { .. }) if !self.journal().exists() && self.made_table().is_none() => {
                let mut bytes = [0; 32];
                rand::rngs::SysRng.try_fill_bytes(&mut bytes)?;
                durable::create(&path, hex::encode(bytes).as_bytes())?;
                Ok(Secret::new(bytes))
            }
            Err(FileError::Absent { path }) => Err(ImportError::SecretLost { path }),
            Err(other) => Err(other.into()),
        }
    }

    /// The secret for a look: one that nobody keeps where there is none yet.
    ///
    /// # Errors
    /// [`ImportError`] when it cannot be read.
    pub fn look_secret(&self) -> Result<Secret, ImportError> {
        let path = self.directory.join(SECRET);
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
        Ok(Journal::open(&self.journal(), chain_id, self.made_table().as_deref())?)
    }

    /// The tags of the subjects, drawn where they have none. A table that is gone is never silently begun anew.
    ///
    /// # Errors
    /// [`ImportError::Subjects`], [`ImportError::File`].
    pub fn tags(
        &self,
        subjects: &[(InstitutionId, String)],
        passphrase: &SecretString,
    ) -> Result<Vec<SubjectTag>, ImportError> {
        let path = self.directory.join(SUBJECTS);
        let marker = self.directory.join(SUBJECTS_MADE);
        let mut table = if self.made_table().is_some() {
            SubjectTable::open(&path, passphrase, WorkFactor::PRODUCTION, Duration::ZERO)?
        } else {
            SubjectTable::create(&path, passphrase, WorkFactor::PRODUCTION)?
        };
        if !marker.exists() {
            durable::create(&marker, b"the subject tags of this import are in subjects.age\n")?;
        }
        let records: Vec<_> =
            subjects.iter().map(|(custodian, number)| (custodian, number.as_str())).collect();
        Ok(table.tags_for(&records)?)
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
