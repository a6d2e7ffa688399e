//! The imports of every crate's sources go one way: files of different folders never need each other in a circle.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Of each module, by its path from the crate's root, the modules that it names.
type Graph = BTreeMap<String, BTreeSet<String>>;

fn walk(folder: &Path, module: &str, sources: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let inner = if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") };
        // The sources of the command line are a crate of their own, and tests may look at everything.
        if name == "bin" || name == "tests" {
            continue;
        }
        if path.is_dir() {
            walk(&path, &inner, sources);
        } else if name == "mod" {
            sources.insert(module.to_owned(), fs::read_to_string(&path).unwrap());
        } else if name != "lib" && !name.ends_with("tests") {
            sources.insert(inner, fs::read_to_string(&path).unwrap());
        }
    }
}

/// The paths in a source that begin at the crate's root or at the module above; of a group in braces, one for each element.
fn paths(module: &str, is_folder: bool, source: &str) -> Vec<String> {
    let lines = source.lines().take_while(|line| *line != "#[cfg(test)]");
    let code: String =
        lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for (prefix, mut base) in [("crate::", ""), ("super::", module)] {
        if prefix == "super::" && !is_folder {
            base = base.rsplit_once("::").map_or("", |(above, _)| above);
        }
        if prefix == "super::" && is_folder {
            continue;
        }
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            let end =
                rest.find(|one: char| !(one.is_alphanumeric() || "_:".contains(one))).unwrap_or(rest.len());
            let stem = [base, &rest[..end]]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join("::");
            let group = rest[end..].strip_prefix('{').and_then(|group| group.split('}').next());
            match group {
                Some(group) => found.extend(group.split(',').map(|one| format!("{stem}{}", one.trim()))),
                None => found.push(stem),
            }
        }
    }
    found
}

/// The module that a path leads to: the longest beginning of it that is one.
fn module_of<'a>(path: &'a str, sources: &BTreeMap<String, String>) -> Option<&'a str> {
    let mut path = path.trim_end_matches("::");
    loop {
        if sources.contains_key(path) {
            return Some(path);
        }
        path = path.rsplit_once("::")?.0;
    }
}

fn graph(sources: &BTreeMap<String, String>) -> Graph {
    let named = |(module, source): (&String, &String)| {
        let is_folder = sources.keys().any(|other| other.starts_with(&format!("{module}::")));
        let named = paths(module, is_folder, source);
        let mut named: BTreeSet<String> =
            named.iter().filter_map(|path| module_of(path, sources)).map(str::to_owned).collect();
        named.remove(module);
        (module.clone(), named)
    };
    sources.iter().map(named).collect()
}

/// All that a module needs, directly or not.
fn reached<'g>(graph: &'g Graph, from: &'g str) -> BTreeSet<&'g str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        for next in &graph[module] {
            if seen.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    seen
}

fn folder(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

fn circles(graph: &Graph) -> Vec<String> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|module| (module.as_str(), reached(graph, module))).collect();
    let mut circles = Vec::new();
    for (module, needs) in &reached {
        for other in needs.iter().filter(|other| folder(other) != folder(module) && module < *other) {
            if reached[other].contains(module) {
                circles.push(format!("{module} and {other} need each other"));
            }
        }
    }
    circles
}

/// The graph of the crate whose sources lie in this folder of the repository.
fn graph_of(folder: &str) -> Graph {
    let mut sources = BTreeMap::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder), "", &mut sources);
    graph(&sources)
}

#[test]
fn files_of_different_folders_do_not_need_each_other_in_circles() {
    // Of each crate, an import that must be found, the second one among those that stand in groups.
    for (folder, imports) in [
        ("spec/src", [("domain::access::rules", "state::key"), ("state::key", "domain::agreement")]),
        ("client/src", [("memory", "error"), ("client::stream", "client::transport")]),
        ("client/src/bin/yilian", [("context", "global"), ("command", "grant")]),
        ("node/src", [("wiring", "voting::abstaining"), ("health::clocks", "metrics")]),
        ("tests/src", [("flood::members", "bench::signed"), ("command_line", "programs")]),
    ] {
        let graph = graph_of(folder);
        for (module, named) in imports {
            assert!(graph[module].contains(named), "{folder}: {module} imports {named}: {:?}", graph[module]);
        }
        let circles = circles(&graph);
        assert!(circles.is_empty(), "{folder}: {}", circles.join("\n"));
    }
}

#[test]
fn a_circle_is_found() {
    let sources = [
        ("base::one", "use crate::state::{key::Key, other};"),
        ("state::key", "use super::overlay::Overlay;"),
        ("state::overlay", "fn needs() -> crate::base::one::Type"),
        ("state::other", "// use crate::base::one;"),
    ];
    let sources = sources.map(|(module, source)| (module.to_owned(), source.to_owned())).into();
    let found = circles(&graph(&sources));
    assert_eq!(
        found,
        ["base::one and state::key need each other", "base::one and state::overlay need each other"]
    );
}
