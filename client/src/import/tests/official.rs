//! The official FHIR R4 examples: claims of many kinds, made to show the format and not to fit together.

use std::collections::BTreeMap;

use super::data;
use crate::import::codes::Service;
use crate::import::collect::{Collected, Reach};
use crate::import::skip::Reason;
use yilian_spec::base::money::AmountMinor;

fn read(name: &str) -> Option<Collected> {
    let directory = data("fhir-r4-official-examples")?.join(name);
    Some(Collected::read(&directory, Reach::default(), |_, _| ()).unwrap())
}

fn skipped(collected: &Collected) -> BTreeMap<Reason, u64> {
    collected.skips.list().into_iter().map(|skipped| (skipped.reason, skipped.count)).collect()
}

#[test]
fn claims_are_read_or_skipped_with_the_reason() {
    let Some(claims) = read("Claim") else { return };
    let skips = skipped(&claims);
    let total: u64 = skips.values().sum::<u64>() + claims.claims.len() as u64;
    assert_eq!(total, claims.resources["Claim"]);
    let oral = &claims.claims["100156"];
    assert_eq!((oral.service, oral.total.minor), (Some(Service::Dental), AmountMinor(225_500)));
    assert_eq!((oral.total.currency.to_string(), oral.total.was_rounded), ("USD".to_owned(), false));
    assert_eq!(claims.claims["760152"].service, Some(Service::Pharmacy));
    assert_eq!(claims.claims.len(), 6);
    assert!(
        skips.keys().all(|reason| matches!(reason, Reason::NotAClaim | Reason::NoAmount | Reason::Repeated)),
        "{skips:?}"
    );
}

#[test]
fn of_two_explanations_of_one_claim_one_counts() {
    let Some(benefits) = read("ExplanationOfBenefit") else { return };
    // Both answer one claim, say nothing of a payment, and were made on one day.
    assert_eq!(benefits.resources["ExplanationOfBenefit"], 2);
    assert_eq!(benefits.benefits.keys().collect::<Vec<_>>(), ["100150"]);
    assert!(benefits.benefits["100150"].payment.is_none());
    assert_eq!(skipped(&benefits), BTreeMap::from([(Reason::Superseded, 1)]));
}

#[test]
fn encounters_without_a_beginning_or_a_provider_are_skipped() {
    let Some(encounters) = read("Encounter") else { return };
    assert_eq!(encounters.encounters.keys().collect::<Vec<_>>(), ["f203"]);
    let expected = [(Reason::NoStart, 7), (Reason::NoOrganization, 2)];
    assert_eq!(skipped(&encounters), BTreeMap::from(expected));
}
