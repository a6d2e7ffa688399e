//! Secret keys at rest: one key a file, sealed under a passphrase. Made and read by the client and by the node alike.
//!
//! The seal is the age format with a passphrase, so `age -d` opens it. A node's key (role `node`) may also lie without a
//! seal, because a node must start when nobody is there; its file is its owner's alone (mode 0600). The content is one
//! JSON object, `{"format":"yilian key v1","institution":…,"role":…,"public_key":…,
//! "secret_seed":…}`, keys as lower-case hexadecimal. The institution and the role say what the key was made for;
//! what it may do is what the ledger says.

use crate::durable::{self, FileError};
use crate::sealed::{self, SealError, WorkFactor};
use age::secrecy::SecretString;
use rand::TryRng as _;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::json::plain;
use yilian_spec::crypto::signature::{HexError, PublicKey, SecretKey};
use yilian_spec::domain::membership::Role;
use zeroize::{Zeroize, Zeroizing};

/// Most bytes of a key file.
const FILE_BYTES_MAX: u64 = 16 << 10;
const FORMAT: &str = "yilian key v1";

/// A secret key and what it was made for.
#[derive(Clone, Debug)]
pub struct Key {
    /// The institution it belongs to.
    pub institution: InstitutionId,
    /// The role it was made for.
    pub role: Role,
    /// The key.
    pub secret: SecretKey,
}

/// A key that was read from a file.
#[derive(Debug)]
pub struct Opened {
    /// The key.
    pub key: Key,
    /// Something that should be set right but does not keep the key from being used: the file is open to others.
    pub warning: Option<String>,
}

/// Why a key file could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The seal does not open.
    #[error("cannot open the key file {}: {source}", path.display())]
    Seal {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
    /// It opens, and there is something else inside.
    #[error("{} is not a key file of format {FORMAT:?}: {reason}", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: String,
    },
    /// The public key cannot be read.
    #[error("{}: the public key: {source}", path.display())]
    PublicKeyText {
        /// The file.
        path: PathBuf,
        /// Why.
        source: HexError,
    },
    /// The public key is not the one of the seed: somebody edited the content.
    #[error("{}: the public key does not belong to the secret seed: restore the file from a backup", path.display())]
    PublicKey {
        /// The file.
        path: PathBuf,
    },
    /// A key that is no node's lies open.
    #[error("{}: a key of role {role:?} must be sealed under a passphrase, only a node's may lie open", path.display())]
    MustBeSealed {
        /// The file.
        path: PathBuf,
        /// The key's role.
        role: Role,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no random bytes: {0}")]
    Randomness(#[from] rand::rngs::SysError),
}

/// What the content of every format names.
#[derive(Deserialize)]
struct Format {
    format: String,
}

/// What is inside the seal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: String,
    institution: InstitutionId,
    role: Role,
    public_key: String,
    secret_seed: String,
}

impl Drop for Content {
    fn drop(&mut self) {
        self.secret_seed.zeroize();
    }
}

/// Reads a key file as it is, sealed.
///
/// # Errors
/// When it cannot be read.
pub fn read_sealed(path: &Path) -> Result<Vec<u8>, KeyFileError> {
    Ok(durable::read(path, FILE_BYTES_MAX)?)
}

impl Key {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyFileError::Randomness`].
    pub fn generate(institution: InstitutionId, role: Role) -> Result<Self, KeyFileError> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::rngs::SysRng.try_fill_bytes(&mut *seed)?;
        Ok(Self { institution, role, secret: SecretKey::from_seed(&seed) })
    }

    /// Writes the key to a new file that only its owner may read, durably, sealed under a passphrase.
    ///
    /// # Errors
    /// [`FileError::Exists`] when there is a file of that name: a key is never overwritten.
    pub fn create(
        &self,
        path: &Path,
        passphrase: &SecretString,
        work: WorkFactor,
    ) -> Result<(), KeyFileError> {
        let sealed = sealed::seal(&self.content(), passphrase, work)
            .map_err(|source| KeyFileError::Seal { path: path.to_owned(), source })?;
        Ok(durable::create(path, &sealed)?)
    }

    /// Writes a node's key to a new file that only its owner may read, durably, without a seal: a node must be able to
    /// start when nobody is there.
    ///
    /// # Errors
    /// [`KeyFileError::MustBeSealed`] for another role; [`FileError::Exists`] when there is a file of that name.
    pub fn create_unsealed(&self, path: &Path) -> Result<(), KeyFileError> {
        if self.role != Role::Node {
            return Err(KeyFileError::MustBeSealed { path: path.to_owned(), role: self.role });
        }
        Ok(durable::create(path, &self.content())?)
    }

    fn content(&self) -> Zeroizing<Vec<u8>> {
        let content = Content {
            format: FORMAT.to_owned(),
            institution: self.institution.clone(),
            role: self.role,
            public_key: self.secret.public_key().to_string(),
            secret_seed: hex::encode(*self.secret.seed()),
        };
        let mut json =
            Zeroizing::new(serde_json::to_vec(&content).expect("a struct of names and strings is JSON"));
        json.push(b'\n');
        json
    }

    /// Whether a key file is sealed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_sealed(path: &Path) -> Result<bool, KeyFileError> {
        let bytes = Zeroizing::new(durable::read(path, FILE_BYTES_MAX)?);
        Ok(is_sealed(&bytes))
    }

    /// Reads a key file that is sealed, with the passphrase that is asked for then, or one of a node that is not.
    ///
    /// # Errors
    /// As [`Key::open`]; [`KeyFileError::MustBeSealed`] when a key of another role is not sealed; and why there is no
    /// passphrase.
    pub fn read<E: From<KeyFileError>>(
        path: &Path,
        passphrase: impl FnOnce() -> Result<SecretString, E>,
    ) -> Result<Opened, E> {
        let bytes = Zeroizing::new(durable::read(path, FILE_BYTES_MAX).map_err(KeyFileError::from)?);
        if is_sealed(&bytes) {
            return Ok(Self::open(path, &passphrase()?)?);
        }
        let key = Self::parse(path, &bytes)?;
        if key.role != Role::Node {
            return Err(KeyFileError::MustBeSealed { path: path.to_owned(), role: key.role }.into());
        }
        Ok(Opened { key, warning: durable::open_to_others(path) })
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`SealError::WrongPassphrase`] and the others of [`KeyFileError`], each naming the file.
    pub fn open(path: &Path, passphrase: &SecretString) -> Result<Opened, KeyFileError> {
        Self::open_sealed(path, &read_sealed(path)?, passphrase)
    }

    /// Opens the content of a key file that was read from `path`.
    ///
    /// # Errors
    /// As [`Key::open`].
    pub fn open_sealed(
        path: &Path,
        sealed: &[u8],
        passphrase: &SecretString,
    ) -> Result<Opened, KeyFileError> {
        let json = sealed::open(sealed, passphrase)
            .map_err(|source| KeyFileError::Seal { path: path.to_owned(), source })?;
        Ok(Opened { key: Self::parse(path, &json)?, warning: durable::open_to_others(path) })
    }

    fn parse(path: &Path, json: &[u8]) -> Result<Self, KeyFileError> {
        let not_a_key = |reason: String| KeyFileError::NotAKey { path: path.to_owned(), reason };
        // The format first: a later one may have other fields.
        let Format { format } = serde_json::from_slice(json)
            .map_err(|_| not_a_key("its content is not a JSON object that names its format".to_owned()))?;
        if format != FORMAT {
            return Err(not_a_key(format!("its content is of format {format:?}")));
        }
        let content: Content =
            serde_json::from_slice(json).map_err(|error| not_a_key(plain(&error.to_string())))?;
        let public_key: PublicKey = content
            .public_key
            .parse()
            .map_err(|source| KeyFileError::PublicKeyText { path: path.to_owned(), source })?;
        let mut seed = Zeroizing::new([0; 32]);
        hex::decode_to_slice(&content.secret_seed, &mut *seed)
            .map_err(|_| not_a_key("its secret seed is not 64 hexadecimal digits".to_owned()))?;
        let secret = SecretKey::from_seed(&seed);
        if secret.public_key() != public_key {
            return Err(KeyFileError::PublicKey { path: path.to_owned() });
        }
        Ok(Self { institution: content.institution.clone(), role: content.role, secret })
    }
}

/// The age format begins with its own name; what is not sealed is a JSON object.
fn is_sealed(bytes: &[u8]) -> bool {
    bytes.first() != Some(&b'{')
}
