//! Small inputs that an import once got wrong, each for one kind of mistake; they stand in the shared data with the right
//! behaviour.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{data, run};
use crate::consortium::Consortium;
use crate::import::mapping::{Mapping, MappingError};
use crate::import::plan::Gross;
use crate::import::skip::{Note, Reason};
use crate::import::source::walk::Unread;
use crate::import::{ImportError, Options, Summary};
use yilian_spec::base::id::InstitutionId;

fn case(name: &str) -> Option<PathBuf> {
    Some(data("import-cases")?.join(name))
}

fn dry(directory: &Path) -> Options {
    Options { is_dry_run: true, ..Options::new(directory.to_owned()) }
}

fn services(summary: &Summary) -> BTreeMap<String, u64> {
    let all = summary.institutions.iter().map(|(id, share)| (id.to_string(), share.services));
    all.filter(|(_, services)| *services > 0).collect()
}

fn skipped(summary: &Summary, reason: Reason) -> Vec<(String, u64)> {
    let of_reason = summary.skipped.iter().filter(|skipped| skipped.reason == reason);
    of_reason.map(|skipped| (skipped.resource.clone(), skipped.count)).collect()
}

fn operations(summary: &Summary, name: &str) -> u64 {
    summary.operations.get(name).copied().unwrap_or(0)
}

/// The consortium of a few institutions, from a file beside the mapping that is proposed for it.
fn proposed(directory: &Path) -> (Consortium, Mapping, String) {
    let place = super::directory(&[("consortium.toml", super::small::CONSORTIUM)]);
    let consortium = Consortium::load(&place.path().join("consortium.toml")).unwrap();
    let text = crate::import::propose_mapping(directory, false, &consortium).unwrap();
    let path = place.path().join("mapping.toml");
    std::fs::write(&path, &text).unwrap();
    (consortium, Mapping::load(&path).unwrap(), text)
}

#[test]
fn a_practitioner_and_an_organisation_of_one_id_are_two() {
    let Some(directory) = case("practitioner-id") else { return };
    let summary = run(dry(&directory)).unwrap();
    // The organisations are numbered by their ids, which are 1 and 2.
    assert_eq!(services(&summary), BTreeMap::from([("organization-2".to_owned(), 1)]));
}

#[test]
fn references_of_several_forms_to_one_resource_merge_and_the_latest_answer_counts() {
    let Some(directory) = case("mixedref") else { return };
    let summary = run(Options { gross: Gross::Paid, ..dry(&directory) }).unwrap();
    assert_eq!((summary.sums["USD"].gross_minor, summary.sums["USD"].paid_minor), (700, 700));
    assert_eq!(summary.read.records, 3);
    assert_eq!(skipped(&summary, Reason::Superseded), [("ExplanationOfBenefit".to_owned(), 1)]);
    let is_unclear = summary.noted.iter().any(|noted| noted.reason == Note::LatestUnclear);
    assert!(!is_unclear, "the dates say which is the latest: {:?}", summary.noted);
}

#[test]
fn folders_are_listed_or_read() {
    let Some(directory) = case("sub") else { return };
    let summary = run(dry(&directory)).unwrap();
    let unread: Vec<_> =
        summary.read.unread.iter().map(|entry| (entry.file.as_str(), entry.reason)).collect();
    assert_eq!(unread, [("inner", Unread::Folder)]);
    assert!(summary.text().contains("inner: a folder"), "{}", summary.text());
    let summary = run(Options { is_recursive: true, ..dry(&directory) }).unwrap();
    assert_eq!((summary.read.files, summary.read.claims, summary.read.unread.len()), (2, 1, 0));
}

#[test]
fn endings_count_in_any_letters() {
    let Some(directory) = case("upper") else { return };
    let summary = run(dry(&directory)).unwrap();
    assert_eq!((summary.read.files, summary.read.claims), (2, 1));
    assert_eq!(skipped(&summary, Reason::Repeated), [("Patient".to_owned(), 1)]);
}

#[test]
fn bundles_and_parameters_inside_others_are_read_and_deletions_are_said() {
    let Some(directory) = case("nested") else { return };
    let summary = run(dry(&directory)).unwrap();
    assert_eq!((summary.read.claims, summary.read.encounters), (2, 1));
    assert_eq!((summary.sums["USD"].claims, summary.sums["USD"].gross_minor), (2, 3_000));
    assert_eq!(skipped(&summary, Reason::Deletion), [("entry without a resource".to_owned(), 1)]);
    assert_eq!((summary.read.resources["Bundle"].read, summary.read.resources["Parameters"].read), (2, 1));
}

#[test]
fn nobody_owes_for_the_uninsured_and_no_payer_sees_what_nobody_claimed() {
    let Some(directory) = case("uninsured") else { return };
    let (consortium, mapping, text) = proposed(&directory);
    assert!(text.contains("\"NO_INSURANCE\", # 1 claims, 100.00 USD"), "{text}");
    let mapped = Options { consortium: Some(consortium), mapping: Some(mapping.clone()), ..dry(&directory) };
    // As proposed; without a word about the coverage; and with a member that pays.
    let unmentioned = Mapping { uninsured: Default::default(), ..mapping.clone() };
    let payer = InstitutionId::new("state-fund").unwrap();
    let paid =
        Mapping { payers: BTreeMap::from([("NO_INSURANCE".to_owned(), payer)]), ..unmentioned.clone() };
    let cases = [
        (mapping, 0, Some(Reason::Uninsured)),
        (unmentioned, 0, Some(Reason::PayerNotMapped)),
        (paid, 1, None),
    ];
    for (mapping, expected, reason) in cases {
        let summary = run(Options { mapping: Some(mapping), ..mapped.clone() }).unwrap();
        for name in ["deliver_service", "record_disclosure", "grant_access"] {
            assert_eq!(operations(&summary, name), expected, "{name} {reason:?}");
        }
        if let Some(reason) = reason {
            assert_eq!(skipped(&summary, reason), [("Claim".to_owned(), 1)]);
        }
        assert_eq!(summary.read.encounters, 2);
        let unbilled: Vec<_> = summary.noted.iter().map(|noted| (noted.reason, noted.count)).collect();
        assert_eq!(unbilled, [(Note::NotBilled, 2 - expected)]);
    }
    let alone = run(dry(&directory)).unwrap();
    assert_eq!((operations(&alone, "deliver_service"), operations(&alone, "record_disclosure")), (0, 0));
    assert!(
        alone.text().contains("NO_INSURANCE: nobody: not insured, 1 claims, 100.00 USD"),
        "{}",
        alone.text()
    );
}

#[test]
fn a_coverage_can_be_mapped_by_its_reference() {
    let Some(directory) = case("coverage-reference") else { return };
    let path = directory.with_file_name("coverage-reference.toml");
    let mapping = Mapping::load(&path).unwrap();
    let summary = run(Options { mapping: Some(mapping), ..dry(&directory) }).unwrap();
    let payers: Vec<_> = summary
        .payers
        .iter()
        .map(|asked| {
            (asked.coverage.as_deref(), asked.payer.as_ref().map(InstitutionId::as_str), asked.claims)
        })
        .collect();
    assert_eq!(payers, [(Some("Coverage/medicare-77"), Some("health-commission"), 1)]);
    assert_eq!(summary.sums["USD"].gross_minor, 10_000);
    assert_eq!(skipped(&summary, Reason::AmountOutOfBounds), [("Claim".to_owned(), 1)]);
    let (_, _, text) = proposed(&directory);
    assert!(text.contains("\"Coverage/medicare-77\" = \"fund\" # 1 claims, 100.00 USD"), "{text}");
}

#[test]
fn organisations_that_are_only_referred_to_are_proposed_by_name() {
    let Some(directory) = case("orgref") else { return };
    let (consortium, mapping, text) = proposed(&directory);
    let line = "\"Organization?identifier=https://github.com/synthetichealth/synthea|abc\" = \"county\" # 1 encounters, \
                0 claims, FALMOUTH HOSPITAL (only referred to)";
    assert!(text.contains(line), "{text}");
    let mapped = Options { consortium: Some(consortium), mapping: Some(mapping.clone()), ..dry(&directory) };
    let summary = run(mapped.clone()).unwrap();
    assert_eq!(summary.institutions[&InstitutionId::new("county").unwrap()].encounters, 1);
    // By its name, too; and a name that nothing has is an error.
    let by_name = |name: &str| {
        let county = InstitutionId::new("county").unwrap();
        let organizations = BTreeMap::from([(name.to_owned(), county)]);
        run(Options { mapping: Some(Mapping { organizations, ..mapping.clone() }), ..mapped.clone() })
    };
    assert_eq!(by_name("FALMOUTH HOSPITAL").unwrap().institutions.len(), 1);
    let error = by_name("FALMOUTH").unwrap_err();
    assert!(
        matches!(&error, ImportError::Mapping(MappingError::MatchesNothing { keys }) if keys == &["FALMOUTH"])
    );
    assert!(error.to_string().contains("\"FALMOUTH\""), "{error}");
}

#[test]
fn a_date_next_to_a_time_with_an_offset_has_no_order_and_it_is_said() {
    let Some(directory) = case("tz") else { return };
    let summary = run(dry(&directory)).unwrap();
    assert_eq!((summary.referrals, summary.read.encounters), (0, 2));
    let noted: Vec<_> = summary.noted.iter().map(|noted| (noted.reason, noted.count)).collect();
    assert_eq!(noted, [(Note::OrderUnclear, 2), (Note::NotBilled, 2)]);
    assert!(summary.text().contains("which came first is not clear"), "{}", summary.text());
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    let Some(directory) = case("utf8bom") else { return };
    let summary = run(dry(&directory)).unwrap();
    assert_eq!((summary.read.patients, summary.read.claims, summary.sums["USD"].gross_minor), (1, 1, 1_000));
}
