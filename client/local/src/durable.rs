//! Small files that survive a crash: written beside, synced, then put in place in one step.
//!
//! At any moment, also when the power fails, the name holds the whole old content or the whole new one. When a
//! function here returns without error, the new content is on the disk, and so is the directory entry.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is already a file; it is not overwritten.
    #[error("{} already exists and is not overwritten: choose another name or move it away", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is no such file.
    #[error("{} does not exist: check the path", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// The file is larger than such a file can be.
    #[error("{} has more than {bytes_max} bytes and cannot be such a file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        bytes_max: u64,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// Turns an error of the operating system into one that names file and action.
fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { action, path, source }
}

/// Writes a new file that only its owner may read (mode 0600).
///
/// # Errors
/// [`FileError::Exists`] when there is one already, which then stays as it is; else what the system says.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = NewFile::begin(path)?;
    file.append(bytes)?;
    file.finish()
}

/// A new file of any length (mode 0600) that appears under its name when it is whole.
#[derive(Debug)]
pub struct NewFile {
    part: tempfile::NamedTempFile,
    path: PathBuf,
}

impl NewFile {
    /// Begins a file.
    ///
    /// # Errors
    /// [`FileError::Exists`] when there is one already, before anything was written for nothing; else what the system says.
    pub fn begin(path: &Path) -> Result<Self, FileError> {
        if path.symlink_metadata().is_ok() {
            return Err(FileError::Exists { path: path.to_owned() });
        }
        Ok(Self { part: beside(path)?, path: path.to_owned() })
    }

    /// Appends to it.
    ///
    /// # Errors
    /// What the system says.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.part.write_all(bytes).map_err(io("write", &self.path))
    }

    /// Puts it under its name. Without this it leaves nothing behind.
    ///
    /// # Errors
    /// [`FileError::Exists`] when there is one meanwhile, which then stays as it is; else what the system says.
    pub fn finish(self) -> Result<(), FileError> {
        let Self { part, path } = self;
        part.as_file().sync_all().map_err(io("sync", &path))?;
        part.persist_noclobber(&path).map_err(|failed| match failed.error.kind() {
            ErrorKind::AlreadyExists => FileError::Exists { path: path.clone() },
            _ => io("create", &path)(failed.error),
        })?;
        sync_directory(&path)
    }
}

/// Puts new content in place of the old (mode 0600).
///
/// # Errors
/// What the system says. Unless the error came from syncing the directory, the old content is still in place.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let part = write_beside(path, bytes)?;
    part.persist(path).map_err(|failed| io("replace", path)(failed.error))?;
    sync_directory(path)
}

/// Removes a file.
///
/// # Errors
/// What the system says.
pub fn remove(path: &Path) -> Result<(), FileError> {
    std::fs::remove_file(path).map_err(io("remove", path))?;
    sync_directory(path)
}

/// Opens a file to read.
///
/// # Errors
/// [`FileError::Absent`], or what the system says.
pub fn open(path: &Path) -> Result<File, FileError> {
    File::open(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => FileError::Absent { path: path.to_owned() },
        _ => io("open", path)(source),
    })
}

/// Reads a whole file of at most `bytes_max` bytes.
///
/// # Errors
/// [`FileError::Absent`], [`FileError::TooLarge`], or what the system says.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(io("read", path))?;
    if bytes.len() as u64 > bytes_max {
        return Err(FileError::TooLarge { path: path.to_owned(), bytes_max });
    }
    Ok(bytes)
}

/// A warning when others than the owner may read or write a file that should be private, with what to do.
pub fn open_to_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0)
        .then(|| format!("{0} is open to others (mode {mode:03o}): run chmod 600 {0}", path.display()))
}

/// The directory that holds a file.
pub fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary file in the same directory, mode 0600. It removes itself unless it is persisted; only a crash can leave one
/// behind, and nothing ever reads it.
fn beside(path: &Path) -> Result<tempfile::NamedTempFile, FileError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(".part")
        .tempfile_in(directory(path))
        .map_err(io("create a file in the directory of", path))
}

/// The content in a temporary file in the same directory, synced.
fn write_beside(path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile, FileError> {
    let mut part = beside(path)?;
    part.write_all(bytes).map_err(io("write", path))?;
    part.as_file().sync_all().map_err(io("sync", path))?;
    Ok(part)
}

/// Makes the directory entry of a file durable, after it was made, renamed or removed.
///
/// # Errors
/// What the system says.
pub fn sync_directory(path: &Path) -> Result<(), FileError> {
    let directory = directory(path);
    File::open(directory).and_then(|handle| handle.sync_all()).map_err(io("sync the directory", directory))
}
