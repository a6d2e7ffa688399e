//! The institutions that an operator has disconnected until further notice: a small file in the node's home.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use thiserror::Error;
use yilian_local::durable::{self, FileError};
use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::limits::{INSTITUTIONS_MAX, SLUG_LENGTH_MAX};

const FILE: &str = "disconnected.json";
/// Quotes, comma and white space beside each name.
const FILE_BYTES_MAX: u64 = (INSTITUTIONS_MAX * (SLUG_LENGTH_MAX + 8)) as u64;

/// Why the list cannot be used.
#[derive(Debug, Error)]
pub enum DisconnectedError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It holds something else.
    #[error("{} is not a list of institutions ({reason}): mend it, or remove it to let all in", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Reads the list; without a file nobody is disconnected.
///
/// # Errors
/// When the file cannot be read.
pub fn read(home: &Path) -> Result<BTreeSet<InstitutionId>, DisconnectedError> {
    let path = home.join(FILE);
    match durable::read(&path, FILE_BYTES_MAX) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| DisconnectedError::Form { path, reason: error.to_string() }),
        Err(FileError::Absent { .. }) => Ok(BTreeSet::new()),
        Err(error) => Err(error.into()),
    }
}

/// Adds an institution to the list or takes it off; returns the list, and whether that changed it.
///
/// # Errors
/// When the file cannot be read or written.
pub fn change(
    home: &Path,
    institution: &InstitutionId,
    is_disconnected: bool,
) -> Result<(BTreeSet<InstitutionId>, bool), DisconnectedError> {
    let mut list = read(home)?;
    let has_changed =
        if is_disconnected { list.insert(institution.clone()) } else { list.remove(institution) };
    if has_changed {
        let text = serde_json::to_string_pretty(&list).expect("a set of names is JSON");
        durable::replace(&home.join(FILE), (text + "\n").as_bytes())?;
    }
    Ok((list, has_changed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_outlives_the_process_and_a_damaged_one_is_named() {
        let home = tempfile::tempdir().unwrap();
        let rude = InstitutionId::new("rude-hospital").unwrap();
        assert!(read(home.path()).unwrap().is_empty());
        assert!(change(home.path(), &rude, true).unwrap().1);
        assert!(!change(home.path(), &rude, true).unwrap().1, "it stood there already");
        assert_eq!(read(home.path()).unwrap(), [rude.clone()].into());
        assert!(change(home.path(), &rude, false).unwrap().0.is_empty());
        std::fs::write(home.path().join(FILE), "rude-hospital").unwrap();
        assert!(read(home.path()).unwrap_err().to_string().contains("remove it"));
    }
}
