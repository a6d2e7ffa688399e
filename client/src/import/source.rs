//! Where the resources come from: NDJSON files, bundles and single resources of one directory, plain or gzip.
//!
//! Files are read one after another in the order of their names, lines one at a time; whatever is not whole (a cut
//! gzip stream, a line that is not JSON) ends the reading with the place, before anything is submitted.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::limits;

/// Where a resource stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name.
    pub file: Arc<str>,
    /// The line or entry, counted from 1.
    pub position: Position,
}

/// The place inside a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// A line of NDJSON.
    Line(u64),
    /// An entry of a bundle.
    Entry(u64),
    /// The whole file.
    Whole,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Position::Line(line) => write!(f, "{} line {line}", self.file),
            Position::Entry(entry) => write!(f, "{} entry {entry}", self.file),
            Position::Whole => f.write_str(&self.file),
        }
    }
}

/// Why the input cannot be read.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The directory or a file cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The directory or file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Nothing to read.
    #[error("{} has no file that ends in .ndjson, .jsonl or .json, or one of them with .gz", path.display())]
    NoFiles {
        /// The directory.
        path: PathBuf,
    },
    /// Too much to read.
    #[error("{} has more than {} files: import it in parts", path.display(), limits::FILES_MAX)]
    TooManyFiles {
        /// The directory.
        path: PathBuf,
    },
    /// The bytes end early or cannot be decompressed.
    #[error("{place}: {source}; is the file complete?")]
    Read {
        /// Where.
        place: Place,
        /// What was wrong.
        source: std::io::Error,
    },
    /// Not JSON, or not a resource.
    #[error("{place}: not a FHIR resource in JSON: {reason}")]
    NotJson {
        /// Where.
        place: Place,
        /// What the parser said.
        reason: String,
    },
    /// Longer than a resource may be.
    #[error("{place}: longer than {bytes_max} bytes: split the file")]
    TooLong {
        /// Where.
        place: Place,
        /// The bound.
        bytes_max: u64,
    },
    /// More resources than one import keeps.
    #[error("more than {} resources: import the patients in parts", limits::RESOURCES_MAX)]
    TooManyResources,
}

/// How a file is built, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    Document,
}

fn form(path: &Path) -> Option<(Form, bool)> {
    let name = path.file_name()?.to_str()?;
    let (name, is_gzip) = match name.strip_suffix(".gz") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let form = match name.rsplit_once('.')?.1 {
        "ndjson" | "jsonl" => Form::Lines,
        "json" => Form::Document,
        _ => return None,
    };
    Some((form, is_gzip))
}

/// The files of a directory that can hold resources, by name; not those of directories inside it.
///
/// # Errors
/// [`SourceError::Open`], [`SourceError::NoFiles`], [`SourceError::TooManyFiles`].
pub fn files(directory: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let open = |source| SourceError::Open { path: directory.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(open)? {
        let path = entry.map_err(open)?.path();
        if form(&path).is_some() && path.is_file() {
            files.push(path);
        }
        if files.len() > limits::FILES_MAX {
            return Err(SourceError::TooManyFiles { path: directory.to_owned() });
        }
    }
    if files.is_empty() {
        return Err(SourceError::NoFiles { path: directory.to_owned() });
    }
    files.sort();
    Ok(files)
}

/// A resource as it stands in a file.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The address that references to it use, where the file names one.
    pub full_url: Option<&'a str>,
    /// Its JSON text.
    pub json: &'a str,
}

/// A line or a file: a resource, a resource with its address, or a bundle.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(default)]
    resource_type: Option<String>,
    #[serde(default)]
    full_url: Option<String>,
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(borrow, default)]
    entry: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(default)]
    full_url: Option<String>,
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
}

/// Hands every resource of a file to `each`.
///
/// # Errors
/// [`SourceError`] with the place, or what `each` gives.
pub fn read(
    path: &Path,
    mut each: impl FnMut(&Place, Found<'_>) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    let (form, is_gzip) = form(path).unwrap_or((Form::Lines, false));
    let file = File::open(path).map_err(|source| SourceError::Open { path: path.to_owned(), source })?;
    let bytes: Box<dyn Read> = if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let name: Arc<str> = path.file_name().unwrap_or_default().to_string_lossy().into();
    match form {
        Form::Lines => read_lines(&name, bytes, &mut each),
        Form::Document => read_document(&name, bytes, &mut each),
    }
}

type Each<'a> = &'a mut dyn FnMut(&Place, Found<'_>) -> Result<(), SourceError>;

fn read_lines(name: &Arc<str>, bytes: Box<dyn Read>, each: Each<'_>) -> Result<(), SourceError> {
    let mut reader = BufReader::with_capacity(1 << 16, bytes.take(limits::FILE_BYTES_MAX));
    let mut line = Vec::new();
    for number in 1.. {
        let place = Place { file: Arc::clone(name), position: Position::Line(number) };
        line.clear();
        let length = reader
            .by_ref()
            .take(limits::LINE_BYTES_MAX + 1)
            .read_until(b'\n', &mut line)
            .map_err(|source| SourceError::Read { place: place.clone(), source })?;
        if length == 0 {
            break;
        }
        if length as u64 > limits::LINE_BYTES_MAX {
            return Err(SourceError::TooLong { place, bytes_max: limits::LINE_BYTES_MAX });
        }
        let text = text(&place, &line)?;
        if !text.trim().is_empty() {
            one(&place, text, each)?;
        }
    }
    if reader.into_inner().limit() == 0 {
        let place = Place { file: Arc::clone(name), position: Position::Whole };
        return Err(SourceError::TooLong { place, bytes_max: limits::FILE_BYTES_MAX });
    }
    Ok(())
}

fn read_document(name: &Arc<str>, bytes: Box<dyn Read>, each: Each<'_>) -> Result<(), SourceError> {
    let place = Place { file: Arc::clone(name), position: Position::Whole };
    let mut document = Vec::new();
    bytes
        .take(limits::DOCUMENT_BYTES_MAX + 1)
        .read_to_end(&mut document)
        .map_err(|source| SourceError::Read { place: place.clone(), source })?;
    if document.len() as u64 > limits::DOCUMENT_BYTES_MAX {
        return Err(SourceError::TooLong { place, bytes_max: limits::DOCUMENT_BYTES_MAX });
    }
    one(&place, text(&place, &document)?, each)
}

fn text<'a>(place: &Place, bytes: &'a [u8]) -> Result<&'a str, SourceError> {
    std::str::from_utf8(bytes)
        .map_err(|error| SourceError::NotJson { place: place.clone(), reason: error.to_string() })
}

/// A resource, one with its address, or all of a bundle.
fn one(place: &Place, json: &str, each: Each<'_>) -> Result<(), SourceError> {
    let not_json = |reason: String| SourceError::NotJson { place: place.clone(), reason };
    let envelope: Envelope<'_> = serde_json::from_str(json).map_err(|error| not_json(error.to_string()))?;
    match (envelope.resource_type.as_deref(), envelope.resource) {
        (Some("Bundle"), _) => {
            for (number, entry) in (1..).zip(envelope.entry) {
                let place = Place { file: Arc::clone(&place.file), position: Position::Entry(number) };
                if let Some(resource) = entry.resource {
                    each(&place, Found { full_url: entry.full_url.as_deref(), json: resource.get() })?;
                }
            }
            Ok(())
        }
        (Some(_), _) => each(place, Found { full_url: None, json: json.trim() }),
        (None, Some(resource)) => {
            each(place, Found { full_url: envelope.full_url.as_deref(), json: resource.get() })
        }
        (None, None) => Err(not_json("it has neither resourceType nor resource".to_owned())),
    }
}
