//! References of every form, versions of one resource, and payers that a coverage names.

use super::{directory, dry};
use crate::import::Summary;
use crate::import::collect::{Collected, Reach};
use crate::import::skip::{Note, Reason};

fn read(files: &[(&str, &str)]) -> Collected {
    Collected::read(directory(files).path(), Reach::default(), |_, _| ()).unwrap()
}

fn encounter(id: &str, patient: &str, organization: &str, more: &str) -> String {
    format!(
        "{{\"resourceType\":\"Encounter\",\"id\":\"{id}\",\"status\":\"finished\",\"subject\":{{\"reference\":\"{patient}\"}},\
         \"serviceProvider\":{{\"reference\":\"{organization}\"}},\"period\":{{\"start\":\"2020-01-01\"}}{more}}}"
    )
}

fn claim(id: &str, more: &str) -> String {
    format!(
        "{{\"resourceType\":\"Claim\",\"id\":\"{id}\",\"status\":\"active\",\"use\":\"claim\",\
         \"total\":{{\"value\":1,\"currency\":\"CNY\"}},{more}}}"
    )
}

fn skipped(summary: &Summary) -> Vec<(String, Reason, u64)> {
    let all = summary.skipped.iter();
    all.map(|skipped| (skipped.resource.clone(), skipped.reason, skipped.count)).collect()
}

#[test]
fn patients_of_two_servers_are_two_and_a_reference_to_either_is_refused() {
    let lines = [
        encounter("e1", "http://a/fhir/Patient/1", "Organization/1", ""),
        encounter("e2", "http://b/fhir/Patient/1/_history/3", "Organization/1", ""),
        encounter("e3", "Patient/1", "Organization/1", ""),
    ];
    let text = lines.join("\n");
    let collected = read(&[("x.ndjson", &text)]);
    let patients: Vec<_> =
        collected.encounters.values().map(|encounter| encounter.patient.as_str()).collect();
    assert_eq!(patients, ["http://a/fhir/Patient/1", "http://b/fhir/Patient/1"]);
    let summary = dry(directory(&[("x.ndjson", &text)]).path()).unwrap();
    assert_eq!(skipped(&summary), [("Encounter".to_owned(), Reason::Ambiguous, 1)]);
    assert_eq!(summary.skipped[0].examples, ["x.ndjson line 3"]);
    // One server, named or not, is one.
    let one = read(&[("x.ndjson", &text.replace("http://b", "http://a"))]);
    assert!(one.encounters.values().all(|encounter| encounter.patient == "1"), "{:?}", one.encounters);
}

#[test]
fn bundles_call_their_own_resources_by_the_same_temporary_address() {
    let bundle = |patient: &str, id: &str| {
        let visit = encounter(id, "urn:uuid:1", "Organization/1", "");
        format!(
            "{{\"resourceType\":\"Bundle\",\"entry\":[{{\"fullUrl\":\"urn:uuid:1\",\"resource\":\
             {{\"resourceType\":\"Patient\",\"id\":\"{patient}\"}}}},{{\"resource\":{visit}}}]}}"
        )
    };
    let collected = read(&[("a.json", &bundle("p1", "e1")), ("b.json", &bundle("p2", "e2"))]);
    let patients: Vec<_> =
        collected.encounters.values().map(|encounter| encounter.patient.as_str()).collect();
    assert_eq!(patients, ["p1", "p2"]);
}

#[test]
fn the_base_of_an_entry_is_the_base_of_its_references_and_may_stand_for_its_id() {
    let visit = encounter("e1", "Patient/1", "Organization/1", "").replace("\"id\":\"e1\",", "");
    let bundle = format!(
        "{{\"resourceType\":\"Bundle\",\"entry\":[{{\"fullUrl\":\"http://a/Encounter/e1\",\"resource\":{visit}}}]}}"
    );
    let other = encounter("e2", "http://b/Patient/1", "Organization/1", "");
    let collected = read(&[("a.json", &bundle), ("b.ndjson", &other)]);
    let patients: Vec<_> = collected
        .encounters
        .iter()
        .map(|(id, encounter)| (id.as_str(), encounter.patient.as_str()))
        .collect();
    assert_eq!(patients, [("e1", "http://a/Patient/1"), ("e2", "http://b/Patient/1")]);
}

#[test]
fn what_is_contained_is_known_by_its_identifier() {
    let contained = ",\"contained\":[{\"resourceType\":\"Organization\",\"id\":\"o\",\"identifier\":[{\"system\":\"s\",\
                     \"value\":\"7\"}]},{\"resourceType\":\"Patient\",\"id\":\"p\"}]";
    let lines = [
        "{\"resourceType\":\"Organization\",\"id\":\"o7\",\"identifier\":[{\"system\":\"s\",\"value\":\"7\"}]}".to_owned(),
        encounter("e1", "Patient/1", "#o", contained),
        encounter("e2", "#p", "Organization/o7", contained),
        encounter("e3", "Group/1", "Organization/o7", ""),
    ];
    let collected = read(&[("x.ndjson", &lines.join("\n"))]);
    let organizations: Vec<_> = collected.encounters.values().map(|one| one.organization.as_str()).collect();
    assert_eq!(organizations, ["o7"]);
    let reasons: Vec<_> =
        collected.skips.list().into_iter().map(|skipped| (skipped.reason, skipped.count)).collect();
    assert_eq!(reasons, [(Reason::OtherKind, 1), (Reason::NoPatient, 1)]);
}

#[test]
fn of_two_versions_the_later_counts_and_without_a_date_none() {
    let version = |start: &str, updated: &str| {
        encounter("e1", "Patient/1", "Organization/1", updated).replace("2020-01-01", start)
    };
    let of = |updated: &str| format!(",\"meta\":{{\"lastUpdated\":\"{updated}\"}}");
    let later = version("2020-03-03", &of("2021-01-02T00:00:00Z"));
    for texts in [
        [later.clone(), version("2020-01-01", &of("2021-01-01T00:00:00Z"))],
        [version("2020-01-01", &of("2021-01-01T00:00:00Z")), later.clone()],
    ] {
        let collected = read(&[("x.ndjson", &texts.join("\n"))]);
        assert_eq!(collected.encounters["e1"].start, crate::import::instant::parse("2020-03-03").unwrap());
        assert_eq!(collected.skips.list()[0].reason, Reason::Superseded);
    }
    let lines = [
        later,
        version("2020-01-01", ""),
        claim("c1", "\"item\":[{\"encounter\":[{\"reference\":\"Encounter/e1\"}]}]"),
    ];
    let summary = dry(directory(&[("x.ndjson", &lines.join("\n"))]).path()).unwrap();
    let expected =
        [("Claim".to_owned(), Reason::Contradicted, 1), ("Encounter".to_owned(), Reason::Contradicted, 2)];
    assert_eq!(skipped(&summary), expected);
}

#[test]
fn two_answers_of_one_day_are_noted_where_they_differ_in_money() {
    let answer = |id: &str, value: u8| {
        format!(
            "{{\"resourceType\":\"ExplanationOfBenefit\",\"id\":\"{id}\",\"status\":\"active\",\"use\":\"claim\",\
             \"created\":\"2020-01-01\",\"claim\":{{\"reference\":\"Claim/c1\"}},\"payment\":{{\"amount\":\
             {{\"value\":{value},\"currency\":\"CNY\"}}}}}}"
        )
    };
    let organization = "\"provider\":{\"reference\":\"Organization/1\"}";
    let noted = |second: u8| {
        let lines = [claim("c1", organization), answer("b1", 1), answer("b2", second)].join("\n");
        let collected = read(&[("x.ndjson", &lines)]);
        assert_eq!(collected.skips.list()[0].reason, Reason::Superseded);
        collected.notes.list().into_iter().map(|noted| noted.reason).collect::<Vec<_>>()
    };
    assert_eq!(noted(2), [Note::LatestUnclear]);
    assert_eq!(noted(1), []);
}

#[test]
fn a_coverage_is_known_by_its_payer_and_whoever_pays_alone_owes_nobody() {
    let insurance = |id: &str, coverage: &str| {
        let more = format!(
            "\"provider\":{{\"reference\":\"Organization/1\"}},\"insurance\":[{{\"focal\":true,\"coverage\":{coverage}}}]"
        );
        claim(id, &more)
    };
    let lines = [
        "{\"resourceType\":\"Organization\",\"id\":\"fund\",\"name\":\"State Fund\"}".to_owned(),
        "{\"resourceType\":\"Coverage\",\"id\":\"v1\",\"payor\":[{\"reference\":\"Organization/fund\"}]}"
            .to_owned(),
        "{\"resourceType\":\"Coverage\",\"id\":\"v2\",\"payor\":[{\"reference\":\"Patient/1\"}]}".to_owned(),
        insurance("c1", "{\"reference\":\"Coverage/v1\"}"),
        insurance("c2", "{\"reference\":\"Coverage/v2\"}"),
        insurance("c3", "{\"reference\":\"Coverage/v3\",\"display\":\"Aetna\"}"),
        claim("c4", "\"provider\":{\"reference\":\"PractitionerRole/r\"}"),
    ];
    let collected = read(&[("x.ndjson", &lines.join("\n"))]);
    let coverage = |id: &str| collected.claims[id].coverage.clone();
    let one = coverage("c1").unwrap();
    assert_eq!((one.label.as_str(), one.is_self_paid), ("State Fund", false));
    assert_eq!(one.keys, ["Coverage/v1", "v1", "Organization/fund", "fund", "State Fund"]);
    assert!(coverage("c2").unwrap().is_self_paid);
    let three = coverage("c3").unwrap();
    assert_eq!(
        (three.label.as_str(), three.keys),
        ("Aetna", ["Coverage/v3", "v3", "Aetna"].map(str::to_owned).to_vec())
    );
    assert_eq!((coverage("c4"), &collected.claims["c4"].organization), (None, &None));
}
