//! The text form of a link table, sealed in its file and open in an export.

use super::normal::normalised;
use super::{ENTRIES_MAX, Entries, RECORD_NUMBER_BYTES_MAX, SubjectError};
use zeroize::Zeroizing;

/// The first line.
const HEADER: &str = "yilian subjects v1";

/// What is wrong with a line. None of them repeats its content, which speaks of a patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The text is not UTF-8.
    #[error("not UTF-8 text")]
    NotText,
    /// The first line is another one.
    #[error("not a subject table: the first line must be {HEADER:?}")]
    Header,
    /// The last line does not end: the text was cut off.
    #[error("the last line has no end: the text was cut off")]
    CutOff,
    /// There is not exactly one tab.
    #[error("an entry is a record number, one tab and a tag")]
    Form,
    /// The record number cannot be one.
    #[error("the record number is empty, too long, or has control characters or space at an end")]
    RecordNumber,
    /// The tag cannot be one.
    #[error("the tag is not 64 lower-case hexadecimal digits")]
    Tag,
    /// The record number has another tag already.
    #[error("this record number has another tag already")]
    OtherTag,
    /// The tag stands for another record number already.
    #[error("this tag stands for another record number already")]
    OtherRecord,
    /// There are too many entries.
    #[error("more than {ENTRIES_MAX} entries")]
    TooMany,
}

/// Whether a text can be a record number.
pub(super) fn check_record_number(text: &str) -> Result<(), LineError> {
    let bounded = (1..=RECORD_NUMBER_BYTES_MAX).contains(&text.len());
    if bounded && text.trim() == text && !text.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(LineError::RecordNumber)
    }
}

/// Writes all entries.
pub(super) fn write(entries: &Entries) -> Zeroizing<String> {
    let bytes = entries.tags.keys().map(|number| number.len() + 66).sum::<usize>() + HEADER.len() + 1;
    // Enough room from the start: a string that grows leaves copies behind that are not wiped.
    let mut text = Zeroizing::new(String::with_capacity(bytes));
    text.push_str(HEADER);
    text.push('\n');
    for (number, tag) in &entries.tags {
        text.push_str(number);
        text.push('\t');
        text.push_str(&hex::encode(tag.0));
        text.push('\n');
    }
    text
}

/// Adds all entries of a text; how many were new. After an error `entries` holds a part of them.
pub(super) fn read_into(entries: &mut Entries, text: &[u8]) -> Result<usize, SubjectError> {
    let at = |line| move |error| SubjectError::Line { line, error };
    let text = std::str::from_utf8(text).map_err(|error| {
        let line = text[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        at(line)(LineError::NotText)
    })?;
    let mut lines = text.split('\n').zip(1..);
    if lines.next().is_none_or(|(first, _)| first != HEADER) {
        return Err(at(1)(LineError::Header));
    }
    let mut added = 0;
    let mut ended = false;
    for (content, line) in lines {
        if ended {
            return Err(at(line - 1)(LineError::Form));
        }
        // Only what follows the last line's end is empty.
        ended = content.is_empty();
        if !ended {
            added += usize::from(read_line(entries, content).map_err(at(line))?);
        }
    }
    if ended { Ok(added) } else { Err(at(text.split('\n').count())(LineError::CutOff)) }
}

/// Adds the entry of a line; whether it is new.
fn read_line(entries: &mut Entries, line: &str) -> Result<bool, LineError> {
    let (number, tag) = line.split_once('\t').ok_or(LineError::Form)?;
    let number = normalised(number);
    check_record_number(&number)?;
    let tag = tag.parse().map_err(|_| LineError::Tag)?;
    let new = entries.add(&number, tag)?;
    if entries.tags.len() > ENTRIES_MAX { Err(LineError::TooMany) } else { Ok(new) }
}
