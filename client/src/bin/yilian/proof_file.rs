//! A file of proofs, read one at a time: one a line, or a single one on several lines (rule P-21).

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use yilian_client::error::ClientError;
use yilian_local::durable;
use yilian_spec::base::json;
use yilian_spec::base::limits::PROOF_BYTES_MAX;
use yilian_spec::proof::ProofError;

use crate::failure::Failure;

/// U+FEFF in UTF-8, which some editors put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file of proofs. Holds one of them at a time, however many there are.
pub struct ProofFile {
    reader: BufReader<File>,
    path: PathBuf,
    /// Lines that were read, each with a proof.
    line: u64,
    /// Whether the file ends with the first proof.
    is_single: bool,
}

/// What every proof says of itself; a file without it was given by mistake, and proves nothing either way.
#[derive(Deserialize)]
struct Format {
    #[serde(rename = "format")]
    _format: String,
}

impl ProofFile {
    /// Opens a file.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file = durable::open(path)?;
        Ok(Self { reader: BufReader::new(file), path: path.to_owned(), line: 0, is_single: false })
    }

    /// The next proof's bytes; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no proof.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        if self.is_single {
            return Ok(None);
        }
        let mut bytes = self.read(|reader, bytes| reader.read_until(b'\n', bytes))?;
        if bytes.is_empty() && self.line > 0 {
            return Ok(None);
        }
        self.line += 1;
        if bytes.trim_ascii().is_empty() {
            let what = if bytes.is_empty() { "the file is empty" } else { "it is blank" };
            return Err(self.no_proof(what));
        }
        let first = serde_json::from_slice::<IgnoredAny>(&bytes);
        if self.line == 1 && bytes.len() <= PROOF_BYTES_MAX && first.is_err_and(|error| error.is_eof()) {
            if self.next_line_begins_a_proof() {
                return Err(self.no_proof("it ends within a proof, and the next line begins another one"));
            }
            // The first line is not all of it, so there is one proof, and every line belongs to it.
            self.is_single = true;
            let rest = self.read(|reader, bytes| reader.read_to_end(bytes))?;
            bytes.extend(rest);
        }
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(self.failure(ProofError::TooLong));
        }
        match serde_json::from_slice::<Format>(&bytes) {
            Ok(_) => Ok(Some(bytes)),
            Err(_) if bytes.starts_with(BYTE_ORDER_MARK) => {
                Err(self.no_proof("it begins with a byte order mark: save it as UTF-8 without one"))
            }
            Err(error) => {
                // Of a single proof the reader knows the line, of one among others the file does.
                self.line += if self.is_single { error.line().saturating_sub(1) as u64 } else { 0 };
                let said = json::plain(&error.to_string());
                Err(self.no_proof(&format!("{}, at column {}", json::without_place(&said), error.column())))
            }
        }
    }

    /// Where a single proof stands on several lines, only its first begins with a brace at the margin.
    fn next_line_begins_a_proof(&mut self) -> bool {
        self.reader.fill_buf().is_ok_and(|bytes| bytes.first() == Some(&b'{'))
    }

    fn no_proof(&self, reason: &str) -> Failure {
        let (path, reason) = (self.path.clone(), format!("line {}: {reason}", self.line));
        ClientError::FileContent { path, expected: "a saved proof (JSON)", reason }.into()
    }

    /// One byte more than the bound, so that its own rule refuses what is too long.
    fn read(
        &mut self,
        read: impl FnOnce(&mut std::io::Take<&mut BufReader<File>>, &mut Vec<u8>) -> std::io::Result<usize>,
    ) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        read(&mut (&mut self.reader).take(PROOF_BYTES_MAX as u64 + 1), &mut bytes)
            .map_err(|error| Failure::Local(format!("cannot read {}: {error}", self.path.display())))?;
        Ok(bytes)
    }

    /// Why the proof that was read last proves nothing, with its line where there are several.
    pub fn failure(&mut self, error: ProofError) -> Failure {
        let is_last = self.is_single || self.reader.fill_buf().is_ok_and(<[u8]>::is_empty);
        if self.line == 1 && is_last {
            Failure::Proof(error)
        } else {
            Failure::ProofAt { line: self.line, error }
        }
    }
}
