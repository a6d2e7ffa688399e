//! File descriptors: a node that runs out of them cannot open its ledger's files or accept a caller, and says so nowhere near
//! the cause. So it takes as many as the system allows, and does not start with too few.

use anyhow::{Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::base::limits::{DATABASE_FILES_MAX, DESCRIPTORS_MIN};
use crate::config::Config;

/// Raises the limit as far as this user may, and refuses one that is too low.
///
/// # Errors
/// When fewer than [`DESCRIPTORS_MIN`] may be open.
pub fn require(config: &Config) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        // Where it may not be raised, the present one counts.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    let Some(allowed) = getrlimit(Resource::Nofile).current else { return Ok(()) };
    if allowed < DESCRIPTORS_MIN {
        bail!(
            "this process may have {allowed} files open, a node needs {DESCRIPTORS_MIN}: raise the limit (`ulimit -n`, or \
             LimitNOFILE of its systemd unit)"
        );
    }
    let wanted = DATABASE_FILES_MAX as u64 + config.api.connections_max as u64 + DESCRIPTORS_MIN;
    if allowed < wanted {
        tracing::warn!(
            "this process may have {allowed} files open; with api.connections_max = {} it may need {wanted}: raise the limit \
             (`ulimit -n`, or LimitNOFILE of its systemd unit), or lower api.connections_max",
            config.api.connections_max
        );
    }
    Ok(())
}
