//! The whole Synthea set as a dry run, its counts and sums against a reading of the files that shares no code.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;

use super::{data, dry};
use crate::import::collect::Collected;
use crate::import::document::Digest;

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
    assert_eq!(summary.operations["deliver_service"], 11_169);

    let claims = lines(&directory, "Claim");
    let claimed = sum(claims.iter().map(|line| number(line, "\"total\":").unwrap().to_owned()));
    let paid = sum(lines(&directory, "ExplanationOfBenefit")
        .iter()
        .map(|line| number(line, "\"payment\":").unwrap().to_owned()));
    let sums = &summary.sums["USD"];
    assert_eq!((sums.claims, sums.claimed_minor, sums.claimed_rounded), (11_169, claimed.0, claimed.1));
    assert_eq!((sums.payments, sums.paid_minor, sums.paid_rounded), (8_918, paid.0, paid.1));
    assert_eq!(sums.gross_minor, claimed.0);
    assert_eq!(claimed, (3_827_088_266, 0));
    assert!(paid.1 > 4_000, "about half of the payments have more than two decimals");
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
            text("/resource/id"),
            text("/resource/serviceProvider/reference"),
        ));
    }
    visits.values_mut().for_each(|visits| visits.sort());
    let changes = visits.values().flat_map(|visits| visits.windows(2)).filter(|two| two[0].2 != two[1].2);
    assert_eq!(summary.referrals, changes.count() as u64);
    let custodians: BTreeSet<_> =
        visits.iter().flat_map(|(patient, all)| all.iter().map(move |visit| (patient, &visit.2))).collect();
    assert_eq!(summary.subjects, custodians.len() as u64);
    // One grant for each patient and custodian, as there is one payer.
    assert_eq!(summary.operations["grant_access"], custodians.len() as u64);
    let receipts = summary.operations["record_receipt"];
    assert_eq!(summary.operations["record_disclosure"], receipts);
    assert!(receipts > 8_918 + summary.referrals, "{receipts}");
    for step in ["accept_referral", "hand_over", "acknowledge_handover", "report_outcome", "close_clinically"]
    {
        assert_eq!(summary.operations[step], summary.referrals, "{step}");
    }
}

#[test]
fn the_bundles_give_what_the_lines_give() {
    let Some(directory) = data("synthea-r4-2019-dev") else { return };
    let lines = Collected::read(&directory, |_| ()).unwrap();
    let bundles = Collected::read(&directory.join("bundles"), |_| ()).unwrap();
    assert_eq!((bundles.files, bundles.encounters.len(), bundles.claims.len()), (20, 293, 386));
    for (id, claim) in &bundles.claims {
        let same: Option<(Digest, _)> = lines.claims.get(id).map(|claim| (claim.digest, claim.total));
        assert!(same.is_none_or(|same| same == (claim.digest, claim.total)), "{id}");
    }
    assert!(bundles.claims.keys().any(|id| lines.claims.contains_key(id)), "the sets overlap");
}
