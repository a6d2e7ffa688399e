//! The table of rows in chapter 4 is that of the code (rules ).

use std::collections::BTreeMap;
use std::path::Path;

use yilian_spec::state::key::RowKind;

/// Of each row of the chapter's table: its tag, the number of its key's parts, and whether it is proven.
fn written() -> BTreeMap<u8, (usize, bool)> {
    let chapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol/04-blocks-and-state.md");
    let chapter = std::fs::read_to_string(chapter).unwrap();
    let state = chapter.split("**R-2.**").nth(1).unwrap().split("**R-3.**").next().unwrap();
    let mut rows = BTreeMap::new();
    for line in state.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", tag, key, _, kind, ""] = cells[..] else { panic!("{line}") };
        let tag = u8::from_str_radix(tag.trim_matches('`'), 16).unwrap();
        let parts = key.split(", ").filter(|part| !part.is_empty()).count();
        let is_proven = match kind {
            "proven" => true,
            "plain" => false,
            other => panic!("{other}"),
        };
        assert_eq!(rows.insert(tag, (parts, is_proven)), None, "{tag:02x} stands twice");
    }
    rows
}

#[test]
fn chapter_4_lists_the_rows_of_the_code() {
    let of_code = |kind: &RowKind| (kind.tag(), (kind.parts().len(), kind.is_proven()));
    assert_eq!(RowKind::ALL.iter().map(of_code).collect::<BTreeMap<_, _>>(), written());
}
