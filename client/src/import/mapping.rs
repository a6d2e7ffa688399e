//! Which institution an organisation of the input is, and who pays: a TOML file that a person has looked at.
//!
//! ```toml
//! payer = "people-fund"             # pays the claims that name no coverage at all
//! uninsured = ["NO_INSURANCE"]      # coverages under which nobody pays
//!
//! [payers]                          # by what a claim calls its coverage, or the coverage its payer
//! medicare = "state-fund"
//! "Coverage/medicare-77" = "state-fund"
//!
//! [organizations]                   # by FHIR id, or by name
//! "37c0de84-bcaf-3624-82bf-a89b2ac441b8" = "county-hospital"
//! "GOOD HEALTH CENTER" = "township-centre"
//! ```
//!
//! What is not in it is refused, never given to somebody else: a claim under another coverage is nobody's debt.
//!
//! A name that the input lacks is an error, for it may be a slip of the pen. It cannot be one where the names are those that
//! a proposal wrote, from a larger input: `names_as_proposed` is their digest, and holds until a name is added, changed or
//! left out. To whom a name is mapped is no part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use yilian_spec::base::id::InstitutionId;

use super::collect::Collected;
use super::document::{chain, digest_of};
use super::limits;
use super::payer::Coverage;
use crate::consortium::Consortium;
use yilian_local::durable::{self, FileError};

/// The mapping.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Who pays the claims that name no coverage.
    pub payer: InstitutionId,
    /// Coverages under which nobody pays.
    #[serde(default)]
    pub uninsured: BTreeSet<String>,
    /// Who pays, by the label or the reference of the coverage or of its payer.
    #[serde(default)]
    pub payers: BTreeMap<String, InstitutionId>,
    /// Institutions by the id or the name of an organisation; the id counts before the name.
    pub organizations: BTreeMap<String, InstitutionId>,
    /// The digest of the names that a proposal wrote.
    #[serde(default)]
    pub names_as_proposed: Option<String>,
}

/// Who pays under a coverage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pays<'a> {
    /// A member.
    Member(&'a InstitutionId),
    /// Nobody: the patient is not insured.
    Nobody,
    /// The mapping does not say.
    NotMapped,
}

/// Why a mapping cannot be used or proposed.
#[derive(Debug, Error)]
pub enum MappingError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not TOML, an unknown field, or a value of the wrong form.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
    /// An institution that nobody knows.
    #[error(
        "the mapping names {institution}, which the consortium file does not: add it there, or map to another"
    )]
    UnknownInstitution {
        /// The institution.
        institution: InstitutionId,
    },
    /// A provider that pays itself.
    #[error(
        "{institution} is a payer and cannot be an organisation that provides: map to another institution"
    )]
    PayerProvides {
        /// The institution.
        institution: InstitutionId,
    },
    /// A key that names nothing.
    #[error(
        "nothing in the input is called {}: correct the name; where the mapping was made for more than this input, say with \
         --partial that the input is a part",
        shown(keys)
    )]
    MatchesNothing {
        /// The keys.
        keys: Vec<String>,
    },
    /// One thing under two keys with two values.
    #[error("the mapping gives {key:?} two meanings: leave one of them out")]
    TwoMeanings {
        /// One of the keys.
        key: String,
    },
    /// Nobody to map to.
    #[error("the consortium file has no {what}: a mapping cannot be proposed")]
    NobodyToMapTo {
        /// What is missing.
        what: &'static str,
    },
}

impl Mapping {
    /// Reads a mapping file.
    ///
    /// # Errors
    /// [`MappingError::File`], [`MappingError::Syntax`], [`MappingError::PayerProvides`].
    pub fn load(path: &Path) -> Result<Self, MappingError> {
        let bytes = durable::read(path, limits::SETTINGS_BYTES_MAX)?;
        let syntax = |reason: String| MappingError::Syntax { path: path.to_owned(), reason };
        let text = std::str::from_utf8(&bytes).map_err(|error| syntax(error.to_string()))?;
        let mapping: Self = toml::from_str(text).map_err(|error| syntax(error.to_string()))?;
        let paying = mapping.payers();
        match mapping.organizations.values().find(|institution| paying.contains(institution)) {
            Some(institution) => Err(MappingError::PayerProvides { institution: institution.clone() }),
            None => Ok(mapping),
        }
    }

    /// Checks that the consortium has every institution that the mapping names.
    ///
    /// # Errors
    /// [`MappingError::UnknownInstitution`].
    pub fn check(&self, consortium: &Consortium) -> Result<(), MappingError> {
        let named = self.organizations.values().chain(self.payers.values()).chain([&self.payer]);
        match named.into_iter().find(|institution| consortium.member(institution).is_none()) {
            Some(institution) => Err(MappingError::UnknownInstitution { institution: institution.clone() }),
            None => Ok(()),
        }
    }

    /// Checks that every key names something in the input, so that a slip of the pen is not a claim left out. Names that
    /// are as a proposal wrote them have none.
    ///
    /// # Errors
    /// [`MappingError::MatchesNothing`], [`MappingError::TwoMeanings`].
    pub fn check_keys(&self, collected: &Collected, is_partial: bool) -> Result<(), MappingError> {
        let names = collected.organizations.values().map(|organization| organization.name.as_str());
        let organizations: BTreeSet<&str> =
            collected.organizations.keys().map(String::as_str).chain(names).collect();
        let coverages: BTreeSet<&str> = collected
            .claims
            .values()
            .flat_map(|claim| &claim.coverage)
            .flat_map(|coverage| coverage.keys.iter().map(String::as_str))
            .collect();
        for (key, institution) in &self.organizations {
            let other = self.organizations.get(&format!("{ORGANIZATION}{key}"));
            if other.is_some_and(|other| other != institution) {
                return Err(MappingError::TwoMeanings { key: key.clone() });
            }
        }
        if let Some(key) = self.payers.keys().find(|key| self.uninsured.contains(*key)) {
            return Err(MappingError::TwoMeanings { key: key.clone() });
        }
        let of_organizations = self.organizations.keys().filter(|key| {
            let id = key.strip_prefix(ORGANIZATION).unwrap_or(key);
            !organizations.contains(id) && !organizations.contains(key.as_str())
        });
        let of_coverages =
            self.payers.keys().chain(&self.uninsured).filter(|key| !coverages.contains(key.as_str()));
        let keys: Vec<String> = of_organizations.chain(of_coverages).cloned().collect();
        let may_lack = is_partial || self.names_as_proposed.as_ref() == Some(&self.names());
        if keys.is_empty() || may_lack { Ok(()) } else { Err(MappingError::MatchesNothing { keys }) }
    }

    /// A digest of the names of organisations and coverages, whoever they are mapped to.
    pub(super) fn names(&self) -> String {
        let coverages: BTreeSet<&String> = self.payers.keys().chain(&self.uninsured).collect();
        let organizations = digest_of(self.organizations.keys().map(String::as_str));
        let mut both = digest_of(coverages.into_iter().map(String::as_str));
        chain(&mut both, &organizations);
        hex::encode(&both[..NAMES_BYTES])
    }

    /// A mapping in which every organisation is an institution of its own, for a look at the input without a
    /// consortium. One payer stands for all.
    pub fn each_its_own(collected: &Collected) -> Self {
        let slug = |text: String| InstitutionId::new(&text).expect("letters, digits and a dash");
        let organizations = collected
            .organizations
            .keys()
            .zip(1..)
            .map(|(id, number)| (id.clone(), slug(format!("organization-{number}"))))
            .collect();
        Self::with_payer(collected, slug("payer".to_owned()), organizations)
    }

    /// The institution that an organisation is.
    pub fn institution(&self, collected: &Collected, organization: &str) -> Option<&InstitutionId> {
        let by_name = || {
            let name = &collected.organizations.get(organization)?.name;
            self.organizations.get(name).filter(|_| !name.is_empty())
        };
        let with_type = || self.organizations.get(&format!("{ORGANIZATION}{organization}"));
        self.organizations.get(organization).or_else(with_type).or_else(by_name)
    }

    /// Who pays under a coverage, or where a claim names none.
    pub fn pays(&self, coverage: Option<&Coverage>) -> Pays<'_> {
        let Some(coverage) = coverage else { return Pays::Member(&self.payer) };
        if coverage.is_self_paid {
            return Pays::Nobody;
        }
        let by_key = |key: &String| match self.payers.get(key) {
            Some(payer) => Some(Pays::Member(payer)),
            None => self.uninsured.contains(key).then_some(Pays::Nobody),
        };
        coverage.keys.iter().find_map(by_key).unwrap_or(Pays::NotMapped)
    }

    /// Everyone who pays.
    pub fn payers(&self) -> BTreeSet<&InstitutionId> {
        self.payers.values().chain([&self.payer]).collect()
    }
}

/// What a reference to an organisation begins with; a key may have it or not.
const ORGANIZATION: &str = "Organization/";

/// Bytes of the digest of names: against chance, not against anybody.
const NAMES_BYTES: usize = 8;

/// The first keys of a list, for people.
fn shown(keys: &[String]) -> String {
    let first = keys.iter().take(limits::KEYS_SHOWN_MAX).map(|key| format!("{key:?}"));
    let rest = keys.len().saturating_sub(limits::KEYS_SHOWN_MAX);
    let more = (rest > 0).then(|| format!("{rest} more"));
    first.chain(more).collect::<Vec<_>>().join(", ")
}
