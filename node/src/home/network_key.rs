//! Replacing the key by which peers know this node: the next one lies beside the present one until it takes its place.

use std::path::{Path, PathBuf};

use yilian_local::durable::{self, FileError};
use yilian_local::keyfile::Key;
use yilian_local::passphrase;
use yilian_local::sealed::WorkFactor;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::domain::membership::Role;

use super::{Home, HomeError};

/// Most bytes of a key file.
const KEY_FILE_BYTES_MAX: u64 = 16 << 10;

impl Home {
    /// Where the next network key lies until it is used.
    pub fn next_network_key_file(&self) -> PathBuf {
        beside(&self.network_key_file(), "next")
    }

    /// Where the network key lies that was replaced last.
    pub fn previous_network_key_file(&self) -> PathBuf {
        beside(&self.network_key_file(), "previous")
    }

    /// The next network key: the one that lies there, or a new one, sealed if the present one is.
    ///
    /// # Errors
    /// When a key cannot be read or written.
    pub fn prepare_network_key(&self, institution: InstitutionId) -> Result<Key, HomeError> {
        let path = self.next_network_key_file();
        if path.exists() {
            return self.read_node_key(&path);
        }
        let key = Key::generate(institution, Role::Node)?;
        let present = self.network_key_file();
        if Key::is_sealed(&present)? {
            let passphrase = passphrase::passphrase(&self.passphrase_source(&present)?)?;
            key.create(&path, &passphrase, WorkFactor::PRODUCTION)?;
        } else {
            key.create_unsealed(&path)?;
        }
        Ok(key)
    }

    /// Puts the next network key in the place of the present one, which is kept beside it. At any moment there is a
    /// whole key in place.
    ///
    /// # Errors
    /// When there is no next key, or a file cannot be read or written.
    pub fn use_next_network_key(&self) -> Result<(), HomeError> {
        let (present, next) = (self.network_key_file(), self.next_network_key_file());
        let old = durable::read(&present, KEY_FILE_BYTES_MAX)?;
        durable::replace(&self.previous_network_key_file(), &old)?;
        std::fs::rename(&next, &present).map_err(|source| {
            HomeError::File(FileError::Io { action: "put in place", path: next.clone(), source })
        })?;
        Ok(durable::sync_directory(&present)?)
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}
