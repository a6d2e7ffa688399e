//! An import from beginning to end.

use std::collections::BTreeMap;
use std::path::Path;

use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::limits::OPERATIONS_PER_TRANSACTION_MAX;
use yilian_spec::domain::membership::Tier;

use super::changes::{self, Changes};
use super::collect::{Collected, Reach};
use super::error::ImportError;
use super::journal::{Contents, Journal};
use super::mapping::Mapping;
use super::plan::{Plan, Planning};
use super::record::Recording;
use super::state::State;
use super::summary::Summary;
use super::{Options, limits};
use crate::consortium::Consortium;

/// Reads a directory, and records it on the ledger unless it is a dry run.
///
/// # Errors
/// [`ImportError`]. What was recorded by then stays recorded, and running again goes on from there.
pub async fn run(options: Options) -> Result<Summary, ImportError> {
    check(&options)?;
    let collected = read(&options)?;
    let mapping = mapping(&options, &collected)?;
    let state = options.state.as_deref().map(State::new);
    let taken = state.as_ref().filter(|_| !options.is_dry_run).map(State::take).transpose()?;
    let secret = match &state {
        Some(state) if !options.is_dry_run => state.open_secret()?,
        Some(state) => state.look_secret()?,
        None => super::state::draw_secret()?,
    };
    let tiers = tiers(options.consortium.as_ref());
    let planning = Planning {
        collected: &collected,
        mapping: &mapping,
        tiers: &tiers,
        gross: options.gross,
        secret: &secret,
    };
    let summary = match (&options.consortium, &state) {
        (Some(consortium), Some(state)) if !options.is_dry_run => {
            Recording { options: &options, consortium, state, planning: &planning }.run().await?
        }
        (_, state) => look(&options, &planning, state.as_ref())?,
    };
    drop(taken);
    options.progress.finish_and_clear();
    Ok(summary)
}

/// What an import would do, and what became of an earlier one's sources.
fn look(options: &Options, planning: &Planning<'_>, state: Option<&State>) -> Result<Summary, ImportError> {
    let known = state.map(|state| Journal::look(&state.journal())).transpose()?.flatten();
    let plan = plan(planning, known.as_ref());
    let mut summary = Summary::new(options, planning, &plan);
    if let Some(contents) = &known {
        let found = Changes::find(&plan, planning.collected, contents, planning.secret, options.is_partial);
        summary.changes = Some(found);
        summary.on_ledger = changes::on_ledger(contents);
    }
    Ok(summary)
}

/// The plan, where some of it is on the ledger already.
pub(super) fn plan(planning: &Planning<'_>, known: Option<&Contents>) -> Plan {
    let reversed =
        |claim: &str| known.map_or(0, |contents| changes::reversals(contents, planning.secret, claim));
    planning.plan(&reversed)
}

/// Reads a directory and proposes a mapping onto a consortium: the text of the file, for a person to look at, and the
/// files that were refused.
///
/// # Errors
/// [`ImportError::Source`], [`ImportError::Mapping`], [`ImportError::FilesRefused`].
pub fn propose_mapping(
    directory: &Path,
    is_recursive: bool,
    consortium: &Consortium,
) -> Result<String, ImportError> {
    let collected = Collected::read(directory, Reach { is_recursive }, |_, _| ())?;
    refuse_files(&collected)?;
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
    let reach = Reach { is_recursive: options.is_recursive };
    let collected = Collected::read(&options.directory, reach, |read, files| {
        options.progress.set_length(files);
        options.progress.set_position(read);
    })?;
    // Without a file, a patient's way may lead past a visit, and what is recorded cannot be taken back.
    if !options.is_dry_run && !options.goes_without_refused {
        refuse_files(&collected)?;
    }
    Ok(collected)
}

fn refuse_files(collected: &Collected) -> Result<(), ImportError> {
    let refused: Vec<String> = collected.refused().filter_map(|entry| entry.error.clone()).collect();
    if refused.is_empty() { Ok(()) } else { Err(ImportError::FilesRefused { refused }) }
}

fn mapping(options: &Options, collected: &Collected) -> Result<Mapping, ImportError> {
    Ok(match (&options.mapping, &options.consortium) {
        (Some(mapping), consortium) => {
            if let Some(consortium) = consortium {
                mapping.check(consortium)?;
            }
            // What a refused file holds is not known, so a key may well name it.
            let is_partial = options.is_partial || collected.refused().next().is_some();
            mapping.check_keys(collected, is_partial)?;
            mapping.clone()
        }
        (None, Some(consortium)) => Mapping::propose(collected, consortium)?,
        (None, None) => Mapping::each_its_own(collected),
    })
}

fn tiers(consortium: Option<&Consortium>) -> BTreeMap<InstitutionId, Tier> {
    let members = consortium.map(|consortium| consortium.institutions.as_slice()).unwrap_or_default();
    members.iter().filter_map(|member| Some((member.id.clone(), member.tier?))).collect()
}
