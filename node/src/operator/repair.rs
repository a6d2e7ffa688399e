//! Sets aside what is damaged in a stopped node's home, so that its next start rebuilds it from the peers. Nothing is
//! deleted: the damaged ledger is evidence of what happened to the disk, and may be all that is left of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use yilian_local::durable;
use yilian_spec::base::height::Height;

use crate::home::Home;
use crate::operator::inspection::{self, Inspection};
use crate::voting::{self, Cause};

/// Names that are tried for what is set aside.
const NAMES_MAX: u32 = 1_000;

/// Something that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// What it was, in words.
    pub what: &'static str,
    /// What was wrong with it.
    pub reason: String,
    /// Where it lies now.
    pub now: PathBuf,
}

/// Inspects a stopped node and sets aside its ledger, its log of votes, or both, where they are damaged. What is whole
/// stays. `progress` is called as an audit calls it. The caller has locked the home. Before a file is moved it is durable from which votes the node must abstain.
///
/// # Errors
/// When something is damaged that the peers cannot give back (genesis, keys, configuration), or a file cannot be moved.
pub fn repair(home: &Home, progress: impl FnMut(Height, Height)) -> Result<Vec<SetAside>> {
    let found = inspection::inspect(home, progress)?;
    if let Some(finding) = found.files.first() {
        bail!("{finding}; the peers cannot give it back: restore it from your own copy");
    }
    let Inspection { ledger, votes, .. } = &found;
    let tip = match ledger {
        Ok(report) => report.as_ref().map(|report| report.height),
        Err(_) => None,
    };
    let mut moved = Vec::new();
    if let Err(reason) = ledger {
        voting::ledger_goes(home, Cause::LedgerSetAside)?;
        moved.push(set_aside(&home.ledger_directory(), "ledger", reason)?);
    }
    if let Err(reason) = votes {
        voting::vote_log_goes(home, tip)?;
        moved.push(set_aside(&home.vote_log(), "log of votes", reason)?);
    }
    Ok(moved)
}

/// Renames to the first free of `NAME.damaged-1`, `NAME.damaged-2`, and so on.
fn set_aside(path: &Path, what: &'static str, reason: &str) -> Result<SetAside> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let candidate = |number: u32| path.with_file_name(format!("{name}.damaged-{number}"));
    let free = (1..=NAMES_MAX).map(candidate).find(|path| !path.exists());
    let now = free.with_context(|| {
        format!("{} lies beside {NAMES_MAX} damaged ones: move them away first", path.display())
    })?;
    std::fs::rename(path, &now)
        .with_context(|| format!("cannot rename {} to {}", path.display(), now.display()))?;
    durable::sync_directory(&now)?;
    Ok(SetAside { what, reason: reason.to_owned(), now })
}
