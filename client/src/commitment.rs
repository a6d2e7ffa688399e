//! Commitments to documents: the document stays where it is, its salt in a file beside it, and only the hash of both
//! goes to the ledger. Destroying salt and document leaves a hash that says nothing.
//!
//! Whoever receives the document needs its salt to come to the same commitment. The salt travels with the document: both
//! files are handed over together, over the same protected way, and lie beside each other again where they arrive.

use std::path::{Path, PathBuf};

use rand::TryRng as _;
use serde::{Deserialize, Serialize};
use yilian_spec::base::id::{Commitment, commit};

use crate::error::ClientError;
use crate::limits;
use yilian_local::durable;

const FORMAT: &str = "yilian-salt/v1";

/// The salt of a commitment, as JSON in a file: `{"format","salt","commitment"}`, hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaltFile {
    /// What the file is.
    pub format: String,
    /// 32 random bytes.
    #[serde(with = "hex::serde")]
    pub salt: [u8; 32],
    /// The commitment, for whoever looks for the salt of one.
    pub commitment: Commitment,
}

/// Where the salt of a document is kept: `report.pdf` has `report.pdf.salt.json`.
pub fn salt_path(document: &Path) -> PathBuf {
    let mut name = document.file_name().unwrap_or_default().to_owned();
    name.push(".salt.json");
    document.with_file_name(name)
}

/// Commits to a document. Where its salt file exists already, the same salt is used again, so that a repeated command
/// (and the other side, which got both files) comes to the same commitment; else a new salt is written beside it,
/// durably, before the commitment is returned.
///
/// # Errors
/// [`ClientError::File`] when a file cannot be read or written, [`ClientError::FileContent`] when the document is no
/// regular file, or when the salt file is none, or is that of another document.
pub fn commit_to_file(document: &Path) -> Result<Commitment, ClientError> {
    // The salt goes beside the document, and what is not a file has no place of its own: `/dev/stdin` has `/dev`.
    if std::fs::metadata(document).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(ClientError::FileContent {
            path: document.to_owned(),
            expected: "a document",
            reason: "it is no regular file: write the document to one, since its salt is kept beside it"
                .to_owned(),
        });
    }
    let bytes = durable::read(document, limits::DOCUMENT_BYTES_MAX)?;
    let path = salt_path(document);
    match durable::read(&path, limits::INPUT_BYTES_MAX) {
        Ok(json) => recompute(&path, &json, &bytes),
        Err(durable::FileError::Absent { .. }) => {
            let mut salt = [0; 32];
            rand::rngs::SysRng.try_fill_bytes(&mut salt)?;
            let commitment = commit(&salt, &bytes);
            let file = SaltFile { format: FORMAT.to_owned(), salt, commitment };
            let json = serde_json::to_vec_pretty(&file).expect("a struct of texts is JSON");
            durable::create(&path, &json)?;
            Ok(commitment)
        }
        Err(other) => Err(other.into()),
    }
}

/// The commitment of a document that somebody else has committed to, with the salt that came with it. Never makes one: a
/// commitment under another salt is another commitment.
///
/// # Errors
/// [`ClientError::NoSalt`] where the salt is not beside the document, and as [`commit_to_file`].
pub fn commitment_of_received(document: &Path) -> Result<Commitment, ClientError> {
    let bytes = durable::read(document, limits::DOCUMENT_BYTES_MAX)?;
    let path = salt_path(document);
    match durable::read(&path, limits::INPUT_BYTES_MAX) {
        Ok(json) => recompute(&path, &json, &bytes),
        Err(durable::FileError::Absent { .. }) => {
            Err(ClientError::NoSalt { document: document.to_owned(), salt: path })
        }
        Err(other) => Err(other.into()),
    }
}

/// The commitment under a salt that exists, checked against what the salt file says.
fn recompute(path: &Path, json: &[u8], document: &[u8]) -> Result<Commitment, ClientError> {
    let wrong = |reason: String| ClientError::FileContent {
        path: path.to_owned(),
        expected: "the salt of this document",
        reason,
    };
    let file: SaltFile = serde_json::from_slice(json).map_err(|error| wrong(error.to_string()))?;
    if file.format != FORMAT {
        return Err(wrong(format!("its format is {:?}, not {FORMAT:?}", file.format)));
    }
    let commitment = commit(&file.salt, document);
    if commitment != file.commitment {
        return Err(wrong(format!("it belongs to {}; the document has changed since", file.commitment)));
    }
    Ok(commitment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_no_document_and_gets_no_salt() {
        let dir = tempfile::tempdir().unwrap();
        for device in [Path::new("/dev/null"), dir.path()] {
            let refused = commit_to_file(device).unwrap_err().to_string();
            assert!(refused.contains("no regular file"), "{refused}");
            assert!(!salt_path(device).exists());
        }
    }

    #[test]
    fn a_document_keeps_its_commitment_and_the_salt_decides_it() {
        let directory = tempfile::tempdir().unwrap();
        let document = directory.path().join("consent.pdf");
        std::fs::write(&document, b"consent").unwrap();
        let first = commit_to_file(&document).unwrap();
        assert_eq!(commit_to_file(&document).unwrap(), first);
        let salt: SaltFile =
            serde_json::from_slice(&std::fs::read(directory.path().join("consent.pdf.salt.json")).unwrap())
                .unwrap();
        assert_eq!(commit(&salt.salt, b"consent"), first);
        std::fs::remove_file(salt_path(&document)).unwrap();
        assert_ne!(commit_to_file(&document).unwrap(), first);
    }

    #[test]
    fn who_receives_a_document_needs_the_salt_that_came_with_it_and_never_makes_one() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (sent, received) = (here.path().join("bundle.json"), there.path().join("bundle.json"));
        std::fs::write(&sent, b"records").unwrap();
        let commitment = commit_to_file(&sent).unwrap();
        std::fs::copy(&sent, &received).unwrap();
        let error = commitment_of_received(&received).unwrap_err();
        assert!(matches!(&error, ClientError::NoSalt { .. }), "{error}");
        assert!(error.to_string().contains("bundle.json.salt.json"), "{error}");
        assert!(!salt_path(&received).exists(), "a salt was made up");
        std::fs::copy(salt_path(&sent), salt_path(&received)).unwrap();
        assert_eq!(commitment_of_received(&received).unwrap(), commitment);
    }

    #[test]
    fn a_changed_document_and_a_foreign_salt_file_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let document = directory.path().join("report.txt");
        std::fs::write(&document, b"one").unwrap();
        commit_to_file(&document).unwrap();
        std::fs::write(&document, b"two").unwrap();
        let error = commit_to_file(&document).unwrap_err();
        assert!(matches!(error, ClientError::FileContent { .. }), "{error}");
        for content in ["", "{}", r#"{"format":"other","salt":"00","commitment":"00"}"#] {
            std::fs::write(salt_path(&document), content).unwrap();
            let error = commit_to_file(&document).unwrap_err();
            assert!(matches!(error, ClientError::FileContent { .. }), "{content}: {error}");
        }
    }
}
