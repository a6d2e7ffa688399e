//! A mapping to look over: every organisation that treats or claims, read or only referred to, and every coverage, each
//! with its name and its sums.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::domain::membership::{InstitutionKind, Role};

use super::collect::Collected;
use super::mapping::{Mapping, MappingError};
use super::payer::{self, Asked, SumsByCurrency, says_uninsured};
use crate::consortium::{Consortium, Member};

/// What belongs to an organisation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// Encounters at it.
    pub encounters: u64,
    /// Its claims.
    pub claims: u64,
    /// What they claim, by currency, in minor units.
    pub claimed_minor: SumsByCurrency,
}

impl Mapping {
    /// Proposes a mapping for what was read: the organisation with the most encounters first, each goes to the
    /// hospital or primary-care institution that has the fewest so far; ties by id. The payer is the first insurer;
    /// whoever is not insured has none.
    ///
    /// # Errors
    /// [`MappingError::NobodyToMapTo`].
    pub fn propose(collected: &Collected, consortium: &Consortium) -> Result<Self, MappingError> {
        let insurers =
            consortium.institutions.iter().filter(|member| member.kind == InstitutionKind::Insurer);
        let payer = insurers.map(|member| member.id.clone()).min();
        let payer = payer.ok_or(MappingError::NobodyToMapTo { what: "insurer" })?;
        let mut encounters: BTreeMap<InstitutionId, u64> = consortium
            .institutions
            .iter()
            .filter(|member| provides(member))
            .map(|member| (member.id.clone(), 0))
            .collect();
        let mut organizations = BTreeMap::new();
        for (organization, volume) in by_volume(collected) {
            let least = encounters.iter_mut().min_by_key(|(id, count)| (**count, (*id).clone()));
            let (institution, count) =
                least.ok_or(MappingError::NobodyToMapTo { what: "hospital or primary-care institution" })?;
            *count += volume.encounters;
            organizations.insert(organization.to_owned(), institution.clone());
        }
        Ok(Self::with_payer(collected, payer, organizations))
    }

    /// A mapping in which one payer pays for everyone who is insured.
    pub(super) fn with_payer(
        collected: &Collected,
        payer: InstitutionId,
        organizations: BTreeMap<String, InstitutionId>,
    ) -> Self {
        let coverages = collected.claims.values().filter_map(|claim| claim.coverage.as_ref());
        let labels =
            coverages.filter(|coverage| !coverage.is_self_paid).map(|coverage| coverage.label.clone());
        let (uninsured, insured): (BTreeSet<String>, BTreeSet<String>) =
            labels.partition(|label| says_uninsured(label));
        let payers = insured.into_iter().map(|label| (label, payer.clone())).collect();
        Self { payer, uninsured, payers, organizations, names_as_proposed: None }
    }

    /// The file, with names and sums as comments.
    pub fn to_toml(&self, collected: &Collected) -> String {
        let mut text = String::from(
            "# Which institution an organisation of the input is, and who pays. Proposed by volume: look it over before\n\
             # the import. What is left out here is refused.\n\n",
        );
        // Writing to a text cannot fail.
        let _ = self.write_names(&mut text);
        let asked = payer::asked(collected, Some(self));
        let _ = self.write_payers(&mut text, &asked);
        let _ = self.write_organizations(&mut text, collected);
        text
    }

    fn write_names(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "# Holds while the names stay as they were proposed: one that an input lacks is then no slip of the pen."
        )?;
        writeln!(text, "names_as_proposed = {}\n", quoted(&self.names()))
    }

    fn write_payers(&self, text: &mut String, asked: &[Asked]) -> std::fmt::Result {
        let unnamed = asked.iter().find(|asked| asked.coverage.is_none());
        let comment = unnamed.map_or_else(|| "none".to_owned(), of_asked);
        writeln!(text, "# Pays the claims that name no coverage: {comment}.")?;
        writeln!(text, "payer = {}\n", quoted(self.payer.as_str()))?;
        let of = |key: &str| {
            let found = asked.iter().find(|asked| asked.coverage.as_deref() == Some(key));
            found.map_or_else(String::new, |asked| format!(" # {}", of_asked(asked)))
        };
        writeln!(text, "# Coverages under which nobody pays: their claims are no member's debt.")?;
        writeln!(text, "uninsured = [")?;
        for label in &self.uninsured {
            writeln!(text, "  {},{}", quoted(label), of(label))?;
        }
        writeln!(text, "]\n\n[payers]")?;
        for (label, payer) in &self.payers {
            writeln!(text, "{} = {}{}", quoted(label), quoted(payer.as_str()), of(label))?;
        }
        Ok(())
    }

    fn write_organizations(&self, text: &mut String, collected: &Collected) -> std::fmt::Result {
        writeln!(text, "\n[organizations]")?;
        let volumes: BTreeMap<&str, Volume> = by_volume(collected).into_iter().collect();
        for (id, institution) in &self.organizations {
            let organization = collected.organizations.get(id).cloned().unwrap_or_default();
            let name: String = organization.name.chars().filter(|letter| !letter.is_control()).collect();
            let Volume { encounters, claims, claimed_minor } =
                volumes.get(id.as_str()).cloned().unwrap_or_default();
            let standing = if organization.is_read { "" } else { " (only referred to)" };
            writeln!(
                text,
                "{} = {} # {encounters} encounters, {claims} claims{}, {name}{standing}",
                quoted(id),
                quoted(institution.as_str()),
                of_sums(&claimed_minor)
            )?;
        }
        Ok(())
    }
}

fn of_asked(asked: &Asked) -> String {
    format!("{} claims{}", asked.claims, of_sums(&asked.claimed_minor))
}

/// Sums for people, each with a comma in front.
pub fn of_sums(sums: &SumsByCurrency) -> String {
    sums.iter().map(|(currency, minor)| format!(", {} {currency}", decimal(*minor, currency))).collect()
}

/// A sum as decimal text; sums of many amounts can be larger than one amount.
pub fn decimal(minor: i128, currency: &str) -> String {
    let decimals = currency.parse::<Currency>().map_or(2, Currency::decimals);
    match i64::try_from(minor) {
        Ok(minor) => AmountMinor(minor).to_decimal(decimals),
        Err(_) => format!("{minor} minor units of"),
    }
}

/// A text on one line, as a key or a value of TOML: the escapes of JSON are valid there, and one more is needed.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// Whether organisations can be mapped to a member: it treats patients, and has the keys to say so.
fn provides(member: &Member) -> bool {
    let treats = matches!(member.kind, InstitutionKind::Hospital | InstitutionKind::PrimaryCare);
    let roles = [Role::AccessGateway, Role::ReferralGateway, Role::Finance];
    treats && roles.iter().all(|role| member.keys.contains_key(role))
}

/// The organisations with what belongs to them, most encounters first, ties by id.
pub fn by_volume(collected: &Collected) -> Vec<(&str, Volume)> {
    let mut volumes: BTreeMap<&str, Volume> =
        collected.organizations.keys().map(|id| (id.as_str(), Volume::default())).collect();
    for encounter in collected.encounters.values() {
        volumes.entry(&encounter.organization).or_default().encounters += 1;
    }
    for claim in collected.claims.values() {
        let encounter = claim.encounters.first().and_then(|id| collected.encounters.get(id));
        let organization = claim.organization.as_ref().or(encounter.map(|encounter| &encounter.organization));
        if let Some(organization) = organization {
            let volume = volumes.entry(organization).or_default();
            volume.claims += 1;
            payer::add(&mut volume.claimed_minor, claim);
        }
    }
    let mut sorted: Vec<(&str, Volume)> = volumes.into_iter().collect();
    sorted.sort_by_key(|(id, volume)| (std::cmp::Reverse(volume.encounters), *id));
    sorted
}
