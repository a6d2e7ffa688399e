//! Taking an import back: the services that it recorded are reversed, and its grants are revoked, as its journal knows them.
//!
//! The input is not needed. Disclosures, receipts and referrals have happened and stay, and so do agreements. Reversals of
//! services in closed periods are settled in the next ones. Running it again takes back what is left.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use indicatif::ProgressBar;
use serde::Serialize;
use yilian_spec::domain::service::ReversalReason;

use super::changes::{self, Changes, OnLedger};
use super::collect::Collected;
use super::error::ImportError;
use super::journal::{Contents, Journal, JournalError};
use super::mapping::Mapping;
use super::plan::{Plan, Planning};
use super::proposal::decimal;
use super::record::Recording;
use super::state::State;
use super::submit::Tally;
use super::summary::text;
use super::{Gross, Options};
use crate::consortium::Consortium;
use crate::error::exit;

/// What is to be taken back.
#[derive(Debug, Clone)]
pub struct Withdrawal {
    /// The import's own directory.
    pub state: PathBuf,
    /// Nodes and keys of the institutions. A dry run can do without.
    pub consortium: Option<Consortium>,
    /// Why the services are reversed.
    pub reason: ReversalReason,
    /// Say what would be taken back; needs no node.
    pub is_dry_run: bool,
    /// Shows how far it is.
    pub progress: ProgressBar,
}

/// What was taken back, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Withdrawn {
    /// Whether nothing was submitted.
    pub dry_run: bool,
    /// The services of the import that the ledger held, by currency.
    pub before: BTreeMap<String, OnLedger>,
    /// Grants that nobody had revoked by this import.
    pub grants: u64,
    /// What happened and stays, by the name of the operation.
    pub staying: BTreeMap<String, u64>,
    /// What became of the operations; `None` after a dry run.
    pub recorded: Option<Tally>,
    /// The services that it holds now.
    pub on_ledger: BTreeMap<String, OnLedger>,
}

/// Takes back what an import recorded.
///
/// # Errors
/// [`ImportError`]. What was taken back by then stays so, and running it again goes on from there.
pub async fn withdraw(withdrawal: Withdrawal) -> Result<Withdrawn, ImportError> {
    let Withdrawal { state, consortium, reason, is_dry_run, progress } = withdrawal;
    let state = State::new(&state);
    known(&state)?;
    let _taken = (!is_dry_run).then(|| state.take()).transpose()?;
    let before = known(&state)?;
    if before.looked_at().next().is_none() {
        let (path, beside) = (state.journal(), state.secret());
        return Err(JournalError::Lost { path, beside }.into());
    }
    let secret = state.open_secret()?;
    let nothing = Collected::default();
    let planning = Planning {
        collected: &nothing,
        mapping: &Mapping::each_its_own(&nothing),
        tiers: &BTreeMap::new(),
        gross: Gross::default(),
        secret: &secret,
    };
    let found = Changes::find(&Plan::default(), &nothing, &before, &secret, false);
    let mut recorded = None;
    if !is_dry_run {
        let needed = "the nodes and keys of the institutions (--consortium FILE)";
        let consortium = consortium.as_ref().ok_or(ImportError::Missing { what: needed })?;
        let options =
            Options { corrects: true, is_beside_others: true, progress, ..Options::new(PathBuf::new()) };
        let recording = Recording { options: &options, consortium, state: &state, planning: &planning };
        recorded = Some(recording.withdraw(reason).await?);
        options.progress.finish_and_clear();
    }
    Ok(Withdrawn {
        dry_run: is_dry_run,
        before: changes::on_ledger(&before),
        grants: found.grantors().count() as u64,
        staying: found.staying_by_name(),
        recorded,
        on_ledger: changes::on_ledger(&known(&state)?),
    })
}

/// What the journal knows.
///
/// # Errors
/// [`JournalError::None`] where there was no import.
fn known(state: &State) -> Result<Contents, JournalError> {
    let path = state.journal();
    Journal::look(&path)?.ok_or(JournalError::None { path })
}

impl Withdrawn {
    /// As text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a text cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        for (currency, OnLedger { services, gross_minor }) in &self.before {
            let gross = decimal(*gross_minor, currency);
            writeln!(out, "Recorded by this import: {gross} {currency} gross in {services} services")?;
        }
        writeln!(out, "Grants to revoke: {}", self.grants)?;
        if !self.staying.is_empty() {
            writeln!(out, "What happened stays:")?;
            text::write_counts(out, self.staying.iter().map(|(name, count)| (name.as_str(), count)))?;
        }
        let Some(tally) = &self.recorded else {
            return writeln!(out, "Nothing was submitted.");
        };
        text::write_tally(out, tally)?;
        writeln!(
            out,
            "What closed periods owe is settled when the open ones are closed (`yilian period close`); agreements stay."
        )?;
        if self.on_ledger.is_empty() {
            writeln!(
                out,
                "On the ledger: no service of this import any more, by the streams of all institutions whose keys the consortium \
                 file names"
            )?;
        }
        text::write_held(out, &self.on_ledger)
    }

    /// What a script is told: whether the ledger refused anything.
    pub fn exit_code(&self) -> u8 {
        match &self.recorded {
            Some(tally) if !tally.refused.is_empty() => exit::REFUSED,
            Some(_) | None => exit::OK,
        }
    }
}
