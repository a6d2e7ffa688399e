//! A home is its owner's alone: directories 0700, files 0600, also those that the database makes.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::Mode;

/// What others may do to a file or directory.
const OTHERS: u32 = 0o077;

/// From now on, what this process makes is its owner's alone, whatever makes it.
pub fn keep_new_files_private() {
    rustix::process::umask(Mode::from_bits_truncate(OTHERS));
}

/// Makes a directory, and those above it that are missing, for its owner alone; one that is there stays as it is.
///
/// # Errors
/// What the system says.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Takes from others what they may do to a directory and all that lies in it, without following links. Returns how many
/// files and directories were open to others.
///
/// # Errors
/// What the system says, as where they belong to somebody else.
pub fn close_to_others(path: &Path) -> io::Result<usize> {
    let metadata = std::fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(0);
    }
    let mode = metadata.permissions().mode();
    let mut closed = 0;
    if mode & OTHERS != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(mode & 0o7700))?;
        closed += 1;
    }
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            match close_to_others(&entry?.path()) {
                Ok(count) => closed += count,
                // A file of the database, or of an editor, that has gone meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_to_others_is_closed_and_what_a_link_leads_to_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (home, outside) = (directory.path().join("home/data"), directory.path().join("outside"));
        make_directory(&home).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&home), 0o700);
        let file = home.join("file");
        for path in [&file, &outside] {
            std::fs::write(path, b"x").unwrap();
            std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        }
        std::fs::set_permissions(&home, Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(&outside, home.join("link")).unwrap();
        assert_eq!(close_to_others(&home).unwrap(), 2);
        assert_eq!((mode(&home), mode(&file), mode(&outside)), (0o700, 0o600, 0o644));
        assert_eq!(close_to_others(&home).unwrap(), 0);
    }
}
