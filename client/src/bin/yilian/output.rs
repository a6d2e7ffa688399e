//! Printing: tables for people, one JSON document for programs.

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::fmt::Display;
use std::io::{BufWriter, ErrorKind, Write as _};
use yilian_client::client::query::Fetched;
use yilian_client::error::exit;
use yilian_local::moment;
use yilian_spec::base::time::LedgerTime;

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

/// A bar on standard error; nothing where that is no terminal.
pub fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:32} {bar:40} {pos}/{len} {per_sec} {eta}");
    let bar = ProgressBar::new(0);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
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
    // What is piped goes to a program or a file, which is as wide as it must be.
    let probe = Table::new();
    let width = probe.is_tty().then(|| probe.width()).flatten();
    print_line(&lay_out(columns, rows, width));
}

/// A table, or, where it is wider than the terminal, each row as fields one below the other.
fn lay_out(columns: &[&str], rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    let mut table = table(columns);
    table.add_rows(rows.clone());
    let text = table.trim_fmt();
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    if width.is_none_or(|width| widest <= usize::from(width)) {
        return text;
    }
    let row = |row: Vec<String>| fields(&columns.iter().copied().zip(row).collect::<Vec<_>>());
    rows.into_iter().map(row).collect::<Vec<_>>().join("\n\n")
}

/// Prints names and values, one a line.
pub fn print_fields(named: &[(&str, String)]) {
    print_line(&fields(named));
}

fn fields(named: &[(&str, String)]) -> String {
    let width = named.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{name:width$}  {value}");
    named.iter().map(line).collect::<Vec<_>>().join("\n")
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
    #[serde(rename = "time_ms")]
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

/// How many there are of something.
pub fn counted(count: usize, one: &str, several: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {several}") }
}

/// Coded values by their names, joined by commas.
pub fn names<'a, T: Serialize + 'a>(codes: impl IntoIterator<Item = &'a T>) -> String {
    codes.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

/// A value that may be missing.
pub fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_wider_than_the_terminal_is_laid_out_row_by_row() {
        let row = |id: &str| vec![id.repeat(64), "renhe-hospital".to_owned()];
        let rows = vec![row("a"), row("b")];
        let lay_out = |width| lay_out(&["grant", "to"], rows.clone(), width);
        assert_eq!(lay_out(None), lay_out(Some(200)));
        assert!(lay_out(None).contains('│'));
        let narrow = lay_out(Some(80));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        let expected =
            format!("grant  {}\nto     renhe-hospital\n\ngrant  {}\n", "a".repeat(64), "b".repeat(64));
        assert!(narrow.starts_with(&expected), "{narrow}");
    }
}
