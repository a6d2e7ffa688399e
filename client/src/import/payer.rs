//! Who a claim asks to pay: by everything that the input says of its coverage, the most particular first.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use yilian_spec::base::id::InstitutionId;

use super::collect::{Claim, Collected, Organization};
use super::index::Index;
use super::limits;
use super::mapping::{Mapping, Pays};
use super::raw::{self, Insurance};
use super::skip::Reason;

/// Who a claim asks to pay.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coverage {
    /// What a person would call it: the payer's name, the coverage's, or its reference.
    pub label: String,
    /// What a mapping can call it, the most particular first.
    pub keys: Vec<String>,
    /// Whether the patient pays.
    pub is_self_paid: bool,
}

/// The insurances that were read.
#[derive(Debug, Default)]
pub struct Payers(BTreeMap<String, Insurance>);

impl Payers {
    /// Adds an insurance.
    pub fn add(&mut self, name: String, insurance: Insurance) {
        self.0.insert(name, insurance);
    }

    /// Who a claim asks to pay; `None` where it names nobody.
    ///
    /// # Errors
    /// Why a reference cannot be followed.
    pub fn of(
        &self,
        coverage: &raw::Coverage,
        index: &Index,
        organizations: &BTreeMap<String, Organization>,
    ) -> Result<Option<Coverage>, Reason> {
        if coverage.is_unreadable {
            return Err(Reason::BadReference);
        }
        let mut keys = Vec::new();
        let mut insurance = coverage.contained.as_ref();
        if let Some(link) = &coverage.link {
            let meant = index.follow(link, &["Coverage"])?;
            insurance = insurance.or(self.0.get(&meant.name));
            push(&mut keys, &meant.kind, meant.name);
        }
        let mut is_self_paid = insurance.is_some_and(|insurance| insurance.is_self_paid);
        let mut name = None;
        for (link, called) in insurance.into_iter().flat_map(|insurance| &insurance.payers) {
            let meant = link.as_ref().map(|link| index.follow(link, &["Organization"])).transpose()?;
            let mut names = Vec::new();
            if let Some(meant) = meant {
                is_self_paid |= matches!(&*meant.kind, "Patient" | "RelatedPerson");
                let known = organizations.get(&meant.name).map(|organization| organization.name.clone());
                push(&mut keys, &meant.kind, meant.name.clone());
                names.extend(known.filter(|known| !known.is_empty() && &*meant.kind == "Organization"));
                names.extend(called.clone());
                names.push(format!("{}/{}", meant.kind, meant.name));
            }
            names.extend(called.clone());
            name = name.or(names.first().cloned());
            keys.extend(names);
        }
        keys.extend(coverage.label.clone());
        keys.retain(|key| !key.is_empty());
        let mut seen = BTreeSet::new();
        keys.retain(|key| seen.insert(key.clone()));
        let label =
            name.or(coverage.label.clone()).filter(|label| !label.is_empty()).or(keys.first().cloned());
        Ok(match label {
            Some(label) => Some(Coverage { label, keys, is_self_paid }),
            None if is_self_paid => Some(Coverage { label: "the patient".to_owned(), keys, is_self_paid }),
            None => None,
        })
    }
}

/// A reference as a mapping can give it: with its type and, where it is only an id, without.
fn push(keys: &mut Vec<String>, kind: &str, name: String) {
    if !name.contains(['/', '?']) {
        keys.push(format!("{kind}/{name}"));
    }
    keys.push(name);
}

/// Whether a label says that nobody insures the patient.
pub fn says_uninsured(label: &str) -> bool {
    let words: String = label.to_lowercase().chars().filter(|letter| letter.is_alphanumeric()).collect();
    matches!(
        words.as_str(),
        "noinsurance" | "notinsured" | "uninsured" | "selfpay" | "selfpaid" | "自费" | "未参保"
    )
}

/// Sums by currency, in minor units.
pub type SumsByCurrency = BTreeMap<String, i128>;

/// What the claims ask of one payer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// What the input calls the coverage; `None` where claims name none.
    pub coverage: Option<String>,
    /// What a mapping can call it.
    pub keys: BTreeSet<String>,
    /// The member that pays.
    pub payer: Option<InstitutionId>,
    /// Whether nobody insures the patients.
    pub uninsured: bool,
    /// How many claims.
    pub claims: u64,
    /// What they claim, by currency, in minor units.
    pub claimed_minor: SumsByCurrency,
}

/// What the claims ask of whom, by label; those that name nobody first.
pub fn asked(collected: &Collected, mapping: Option<&Mapping>) -> Vec<Asked> {
    let mut all: BTreeMap<Option<&str>, Asked> = BTreeMap::new();
    for claim in collected.claims.values() {
        let asked = all.entry(claim.coverage.as_ref().map(|coverage| coverage.label.as_str())).or_default();
        asked.coverage = claim.coverage.as_ref().map(|coverage| coverage.label.clone());
        let keys = claim.coverage.iter().flat_map(|coverage| &coverage.keys);
        keys.take(limits::COVERAGE_KEYS_LISTED_MAX.saturating_sub(asked.keys.len()))
            .for_each(|key| _ = asked.keys.insert(key.clone()));
        match mapping.map(|mapping| mapping.pays(claim.coverage.as_ref())) {
            Some(Pays::Member(payer)) => asked.payer = Some(payer.clone()),
            Some(Pays::Nobody) => asked.uninsured = true,
            Some(Pays::NotMapped) | None => {}
        }
        asked.claims += 1;
        add(&mut asked.claimed_minor, claim);
    }
    all.into_values().collect()
}

/// Adds what a claim asks for.
pub fn add(sums: &mut SumsByCurrency, claim: &Claim) {
    *sums.entry(claim.total.currency.to_string()).or_default() += i128::from(claim.total.minor.0);
}

#[cfg(test)]
mod tests {
    use super::says_uninsured;

    #[test]
    fn labels_say_that_nobody_insures() {
        for label in ["NO_INSURANCE", "no_insurance", "No Insurance", "self-pay", "Uninsured", "自费"] {
            assert!(says_uninsured(label), "{label}");
        }
        for label in ["", "Medicare", "none of the above", "Insurance"] {
            assert!(!says_uninsured(label), "{label}");
        }
    }
}
