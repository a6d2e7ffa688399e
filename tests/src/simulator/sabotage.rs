//! Rule-breaking on purpose: the checker must see it, or its silence about everything else says nothing.

use yilian_node::application::ledger::Ledger;
use yilian_node::application::{Application as _, ApplicationError, UndecidedBlock};
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::ledger::block::{CommitCertificate, CommitSignature, precommit_signing_bytes};

use super::consortium::validator_key;
use super::plan::VALIDATORS;

/// Commits another block than the decided one, under a certificate for which all validators sign a second time: what no
/// ledger can notice by itself.
///
/// # Errors
/// When the ledger refuses it.
pub fn commit_another(
    ledger: &mut Ledger,
    own: Option<PublicKey>,
    decided: &CommitCertificate,
    now_ms: u64,
) -> Result<(), ApplicationError> {
    let broken = |reason: &str| ApplicationError::Broken { reason: reason.to_owned() };
    // A round that nobody has come to gives a new block; the clock gives it another time than the decided one.
    let round = 1_000_000;
    let built = ledger.build(decided.height, round, now_ms + 1)?;
    if built.block_id == decided.block_id {
        return Err(broken("the forged block is the decided one"));
    }
    ledger.remember(UndecidedBlock {
        height: decided.height,
        round,
        valid_round: None,
        proposer: own.ok_or_else(|| broken("an observer forges no block"))?,
        block_id: built.block_id,
        bytes: built.bytes,
    })?;
    let message = precommit_signing_bytes(ledger.tip().chain_id, decided.height, round, built.block_id);
    let sign = |member| {
        let key = validator_key(member);
        CommitSignature { validator: key.public_key(), signature: key.sign(&message) }
    };
    let mut signatures: Vec<CommitSignature> = (0..VALIDATORS).map(sign).collect();
    signatures.sort();
    ledger.commit(&CommitCertificate { height: decided.height, round, block_id: built.block_id, signatures })
}
