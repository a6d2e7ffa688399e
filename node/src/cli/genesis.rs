//! `yilian-node genesis`: makes a genesis from a description of the members, and checks one.
//!
//! The description is TOML (or JSON) that people write together; the genesis is what every node gets, byte for byte.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;
use yilian_local::durable;
use yilian_spec::base::id::{ConsortiumId, InstitutionId};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::domain::membership::{Institution, InstitutionKind, Role, Tier};
use yilian_spec::domain::parameters::Parameters;
use yilian_spec::ledger::genesis::{Genesis, GenesisInstitution, GenesisKey};
use yilian_spec::proof::Checkpoint;

use crate::consortium::stagger_days;
use crate::home::read_genesis;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// How long a key is valid at most unless the description says otherwise: two years, less what staggers them.
const VALID_DAYS_DEFAULT: u64 = 730;

/// What to do with a genesis.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Arguments {
    /// Make a genesis from a description of the members.
    #[command(after_help = DESCRIPTION)]
    Make {
        /// The description, TOML or (named *.json) JSON.
        description: PathBuf,
        /// Where to write the genesis.
        #[arg(long, default_value = "genesis.json", value_name = "FILE")]
        out: PathBuf,
        /// Also write a checkpoint, with which clients verify answers.
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
    },
    /// Check a genesis and show what it says.
    #[command(after_help = "Example:\n  yilian-node genesis check genesis.json")]
    Check {
        /// The genesis.
        file: PathBuf,
    },
}

const DESCRIPTION: &str = r#"Example:
  yilian-node genesis make consortium.toml --out genesis.json --checkpoint checkpoint.json

where consortium.toml says:
  network = "county-medical-community"
  # The ledger's first moment; now, unless told.
  # time_ms = 1790000000000
  # Block sizes, deadlines and the timeouts of consensus; see spec/protocol.
  # [parameters]

  [[institution]]
  id = "renhe-hospital"
  name = "Renhe Hospital"
  # Or primary_care, imaging_centre, laboratory, insurer,
  # pharmaceutical_company, platform, regulator.
  kind = "hospital"
  # Or village, township, city, province; leave it out for payers.
  tier = "county"
  consortia = ["county-community"]
  # Of its validator key; 1 unless told.
  voting_power = 1

  # One for each key. What `yilian-node init` prints: validator, node.
  # What `yilian key generate` prints: administrator, access_gateway,
  # referral_gateway, finance, auditor.
  [[institution.key]]
  key = "<66 hexadecimal digits>"
  role = "validator"
  # Unless told, from 564 to 730, so that keys expire one after another.
  # valid_days = 730"#;

/// The description of a consortium.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    network: String,
    time_ms: Option<u64>,
    #[serde(default)]
    parameters: Parameters,
    institution: Vec<DescribedInstitution>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedInstitution {
    id: InstitutionId,
    name: String,
    kind: InstitutionKind,
    tier: Option<Tier>,
    #[serde(default)]
    consortia: BTreeSet<ConsortiumId>,
    voting_power: Option<u64>,
    #[serde(default)]
    key: Vec<DescribedKey>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedKey {
    key: PublicKey,
    role: Role,
    valid_days: Option<u64>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match arguments {
        Arguments::Make { description, out, checkpoint } => make(description, out, checkpoint.as_deref()),
        Arguments::Check { file } => {
            show(&read_genesis(file)?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn make(description: &Path, out: &Path, checkpoint: Option<&Path>) -> Result<ExitCode> {
    let text = std::fs::read_to_string(description)
        .with_context(|| format!("cannot read {}", description.display()))?;
    let is_json = description.extension().is_some_and(|extension| extension == "json");
    let described: Description = if is_json {
        serde_json::from_str(&text).with_context(|| description.display().to_string())?
    } else {
        toml::from_str(&text).with_context(|| description.display().to_string())?
    };
    let now_ms =
        SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_millis();
    let file = || description.display().to_string();
    require_once(&described).with_context(file)?;
    let genesis = build(described, u64::try_from(now_ms)?);
    genesis.check().with_context(file)?;
    durable::create(out, &json(&genesis)?)?;
    if let Some(path) = checkpoint {
        durable::create(path, &json(&Checkpoint::of_genesis(&genesis))?)?;
    }
    show(&genesis);
    Ok(ExitCode::SUCCESS)
}

/// The genesis' own rule says only that the order is wrong.
fn require_once(described: &Description) -> Result<()> {
    let mut seen = BTreeSet::new();
    for DescribedInstitution { id, .. } in &described.institution {
        ensure!(seen.insert(id), "institution {id} appears twice: leave one");
    }
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn build(described: Description, now_ms: u64) -> Genesis {
    let time = LedgerTime(described.time_ms.unwrap_or(now_ms));
    let window = |position, described: &DescribedKey| {
        let staggered = || VALID_DAYS_DEFAULT - stagger_days(position, described.role);
        let days = described.valid_days.unwrap_or_else(staggered);
        Window { starts: time, expires: time.plus_ms(days.saturating_mul(DAY_MS)) }
    };
    let mut validators = Vec::new();
    let mut institutions = Vec::new();
    for (position, entry) in described.institution.into_iter().enumerate() {
        let power = entry.voting_power.unwrap_or(1);
        let voting = entry.key.iter().filter(|key| key.role == Role::Validator);
        validators.extend(voting.map(|key| Validator { key: key.key, institution: entry.id.clone(), power }));
        let keys = entry.key.iter().map(|described| GenesisKey {
            key: described.key,
            role: described.role,
            window: window(position, described),
        });
        let keys = keys.collect();
        let DescribedInstitution { id, name, kind, tier, consortia, .. } = entry;
        institutions
            .push(GenesisInstitution { institution: Institution { id, name, kind, tier, consortia }, keys });
    }
    institutions.sort_by(|left, right| left.institution.id.cmp(&right.institution.id));
    Genesis {
        network: described.network,
        time,
        parameters: described.parameters,
        institutions,
        validators: ValidatorSet::new(validators),
    }
}

fn show(genesis: &Genesis) {
    println!("network  {}", genesis.network);
    println!("chain id {}", genesis.chain_id());
    println!("{} institutions", genesis.institutions.len());
    for entry in &genesis.institutions {
        let institution = &entry.institution;
        println!("  {} ({}), {} keys", institution.id, institution.name, entry.keys.len());
        if !entry.keys.iter().any(|key| key.role == Role::Node) {
            println!("    no key of role node: none of its nodes gets through to the others");
        }
        if !entry.keys.iter().any(|key| key.role == Role::Administrator) {
            println!("    no key of role administrator: it can never register, replace or revoke a key");
        }
    }
    println!(
        "{} validators, voting power {}",
        genesis.validators.validators().len(),
        genesis.validators.total_power()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    /// As it is copied out of a terminal of 80 columns, where a line that is too long would be broken.
    #[test]
    fn the_description_in_the_help_makes_a_genesis() {
        let key = yilian_spec::crypto::signature::SecretKey::from_seed(&[7; 32]).public_key();
        let mut command = super::super::Arguments::command().term_width(80);
        command.build();
        let make =
            command.find_subcommand_mut("genesis").and_then(|genesis| genesis.find_subcommand_mut("make"));
        let help = make.unwrap().render_long_help().to_string();
        let (_, example) = help.split_once("says:\n").unwrap();
        assert!(example.lines().all(|line| line.len() <= 76), "{example}");
        let text = example.replace("<66 hexadecimal digits>", &key.to_string());
        let described: Description = toml::from_str(&text).unwrap();
        let genesis = build(described, 1_790_000_000_000);
        genesis.check().unwrap();
        assert_eq!(genesis.validators.total_power(), 1);
        assert_eq!(genesis.institutions[0].keys[0].window.expires.0, 1_790_000_000_000 + 730 * DAY_MS);
        let bytes = json(&genesis).unwrap();
        assert_eq!(serde_json::from_slice::<Genesis>(&bytes).unwrap(), genesis);
    }
}
