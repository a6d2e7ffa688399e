//! Keys that stay open for a while, so that a command need not pay for the passphrase each time.
//!
//! `yilian key unlock` leaves an opened key in a file of the directory that the system keeps in memory for one user and
//! empties when that user logs out, `$XDG_RUNTIME_DIR` (decision 0017). The file is named after the hash of the sealed key
//! file: a key file that was replaced is not opened by what its predecessor left. It says until when it holds; whoever
//! finds it later removes it.

use std::fs::ReadDir;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::membership::Role;
use zeroize::{Zeroize, Zeroizing};

use crate::limits::SESSION_MS_MAX;
use crate::memory::make_private_directory;
use yilian_local::durable::{self, FileError};
use yilian_local::keyfile::Key;

const FORMAT: &str = "yilian-session/v1";
const DIRECTORY: &str = "yilian";
const ENDING: &str = "key";
/// Most bytes of such a file.
const FILE_BYTES_MAX: u64 = 1 << 10;

/// Why a key cannot stay open.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is no place for it.
    #[error(
        "XDG_RUNTIME_DIR is not set, the directory that the system keeps in memory for you alone: log in through the system's \
         session, or set it to such a directory"
    )]
    NoRuntimeDirectory,
    /// Others could read it there.
    #[error("{} belongs to somebody else or is open to others: an opened key must not lie there", path.display())]
    NotPrivate {
        /// The directory.
        path: PathBuf,
    },
    /// Too long.
    #[error("a key stays open for at most {} h: give a shorter --for", SESSION_MS_MAX / 3_600_000)]
    TooLong,
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The opened keys of this user.
#[derive(Debug, Clone)]
pub struct Session {
    directory: PathBuf,
}

/// What is in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: String,
    since: LedgerTime,
    until: LedgerTime,
    institution: InstitutionId,
    role: Role,
    secret_seed: String,
}

impl Drop for Content {
    fn drop(&mut self) {
        self.secret_seed.zeroize();
    }
}

impl Session {
    /// The session in the user's runtime directory.
    ///
    /// # Errors
    /// [`SessionError::NoRuntimeDirectory`] and [`SessionError::NotPrivate`].
    pub fn of_this_user() -> Result<Self, SessionError> {
        let runtime =
            std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
        Self::under(&runtime.ok_or(SessionError::NoRuntimeDirectory)?)
    }

    /// The session of this user where any key was ever left open in it.
    pub fn found() -> Option<Self> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)?;
        if runtime.join(DIRECTORY).is_dir() { Self::of_this_user().ok() } else { None }
    }

    /// The session under a runtime directory.
    ///
    /// # Errors
    /// [`SessionError::NotPrivate`] when others than this user could read what lies there.
    pub fn under(runtime: &Path) -> Result<Self, SessionError> {
        let directory = runtime.join(DIRECTORY);
        make_private_directory(&directory)?;
        let read = |path: &Path| {
            std::fs::symlink_metadata(path).map_err(|source| {
                SessionError::File(FileError::Io { action: "look at", path: path.to_owned(), source })
            })
        };
        // A fresh file is this user's. What it lies in must be so too, or root would leave a key with somebody else.
        let probe = tempfile::NamedTempFile::new_in(&directory).map_err(|source| FileError::Io {
            action: "write to",
            path: directory.clone(),
            source,
        })?;
        let own = read(probe.path())?.uid();
        for path in [runtime, &directory] {
            let found = read(path)?;
            if !found.is_dir() || found.uid() != own || found.mode() & 0o077 != 0 {
                return Err(SessionError::NotPrivate { path: path.to_owned() });
            }
        }
        Ok(Self { directory })
    }

    /// Keeps a key open for `lifetime_ms` from `now`; `sealed` is the content of its key file.
    ///
    /// # Errors
    /// [`SessionError::TooLong`], or why it cannot be written.
    pub fn keep(
        &self,
        sealed: &[u8],
        key: &Key,
        now: LedgerTime,
        lifetime_ms: u64,
    ) -> Result<LedgerTime, SessionError> {
        if lifetime_ms > SESSION_MS_MAX {
            return Err(SessionError::TooLong);
        }
        let until = now.plus_ms(lifetime_ms);
        let content = Content {
            format: FORMAT.to_owned(),
            since: now,
            until,
            institution: key.institution.clone(),
            role: key.role,
            secret_seed: hex::encode(*key.secret.seed()),
        };
        let json =
            Zeroizing::new(serde_json::to_vec(&content).expect("a struct of names and strings is JSON"));
        durable::replace(&self.file(sealed), &json)?;
        Ok(until)
    }

    /// The opened key of a key file with this content, where there is one that still holds at `now`. What no longer
    /// holds, or cannot be read, is removed.
    pub fn find(&self, sealed: &[u8], now: LedgerTime) -> Option<Key> {
        let path = self.file(sealed);
        let bytes = Zeroizing::new(durable::read(&path, FILE_BYTES_MAX).ok()?);
        let found = read(&bytes, now);
        if found.is_none() {
            let _ = durable::remove(&path);
        }
        found
    }

    /// Forgets all opened keys; how many there were.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn forget(&self) -> Result<usize, SessionError> {
        let list = |source| FileError::Io { action: "list", path: self.directory.clone(), source };
        let entries: ReadDir = std::fs::read_dir(&self.directory).map_err(list)?;
        let mut count = 0;
        for entry in entries {
            let path = entry.map_err(list)?.path();
            if path.extension().is_some_and(|ending| ending == ENDING) {
                durable::remove(&path)?;
                count += 1;
            }
        }
        Ok(count)
    }

    fn file(&self, sealed: &[u8]) -> PathBuf {
        let name = hex::encode(Sha256::digest(sealed));
        self.directory.join(name).with_extension(ENDING)
    }
}

fn read(bytes: &[u8], now: LedgerTime) -> Option<Key> {
    let content: Content = serde_json::from_slice(bytes).ok()?;
    // Before its beginning is as bad as after its end: a clock that was set back must not prolong it.
    let holds = content.format == FORMAT && content.since <= now && now < content.until;
    if !holds {
        return None;
    }
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(&content.secret_seed, &mut *seed).ok()?;
    let (institution, role) = (content.institution.clone(), content.role);
    Some(Key { institution, role, secret: SecretKey::from_seed(&seed) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const NOW: LedgerTime = LedgerTime(1_000_000);

    fn runtime(mode: u32) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        directory
    }

    fn key() -> Key {
        Key::generate("renhe-hospital".parse().unwrap(), Role::Finance).unwrap()
    }

    #[test]
    fn a_key_stays_open_for_its_time_and_for_its_file_alone() {
        let runtime = runtime(0o700);
        let session = Session::under(runtime.path()).unwrap();
        let key = key();
        let public = key.secret.public_key();
        session.keep(b"sealed", &key, NOW, 1_000).unwrap();
        let found = |sealed: &[u8], now| session.find(sealed, now).map(|key| key.secret.public_key());
        assert_eq!(found(b"sealed", NOW), Some(public));
        assert_eq!(found(b"sealed", NOW.plus_ms(999)), Some(public));
        assert_eq!(found(b"sealed anew", NOW), None);
        let mode = std::fs::metadata(session.file(b"sealed")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(found(b"sealed", NOW.plus_ms(1_000)), None);
        assert!(!session.file(b"sealed").exists(), "what no longer holds is removed");
        session.keep(b"sealed", &key, NOW, 1_000).unwrap();
        assert_eq!(found(b"sealed", NOW.minus_ms(1)), None, "the clock was set back");
    }

    #[test]
    fn what_is_forgotten_is_gone_and_no_key_stays_open_for_days() {
        let runtime = runtime(0o700);
        let session = Session::under(runtime.path()).unwrap();
        session.keep(b"one", &key(), NOW, 1_000).unwrap();
        session.keep(b"two", &key(), NOW, 1_000).unwrap();
        assert_eq!(session.forget().unwrap(), 2);
        assert!(session.find(b"one", NOW).is_none() && session.find(b"two", NOW).is_none());
        let result = session.keep(b"one", &key(), NOW, SESSION_MS_MAX + 1);
        assert!(matches!(result, Err(SessionError::TooLong)));
    }

    #[test]
    fn no_key_is_left_where_others_can_read() {
        let runtime = runtime(0o755);
        assert!(matches!(Session::under(runtime.path()), Err(SessionError::NotPrivate { .. })));
        let inner = self::runtime(0o700);
        std::fs::create_dir(inner.path().join("yilian")).unwrap();
        std::fs::set_permissions(inner.path().join("yilian"), std::fs::Permissions::from_mode(0o750))
            .unwrap();
        assert!(matches!(Session::under(inner.path()), Err(SessionError::NotPrivate { .. })));
    }
}
