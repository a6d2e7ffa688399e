//! Sealing bytes under a passphrase in the age format, so that `age -d` opens them too.

use age::secrecy::SecretString;
use age::{DecryptError, scrypt};
use zeroize::Zeroizing;

/// How dear one guess at a passphrase is: scrypt with N = 2^factor, r = 8, p = 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkFactor(u8);

impl WorkFactor {
    /// 2^17: 128 MiB and some tenths of a second for each guess.
    pub const PRODUCTION: Self = Self(17);
    /// 2^4: for tests that seal hundreds of files whose content is no secret.
    pub const TESTS_ONLY: Self = Self(4);
    /// 2^20, a gibibyte: what opening accepts at most.
    const ACCEPTED_MAX: u8 = 20;
}

/// Why bytes could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The passphrase does not open it.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// It was not sealed under a passphrase in the age format.
    #[error("this is not a file that was encrypted with a passphrase in the age format")]
    NotSealed,
    /// The passphrase is right, or may be, but the content was changed or cut off.
    #[error("the file is damaged or truncated: restore it from a backup")]
    Damaged,
    /// Opening it would take too long.
    #[error(
        "the file asks for scrypt with N = 2^{factor}, more than 2^{}: it was not made by this program",
        WorkFactor::ACCEPTED_MAX
    )]
    TooMuchWork {
        /// The exponent it asks for.
        factor: u8,
    },
    /// Encryption itself failed.
    #[error("encryption failed: {0}")]
    Encrypt(Box<age::EncryptError>),
}

/// Seals bytes under a passphrase.
///
/// # Errors
/// [`SealError::Encrypt`]; not known to occur for a single passphrase and a buffer in memory.
pub fn seal(plain: &[u8], passphrase: &SecretString, work: WorkFactor) -> Result<Vec<u8>, SealError> {
    let mut recipient = scrypt::Recipient::new(passphrase.clone());
    recipient.set_work_factor(work.0);
    age::encrypt(&recipient, plain).map_err(|error| SealError::Encrypt(Box::new(error)))
}

/// Opens what [`seal`] or the `age` program sealed under the passphrase. The result is wiped when dropped.
///
/// # Errors
/// All variants but [`SealError::Encrypt`].
pub fn open(sealed: &[u8], passphrase: &SecretString) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let mut identity = scrypt::Identity::new(passphrase.clone());
    identity.set_max_work_factor(WorkFactor::ACCEPTED_MAX);
    age::decrypt(&identity, sealed).map(Zeroizing::new).map_err(|error| match error {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => SealError::WrongPassphrase,
        DecryptError::ExcessiveWork { required, .. } => SealError::TooMuchWork { factor: required },
        DecryptError::InvalidMac | DecryptError::Io(_) => SealError::Damaged,
        // InvalidHeader, NoMatchingKeys, UnknownFormat, and what a later release of the library may add.
        _ => SealError::NotSealed,
    })
}
