//! Which institution an organisation of the input is, and who pays: a TOML file that a person has looked at.
//!
//! ```toml
//! payer = "people-fund"             # pays wherever [payers] says nothing else
//!
//! [payers]                          # by the label of the claim's coverage
//! medicare = "state-fund"
//!
//! [organizations]                   # by FHIR id, or by name
//! "37c0de84-bcaf-3624-82bf-a89b2ac441b8" = "county-hospital"
//! "GOOD HEALTH CENTER" = "township-centre"
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use yilian_spec::id::InstitutionId;
use yilian_spec::membership::{InstitutionKind, Role};

use super::collect::Collected;
use super::limits;
use crate::consortium::{Consortium, Member};
use crate::durable::{self, FileError};

/// The mapping.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Who pays wherever `payers` says nothing else.
    pub payer: InstitutionId,
    /// Who pays, by the label of the coverage.
    #[serde(default)]
    pub payers: BTreeMap<String, InstitutionId>,
    /// Institutions by the id or the name of an organisation; the id counts before the name.
    pub organizations: BTreeMap<String, InstitutionId>,
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

    /// Proposes a mapping for what was read: the organisation with the most encounters first, each goes to the
    /// hospital or primary-care institution that has the fewest so far; ties by id. The payer is the first insurer.
    ///
    /// # Errors
    /// [`MappingError::NobodyToMapTo`].
    pub fn propose(collected: &Collected, consortium: &Consortium) -> Result<Self, MappingError> {
        let insurers =
            consortium.institutions.iter().filter(|member| member.kind == InstitutionKind::Insurer);
        let payer = insurers.map(|member| member.id.clone()).min();
        let payer = payer.ok_or(MappingError::NobodyToMapTo { what: "insurer" })?;
        let mut volume: BTreeMap<InstitutionId, u64> = consortium
            .institutions
            .iter()
            .filter(|member| provides(member))
            .map(|member| (member.id.clone(), 0))
            .collect();
        let mut organizations = BTreeMap::new();
        for (organization, encounters) in by_volume(collected) {
            let least = volume.iter_mut().min_by_key(|(id, count)| (**count, (*id).clone()));
            let (institution, count) =
                least.ok_or(MappingError::NobodyToMapTo { what: "hospital or primary-care institution" })?;
            *count += encounters;
            organizations.insert(organization.to_owned(), institution.clone());
        }
        Ok(Self { payer, payers: BTreeMap::new(), organizations })
    }

    /// A mapping in which every organisation is an institution of its own, for a look at the input without a
    /// consortium.
    pub fn each_its_own(collected: &Collected) -> Self {
        let slug = |text: String| InstitutionId::new(&text).expect("letters, digits and a dash");
        let organizations = collected
            .organizations
            .keys()
            .zip(1..)
            .map(|(id, number)| (id.clone(), slug(format!("organization-{number}"))))
            .collect();
        Self { payer: slug("payer".to_owned()), payers: BTreeMap::new(), organizations }
    }

    /// The institution that an organisation is.
    pub fn institution(&self, collected: &Collected, organization: &str) -> Option<&InstitutionId> {
        let by_name = || self.organizations.get(collected.organizations.get(organization)?);
        self.organizations.get(organization).or_else(by_name)
    }

    /// Who pays under a coverage.
    pub fn payer(&self, coverage: Option<&str>) -> &InstitutionId {
        coverage.and_then(|label| self.payers.get(label)).unwrap_or(&self.payer)
    }

    /// Everyone who pays.
    pub fn payers(&self) -> BTreeSet<&InstitutionId> {
        self.payers.values().chain([&self.payer]).collect()
    }

    /// The file, with the organisations' names as comments.
    pub fn to_toml(&self, collected: &Collected) -> String {
        let mut text = String::from(
            "# Which institution an organisation of the input is. Proposed by volume; look it over before the import.\n\n",
        );
        // Texts of TOML are written by its own rules; the rest here is fixed.
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let _ = writeln!(text, "payer = {}\n\n[payers]", quoted(self.payer.as_str()));
        for (label, payer) in &self.payers {
            let _ = writeln!(text, "{} = {}", quoted(label), quoted(payer.as_str()));
        }
        text.push_str("\n[organizations]\n");
        let volumes: BTreeMap<&str, u64> = by_volume(collected).into_iter().collect();
        for (id, institution) in &self.organizations {
            let name = collected.organizations.get(id).map_or("", String::as_str);
            let name: String = name.chars().filter(|letter| !letter.is_control()).collect();
            let encounters = volumes.get(id.as_str()).copied().unwrap_or(0);
            let _ = writeln!(
                text,
                "{} = {} # {encounters} encounters, {name}",
                quoted(id),
                quoted(institution.as_str())
            );
        }
        text
    }
}

/// Whether organisations can be mapped to a member: it treats patients, and has the keys to say so.
fn provides(member: &Member) -> bool {
    let treats = matches!(member.kind, InstitutionKind::Hospital | InstitutionKind::PrimaryCare);
    let roles = [Role::AccessGateway, Role::ReferralGateway, Role::Finance];
    treats && roles.iter().all(|role| member.keys.contains_key(role))
}

/// The organisations with their numbers of encounters, most first, ties by id.
fn by_volume(collected: &Collected) -> Vec<(&str, u64)> {
    let mut volume: BTreeMap<&str, u64> = collected.organizations.keys().map(|id| (id.as_str(), 0)).collect();
    for encounter in collected.encounters.values() {
        if let Some(count) = volume.get_mut(encounter.organization.as_str()) {
            *count += 1;
        }
    }
    let mut sorted: Vec<(&str, u64)> = volume.into_iter().collect();
    sorted.sort_by_key(|(id, count)| (std::cmp::Reverse(*count), *id));
    sorted
}
