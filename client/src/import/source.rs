//! Where the resources come from: NDJSON files, bundles and single resources, plain or gzip, of the files of [`walk`].
//!
//! A file is read lines one at a time; what is not whole (a cut gzip stream, a line that is not JSON) ends its reading with
//! the place. Bundles and parameters inside others are opened like those outside.

pub mod walk;

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::limits;
use walk::{Form, Input};

/// Where a resource stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name.
    pub file: Arc<str>,
    /// The line or entry, counted from 1.
    pub position: Position,
}

/// The place inside a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// A line of NDJSON.
    Line(u64),
    /// An entry of a bundle.
    Entry(u64),
    /// Further inside: an entry of a bundle on a line or in an entry.
    Inside(Arc<str>),
    /// The whole file.
    Whole,
}

impl Place {
    /// A place in a file.
    fn new(file: &Arc<str>, position: Position) -> Self {
        Self { file: Arc::clone(file), position }
    }

    /// The place of an entry inside this one.
    fn entry(&self, number: u64) -> Self {
        let position = match &self.position {
            Position::Whole => Position::Entry(number),
            Position::Line(line) => Position::Inside(format!("line {line} entry {number}").into()),
            Position::Entry(outer) => Position::Inside(format!("entry {outer} entry {number}").into()),
            Position::Inside(outer) => Position::Inside(format!("{outer} entry {number}").into()),
        };
        Self::new(&self.file, position)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.position {
            Position::Line(line) => write!(f, "{} line {line}", self.file),
            Position::Entry(entry) => write!(f, "{} entry {entry}", self.file),
            Position::Inside(inside) => write!(f, "{} {inside}", self.file),
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
    #[error(
        "{} has no file that ends in .ndjson, .jsonl or .json, or one of them with .gz, and {unread} other entries; \
         --recursive reads the folders in it", path.display()
    )]
    NoFiles {
        /// The directory.
        path: PathBuf,
        /// What else is in it.
        unread: usize,
    },
    /// Too much to read.
    #[error("{} has more than {} entries: import it in parts (--partial)", path.display(), limits::FILES_MAX)]
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
    #[error("more than {} resources: import the patients in parts (--partial)", limits::RESOURCES_MAX)]
    TooManyResources,
}

/// What stands in a file.
#[derive(Debug, Clone, Copy)]
pub enum Found<'a> {
    /// A resource.
    Resource(FoundResource<'a>),
    /// A bundle or parameters: what is in it follows.
    Container {
        /// Its type.
        kind: &'a str,
    },
    /// An entry of a bundle that has no resource.
    Empty {
        /// Whether it asks for a deletion.
        is_deletion: bool,
    },
}

/// A resource as it stands in a file.
#[derive(Debug, Clone, Copy)]
pub struct FoundResource<'a> {
    /// The address that references to it use, where the file names one.
    pub full_url: Option<&'a str>,
    /// Its JSON text.
    pub json: &'a str,
    /// The bundle that it stands in, 0 for none.
    pub scope: u32,
}

/// A line, a file or an entry: a resource, a resource with its address, a bundle, or parameters.
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
    entry: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parameter: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(default)]
    full_url: Option<String>,
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(default)]
    request: Option<Request>,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    method: Option<String>,
}

#[derive(Deserialize)]
struct Parameter<'a> {
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(borrow, default)]
    part: Vec<Parameter<'a>>,
}

/// Reads files one after another; numbers the bundles in them.
#[derive(Debug, Default)]
pub struct Reader {
    scopes: u32,
}

type Each<'a> = &'a mut dyn FnMut(&Place, Found<'_>) -> Result<(), SourceError>;

impl Reader {
    /// Hands everything that stands in a file to `each`.
    ///
    /// # Errors
    /// [`SourceError`] with the place, or what `each` gives.
    pub fn read(&mut self, input: &Input, each: Each<'_>) -> Result<(), SourceError> {
        let file = File::open(&input.path)
            .map_err(|source| SourceError::Open { path: input.path.clone(), source })?;
        let bytes: Box<dyn Read> =
            if input.is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        match input.form {
            Form::Lines => self.lines(&input.name, bytes, each),
            Form::Document => self.document(&input.name, bytes, each),
        }
    }

    fn lines(&mut self, name: &Arc<str>, bytes: Box<dyn Read>, each: Each<'_>) -> Result<(), SourceError> {
        let mut reader = BufReader::with_capacity(1 << 16, bytes.take(limits::FILE_BYTES_MAX));
        let mut line = Vec::new();
        for number in 1.. {
            let place = Place::new(name, Position::Line(number));
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
            let text = text(&place, &line, number == 1)?;
            if !text.trim().is_empty() {
                self.top(&place, text, each)?;
            }
        }
        if reader.into_inner().limit() == 0 {
            let place = Place::new(name, Position::Whole);
            return Err(SourceError::TooLong { place, bytes_max: limits::FILE_BYTES_MAX });
        }
        Ok(())
    }

    fn document(&mut self, name: &Arc<str>, bytes: Box<dyn Read>, each: Each<'_>) -> Result<(), SourceError> {
        let place = Place::new(name, Position::Whole);
        let mut document = Vec::new();
        bytes
            .take(limits::DOCUMENT_BYTES_MAX + 1)
            .read_to_end(&mut document)
            .map_err(|source| SourceError::Read { place: place.clone(), source })?;
        if document.len() as u64 > limits::DOCUMENT_BYTES_MAX {
            return Err(SourceError::TooLong { place, bytes_max: limits::DOCUMENT_BYTES_MAX });
        }
        self.top(&place, text(&place, &document, true)?, each)
    }

    /// A line or a whole file: a resource, or one with its address.
    fn top(&mut self, place: &Place, json: &str, each: Each<'_>) -> Result<(), SourceError> {
        let envelope: Envelope<'_> = parse(place, json)?;
        match (&envelope.resource_type, envelope.resource) {
            (None, Some(resource)) => {
                let inner: Envelope<'_> = parse(place, resource.get())?;
                self.resource(place, envelope.full_url.as_deref(), resource.get(), inner, (0, 0), each)
            }
            _ => self.resource(place, None, json.trim(), envelope, (0, 0), each),
        }
    }

    /// A resource in the bundle `scope`, `depth` bundles deep; bundles and parameters are opened.
    fn resource(
        &mut self,
        place: &Place,
        full_url: Option<&str>,
        json: &str,
        envelope: Envelope<'_>,
        (scope, depth): (u32, usize),
        each: Each<'_>,
    ) -> Result<(), SourceError> {
        let not_json = |reason: String| SourceError::NotJson { place: place.clone(), reason };
        let Some(kind) = envelope.resource_type.as_deref() else {
            return Err(not_json("it has neither resourceType nor resource".to_owned()));
        };
        let is_bundle = kind == "Bundle";
        if !is_bundle && kind != "Parameters" {
            return each(place, Found::Resource(FoundResource { full_url, json, scope }));
        }
        if depth == limits::BUNDLE_DEPTH_MAX {
            return Err(not_json(format!("bundles inside bundles, more than {depth} deep")));
        }
        each(place, Found::Container { kind })?;
        let inside = if is_bundle { self.next_scope() } else { scope };
        let (entries, parameters) =
            if is_bundle { (envelope.entry, None) } else { (None, envelope.parameter) };
        let mut numbers = 1..;
        for entry in list::<Entry<'_>>(place, entries)? {
            let place = place.entry(numbers.next().unwrap_or_default());
            let Some(resource) = entry.resource else {
                let method = entry.request.and_then(|request| request.method);
                each(&place, Found::Empty { is_deletion: method.is_some_and(|method| method == "DELETE") })?;
                continue;
            };
            let inner: Envelope<'_> = parse(&place, resource.get())?;
            self.resource(
                &place,
                entry.full_url.as_deref(),
                resource.get(),
                inner,
                (inside, depth + 1),
                each,
            )?;
        }
        let mut waiting: Vec<Parameter<'_>> = list(place, parameters)?;
        waiting.reverse();
        while let Some(parameter) = waiting.pop() {
            let place = place.entry(numbers.next().unwrap_or_default());
            if let Some(resource) = parameter.resource {
                let inner: Envelope<'_> = parse(&place, resource.get())?;
                self.resource(&place, None, resource.get(), inner, (inside, depth + 1), each)?;
            }
            waiting.extend(parameter.part.into_iter().rev());
        }
        Ok(())
    }

    fn next_scope(&mut self) -> u32 {
        self.scopes += 1;
        self.scopes
    }
}

fn list<'a, T: Deserialize<'a>>(place: &Place, list: Option<&'a RawValue>) -> Result<Vec<T>, SourceError> {
    list.map_or_else(|| Ok(Vec::new()), |list| parse(place, list.get()))
}

fn parse<'a, T: Deserialize<'a>>(place: &Place, json: &'a str) -> Result<T, SourceError> {
    serde_json::from_str(json)
        .map_err(|error| SourceError::NotJson { place: place.clone(), reason: error.to_string() })
}

/// The text of bytes; a byte-order mark at the beginning of a file is not part of it.
fn text<'a>(place: &Place, bytes: &'a [u8], is_beginning: bool) -> Result<&'a str, SourceError> {
    let not_json = |reason: String| SourceError::NotJson { place: place.clone(), reason };
    if is_beginning && (bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff])) {
        return Err(not_json("the text is in UTF-16: convert the file to UTF-8".to_owned()));
    }
    let bytes = if is_beginning { bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes) } else { bytes };
    std::str::from_utf8(bytes).map_err(|error| not_json(error.to_string()))
}
