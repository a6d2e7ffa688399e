//! The rules of `promtool check metrics`, written down again for the tests: what a text of metrics must look like so that it
//! has nothing to say (Prometheus' text format 0.0.4; the rules are those of `promlint`).

use std::collections::{BTreeMap, BTreeSet};

/// Units that are not the base unit of their dimension, and abbreviations of units.
const OTHER_UNITS: [&str; 22] = [
    "milliseconds",
    "microseconds",
    "nanoseconds",
    "minutes",
    "hours",
    "days",
    "weeks",
    "kilobytes",
    "megabytes",
    "gigabytes",
    "kibibytes",
    "mebibytes",
    "bits",
    "ms",
    "us",
    "ns",
    "sec",
    "s",
    "b",
    "kb",
    "mb",
    "gb",
];

/// Everything that breaks a rule, a line each.
pub fn complaints(text: &str) -> Vec<String> {
    let (mut kinds, mut helps) = (BTreeMap::new(), BTreeMap::new());
    let (mut found, mut series, mut ended) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut last = String::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            if helps.insert(name.to_owned(), help.to_owned()).is_some() {
                found.push(format!("{name} is explained twice"));
            }
            continue;
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kinds.insert(name.to_owned(), kind.to_owned());
            continue;
        }
        let Some((whole, value)) = line.rsplit_once(' ') else {
            found.push(format!("{line:?} is no sample"));
            continue;
        };
        if value.parse::<f64>().is_err() {
            found.push(format!("{line:?} has no value"));
        }
        if !series.insert(whole.to_owned()) {
            found.push(format!("{whole} comes twice"));
        }
        let name = family(whole.split('{').next().unwrap_or_default(), &kinds);
        if name != last && !ended.insert(name.clone()) {
            found.push(format!("the samples of {name} do not stand together"));
        }
        last.clone_from(&name);
        found.extend(sample(&name, whole, &kinds, &helps));
    }
    found.sort();
    found.dedup();
    found
}

/// The name of the family of a sample: those of histograms carry endings.
fn family(name: &str, kinds: &BTreeMap<String, String>) -> String {
    let bases = ["_bucket", "_sum", "_count"].map(|end| name.strip_suffix(end));
    let histogram =
        bases.into_iter().flatten().find(|base| kinds.get(*base).is_some_and(|kind| kind == "histogram"));
    histogram.unwrap_or(name).to_owned()
}

fn sample(
    name: &str,
    whole: &str,
    kinds: &BTreeMap<String, String>,
    helps: &BTreeMap<String, String>,
) -> Vec<String> {
    let kind = kinds.get(name).map_or("none", String::as_str);
    let mut found = Vec::new();
    let mut complain = |what: &str| found.push(format!("{name}: {what}"));
    if helps.get(name).is_none_or(|help| help.trim().is_empty()) {
        complain("there is no help text");
    }
    match (kind, name.ends_with("_total")) {
        ("counter", false) => complain("a counter's name must end in _total"),
        ("gauge" | "histogram" | "untyped", true) => complain("only a counter's name may end in _total"),
        ("counter" | "gauge" | "histogram", _) => {}
        _ => complain("there is no type"),
    }
    if name.contains("_total_total") {
        complain("_total comes twice");
    }
    if kind != "histogram" && ["_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end)) {
        complain("only a histogram's name may end so");
    }
    let words: Vec<&str> = name.split('_').collect();
    if words.iter().any(|word| OTHER_UNITS.contains(word)) {
        complain("its unit is no base unit, or is abbreviated");
    }
    if words.iter().any(|word| ["counter", "gauge", "histogram"].contains(word)) {
        complain("the name must not say the type");
    }
    let labels = whole.split_once('{').map_or("", |(_, labels)| labels);
    let names = labels.split(',').filter_map(|label| label.split_once("=\"")).map(|(name, _)| name);
    if !name
        .chars()
        .chain(names.flat_map(str::chars))
        .all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_')
    {
        complain("names are written in lower case with underscores");
    }
    found
}

#[test]
fn each_rule_finds_what_breaks_it() {
    let good = "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\"} 2\na_total{x=\"2\"} 2\n";
    assert_eq!(complaints(good), [""; 0]);
    let histogram = "# HELP h_seconds H.\n# TYPE h_seconds histogram\nh_seconds_sum 1\nh_seconds_count 2\nh_seconds_bucket{le=\"1\"} 2\n";
    assert_eq!(complaints(histogram), [""; 0]);
    for (bad, why) in [
        ("a 1\n", "no help text"),
        ("# HELP a A.\n# TYPE a counter\na 1\n", "must end in _total"),
        ("# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n", "only a counter's"),
        ("# HELP a_ms A.\n# TYPE a_ms gauge\na_ms 1\n", "base unit"),
        ("# HELP a_count A.\n# TYPE a_count gauge\na_count 1\n", "only a histogram's"),
        ("# HELP a A.\n# TYPE a gauge\na 1\na 2\n", "comes twice"),
        ("# HELP aB A.\n# TYPE aB gauge\naB 1\n", "lower case"),
        ("# HELP a A.\n# TYPE a gauge\na x\n", "no value"),
    ] {
        let found = complaints(bad);
        assert!(found.iter().any(|one| one.contains(why)), "{bad}: {found:?}");
    }
}
