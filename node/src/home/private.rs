//! A home is its owner's alone: directories 0700, files 0600, also those that the database makes.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
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

/// What to do where the system refuses a file to this user; nothing for other errors. To be put after the message.
pub fn remedy(path: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    // Where the file itself cannot be looked at, the directory that hides it says whose it is.
    let owner =
        path.ancestors().find_map(|path| std::fs::symlink_metadata(path).ok()).map(|found| found.uid());
    match owner {
        Some(uid) => format!("; run this as the user who owns it ({})", user_name(uid)),
        None => String::new(),
    }
}

/// The name of a user, or its number where the system's list does not hold it.
fn user_name(uid: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("user {uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_file_is_told_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let absent = directory.path().join("absent");
        let owner = user_name(std::fs::metadata(directory.path()).unwrap().uid());
        let told = remedy(&absent, &io::ErrorKind::PermissionDenied.into());
        assert_eq!(told, format!("; run this as the user who owns it ({owner})"));
        assert_eq!(remedy(&absent, &io::ErrorKind::NotFound.into()), "");
        assert_eq!(
            (user_name(0), user_name(4_000_000_000)),
            ("root".to_owned(), "user 4000000000".to_owned())
        );
    }

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
