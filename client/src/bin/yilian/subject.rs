//! `yilian subject`: the encrypted table from record numbers to subject tags. Local; nothing here reaches the ledger.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;
use yilian_client::error::exit;
use yilian_client::subject::SubjectTable;
use yilian_local::durable;
use yilian_local::passphrase;
use yilian_local::sealed::WorkFactor;
use yilian_spec::base::id::SubjectTag;

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output;

/// Longest text of entries that is imported, in bytes.
const IMPORT_BYTES_MAX: u64 = 512 << 20;

/// Subject tags: the encrypted table from record numbers to what stands for a patient.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian subject tag 104-2231")]
pub enum SubjectCommand {
    /// Make the profile's table; with record numbers, draw a tag for each that has none, in the table that exists.
    ///
    /// No other command draws a tag, so that a mistyped record number is told and never becomes a patient. The table's
    /// passphrase is the profile's.
    #[command(after_help = "Examples:\n  yilian subject create\n  yilian subject create 104-2232")]
    Create {
        /// The record numbers.
        records: Vec<String>,
    },
    /// Print the tag of a record number.
    #[command(after_help = "Example:\n  yilian subject tag 104-2231")]
    Tag {
        /// The record number.
        record: String,
    },
    /// Print the record number behind a tag.
    #[command(
        after_help = "Example:\n  yilian subject show \\\n    5f0c8a1b2e3d4c5f60718293a4b5c6d7e8f9010203040506070809aabbccddee"
    )]
    Show {
        /// The tag.
        tag: SubjectTag,
    },
    /// List all entries.
    #[command(after_help = "Example:\n  yilian subject list --json")]
    List,
    /// Write all entries as plain text, to be kept as safe as the records themselves.
    #[command(after_help = "Example:\n  yilian subject export subjects.txt")]
    Export {
        /// The file; one that exists is not overwritten.
        file: PathBuf,
    },
    /// Add the entries of an exported text.
    #[command(after_help = "Example:\n  yilian subject import subjects.txt")]
    Import {
        /// The file.
        file: PathBuf,
    },
}

impl SubjectCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Create { records } if records.is_empty() => create(context)?,
            Self::Create { records } => draw(context, &records)?,
            Self::Tag { record } => {
                let tag = context.tag_of(&record)?;
                print(context, &record, tag);
            }
            Self::Show { tag } => {
                let table = context.subjects()?;
                let record = table
                    .find(&tag)
                    .ok_or_else(|| Failure::Local(format!("the table has no entry for tag {tag}")))?;
                print(context, record, tag);
            }
            Self::List => list(context)?,
            Self::Export { file } => {
                let table = context.subjects()?;
                durable::create(&file, table.export().as_bytes())?;
                report(context, &format!("{} entries written to {}", table.len(), file.display()));
            }
            Self::Import { file } => {
                let text = durable::read(&file, IMPORT_BYTES_MAX)?;
                let mut table = context.subjects()?;
                let added = table.import(&text)?;
                report(context, &format!("{added} entries added, {} in all", table.len()));
            }
        }
        Ok(exit::OK)
    }
}

fn create(context: &Context) -> Result<(), Failure> {
    let path = context.subjects_path()?;
    let source = context.passphrase_source(&path.display().to_string(), true)?;
    let passphrase = passphrase::new_passphrase(&source)?;
    SubjectTable::create(&path, &passphrase, WorkFactor::PRODUCTION)?;
    report(context, &format!("created {}", path.display()));
    Ok(())
}

/// Draws the tags that are missing, all at once, and prints all; each with whether it is new.
fn draw(context: &Context, records: &[String]) -> Result<(), Failure> {
    let custodian = context.institution()?;
    let mut table = context.subjects()?;
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let is_new: Vec<bool> = records.iter().map(|record| table.tag_of(record).is_none()).collect();
    let of_custodian: Vec<_> = records.iter().map(|record| (&custodian, *record)).collect();
    let tags = table.tags_for(&of_custodian)?;
    let drawn = || records.iter().zip(&tags).zip(&is_new);
    if context.json() {
        let entries = drawn().map(|((record, tag), new)| json!({"record": record, "tag": tag, "new": new}));
        output::print_json(&entries.collect::<Vec<_>>());
        return Ok(());
    }
    let word = |is_new: bool| if is_new { "new" } else { "had one" }.to_owned();
    let rows = drawn().map(|((record, tag), new)| vec![(*record).to_owned(), tag.to_string(), word(*new)]);
    output::print_table(&["record", "tag", "state"], rows.collect());
    Ok(())
}

fn print(context: &Context, record: &str, tag: SubjectTag) {
    if context.json() {
        output::print_json(&json!({"record": record, "tag": tag}));
    } else {
        output::print_fields(&[("record", record.to_owned()), ("tag", tag.to_string())]);
    }
}

fn report(context: &Context, sentence: &str) {
    if context.json() {
        output::print_json(&json!({"done": sentence}));
    } else {
        output::print_line(sentence);
    }
}

fn list(context: &Context) -> Result<(), Failure> {
    let table = context.subjects()?;
    if context.json() {
        let entries: Vec<_> =
            table.list().map(|(record, tag)| json!({"record": record, "tag": tag})).collect();
        output::print_json(&entries);
        return Ok(());
    }
    // Plain lines: a table of a million entries would be laid out in memory first.
    output::print_lines(table.list().map(|(record, tag)| format!("{record}\t{tag}")));
    Ok(())
}
