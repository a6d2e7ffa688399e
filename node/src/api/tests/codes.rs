//! The codes of chapter 8 are those of the sources: a program that reads the chapter knows every one it may meet.

use std::collections::BTreeSet;
use std::path::Path;

use axum::http::StatusCode;
use yilian_spec::base::version::UnknownVersion;

use crate::api::refusal;
use crate::health::HealthStatus;

/// The words in quotation marks behind each occurrence of `before`.
fn quoted<'s>(source: &'s str, before: &str) -> impl Iterator<Item = &'s str> {
    let words = source.split(before).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
    words.filter_map(|rest| rest.split('"').next()).filter(|word| is_code(word))
}

fn is_code(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn in_sources() -> BTreeSet<String> {
    let read =
        |name: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let error = read("src/api/error.rs");
    let of_errors = error.split("pub const fn code").nth(1).unwrap().split("/// The body").next().unwrap();
    let refusal = read("src/api/refusal.rs");
    let mut codes: BTreeSet<String> = quoted(of_errors, "=>").map(str::to_owned).collect();
    codes.extend(quoted(&refusal, "=>").chain(quoted(&refusal, "{")).map(str::to_owned));
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(path).unwrap();
            codes.extend(quoted(&source, "code:").map(str::to_owned));
        }
    }
    // A submission is refused by what ails the node.
    codes.insert(HealthStatus::Disk.name().to_owned());
    codes
}

/// The codes of the tables in chapter 8, in the columns that name them.
fn in_chapter() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/protocol/08-api.md");
    let chapter = std::fs::read_to_string(path).unwrap();
    let rows = chapter.lines().filter(|line| line.starts_with('|'));
    let cells = rows.flat_map(|row| match row.split('|').map(str::trim).collect::<Vec<_>>()[..] {
        // A rule with its refusal, or a status with its codes.
        [_, rule, _, refusal, _] if rule.starts_with("**N-") => vec![refusal.to_owned()],
        [_, status, codes, when, _] if status.starts_with(|first: char| first.is_ascii_digit()) => {
            let also = if codes.is_empty() { when } else { "" };
            vec![codes.to_owned(), also.to_owned()]
        }
        _ => Vec::new(),
    });
    let words = cells.flat_map(|cell| {
        let words: Vec<String> = cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        words
    });
    words.filter(|word| is_code(word)).collect()
}

#[test]
fn the_chapter_names_every_code_and_no_other() {
    let (sources, chapter) = (in_sources(), in_chapter());
    assert!(sources.len() > 40, "the sources were read: {sources:?}");
    let missing: Vec<&String> = sources.difference(&chapter).collect();
    let unknown: Vec<&String> = chapter.difference(&sources).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:?}, unknown: {unknown:?}");
}

#[test]
fn a_node_that_is_too_old_for_the_next_block_says_so_to_who_asks() {
    let error = refusal::outdated(UnknownVersion { found: 3 });
    assert_eq!((error.status(), error.code()), (StatusCode::SERVICE_UNAVAILABLE, "outdated"));
    let message = error.body().error.message;
    assert!(message.contains("version 3") && message.contains("update it"), "{message}");
}
