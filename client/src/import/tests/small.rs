//! A few patients by hand: references of every form, one institution for two organisations, payers by coverage.

use std::collections::BTreeMap;

use super::{directory, run};
use crate::consortium::Consortium;
use crate::import::collect::{Collected, Reach};
use crate::import::document::Secret;
use crate::import::draft::Draft;
use crate::import::mapping::{Mapping, MappingError};
use crate::import::plan::{Gross, Plan, Planning};
use crate::import::skip::Note;
use crate::import::{ImportError, Options, agreement};
use yilian_local::moment;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::domain::access::Purpose;
use yilian_spec::domain::membership::Tier;
use yilian_spec::domain::referral::Direction;

pub const INPUT: &str = r#"
{"resourceType":"Organization","id":"o1","name":"ONE","identifier":[{"system":"s","value":"one"}]}
{"resourceType":"Organization","id":"o2","name":"TWO"}
{"resourceType":"Organization","id":"o3","name":"THREE"}
{"fullUrl":"urn:uuid:pp","resource":{"resourceType":"Patient","id":"p1","name":[{"family":"Secretive"}]}}
{"resourceType":"Encounter","id":"e1","status":"finished","class":{"code":"AMB"},"subject":{"reference":"urn:uuid:pp"},"serviceProvider":{"reference":"Organization?identifier=s|one"},"period":{"start":"1951-02-03T04:05:06+08:00"}}
{"resourceType":"Encounter","id":"e2","status":"finished","class":{"code":"EMER"},"subject":{"reference":"http://host/fhir/Patient/p1/_history/2"},"serviceProvider":{"reference":"Organization/o2"},"period":{"start":"1951-02-02T20:05:07Z"}}
{"resourceType":"Encounter","id":"e3","status":"finished","class":{"code":"IMP"},"subject":{"reference":"Patient/p1"},"serviceProvider":{"reference":"Organization/o3"},"period":{"start":"1951-02-03T00:00:00Z"}}
{"resourceType":"Condition","id":"d1","subject":{"reference":"Patient/p1"},"encounter":{"reference":"Encounter/e1"}}
{"resourceType":"DiagnosticReport","id":"d2","category":[{"coding":[{"code":"RAD"}]}],"encounter":{"reference":"Encounter/e1"}}
{"resourceType":"Claim","id":"c1","status":"active","use":"claim","billablePeriod":{"start":"2001-02-03T04:05:06+08:00","end":"2001-02-05T00:00:01Z"},"type":{"coding":[{"code":"institutional"}]},"provider":{"reference":"Organization/o1"},"insurance":[{"focal":true,"coverage":{"display":"state"}}],"item":[{"encounter":[{"reference":"Encounter/e1"}]}],"total":{"value":10.005,"currency":"USD"}}
{"resourceType":"Claim","id":"c2","status":"active","use":"claim","type":{"coding":[{"code":"pharmacy"}]},"provider":{"reference":"Practitioner/x"},"item":[{"encounter":[{"reference":"Encounter/e3"}]}],"total":{"value":1e1,"currency":"USD"}}
{"resourceType":"ExplanationOfBenefit","id":"b1","status":"active","use":"claim","created":"2001","claim":{"reference":"Claim/c1"},"payment":{"amount":{"value":8,"currency":"USD"}}}
{"resourceType":"ExplanationOfBenefit","id":"b2","status":"active","use":"claim","created":"2002","claim":{"reference":"Claim/c1"},"payment":{"amount":{"value":7.9949999,"currency":"USD"}}}
"#;

pub const MAPPING: &str = r#"
payer = "fund"
[payers]
state = "state-fund"
[organizations]
"o1" = "county"
"TWO" = "province"
"o3" = "province"
"#;

pub const CONSORTIUM: &str = r#"
[[institution]]
id = "county"
kind = "hospital"
tier = "county"
keys = { access_gateway = "a", referral_gateway = "b", finance = "c" }
[[institution]]
id = "province"
kind = "hospital"
tier = "province"
keys = { access_gateway = "a", referral_gateway = "b", finance = "c" }
[[institution]]
id = "fund"
kind = "insurer"
[[institution]]
id = "state-fund"
kind = "insurer"
"#;

fn id(text: &str) -> InstitutionId {
    InstitutionId::new(text).unwrap()
}

fn plan(gross: Gross) -> Plan {
    let directory = directory(&[("x.ndjson", INPUT), ("mapping.toml", MAPPING)]);
    let collected = Collected::read(directory.path(), Reach::default(), |_, _| ()).unwrap();
    let mapping = Mapping::load(&directory.path().join("mapping.toml")).unwrap();
    let tiers = BTreeMap::from([(id("county"), Tier::County), (id("province"), Tier::Province)]);
    let secret = Secret::new([1; 32]);
    let (collected, mapping, tiers) = (&collected, &mapping, &tiers);
    let plan = Planning { collected, mapping, tiers, gross, secret: &secret }.plan(&|_| 0);
    let skipped: Vec<_> =
        plan.skips.list().into_iter().map(|skipped| (skipped.resource, skipped.count)).collect();
    assert_eq!(skipped, [("ExplanationOfBenefit".to_owned(), 1)]);
    plan
}

#[test]
fn a_patient_who_went_up_is_referred_with_the_records_and_billed_to_the_right_payer() {
    let plan = plan(Gross::Claimed);
    let subjects: Vec<&str> = plan.subjects.iter().map(|(_, number)| number.as_str()).collect();
    assert_eq!(subjects, ["county/p1", "province/p1"]);
    assert!(plan.subjects.iter().all(|(custodian, number)| number.starts_with(custodian.as_str())));
    let counts = plan.counts();
    // Payers: the state fund for the encounter whose claim says so, the default one where a claim names no coverage.
    assert_eq!((counts["grant_access"], counts["request_referral"], plan.within_one_institution), (2, 1, 1));
    // Two summaries to payers, none of the encounter that nobody claims for; summary, problem list and images with the
    // referral.
    assert_eq!((counts["record_disclosure"], counts["record_receipt"]), (5, 5));
    let request = plan.items.iter().find_map(|item| match &item.draft {
        Draft::Request { to, direction, service, categories, .. } => {
            Some((item.author.clone(), to.clone(), *direction, service.name(), categories.len()))
        }
        _ => None,
    });
    assert_eq!(request, Some((id("county"), id("province"), Direction::Up, "emergency", 3)));
    let to_state = plan.items.iter().filter(|item| {
        matches!(&item.draft, Draft::Disclose { recipient, purpose: Purpose::Hpaymt, .. } if *recipient == id("state-fund"))
    });
    assert_eq!(to_state.count(), 1);
    assert_eq!(agreement::pairs(&plan).len(), 2);
}

#[test]
fn the_gross_amount_is_what_is_claimed_or_what_the_latest_answer_pays() {
    let services = |gross| -> Vec<(InstitutionId, &'static str, i64)> {
        let items = plan(gross).items;
        items
            .iter()
            .filter_map(|item| match &item.draft {
                Draft::Deliver { service, gross, .. } => {
                    Some((item.author.clone(), service.name(), gross.minor.0))
                }
                _ => None,
            })
            .collect()
    };
    let (county, province) = (id("county"), id("province"));
    let claimed = [(county.clone(), "ambulatory", 1_001), (province.clone(), "pharmacy", 1_000)];
    assert_eq!(services(Gross::Claimed), claimed);
    assert_eq!(services(Gross::Paid), [(county, "ambulatory", 799), (province, "pharmacy", 1_000)]);
    let sums = &plan(Gross::Paid).sums["USD"];
    assert_eq!((sums.claimed_minor, sums.claimed_rounded), (2_001, 1));
    assert_eq!((sums.paid_minor, sums.paid_rounded, sums.gross_minor), (799, 1, 1_799));
}

#[test]
fn a_service_was_performed_on_the_days_that_are_billed_else_when_the_encounter_began() {
    let services = plan(Gross::Claimed).items.into_iter().filter_map(|item| match item.draft {
        Draft::Deliver { performed, .. } => performed.map(moment::show_days),
        _ => None,
    });
    // The second began before the ledger's first day.
    assert_eq!(services.collect::<Vec<_>>(), ["2001-02-02 to 2001-02-05", "1970-01-01"]);
}

#[test]
fn the_same_input_gives_the_same_plan_and_every_operation_its_own_key() {
    let (one, two) = (plan(Gross::Claimed), plan(Gross::Claimed));
    assert_eq!(one.items, two.items);
    let keys: std::collections::BTreeSet<_> = one.items.iter().map(|item| item.key).collect();
    assert_eq!(keys.len(), one.items.len());
    // What an item refers to is of an earlier wave.
    let wave = |key| one.items.iter().find(|item| item.key == key).map(|item| item.wave);
    for item in &one.items {
        let needs = match &item.draft {
            Draft::Disclose { grant, .. } => Some(*grant),
            Draft::Receive { disclosure, .. } => Some(*disclosure),
            Draft::Accept { referral } => Some(*referral),
            _ => None,
        };
        for key in needs.into_iter().chain(item.after) {
            assert!(wave(key).is_some_and(|wave| wave < item.wave), "{item:?}");
        }
    }
}

#[test]
fn a_mapping_is_proposed_by_volume_and_reads_back() {
    let directory = directory(&[("x.ndjson", INPUT), ("consortium.toml", CONSORTIUM)]);
    let consortium = Consortium::load(&directory.path().join("consortium.toml")).unwrap();
    let text = crate::import::propose_mapping(directory.path(), false, &consortium).unwrap();
    let path = directory.path().join("mapping.toml");
    std::fs::write(&path, &text).unwrap();
    let mapping = Mapping::load(&path).unwrap();
    mapping.check(&consortium).unwrap();
    assert_eq!(mapping.payer, id("fund"));
    assert_eq!(mapping.organizations.len(), 3);
    assert_eq!(mapping.organizations.values().filter(|institution| **institution == id("county")).count(), 2);
    let options = Options {
        is_dry_run: true,
        consortium: Some(consortium),
        mapping: Some(mapping),
        ..Options::new(directory.path().to_owned())
    };
    assert!(run(options).unwrap().institutions.contains_key(&id("county")));
}

#[test]
fn a_mapping_that_cannot_be_is_refused() {
    let directory = directory(&[("consortium.toml", CONSORTIUM)]);
    let consortium = Consortium::load(&directory.path().join("consortium.toml")).unwrap();
    let path = directory.path().join("mapping.toml");
    let load = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Mapping::load(&path).and_then(|mapping| mapping.check(&consortium).map(|()| mapping))
    };
    let syntax = [
        "",
        "payer = 1",
        "payer = \"fund\"\n[organizations]\nx = \"Not A Slug\"",
        "payer = \"fund\"\nx = 1\n[organizations]",
    ];
    for text in syntax {
        assert!(matches!(load(text), Err(MappingError::Syntax { .. })), "{text}");
    }
    let unknown = load("payer = \"fund\"\n[organizations]\no1 = \"city\"");
    assert!(matches!(unknown, Err(MappingError::UnknownInstitution { .. })));
    let payer = load("payer = \"fund\"\n[organizations]\no1 = \"fund\"");
    assert!(matches!(payer, Err(MappingError::PayerProvides { .. })));
}

#[test]
fn what_is_not_mapped_is_skipped_and_said() {
    let input = INPUT
        .replace("Organization/o3", "Organization/o9")
        .replace("\"display\":\"state\"", "\"display\":\"other\"");
    let directory = directory(&[("x.ndjson", &input), ("mapping.toml", MAPPING)]);
    let mapping = Mapping::load(&directory.path().join("mapping.toml")).unwrap();
    let options =
        Options { is_dry_run: true, mapping: Some(mapping), ..Options::new(directory.path().to_owned()) };
    let error = run(options.clone()).unwrap_err();
    assert!(
        matches!(&error, ImportError::Mapping(MappingError::MatchesNothing { keys }) if keys == &["state"])
    );
    let summary = run(Options { is_partial: true, ..options }).unwrap();
    let text = summary.text();
    for line in [
        "1 Encounter: its organisation is not in the mapping",
        "1 Claim: its organisation is not in the mapping",
        "1 Claim: its coverage is not in the mapping",
        "not in the mapping: \"o9\" , 1 encounters, 1 claims, 10.00 USD",
        "other: not in the mapping: refused, 1 claims, 10.01 USD",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(serde_json::to_string(&summary).unwrap().contains("\"not_mapped\""));
    assert_eq!(summary.operations.get("deliver_service"), None);
}

#[test]
fn a_mapping_that_was_proposed_for_more_serves_a_smaller_input_until_a_name_is_changed() {
    let whole = directory(&[("x.ndjson", INPUT), ("consortium.toml", CONSORTIUM)]);
    let consortium = Consortium::load(&whole.path().join("consortium.toml")).unwrap();
    let text = crate::import::propose_mapping(whole.path(), false, &consortium).unwrap();
    let lines = INPUT.lines().filter(|line| !line.contains("o3") && !line.contains("\"display\":\"state\""));
    let smaller = directory(&[("x.ndjson", &lines.collect::<Vec<_>>().join("\n"))]);
    let collected = Collected::read(smaller.path(), Reach::default(), |_, _| ()).unwrap();
    let check = |text: &str| toml::from_str::<Mapping>(text).unwrap().check_keys(&collected, false);
    check(&text).unwrap();
    // To whom a name is mapped may be changed.
    check(&text.replace("\"county\"", "\"province\"")).unwrap();
    for (old, new) in [("\"o3\"", "\"o33\""), ("\"state\" = ", "\"stat\" = ")] {
        let changed = text.replace(old, new);
        assert_ne!(changed, text);
        let error = check(&changed).unwrap_err();
        assert!(matches!(&error, MappingError::MatchesNothing { .. }), "{new}: {error}");
        assert!(error.to_string().contains("--partial"), "{error}");
    }
}

#[test]
fn one_thing_has_one_meaning_in_a_mapping() {
    let directory = directory(&[("x.ndjson", INPUT)]);
    let collected = Collected::read(directory.path(), Reach::default(), |_, _| ()).unwrap();
    let load = |text: &str| toml::from_str::<Mapping>(text).unwrap().check_keys(&collected, false);
    let start = "payer = \"fund\"\n";
    assert!(
        load(&format!("{start}[organizations]\n\"Organization/o1\" = \"county\"\no1 = \"county\"")).is_ok()
    );
    for text in [
        "[organizations]\n\"Organization/o1\" = \"county\"\no1 = \"province\"",
        "uninsured = [\"state\"]\npayers = { state = \"fund\" }\n[organizations]",
    ] {
        assert!(matches!(load(&format!("{start}{text}")), Err(MappingError::TwoMeanings { .. })), "{text}");
    }
}

#[test]
fn an_import_says_what_it_lacks() {
    let directory = directory(&[("x.ndjson", INPUT)]);
    let options = Options::new(directory.path().to_owned());
    assert!(matches!(run(options.clone()), Err(ImportError::Missing { .. })));
    let options = Options { operations_per_transaction: 257, is_dry_run: true, ..options };
    assert!(matches!(run(options), Err(ImportError::OptionOutOfRange { max: 256, given: 257, .. })));
}

#[test]
fn the_terms_of_the_agreements_can_be_signed_and_cover_every_service() {
    for pair in agreement::pairs(&plan(Gross::Claimed)) {
        let terms = agreement::terms(&pair).unwrap();
        assert_eq!(terms.payer_institution(), Some(&pair.payer));
        assert_eq!(terms.services.len(), crate::import::codes::Service::ALL.len());
    }
}

/// An answer that pays in another currency or less than nothing is said, and no older answer takes its place.
#[test]
fn a_payment_that_cannot_be_counted_is_noted_and_what_is_claimed_counts() {
    let latest = "{\"value\":7.9949999,\"currency\":\"USD\"}";
    for unfit in ["{\"value\":60,\"currency\":\"EUR\"}", "{\"value\":-1,\"currency\":\"USD\"}"] {
        let directory = directory(&[("x.ndjson", &INPUT.replace(latest, unfit)), ("mapping.toml", MAPPING)]);
        let options =
            Options { is_dry_run: true, gross: Gross::Paid, ..Options::new(directory.path().to_owned()) };
        let mapping = Mapping::load(&directory.path().join("mapping.toml")).unwrap();
        let summary = super::run(Options { mapping: Some(mapping), ..options }).unwrap();
        let sums = &summary.sums["USD"];
        assert_eq!((sums.paid_minor, sums.payments, sums.gross_minor), (0, 0, 1_001 + 1_000), "{unfit}");
        let noted: Vec<_> = summary.noted.iter().map(|noted| (noted.reason, noted.count)).collect();
        assert!(noted.contains(&(Note::PaymentUnfit, 1)), "{unfit}: {noted:?}");
    }
    let noted = plan(Gross::Paid).notes.list();
    assert!(noted.iter().all(|noted| noted.reason != Note::PaymentUnfit), "{noted:?}");
}
