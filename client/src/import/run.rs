//! An import from beginning to end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use age::secrecy::SecretString;
use rand::TryRng as _;
use yilian_spec::id::InstitutionId;
use yilian_spec::limits::OPERATIONS_PER_TRANSACTION_MAX;
use yilian_spec::membership::{Institution, InstitutionKind, Role, Tier};
use yilian_spec::state::key::StateKey;

use super::agreement::{self, Agreements};
use super::collect::Collected;
use super::document::Secret;
use super::draft::{Item, Wave};
use super::error::ImportError;
use super::journal::Journal;
use super::mapping::Mapping;
use super::plan::{self, Plan};
use super::submit::{Submitter, Tally};
use super::summary::Summary;
use super::{Options, limits};
use crate::client::Client;
use crate::consortium::Consortium;
use crate::durable::{self, FileError};
use crate::sealed::WorkFactor;
use crate::subject::SubjectTable;

/// The files of an import's own directory.
const SECRET: &str = "secret";
const SUBJECTS: &str = "subjects.age";
const JOURNAL: &str = "journal";

/// Reads a directory, and records it on the ledger unless it is a dry run.
///
/// # Errors
/// [`ImportError`]. What was recorded by then stays recorded, and running again goes on from there.
pub async fn run(options: Options) -> Result<Summary, ImportError> {
    check(&options)?;
    let mut collected = read(&options)?;
    let mapping = mapping(&options, &collected)?;
    if let Some(consortium) = options.consortium.as_ref().filter(|_| options.mapping.is_some()) {
        mapping.check(consortium)?;
    }
    let secret = match &options.state {
        Some(state) if !options.is_dry_run => open_secret(state)?,
        _ => draw_secret()?,
    };
    let tiers = tiers(options.consortium.as_ref());
    let mut skips = std::mem::take(&mut collected.skips);
    let plan = Plan::make(&collected, &mapping, &tiers, options.gross, &secret, &mut skips);
    let mut summary = Summary::new(&options, &collected, &plan, &skips);
    drop(collected);
    if let (false, Some(consortium), Some(state)) = (options.is_dry_run, &options.consortium, &options.state)
    {
        record(&options, consortium, state, &secret, plan, &mut summary).await?;
    }
    options.progress.finish_and_clear();
    Ok(summary)
}

/// Reads a directory and proposes a mapping onto a consortium: the text of the file, for a person to look at.
///
/// # Errors
/// [`ImportError::Source`], [`ImportError::Mapping`].
pub fn propose_mapping(directory: &Path, consortium: &Consortium) -> Result<String, ImportError> {
    let collected = Collected::read(directory, |_| ())?;
    Ok(Mapping::propose(&collected, consortium)?.to_toml(&collected))
}

fn check(options: &Options) -> Result<(), ImportError> {
    let bounds = [
        ("operations per transaction", options.operations_per_transaction, OPERATIONS_PER_TRANSACTION_MAX),
        ("transactions in flight", options.transactions_in_flight, limits::TRANSACTIONS_IN_FLIGHT_MAX),
    ];
    for (option, given, max) in bounds {
        if !(1..=max).contains(&given) {
            return Err(ImportError::OptionOutOfRange { option, max, given });
        }
    }
    if options.is_dry_run {
        return Ok(());
    }
    let missing = |what| Err(ImportError::Missing { what });
    match options {
        Options { consortium: None, .. } => {
            missing("the nodes and keys of the institutions (--consortium FILE)")
        }
        Options { mapping: None, .. } => missing(
            "a mapping of organisations onto institutions (--mapping FILE; --propose-mapping writes one)",
        ),
        Options { state: None, .. } => missing("a directory for its own files (--state DIR)"),
        _ => Ok(()),
    }
}

fn read(options: &Options) -> Result<Collected, ImportError> {
    options.progress.set_message("reading");
    let files = super::source::files(&options.directory)?.len();
    options.progress.set_length(files as u64);
    let collected = Collected::read(&options.directory, |read| options.progress.set_position(read))?;
    Ok(collected)
}

fn mapping(options: &Options, collected: &Collected) -> Result<Mapping, ImportError> {
    Ok(match (&options.mapping, &options.consortium) {
        (Some(mapping), _) => mapping.clone(),
        (None, Some(consortium)) => Mapping::propose(collected, consortium)?,
        (None, None) => Mapping::each_its_own(collected),
    })
}

fn tiers(consortium: Option<&Consortium>) -> BTreeMap<InstitutionId, Tier> {
    let members = consortium.map(|consortium| consortium.institutions.as_slice()).unwrap_or_default();
    members.iter().filter_map(|member| Some((member.id.clone(), member.tier?))).collect()
}

/// The secret of an import directory, drawn when it is new.
fn open_secret(state: &Path) -> Result<Secret, ImportError> {
    std::fs::create_dir_all(state).map_err(|source| ImportError::State { path: state.to_owned(), source })?;
    let path = state.join(SECRET);
    let text = match durable::read(&path, 128) {
        Ok(text) => text,
        // Where there is a journal, its secret was lost; a new one would record everything again.
        Err(FileError::Absent { .. }) if !state.join(JOURNAL).exists() => {
            let mut bytes = [0; 32];
            rand::rngs::SysRng.try_fill_bytes(&mut bytes)?;
            let text = hex::encode(bytes).into_bytes();
            durable::create(&path, &text)?;
            text
        }
        Err(other) => return Err(other.into()),
    };
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.trim_ascii(), &mut bytes).map_err(|_| ImportError::Secret { path })?;
    Ok(Secret::new(bytes))
}

/// A secret that nobody keeps.
fn draw_secret() -> Result<Secret, ImportError> {
    let mut bytes = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes)?;
    Ok(Secret::new(bytes))
}

async fn record(
    options: &Options,
    consortium: &Consortium,
    state: &Path,
    secret: &Secret,
    mut plan: Plan,
    summary: &mut Summary,
) -> Result<(), ImportError> {
    let Some(first) = plan.items.first().map(|item| item.author.clone()) else { return Ok(()) };
    options.progress.set_message("opening keys");
    let passphrase = consortium.passphrase()?;
    let pairs = agreement::pairs(&plan);
    let clients = clients(consortium, &plan, &pairs, &passphrase).await?;
    let chain = clients[&first].chain().await?;
    let journal = Journal::open(&state.join(JOURNAL), chain.chain_id)?;
    let institutions = institutions(&clients, consortium).await?;
    let tags = tags(state, &plan.subjects, &passphrase)?;
    let mut submitter = Submitter {
        clients: &clients,
        journal,
        tags,
        now: chain.time,
        operations_max: options.operations_per_transaction,
        in_flight_max: options.transactions_in_flight,
        progress: options.progress.clone(),
        tally: Tally::default(),
    };
    submitter.settle().await?;
    let agreements = Agreements::find(pairs, &institutions, &submitter, secret).await?;
    plan.items.extend(agreements.items.iter().cloned());
    options.progress.set_length(plan.items.len() as u64);
    options.progress.set_position(0);
    for (wave, items) in waves(&plan.items) {
        options.progress.set_message(wave.name());
        submitter.wave(items).await?;
    }
    if options.closes_periods {
        options.progress.set_message(Wave::ClosePeriods.name());
        agreements.close(&mut submitter, secret).await?;
        summary.statements = agreements.totals(&submitter).await?;
    }
    summary.recorded = Some(submitter.tally);
    Ok(())
}

fn waves(items: &[Item]) -> impl Iterator<Item = (Wave, Vec<&Item>)> {
    Wave::PLANNED
        .into_iter()
        .map(|wave| (wave, items.iter().filter(|item| item.wave == wave).collect::<Vec<_>>()))
        .filter(|(_, items)| !items.is_empty())
}

/// A client for every author, with the keys of the roles that it needs.
async fn clients(
    consortium: &Consortium,
    plan: &Plan,
    pairs: &BTreeSet<agreement::Pair>,
    passphrase: &SecretString,
) -> Result<BTreeMap<InstitutionId, Client>, ImportError> {
    let mut authors = plan::authors(&plan.items);
    for pair in pairs {
        authors.entry(&pair.provider).or_default().insert(Role::Finance);
        authors.entry(&pair.payer).or_default().insert(Role::Finance);
    }
    let authors = authors.iter().map(|(institution, roles)| (*institution, roles));
    Ok(consortium.clients(authors, passphrase).await?)
}

/// The institutions as the ledger knows them, each checked against the consortium file.
async fn institutions(
    clients: &BTreeMap<InstitutionId, Client>,
    consortium: &Consortium,
) -> Result<BTreeMap<InstitutionId, Institution>, ImportError> {
    let shown = |kind: InstitutionKind, tier: Option<Tier>| match tier {
        Some(tier) => format!("{kind:?} of tier {tier:?}"),
        None => format!("{kind:?} without a tier"),
    };
    let mut institutions = BTreeMap::new();
    for (id, client) in clients {
        let key = StateKey::Institution(id.clone());
        let ledger = client.record::<Institution>(&key, "institution").await?.value;
        if let Some(member) = consortium.member(id) {
            let (file, found) = (shown(member.kind, member.tier), shown(ledger.kind, ledger.tier));
            if file != found {
                return Err(ImportError::OtherInstitution { institution: id.clone(), file, ledger: found });
            }
        }
        institutions.insert(id.clone(), ledger);
    }
    Ok(institutions)
}

/// The tags of the subjects, drawn where they have none. A table that is gone is never silently begun anew.
fn tags(
    state: &Path,
    subjects: &[String],
    passphrase: &SecretString,
) -> Result<Vec<yilian_spec::id::SubjectTag>, ImportError> {
    let path = state.join(SUBJECTS);
    let marker = state.join("subjects.made");
    let mut table = if path.exists() || marker.exists() {
        SubjectTable::open(&path, passphrase, WorkFactor::PRODUCTION, Duration::ZERO)?
    } else {
        SubjectTable::create(&path, passphrase, WorkFactor::PRODUCTION)?
    };
    if !marker.exists() {
        durable::create(&marker, b"the subject tags of this import are in subjects.age\n")?;
    }
    let names: Vec<&str> = subjects.iter().map(String::as_str).collect();
    Ok(table.tags_for(&names)?)
}
