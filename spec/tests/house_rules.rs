//! House rules that no lint knows: how files open and how long they are, links, rule numbers, dependencies, paths.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 600;

/// The folders of the workspace that hold sources and texts.
const FOLDERS: [&str; 4] = ["spec", "client", "node", "tests"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All files of the workspace with this ending, with their paths from its root, in order.
fn files(ending: &str) -> Vec<(String, String)> {
    let root = root();
    let mut paths: Vec<PathBuf> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_file());
    FOLDERS.iter().for_each(|folder| walk(&root.join(folder), &mut paths));
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    paths
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_str().unwrap();
            if name != "target" && !name.starts_with('.') {
                walk(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

#[track_caller]
fn assert_none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

#[test]
fn every_source_file_says_what_it_is_for_and_stays_readable() {
    let mut broken = Vec::new();
    for (name, text) in files("rs") {
        if !text.starts_with("//! ") {
            broken.push(format!("{name} does not open with //!"));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            broken.push(format!("{name} has {lines} lines, more than {LINES_MAX}: divide it"));
        }
    }
    assert_none(&broken, "source files");
}

#[test]
fn nothing_is_left_to_do_in_the_code() {
    // Put together here, so that this file does not find itself.
    let marks =
        [["to", "do!("], ["unimple", "mented!("], ["FIX", "ME"], ["XX", "X "]].map(|mark| mark.concat());
    let broken: Vec<String> = files("rs")
        .into_iter()
        .filter(|(_, text)| marks.iter().any(|mark| text.contains(mark.as_str())))
        .map(|(name, _)| name)
        .collect();
    assert_none(&broken, "files with unfinished code");
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    let paths = ["/ho", "/ro", "/tm", "/wor"].iter().zip(["me/", "ot/", "p/", "k/"]);
    let paths: Vec<String> = paths.map(|(start, end)| format!("{start}{end}")).collect();
    let mut broken = Vec::new();
    for (name, text) in ["rs", "md", "toml"].into_iter().flat_map(files) {
        for (number, line) in text.lines().enumerate() {
            // A path begins after a quote, a space or a bracket; `a/work/b` is none.
            let begins = |path: &String| {
                line.match_indices(path.as_str()).any(|(at, _)| {
                    line[..at].chars().next_back().is_none_or(|before| " \"'`(=".contains(before))
                })
            };
            if paths.iter().any(begins) {
                broken.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_none(&broken, "absolute paths; use a temporary directory or the environment");
}

/// The targets of `[text](target)` that are files of this repository, without anchors.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split([')', ' ']).next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            // Addresses elsewhere have a colon; formulas such as [8](…) are no links.
            let is_path = file.chars().all(|one| one.is_ascii_alphanumeric() || "._-/".contains(one));
            if is_path && !file.is_empty() {
                found.push(file.to_owned());
            }
        }
    }
    found
}

#[test]
fn links_between_texts_lead_somewhere() {
    let mut broken = Vec::new();
    for (name, text) in files("md") {
        let path = root().join(&name);
        let folder = path.parent().unwrap();
        for link in links(&text) {
            if !folder.join(&link).exists() {
                broken.push(format!("{name}: {link}"));
            }
        }
    }
    assert_none(&broken, "links to nothing");
}

/// A rule's number where a text begins with one: `C-3 …` gives C and 3.
fn rule_at(text: &str) -> Option<(char, u32)> {
    let mut characters = text.chars();
    let letter = characters.next().filter(char::is_ascii_uppercase)?;
    let digits: String =
        characters.as_str().strip_prefix('-')?.chars().take_while(char::is_ascii_digit).collect();
    let rest = &text[2 + digits.len()..];
    let ends = !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_' || next == '-');
    digits.parse().ok().filter(|_| ends).map(|number| (letter, number))
}

fn shown((letter, number): (char, u32)) -> String {
    format!("{letter}-{number}")
}

/// The rules that the chapters define: `**C-3`, or `C-3` as the first cell of a table's row.
fn defined() -> BTreeSet<(char, u32)> {
    let chapters = files("md").into_iter().filter(|(name, _)| name.starts_with("spec/protocol/"));
    let mut rules = BTreeSet::new();
    for (name, text) in chapters {
        for line in text.lines() {
            let cell = line.strip_prefix("| ").unwrap_or(line);
            let is_table = cell.len() != line.len();
            let bold = cell.strip_prefix("**");
            let Some(rule) = bold.or(is_table.then_some(cell)).and_then(rule_at) else {
                continue;
            };
            let digits = shown(rule).len();
            // The index at a chapter's end ("| S-3 to S-11 |", "| T-14, T-15 |", "| E |") defines nothing.
            let rest = &bold.unwrap_or(cell)[digits..];
            let is_index = bold.is_none() && !rest.starts_with(" |");
            if is_index || rest.starts_with("** |") && rest.contains("tests/") {
                continue;
            }
            assert!(rules.insert(rule), "{name}: {} is defined twice", shown(rule));
        }
    }
    rules
}

/// The rules that a text cites, `A-1 to A-6` being all six, of the families in `letters`.
fn cited(text: &str, letters: &BTreeSet<char>) -> BTreeSet<(char, u32)> {
    let mut rules = BTreeSet::new();
    let mut range_from: Option<((char, u32), usize)> = None;
    for (at, _) in text.match_indices('-').filter(|(at, _)| *at > 0) {
        let Some(start) = text[..at].char_indices().next_back().map(|(start, _)| start) else {
            continue;
        };
        let before = text[..start].chars().next_back();
        if before.is_some_and(|before| before.is_ascii_alphanumeric() || "-_".contains(before)) {
            continue;
        }
        let Some(rule) = rule_at(&text[start..]).filter(|rule| letters.contains(&rule.0)) else {
            continue;
        };
        if let Some((first, end)) = range_from
            && first.0 == rule.0
            && text[end..start].trim() == "to"
        {
            rules.extend((first.1..rule.1).map(|number| (rule.0, number)));
        }
        rules.insert(rule);
        range_from = Some((rule, start + shown(rule).len()));
    }
    rules
}

#[test]
fn rules_cited_exist_and_rules_that_exist_are_cited() {
    let defined = defined();
    assert!(defined.len() > 100, "only {} rules were found in the chapters", defined.len());
    let letters: BTreeSet<char> = defined.iter().map(|(letter, _)| *letter).collect();
    let mut everywhere = BTreeSet::new();
    let mut unknown = Vec::new();
    for (name, text) in files("rs").into_iter().chain(files("md")) {
        let cited = cited(&text, &letters);
        unknown.extend(cited.difference(&defined).map(|rule| format!("{name} cites {}", shown(*rule))));
        if name.ends_with(".rs") {
            everywhere.extend(cited);
        }
    }
    assert_none(&unknown, "rules that no chapter has");
    let silent: Vec<String> = defined.difference(&everywhere).map(|rule| shown(*rule)).collect();
    assert_none(&silent, "rules that neither code nor tests cite");
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = manifest.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let names = section.lines().filter(|line| !line.starts_with('#') && !line.contains("path ="));
    let names: BTreeSet<&str> =
        names.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    let reasons = fs::read_to_string(root().join("spec/decisions/0002-dependencies.md")).unwrap();
    let explained: BTreeSet<&str> = reasons
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| line.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2))
        .collect();
    let difference: Vec<String> =
        names.symmetric_difference(&explained).map(|name| (*name).to_owned()).collect();
    assert_none(&difference, "in the manifest or in the table of reasons, not in both");
    let members = FOLDERS.into_iter().chain(["client/local"]);
    let manifests: Vec<String> =
        members.map(|member| fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap()).collect();
    let unused = names
        .iter()
        .filter(|name| !manifests.iter().any(|text| text.contains(&format!("\n{name}.workspace"))));
    let unused: Vec<String> = unused.map(|name| (*name).to_owned()).collect();
    assert_none(&unused, "dependencies that no crate asks for");
}

#[test]
fn the_rules_of_this_file_find_what_they_look_for() {
    assert_eq!(rule_at("C-3 the"), Some(('C', 3)));
    assert_eq!(rule_at(&format!("C-{}.", 30)), Some(('C', 30)));
    assert_eq!(rule_at("C-3x"), None);
    let letters = BTreeSet::from(['A', 'K']);
    let found = cited("rules A-1 to A-3, K-8; SHA-256, A-4 and K-9 to A-6, Q-1", &letters);
    let expected = [('A', 1), ('A', 2), ('A', 3), ('A', 4), ('A', 6), ('K', 8), ('K', 9)];
    assert_eq!(found, BTreeSet::from(expected));
    assert_eq!(links("see [a](b.md#c), [d](https://e.org), [f](g/h)"), ["b.md", "g/h"]);
}
