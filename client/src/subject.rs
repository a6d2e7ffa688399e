//! The link table of a custodian: which subject tag stands for which record number.
//!
//! A tag is its custodian's with 16 random bytes, drawn once per patient; nothing on the ledger derives from patient data. This table is
//! the only way back from a tag to a patient, so it is sealed under a passphrase, it never leaves the custodian, and
//! it must not lose an entry: whoever loses it can no longer say whose records the ledger speaks of.
//!
//! - A tag is given out only once its entry is on the disk. What was given out survives a crash.
//! - One process at a time: the table is locked from [`SubjectTable::open`] until it is dropped, by a file beside it
//!   (`<name>.lock`) whose lock the operating system releases even after a kill.
//! - Opening costs one decryption, adding any number of entries one encryption; finding costs nothing to speak of.
//!   So open once, and add many at a time with [`SubjectTable::tags_for`].
//!
//! A record number is the same however it was typed or copied: it is looked up and kept in Unicode's form NFC, without
//! zero-width characters.
//!
//! Inside the seal is text: the line `yilian subjects v1`, then one line for each entry, the record number, a
//! tab and the tag in hexadecimal, in the order of the record numbers. [`SubjectTable::export`] gives the same text.

mod normal;
mod text;

use age::secrecy::SecretString;
use rand::TryRng as _;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use yilian_local::durable::{self, FileError};
use yilian_local::sealed::{self, SealError, WorkFactor};
use yilian_spec::base::id::{InstitutionId, SubjectTag};
use zeroize::Zeroizing;

pub use text::LineError;

/// Most entries of a table.
pub const ENTRIES_MAX: usize = 2_000_000;
/// Most bytes of a record number.
pub const RECORD_NUMBER_BYTES_MAX: usize = 128;
/// Most bytes of the sealed file: every entry at its longest, and what the seal adds.
const FILE_BYTES_MAX: u64 = 512 << 20;
/// How often a locked table is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(20);

const _: () = assert!((ENTRIES_MAX * (RECORD_NUMBER_BYTES_MAX + 66)) as u64 <= FILE_BYTES_MAX / 10 * 9);

/// Why the table refuses.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no table. Not made unasked: tags drawn anew for the same patients would part their records in two.
    #[error(
        "there is no subject table {}: `yilian subject create` makes the profile's; if there was one, put back its file or \
         its backup, since a new one has other tags for the same patients", path.display()
    )]
    Absent {
        /// Where it should be.
        path: PathBuf,
    },
    /// The lock file cannot be opened or locked.
    #[error("cannot lock {}: {source}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Another process holds the table.
    #[error("another process is using the subject table {}: try again when it is done", path.display())]
    Busy {
        /// The table.
        path: PathBuf,
    },
    /// The seal does not open.
    #[error("cannot open the subject table {}: {source}", path.display())]
    Seal {
        /// The table.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
    /// A line of the table or of an import is wrong; nothing was changed.
    #[error("line {line}: {error}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        error: LineError,
    },
    /// The ledger has another tag for a record number.
    #[error(
        "the table has another tag for record {record_number} than what was recorded on the ledger, or its tag for another record: \
         restore the newest copy of the table"
    )]
    OtherTag {
        /// The record number.
        record_number: String,
    },
    /// A record number cannot be one.
    #[error(
        "a record number has 1 to {RECORD_NUMBER_BYTES_MAX} bytes, no control characters and no space at either end"
    )]
    RecordNumber,
    /// The table is full.
    #[error("the table would have more than {ENTRIES_MAX} entries: keep one table for each department")]
    Full,
    /// The operating system gave no randomness.
    #[error("the operating system gave no random bytes: {0}")]
    Randomness(#[from] rand::rngs::SysError),
}

/// Whether the table can hold a record number.
pub fn is_record_number(number: &str) -> bool {
    text::check_record_number(&normal::normalised(number)).is_ok()
}

/// An open, locked link table.
#[derive(Debug)]
pub struct SubjectTable {
    path: PathBuf,
    passphrase: SecretString,
    work: WorkFactor,
    entries: Entries,
    /// Holds the lock until the table is dropped.
    _lock: File,
}

/// The entries, both ways. What is in here is on the disk.
#[derive(Clone, Default)]
struct Entries {
    tags: BTreeMap<String, SubjectTag>,
    records: BTreeMap<SubjectTag, String>,
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} entries", self.tags.len())
    }
}

impl Entries {
    /// Adds an entry; whether it is new. An entry that contradicts another is refused.
    fn add(&mut self, record_number: &str, tag: SubjectTag) -> Result<bool, LineError> {
        match (self.tags.get(record_number), self.records.get(&tag)) {
            (Some(known), _) if *known == tag => Ok(false),
            (Some(_), _) => Err(LineError::OtherTag),
            (None, Some(_)) => Err(LineError::OtherRecord),
            (None, None) => {
                self.tags.insert(record_number.to_owned(), tag);
                self.records.insert(tag, record_number.to_owned());
                Ok(true)
            }
        }
    }
}

impl SubjectTable {
    /// Makes a new, empty table and opens it.
    ///
    /// # Errors
    /// [`FileError::Exists`] when there is a file of that name; see also [`SubjectTable::open`].
    pub fn create(path: &Path, passphrase: &SecretString, work: WorkFactor) -> Result<Self, SubjectError> {
        let path = resolved(path)?;
        let lock = lock(&path, Duration::ZERO)?;
        let table =
            Self { path, passphrase: passphrase.clone(), work, entries: Entries::default(), _lock: lock };
        durable::create(&table.path, &table.sealed(&table.entries)?)?;
        Ok(table)
    }

    /// Opens a table, waiting up to `wait` while another process holds it. `work` is for what is written later.
    ///
    /// A table that is not there is an error, never silently a new one: tags drawn twice for the same patients
    /// would part their records in two.
    ///
    /// # Errors
    /// [`SubjectError::Absent`], [`SubjectError::Busy`], [`SubjectError::Seal`] (wrong passphrase, damaged or
    /// truncated file), [`SubjectError::Line`] when the content is not a table.
    pub fn open(
        path: &Path,
        passphrase: &SecretString,
        work: WorkFactor,
        wait: Duration,
    ) -> Result<Self, SubjectError> {
        let path = resolved(path)?;
        if !path.exists() {
            return Err(SubjectError::Absent { path });
        }
        let lock = lock(&path, wait)?;
        let sealed = durable::read(&path, FILE_BYTES_MAX)?;
        let plain = sealed::open(&sealed, passphrase)
            .map_err(|source| SubjectError::Seal { path: path.clone(), source })?;
        let mut entries = Entries::default();
        text::read_into(&mut entries, &plain)?;
        Ok(Self { path, passphrase: passphrase.clone(), work, entries, _lock: lock })
    }

    /// The tag of a record number, drawn and written to the disk now when there is none yet.
    ///
    /// # Errors
    /// As [`SubjectTable::tags_for`].
    pub fn tag_for(
        &mut self,
        custodian: &InstitutionId,
        record_number: &str,
    ) -> Result<SubjectTag, SubjectError> {
        let tags = self.tags_for(&[(custodian, record_number)])?;
        Ok(tags[0])
    }

    /// The tags of many record numbers, each with who keeps the record, in their order; all that are missing are drawn and
    /// written at once.
    ///
    /// # Errors
    /// [`SubjectError::RecordNumber`], [`SubjectError::Full`], [`SubjectError::Randomness`], or why it could not
    /// be written. After an error the table is as before.
    pub fn tags_for(&mut self, records: &[(&InstitutionId, &str)]) -> Result<Vec<SubjectTag>, SubjectError> {
        let records: Vec<_> =
            records.iter().map(|(custodian, number)| (*custodian, normal::normalised(number))).collect();
        let is_missing = |number: &str| !self.entries.tags.contains_key(number);
        let missing: Vec<_> = records.iter().filter(|(_, number)| is_missing(number)).collect();
        if !missing.is_empty() {
            let mut entries = self.entries.clone();
            for (custodian, number) in missing {
                let number = number.as_ref();
                text::check_record_number(number).map_err(|_| SubjectError::RecordNumber)?;
                if !entries.tags.contains_key(number) {
                    let tag = draw(custodian)?;
                    entries.add(number, tag).expect("16 fresh random bytes are nobody's tag");
                }
            }
            self.write(entries)?;
        }
        Ok(records.iter().map(|(_, number)| self.entries.tags[number.as_ref()]).collect())
    }

    /// Adds tags that are known from elsewhere to record numbers that have none.
    ///
    /// # Errors
    /// [`SubjectError::OtherTag`] where one contradicts an entry, [`SubjectError::RecordNumber`], [`SubjectError::Full`], or why
    /// it could not be written; then nothing is added.
    pub fn adopt(&mut self, tags: &[(&str, SubjectTag)]) -> Result<(), SubjectError> {
        let mut entries = self.entries.clone();
        let mut added = false;
        for (number, tag) in tags {
            let number = normal::normalised(number);
            text::check_record_number(number.as_ref()).map_err(|_| SubjectError::RecordNumber)?;
            let other = |_| SubjectError::OtherTag { record_number: number.clone().into_owned() };
            added |= entries.add(number.as_ref(), *tag).map_err(other)?;
        }
        if added { self.write(entries) } else { Ok(()) }
    }

    /// The tag of a record number, if it has one.
    pub fn tag_of(&self, record_number: &str) -> Option<SubjectTag> {
        self.entries.tags.get(normal::normalised(record_number).as_ref()).copied()
    }

    /// The record number that a tag stands for, if it is one of this table's.
    pub fn find(&self, tag: &SubjectTag) -> Option<&str> {
        self.entries.records.get(tag).map(String::as_str)
    }

    /// All entries, by record number.
    pub fn list(&self) -> impl ExactSizeIterator<Item = (&str, SubjectTag)> {
        self.entries.tags.iter().map(|(number, tag)| (number.as_str(), *tag))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.tags.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.tags.is_empty()
    }

    /// Removes the link between a record number and its tag for good: what the ledger holds under that tag then
    /// speaks of nobody. The tag, if there was one.
    ///
    /// # Errors
    /// Why it could not be written; the entry is then still there.
    pub fn forget(&mut self, record_number: &str) -> Result<Option<SubjectTag>, SubjectError> {
        let mut entries = self.entries.clone();
        let number = normal::normalised(record_number);
        let Some(tag) = entries.tags.remove(number.as_ref()) else { return Ok(None) };
        entries.records.remove(&tag);
        self.write(entries)?;
        Ok(Some(tag))
    }

    /// The whole table as text, in the clear: the form described above. Wiped when dropped; whoever writes it
    /// somewhere answers for it.
    pub fn export(&self) -> Zeroizing<String> {
        text::write(&self.entries)
    }

    /// Adds the entries of an exported table; how many were new. Entries that are there already are left alone.
    ///
    /// # Errors
    /// [`SubjectError::Line`] for the first line that is not an entry or contradicts one (another tag for a record
    /// number, another record number for a tag); then nothing at all is added.
    pub fn import(&mut self, text: &[u8]) -> Result<usize, SubjectError> {
        let mut entries = self.entries.clone();
        let added = text::read_into(&mut entries, text)?;
        if added > 0 {
            self.write(entries)?;
        }
        Ok(added)
    }

    /// Writes entries to the disk, and only then makes them the table's.
    fn write(&mut self, entries: Entries) -> Result<(), SubjectError> {
        if entries.tags.len() > ENTRIES_MAX {
            return Err(SubjectError::Full);
        }
        durable::replace(&self.path, &self.sealed(&entries)?)?;
        self.entries = entries;
        Ok(())
    }

    fn sealed(&self, entries: &Entries) -> Result<Vec<u8>, SubjectError> {
        sealed::seal(text::write(entries).as_bytes(), &self.passphrase, self.work)
            .map_err(|source| SubjectError::Seal { path: self.path.clone(), source })
    }
}

/// Draws a tag from the operating system's randomness.
fn draw(custodian: &InstitutionId) -> Result<SubjectTag, rand::rngs::SysError> {
    let mut bytes = [0; 16];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes)?;
    Ok(SubjectTag::of(custodian, bytes))
}

/// The path without symbolic links, so that all names of a table share one lock and a link is not replaced.
fn resolved(path: &Path) -> Result<PathBuf, SubjectError> {
    if path.exists() {
        return std::fs::canonicalize(path)
            .map_err(|source| FileError::Io { action: "resolve", path: path.to_owned(), source }.into());
    }
    let directory = std::fs::canonicalize(durable::directory(path))
        .map_err(|_| FileError::Absent { path: durable::directory(path).to_owned() })?;
    Ok(directory.join(path.file_name().unwrap_or_default()))
}

/// Takes the lock beside a table. The lock file stays: were it removed, two processes could each lock another one.
fn lock(table: &Path, wait: Duration) -> Result<File, SubjectError> {
    let mut name = table.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let failed = |source| SubjectError::Lock { path: path.clone(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    let deadline = Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_RETRY),
            Err(TryLockError::WouldBlock) => return Err(SubjectError::Busy { path: table.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}
