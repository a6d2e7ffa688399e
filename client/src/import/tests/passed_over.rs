//! Nothing is passed over without a word: files of strange names, links, pipes, refused files, types, entries without ids.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::{directory, dry, run};
use crate::error::exit;
use crate::import::skip::Reason;
use crate::import::source::walk::Unread;
use crate::import::{ImportError, Options};

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p1"}"#;

#[test]
fn everything_in_the_directory_is_read_or_listed_with_the_reason() {
    let place =
        directory(&[("a.ndjson", PATIENT), ("README.md", "x"), ("noending", "x"), ("b.json.zip", "x")]);
    let path = |name: &str| place.path().join(name);
    std::fs::write(place.path().join(OsStr::from_bytes(b"caf\xe9.NdJson")), PATIENT.replace("p1", "p2"))
        .unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    std::fs::write(path("folder/c.JSONL"), PATIENT.replace("p1", "p3")).unwrap();
    std::os::unix::fs::symlink("nowhere.json", path("gone.json")).unwrap();
    std::os::unix::fs::symlink("../folder", path("folder/again")).unwrap();
    std::os::unix::fs::symlink("folder/c.JSONL", path("link.jsonl")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("socket.json")).unwrap();

    let listed = |is_recursive: bool| {
        let options = Options { is_dry_run: true, is_recursive, ..Options::new(place.path().to_owned()) };
        let summary = run(options).unwrap();
        let unread =
            summary.read.unread.iter().map(|entry| (entry.file.clone(), entry.reason)).collect::<Vec<_>>();
        (summary.read.patients, unread)
    };
    let named = |name: &str, reason| (name.to_owned(), reason);
    let mut expected = vec![
        named("README.md", Unread::OtherEnding),
        named("b.json.zip", Unread::OtherEnding),
        named("folder", Unread::Folder),
        named("gone.json", Unread::DanglingLink),
        named("noending", Unread::OtherEnding),
        named("socket.json", Unread::NotAFile),
    ];
    assert_eq!(listed(false), (3, expected.clone()));
    expected[2] = named("folder/again", Unread::FolderAgain);
    assert_eq!(listed(true), (3, expected), "the link and the file are one resource");
}

#[test]
fn a_refused_file_is_named_and_counts_for_nothing_and_the_others_are_read() {
    let bad = format!(
        "{}\n{{\"resourceType\":\"Location\",\"id\":\"l\"}}\nnot JSON\n",
        PATIENT.replace("p1", "p9")
    );
    let place = directory(&[("a.ndjson", PATIENT), ("b.ndjson", &bad), ("c.json", "[]")]);
    let summary = dry(place.path()).unwrap();
    assert_eq!((summary.read.files, summary.read.patients), (1, 1), "nothing of a refused file counts");
    assert!(!summary.read.resources.contains_key("Location"));
    let refused: Vec<_> =
        summary.read.unread.iter().map(|entry| (entry.file.as_str(), entry.reason)).collect();
    assert_eq!(refused, [("b.ndjson", Unread::Refused), ("c.json", Unread::Refused)]);
    assert!(summary.text().contains("b.ndjson line 3: not a FHIR resource"), "{}", summary.text());
    assert_eq!(summary.exit_code(), exit::LOCAL);
    // What goes onto a ledger for good waits until somebody says that it may go without them.
    let consortium = directory(&[
        ("consortium.toml", super::small::CONSORTIUM),
        ("mapping.toml", "payer = \"fund\"\n[organizations]\n"),
    ]);
    let load = |name: &str| consortium.path().join(name);
    let options = Options {
        consortium: Some(crate::consortium::Consortium::load(&load("consortium.toml")).unwrap()),
        mapping: Some(crate::import::mapping::Mapping::load(&load("mapping.toml")).unwrap()),
        state: Some(load("state")),
        ..Options::new(place.path().to_owned())
    };
    let error = run(options.clone()).unwrap_err();
    assert!(matches!(&error, ImportError::FilesRefused { refused } if refused.len() == 2), "{error}");
    assert!(!load("state").exists());
    let without = run(Options { goes_without_refused: true, ..options }).unwrap();
    assert_eq!((without.read.patients, without.exit_code()), (1, exit::LOCAL));
    assert!(without.recorded.is_none(), "there is nothing to record");
}

#[test]
fn each_type_is_counted_with_what_became_of_it() {
    let lines = [
        PATIENT,
        PATIENT,
        r#"{"resourceType":"Location","id":"l1"}"#,
        r#"{"resourceType":"Basic"}"#,
        r#"{"resourceType":"Condition","id":"d1"}"#,
        r#"{"resourceType":"Bundle","entry":[{"response":{"status":"201"}},{"resource":{"resourceType":"Patient"}},{"request":{"method":"DELETE","url":"Patient/p1"}}]}"#,
    ];
    let place = directory(&[("x.ndjson", &lines.join("\n"))]);
    let summary = dry(place.path()).unwrap();
    let counts: Vec<_> = summary
        .read
        .resources
        .iter()
        .map(|(kind, became)| (kind.as_str(), became.read, became.used, became.left_out))
        .collect();
    let expected = [
        ("Basic", 1, 0, 1),
        ("Bundle", 1, 1, 0),
        ("Condition", 1, 0, 1),
        ("Location", 1, 0, 1),
        ("Patient", 3, 1, 2),
        ("entry without a resource", 2, 0, 2),
    ];
    assert_eq!(counts, expected);
    let reasons: Vec<_> =
        summary.skipped.iter().map(|skipped| (skipped.reason, skipped.examples[0].as_str())).collect();
    assert_eq!(
        reasons,
        [
            (Reason::NotUsed, "x.ndjson line 4"),
            (Reason::NoEncounter, "x.ndjson line 5"),
            (Reason::NotUsed, "x.ndjson line 3"),
            (Reason::NoId, "x.ndjson line 6 entry 2"),
            (Reason::Repeated, "x.ndjson line 2"),
            (Reason::NoResource, "x.ndjson line 6 entry 1"),
            (Reason::Deletion, "x.ndjson line 6 entry 3"),
        ]
    );
}

#[test]
fn text_in_utf16_is_told_what_it_is_and_bundles_have_a_bottom() {
    let place = directory(&[]);
    let utf16: Vec<u8> =
        std::iter::once(0xfeff).chain(PATIENT.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    std::fs::write(place.path().join("x.ndjson"), utf16).unwrap();
    let error = dry(place.path()).unwrap_err().to_string();
    assert!(error.contains("UTF-16") && error.contains("convert"), "{error}");
    let nested = |depth: usize| {
        let open = r#"{"resourceType":"Bundle","entry":[{"resource":"#.repeat(depth);
        let text = format!("{open}{PATIENT}{}", "}]}".repeat(depth));
        dry(directory(&[("x.json", &text)]).path()).map(|summary| summary.read.patients)
    };
    assert_eq!(nested(8).unwrap(), 1);
    assert!(nested(9).unwrap_err().to_string().contains("more than 8 deep"));
    assert!(nested(200).is_err());
}
