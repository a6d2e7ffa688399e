//! Printing: tables for people, one JSON document for programs.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::fmt::Display;
use std::io::{BufWriter, ErrorKind, Write as _};
use yilian_client::client::query::Fetched;
use yilian_client::error::exit;
use yilian_client::moment;
use yilian_spec::time::LedgerTime;

/// Prints one JSON document, indented.
pub fn print_json<T: Serialize>(value: &T) {
    let text = serde_json::to_string_pretty(value).expect("what commands print is JSON");
    print_line(&text);
}

/// Prints a line. A reader that has closed the pipe ends the output, and is no error; a full disk is one.
pub fn print_line(text: &str) {
    print_lines([text]);
}

/// As [`print_line`], for many.
pub fn print_lines<T: Display>(lines: impl IntoIterator<Item = T>) {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let written = lines.into_iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush());
    let Err(error) = written else { return };
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(exit::OK.into());
    }
    let _ = writeln!(std::io::stderr(), "error: the output cannot be written: {error}");
    std::process::exit(exit::LOCAL.into());
}

/// Prints a warning on standard error; that nobody reads it is no error either.
pub fn warn(text: &str) {
    let _ = writeln!(std::io::stderr(), "warning: {text}");
}

/// Prints something worth knowing on standard error, beside what a command is asked for.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "note: {text}");
}

/// A table with these columns.
pub fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.to_vec());
    table
}

/// Prints rows under columns, or one line where there are none.
pub fn print_table(columns: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return print_line("none");
    }
    let mut table = table(columns);
    table.add_rows(rows);
    print_line(&table.trim_fmt());
}

/// Prints names and values, one a line.
pub fn print_fields(fields: &[(&str, String)]) {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in fields {
        print_line(&format!("{name:width$}  {value}"));
    }
}

/// The sentence about whether, and as of when, something was proven.
pub fn standing(height: u64, time: LedgerTime, verified: bool) -> String {
    let proven = if verified { "verified against the checkpoint" } else { "unverified: no checkpoint" };
    format!("block {height}, {}, {proven}", moment::show(time))
}

/// What a record on the ledger is shown as.
#[derive(Serialize)]
struct Shown<'a, T> {
    id: &'a str,
    record: &'a T,
    height: u64,
    time: LedgerTime,
    verified: bool,
}

/// Prints a record that was read with its proof: JSON of the whole, or the fields that people look for.
pub fn print_record<T: Serialize>(
    json: bool,
    id: &str,
    fetched: &Fetched<T>,
    fields: impl FnOnce(&T) -> Vec<(&'static str, String)>,
) {
    let Fetched { value, height, time, verified } = fetched;
    if json {
        return print_json(&Shown { id, record: value, height: height.0, time: *time, verified: *verified });
    }
    let mut all = vec![("id", id.to_owned())];
    all.extend(fields(value));
    all.push(("as of", standing(height.0, *time, *verified)));
    print_fields(&all);
}

/// A coded value by its name in JSON.
pub fn name<T: Serialize>(code: &T) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

/// Coded values by their names, joined by commas.
pub fn names<'a, T: Serialize + 'a>(codes: impl IntoIterator<Item = &'a T>) -> String {
    codes.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

/// A value that may be missing.
pub fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
