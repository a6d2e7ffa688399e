//! Rule-breaking on purpose: the checker must see it, or its silence about everything else says nothing.

use yilian_node::application::{Application as _, UndecidedBlock};
use yilian_node::clock::Clock as _;
use yilian_spec::block::{CommitCertificate, CommitSignature, precommit_signing_bytes};

use super::consortium::validator_key;
use super::host::{Host, Stopped};
use super::plan::VALIDATORS;

impl Host {
    /// Commits another block than the decided one, under a certificate for which all validators sign a second time:
    /// what no ledger can notice by itself.
    ///
    /// # Errors
    /// When the ledger refuses it.
    pub fn commit_another(&mut self, decided: &CommitCertificate) -> Result<(), Stopped> {
        // A round that nobody has come to gives a new block; the clock gives it another time than the decided one.
        let round = 1_000_000;
        let built = self.ledger.build(decided.height, round, self.clock.now_ms() + 1)?;
        if built.block_id == decided.block_id {
            return Err(Stopped("the forged block is the decided one".to_owned()));
        }
        self.ledger.remember(UndecidedBlock {
            height: decided.height,
            round,
            valid_round: None,
            proposer: self.address().0,
            block_id: built.block_id,
            bytes: built.bytes,
        })?;
        let message = precommit_signing_bytes(self.chain_id, decided.height, round, built.block_id);
        let sign = |member| {
            let key = validator_key(member);
            CommitSignature { validator: key.public_key(), signature: key.sign(&message) }
        };
        let mut signatures: Vec<CommitSignature> = (0..VALIDATORS).map(sign).collect();
        signatures.sort();
        let certificate =
            CommitCertificate { height: decided.height, round, block_id: built.block_id, signatures };
        Ok(self.ledger.commit(&certificate)?)
    }
}
