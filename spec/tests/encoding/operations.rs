//! The tables of operations and refusals in chapter 5 are those of the code.

use std::collections::BTreeSet;
use std::path::Path;

use yilian_spec::base::codec;
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::domain::{Operation, OperationKind};

use crate::generate::{Arbitrary, Gen};

fn chapter() -> String {
    let chapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol/05-operations.md");
    std::fs::read_to_string(chapter).unwrap()
}

/// Of each row of the chapter's table: number, name, version since which it exists, role and what it creates.
fn written() -> Vec<[String; 5]> {
    let chapter = chapter();
    let table = chapter.split("| number | operation |").nth(1).unwrap().split("\n\n").next().unwrap();
    let row = |line: &str| {
        let cells: Vec<String> =
            line.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect();
        let [_, number, name, since, _, role, creates, _] = &cells[..] else { panic!("{line}") };
        [number, name, since, role, creates].map(Clone::clone)
    };
    table.lines().skip(2).map(row).collect()
}

#[test]
fn chapter_5_lists_the_operations_of_the_code() {
    let of_code = |kind: &OperationKind| {
        let role = serde_json::to_value(kind.role).unwrap();
        let creates = kind.creates.map(|kind| kind.name()).unwrap_or_default();
        let (number, since) = (kind.number.to_string(), kind.since.to_string());
        [number, kind.name.to_owned(), since, role.as_str().unwrap().to_owned(), creates.to_owned()]
    };
    assert_eq!(OperationKind::ALL.iter().map(of_code).collect::<Vec<_>>(), written());
}

#[test]
fn an_operation_is_encoded_by_its_number_and_written_by_its_name() {
    let mut seen = BTreeSet::new();
    for seed in 0..1_000 {
        let operation = Operation::arbitrary(&mut Gen::new(seed));
        let kind = operation.kind();
        assert_eq!(codec::encode(&operation)[..4], kind.number.to_le_bytes());
        let json = serde_json::to_value(&operation).unwrap();
        assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), [kind.name]);
        seen.insert(kind.number);
    }
    assert_eq!(seen.len(), OperationKind::ALL.len(), "each kind was drawn");
}

#[test]
fn chapter_5_numbers_the_refusals_as_the_code_does() {
    let chapter = chapter();
    let table = chapter
        .split("| number | refusal | number | refusal |\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let mut written = Vec::new();
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let ["", first, name, second, other, ""] = cells[..] else { panic!("{line}") };
        let rows = [(first, name), (second, other)].into_iter().filter(|(number, _)| !number.is_empty());
        written.extend(rows.map(|(number, name)| (number.parse::<u32>().unwrap(), name.to_owned())));
    }
    written.sort();
    let of_code = |refusal: &Refusal| (refusal.number(), format!("{refusal:?}"));
    assert_eq!(Refusal::ALL.iter().map(of_code).collect::<Vec<_>>(), written);
    for refusal in Refusal::ALL {
        assert_eq!(codec::encode(&refusal), refusal.number().to_le_bytes());
    }
}
