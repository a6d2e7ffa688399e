//! Commit certificates: the engine's form and the ledger's, which is the one that is stored and shown.

use arc_malachitebft_app_channel::app::types::core as engine;
use engine::Round;
use yilian_spec::ledger::block::{CommitCertificate, CommitSignature};

use super::context::{Address, LedgerContext};

/// The ledger's form of a certificate: signatures sorted by validator. `None` without a round.
pub fn spec_certificate(certificate: &engine::CommitCertificate<LedgerContext>) -> Option<CommitCertificate> {
    let signature = |commit: &engine::CommitSignature<LedgerContext>| CommitSignature {
        validator: commit.address.0,
        signature: commit.signature,
    };
    let mut signatures: Vec<_> = certificate.commit_signatures.iter().map(signature).collect();
    signatures.sort();
    signatures.dedup_by_key(|signature| signature.validator);
    Some(CommitCertificate {
        height: certificate.height.ledger(),
        round: certificate.round.as_u32()?,
        block_id: certificate.value_id,
        signatures,
    })
}

/// The engine's form of a certificate from the ledger.
pub fn extended_certificate(
    certificate: &CommitCertificate,
) -> engine::ExtendedCommitCertificate<LedgerContext> {
    let signature = |commit: &CommitSignature| {
        engine::ExtendedCommitSignature::new(Address(commit.validator), commit.signature, None)
    };
    engine::ExtendedCommitCertificate {
        height: certificate.height.into(),
        round: Round::new(certificate.round),
        value_id: certificate.block_id,
        commit_signatures: certificate.signatures.iter().map(signature).collect(),
    }
}
