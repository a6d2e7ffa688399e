//! Which files of a directory are read, and what else is in it: nothing is passed over without a word.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::SourceError;
use crate::import::limits;

/// How a file is built, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A resource on each line.
    Lines,
    /// One resource, mostly a bundle.
    Document,
}

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called in messages: its path inside the directory.
    pub name: Arc<str>,
    /// How it is built.
    pub form: Form,
    /// Whether it is compressed.
    pub is_gzip: bool,
}

/// Why something in the directory is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unread {
    /// A folder, and folders were not asked for.
    Folder,
    /// A folder that was read under another name; a link can lead round in circles.
    FolderAgain,
    /// The name does not end like one of resources.
    OtherEnding,
    /// A link to something that is not there.
    DanglingLink,
    /// A pipe, a socket or a device.
    NotAFile,
    /// The file was opened and refused as a whole.
    Refused,
}

impl Unread {
    /// The reason for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Folder => "a folder (--recursive reads it)",
            Self::FolderAgain => "a folder that was read under another name",
            Self::OtherEnding => "does not end in .ndjson, .jsonl or .json, or one of them with .gz",
            Self::DanglingLink => "a link that leads nowhere",
            Self::NotAFile => "neither a file nor a folder",
            Self::Refused => "refused as a whole",
        }
    }
}

/// Something that was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnreadEntry {
    /// Its path inside the directory.
    pub file: String,
    /// Why.
    pub reason: Unread,
    /// What was wrong, where it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is in a directory.
#[derive(Debug, Default)]
pub struct Listing {
    /// The files to read, by name.
    pub inputs: Vec<Input>,
    /// Everything else, by name.
    pub unread: Vec<UnreadEntry>,
}

/// The form of a file by the end of its name, in whichever letters; the name need not be text otherwise.
fn form(name: &str) -> Option<(Form, bool)> {
    let name = name.to_ascii_lowercase();
    let (name, is_gzip) = match name.strip_suffix(".gz") {
        Some(name) => (name, true),
        None => (name.as_str(), false),
    };
    let form = match name.rsplit_once('.')?.1 {
        "ndjson" | "jsonl" => Form::Lines,
        "json" => Form::Document,
        _ => return None,
    };
    Some((form, is_gzip))
}

/// Lists a directory; the folders in it are entered where `is_recursive`.
///
/// # Errors
/// [`SourceError::Open`], [`SourceError::NoFiles`], [`SourceError::TooManyFiles`].
pub fn list(directory: &Path, is_recursive: bool) -> Result<Listing, SourceError> {
    let mut walk = Walk { directory, is_recursive, listing: Listing::default(), entered: BTreeSet::new() };
    walk.enter(directory.to_owned())?;
    let Listing { mut inputs, mut unread } = walk.listing;
    if inputs.is_empty() {
        return Err(SourceError::NoFiles { path: directory.to_owned(), unread: unread.len() });
    }
    inputs.sort_by(|left, right| left.path.cmp(&right.path));
    unread.sort_by(|left, right| left.file.cmp(&right.file));
    Ok(Listing { inputs, unread })
}

struct Walk<'a> {
    directory: &'a Path,
    is_recursive: bool,
    listing: Listing,
    /// Folders by their real paths.
    entered: BTreeSet<PathBuf>,
}

impl Walk<'_> {
    fn enter(&mut self, first: PathBuf) -> Result<(), SourceError> {
        let mut waiting = vec![first];
        while let Some(folder) = waiting.pop() {
            let open = |source| SourceError::Open { path: folder.clone(), source };
            if !self.entered.insert(std::fs::canonicalize(&folder).map_err(open)?) {
                self.leave_out(&folder, Unread::FolderAgain);
                continue;
            }
            for entry in std::fs::read_dir(&folder).map_err(open)? {
                let path = entry.map_err(open)?.path();
                if self.listing.inputs.len() + self.listing.unread.len() + waiting.len() >= limits::FILES_MAX
                {
                    return Err(SourceError::TooManyFiles { path: self.directory.to_owned() });
                }
                if path.is_dir() && self.is_recursive {
                    waiting.push(path);
                } else {
                    self.sort_out(path);
                }
            }
        }
        Ok(())
    }

    fn sort_out(&mut self, path: PathBuf) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match (std::fs::metadata(&path), form(&name)) {
            (Err(_), _) => self.leave_out(&path, Unread::DanglingLink),
            (Ok(metadata), _) if metadata.is_dir() => self.leave_out(&path, Unread::Folder),
            (Ok(metadata), _) if !metadata.is_file() => self.leave_out(&path, Unread::NotAFile),
            (Ok(_), None) => self.leave_out(&path, Unread::OtherEnding),
            (Ok(_), Some((form, is_gzip))) => {
                let name = self.name(&path).into();
                self.listing.inputs.push(Input { path, name, form, is_gzip });
            }
        }
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(self.directory).unwrap_or(path).to_string_lossy().into_owned()
    }

    fn leave_out(&mut self, path: &Path, reason: Unread) {
        let file = self.name(path);
        self.listing.unread.push(UnreadEntry { file, reason, error: None });
    }
}
