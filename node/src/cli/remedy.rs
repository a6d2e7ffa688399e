//! What to do about a damaged home: said once, behind the error, with the home as the operator named it.

use std::error::Error;
use std::path::Path;

use anyhow::anyhow;

use super::describe;
use crate::application::ApplicationError;
use crate::consensus::ConsensusError;
use crate::storage::StorageError;
use crate::voting::VotingError;

/// The same error with what to do about it, where something is damaged or may be. Other errors say it themselves.
pub(super) fn with_remedy(error: anyhow::Error, home: &Path) -> anyhow::Error {
    let remedy = if error.chain().any(is_damage) {
        repair(home)
    } else if error.chain().any(may_be_damage) {
        format!("run `yilian-node check --home {}`: it says whether a file is damaged", home.display())
    } else {
        return error;
    };
    anyhow!("{}; {remedy}", describe(&error))
}

/// What to do when the ledger or the log of votes is damaged.
pub(super) fn repair(home: &Path) -> String {
    let home = home.display();
    format!(
        "run `yilian-node repair --home {home}`, which sets what is damaged aside, then start the node, which rebuilds it \
         from its peers; or start it with `yilian-node run --home {home} --repair`, which does both"
    )
}

fn is_damage(cause: &(dyn Error + 'static)) -> bool {
    cause.downcast_ref::<StorageError>().is_some_and(StorageError::is_damage)
        || matches!(cause.downcast_ref(), Some(VotingError::Damaged { .. }))
}

/// What has passed through the rules is text, which does not tell a damaged row from a disk that fails.
fn may_be_damage(cause: &(dyn Error + 'static)) -> bool {
    let application = if let Some(ConsensusError::Application(error)) = cause.downcast_ref() {
        Some(error)
    } else {
        cause.downcast_ref()
    };
    matches!(application, Some(ApplicationError::View { .. }))
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;
    use crate::storage::Damage;

    fn damage() -> StorageError {
        Damage::RowMissing { column: "block", key: "07".to_owned() }.into()
    }

    fn said(error: anyhow::Error) -> String {
        describe(&with_remedy(error, Path::new("nodes/a")))
    }

    #[test]
    fn damage_is_told_with_its_remedy_once_wherever_it_was_met() {
        let under_consensus = || -> ConsensusError {
            ApplicationError::Storage { action: "writing a block", source: damage() }.into()
        };
        let votes = VotingError::Damaged { path: "votes.wal".into(), reason: "its checksum".to_owned() };
        let met: [anyhow::Error; 4] = [
            damage().into(),
            Err::<(), _>(damage()).context("starting").unwrap_err(),
            under_consensus().into(),
            votes.into(),
        ];
        for error in met {
            let said = said(error);
            assert_eq!(said.matches("yilian-node repair --home nodes/a`").count(), 1, "{said}");
            assert_eq!(said.matches("yilian-node run --home nodes/a --repair`").count(), 1, "{said}");
        }
    }

    #[test]
    fn what_only_may_be_damage_is_to_be_checked_and_a_disk_says_itself_what_to_do() {
        let view = || ApplicationError::View { action: "building a block", reason: "a row".to_owned() };
        for error in [view().into(), ConsensusError::from(view()).into()] {
            let said = said(error);
            assert!(said.contains("yilian-node check --home nodes/a") && !said.contains("repair"), "{said}");
        }
        let full = StorageError::Disk { action: "writing", source: std::io::ErrorKind::StorageFull.into() };
        let said = said(full.into());
        assert!(said.contains("check the disk") && !said.contains("yilian-node"), "{said}");
    }
}
