//! The whole Synthea set as a dry run, its counts and sums against a reading of the files that shares no code.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;

use super::{data, dry};
use crate::import::collect::{Collected, Reach};
use crate::import::document::Digest;
use crate::import::skip::Note;

pub fn lines(directory: &Path, name: &str) -> Vec<String> {
    let file = std::fs::File::open(directory.join(format!("{name}.ndjson.gz"))).unwrap();
    BufReader::new(GzDecoder::new(file)).lines().map(Result::unwrap).collect()
}

/// The text of the number behind the last `marker` and the next `"value":`.
fn number<'a>(line: &'a str, marker: &str) -> Option<&'a str> {
    let rest = &line[line.rfind(marker)? + marker.len()..];
    let rest = &rest[rest.find("\"value\":")? + 8..];
    Some(&rest[..rest.find([',', '}'])?])
}

/// Decimal text times 100, rounded half up: digits only, and whether any was lost.
fn cents(text: &str) -> (i128, bool) {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let padded = format!("{fraction:0<20}");
    let exact: i128 = format!("{whole}{padded}").parse().unwrap();
    let unit = 10i128.pow(18);
    ((exact + unit / 2) / unit, exact % unit != 0)
}

fn sum(texts: impl IntoIterator<Item = String>) -> (i128, u64) {
    texts
        .into_iter()
        .map(|text| cents(&text))
        .fold((0, 0), |(sum, rounded), (minor, was_rounded)| (sum + minor, rounded + u64::from(was_rounded)))
}

#[test]
fn the_whole_set_is_planned_and_its_sums_are_those_of_the_files() {
    let Some(directory) = data("synthea-r4-2019-dev") else { return };
    let summary = dry(&directory).unwrap();
    let read = &summary.read;
    assert_eq!((read.patients, read.encounters, read.claims), (307, 8_918, 11_169));
    assert_eq!((read.organizations, read.explanations_of_benefit), (92, 8_918));
    assert_eq!(summary.operations["deliver_service"], 10_799);

    // 370 claims are of patients whom nobody insures: nobody owes them.
    let (uninsured, insured): (Vec<String>, Vec<String>) = lines(&directory, "Claim")
        .into_iter()
        .partition(|line| line.contains("{\"display\":\"no_insurance\"}"));
    let total = |line: &String| number(line, "\"total\":").unwrap().to_owned();
    let (claimed, unowed) = (sum(insured.iter().map(total)), sum(uninsured.iter().map(total)));
    let unowed_ids: BTreeSet<String> = uninsured.iter().map(|line| full_url(line)).collect();
    let paid = sum(lines(&directory, "ExplanationOfBenefit")
        .iter()
        .filter(|line| !unowed_ids.contains(&after(line, "\"claim\":{\"reference\":\"")))
        .map(|line| number(line, "\"payment\":").unwrap().to_owned()));
    let sums = &summary.sums["USD"];
    assert_eq!((sums.claims, sums.claimed_minor, sums.claimed_rounded), (10_799, claimed.0, claimed.1));
    assert_eq!((sums.paid_minor, sums.paid_rounded), (paid.0, paid.1));
    assert_eq!(sums.gross_minor, claimed.0);
    assert_eq!((claimed, unowed), ((3_699_963_182, 0), (127_125_084, 0)));
    assert!(paid.1 > 4_000, "about half of the payments have more than two decimals");
    let nobody: Vec<_> = summary.payers.iter().filter(|asked| asked.uninsured).collect();
    assert_eq!((nobody[0].claims, nobody[0].claimed_minor["USD"]), (370, unowed.0));
    check_types(&directory, &summary);
}

/// Every line is counted, and each resource is used or left out.
fn check_types(directory: &Path, summary: &crate::import::Summary) {
    for (kind, became) in &summary.read.resources {
        assert_eq!(became.read, lines(directory, kind).len() as u64, "{kind}");
        assert_eq!(became.read, became.used + became.left_out, "{kind}");
    }
    assert_eq!(summary.read.resources.len(), 15);
    let unread: Vec<&str> = summary.read.unread.iter().map(|entry| entry.file.as_str()).collect();
    assert_eq!(unread, ["PROVENANCE.md", "SOURCE_FILES.tsv", "bundles"]);
}

/// Changes of organisation from one moment to the next, where each moment has one; and the visits at moments that have
/// several, of which nobody can say which came first.
fn changes(visits: &BTreeMap<String, Vec<(String, String, String)>>) -> (u64, u64) {
    let (mut changes, mut unclear) = (0, 0);
    for visits in visits.values() {
        let mut before: Option<&String> = None;
        for moment in visits.chunk_by(|one, other| one.0 == other.0) {
            let is_clear = moment.iter().all(|visit| visit.2 == moment[0].2);
            unclear += if is_clear { 0 } else { moment.len() as u64 };
            changes += u64::from(is_clear && before.is_some_and(|before| *before != moment[0].2));
            before = is_clear.then_some(&moment[0].2);
        }
    }
    (changes, unclear)
}

/// The text behind a marker, up to the next quotation mark.
fn after(line: &str, marker: &str) -> String {
    let rest = &line[line.find(marker).unwrap() + marker.len()..];
    rest[..rest.find('"').unwrap()].to_owned()
}

fn full_url(line: &str) -> String {
    after(line, "\"fullUrl\":\"")
}

#[test]
fn encounters_become_disclosures_and_changes_of_institution_referrals() {
    let Some(directory) = data("synthea-r4-2019-dev") else { return };
    let summary = dry(&directory).unwrap();
    // An independent count of changes: all times of this set have one offset, so that they sort as text.
    let mut visits: BTreeMap<String, Vec<(String, String, String)>> = BTreeMap::new();
    for line in lines(&directory, "Encounter") {
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let text = |pointer: &str| value.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        visits.entry(text("/resource/subject/reference")).or_default().push((
            text("/resource/period/start"),
            text("/fullUrl"),
            text("/resource/serviceProvider/reference"),
        ));
    }
    visits.values_mut().for_each(|visits| visits.sort());
    let (changes, unclear) = changes(&visits);
    assert_eq!((summary.referrals, unclear), (changes, 60));
    let noted = summary.noted.iter().find(|noted| noted.reason == Note::OrderUnclear);
    assert_eq!(noted.map(|noted| noted.count), Some(unclear));
    let custodians: BTreeSet<_> =
        visits.iter().flat_map(|(patient, all)| all.iter().map(move |visit| (patient, &visit.2))).collect();
    assert_eq!(summary.subjects, custodians.len() as u64);
    // One grant for each patient and custodian with a claim that somebody pays, as there is one payer.
    let billed: BTreeSet<String> = lines(&directory, "Claim")
        .iter()
        .filter(|line| !line.contains("{\"display\":\"no_insurance\"}"))
        .map(|line| after(line, "\"encounter\":[{\"reference\":\""))
        .collect();
    let is_billed = |visit: &&(String, String, String)| billed.contains(&visit.1);
    let granted: BTreeSet<_> = visits
        .iter()
        .flat_map(|(patient, all)| all.iter().filter(is_billed).map(move |visit| (patient, &visit.2)))
        .collect();
    assert_eq!(summary.operations["grant_access"], granted.len() as u64);
    assert!(granted.len() < custodians.len());
    let receipts = summary.operations["record_receipt"];
    assert_eq!(summary.operations["record_disclosure"], receipts);
    assert!(receipts > billed.len() as u64 + summary.referrals, "{receipts}");
    for step in ["accept_referral", "hand_over", "acknowledge_handover", "report_outcome", "close_clinically"]
    {
        assert_eq!(summary.operations[step], summary.referrals, "{step}");
    }
}

#[test]
fn the_bundles_give_what_the_lines_give() {
    let Some(directory) = data("synthea-r4-2019-dev") else { return };
    let lines = Collected::read(&directory, Reach::default(), |_, _| ()).unwrap();
    let bundles = Collected::read(&directory.join("bundles"), Reach::default(), |_, _| ()).unwrap();
    assert_eq!((bundles.files, bundles.encounters.len(), bundles.claims.len()), (20, 293, 386));
    for (id, claim) in &bundles.claims {
        let same: Option<(Digest, _)> = lines.claims.get(id).map(|claim| (claim.digest, claim.total));
        assert!(same.is_none_or(|same| same == (claim.digest, claim.total)), "{id}");
    }
    assert!(bundles.claims.keys().any(|id| lines.claims.contains_key(id)), "the sets overlap");
}
