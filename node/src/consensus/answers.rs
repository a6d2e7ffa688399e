//! Whether what a peer answers to a request for decided blocks is an answer to it.
//!
//! The engine finds most lies too, but keeps them to itself and asks the same peer again; here they go on the account of
//! the peer's institution. What can be said without state is said: the answer begins where it was asked to, each block is
//! the one that its certificate names, at its height, and each signature is that of the key it names. Whether the signers
//! have enough power is known for the height under way alone, so whoever certifies a later block with keys of its own is
//! found when that block's turn comes.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use arc_malachitebft_app_channel::app::types::core::Validator as _;
use arc_malachitebft_sync::{RawDecidedValue, ValueResponse};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::ChainId;
use yilian_spec::base::limits::VALIDATORS_MAX;
use yilian_spec::ledger::block::precommit_signing_bytes;

use super::assembler::Window;
use super::context::{EngineHeight, LedgerContext};
use super::pump::IsBlock;
use super::signing::VerifiedSignatures;
use crate::conduct::Offence;

/// What an answer is judged by.
pub struct Judge {
    /// The ledger.
    pub chain_id: ChainId,
    /// The height under way, and who decides it.
    pub window: Window,
    /// What was asked for.
    pub asked: RangeInclusive<EngineHeight>,
    /// The tip that the peer has told.
    pub claimed: Height,
    /// Tells whether a block is the one that its certificate names.
    pub is_block: IsBlock,
    /// What is verified here, the engine does not verify again.
    pub verified: VerifiedSignatures,
}

impl Judge {
    /// Judges an answer.
    ///
    /// # Errors
    /// What the peer has done that no honest one does.
    pub fn judge(&self, answer: &ValueResponse<LedgerContext>) -> Result<(), Offence> {
        let (first, last) = (self.asked.start(), self.asked.end());
        let count = last.0.saturating_sub(first.0).saturating_add(1);
        if answer.start_height != *first || answer.values.len() as u64 > count {
            return Err(Offence::FalseSyncValue);
        }
        // A peer holds all blocks up to the tip that it tells, and gives at least one of them.
        if answer.values.is_empty() && self.claimed >= first.ledger() {
            return Err(Offence::FalseStatus);
        }
        (answer.start_height.0..)
            .zip(&answer.values)
            .try_for_each(|(height, value)| self.value(height, value))
    }

    fn value(&self, height: u64, value: &RawDecidedValue<LedgerContext>) -> Result<(), Offence> {
        let certificate = &value.certificate;
        if certificate.height.0 != height || !(self.is_block)(certificate.value_id, &value.value_bytes) {
            return Err(Offence::FalseSyncValue);
        }
        let signatures = &certificate.commit_signatures;
        let round = certificate.round.as_u32().filter(|_| signatures.len() <= VALIDATORS_MAX);
        let round = round.ok_or(Offence::ForgedCertificate)?;
        let message = precommit_signing_bytes(self.chain_id, Height(height), round, certificate.value_id);
        let (mut power, mut signers) = (0u64, BTreeSet::new());
        for commit in signatures {
            let signer = commit.address.0;
            if !signers.insert(signer) || !self.verified.check(&signer, &message, &commit.signature) {
                return Err(Offence::ForgedCertificate);
            }
            let validator = self.window.validators.get(&signer);
            power = power.saturating_add(validator.map_or(0, |validator| validator.voting_power()));
        }
        let is_due = Height(height) == self.window.height;
        if is_due && !self.window.validators.can_decide(power) {
            return Err(Offence::ForgedCertificate);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arc_malachitebft_app_channel::app::types::core::Round;
    use bytes::Bytes;
    use yilian_spec::base::id::BlockId;
    use yilian_spec::crypto::signature::SecretKey;
    use yilian_spec::ledger::block::{CommitCertificate, CommitSignature};

    use super::super::certificate::extended_certificate;
    use super::super::tests::window::{key, window};
    use super::*;

    const CHAIN: ChainId = ChainId([7; 32]);

    /// A block is its id, in these tests.
    fn is_block(id: BlockId, bytes: &[u8]) -> bool {
        bytes == id.0
    }

    fn certificate(height: u64, signers: &[SecretKey]) -> CommitCertificate {
        let block_id = BlockId([height as u8; 32]);
        let message = precommit_signing_bytes(CHAIN, Height(height), 0, block_id);
        let sign =
            |key: &SecretKey| CommitSignature { validator: key.public_key(), signature: key.sign(&message) };
        let mut signatures: Vec<_> = signers.iter().map(sign).collect();
        signatures.sort();
        CommitCertificate { height: Height(height), round: 0, block_id, signatures }
    }

    fn value(certificate: &CommitCertificate) -> RawDecidedValue<LedgerContext> {
        RawDecidedValue::new(
            Bytes::copy_from_slice(&certificate.block_id.0),
            extended_certificate(certificate),
        )
    }

    fn signers(count: u8) -> Vec<SecretKey> {
        (0..count).map(key).collect()
    }

    fn answer(values: Vec<RawDecidedValue<LedgerContext>>) -> ValueResponse<LedgerContext> {
        ValueResponse::new(EngineHeight(5), values)
    }

    fn true_values(heights: std::ops::Range<u64>) -> Vec<RawDecidedValue<LedgerContext>> {
        heights.map(|height| value(&certificate(height, &signers(3)))).collect()
    }

    fn judge(asked: RangeInclusive<u64>) -> Judge {
        Judge {
            chain_id: CHAIN,
            window: window(5, 0),
            asked: EngineHeight(*asked.start())..=EngineHeight(*asked.end()),
            claimed: Height(9),
            is_block,
            verified: VerifiedSignatures::default(),
        }
    }

    #[test]
    fn what_was_asked_for_or_the_first_of_it_is_an_answer() {
        for count in 1..=4 {
            assert_eq!(judge(5..=8).judge(&answer(true_values(5..5 + count))), Ok(()));
        }
    }

    #[test]
    fn blocks_of_other_places_are_false() {
        let more = answer(true_values(5..10));
        assert_eq!(judge(5..=8).judge(&more), Err(Offence::FalseSyncValue));
        let elsewhere = answer(true_values(5..6));
        assert_eq!(judge(6..=8).judge(&elsewhere), Err(Offence::FalseSyncValue));
        let old = answer(true_values(4..6));
        assert_eq!(judge(5..=8).judge(&old), Err(Offence::FalseSyncValue));
        let mut altered = answer(true_values(5..7));
        altered.values[1].value_bytes = Bytes::from_static(b"another block");
        assert_eq!(judge(5..=8).judge(&altered), Err(Offence::FalseSyncValue));
    }

    #[test]
    fn nothing_is_an_answer_only_of_a_peer_that_has_nothing() {
        let nothing = answer(Vec::new());
        assert_eq!(judge(5..=8).judge(&nothing), Err(Offence::FalseStatus));
        let behind = Judge { claimed: Height(4), ..judge(5..=8) };
        assert_eq!(behind.judge(&nothing), Ok(()));
    }

    #[test]
    fn a_signature_of_another_is_forged_at_any_height() {
        for height in [5, 6] {
            let mut forged = certificate(height, &signers(3));
            forged.signatures[0].signature = forged.signatures[1].signature;
            let mut values = true_values(5..7);
            values[height as usize - 5] = value(&forged);
            assert_eq!(judge(5..=8).judge(&answer(values)), Err(Offence::ForgedCertificate), "{height}");
        }
    }

    #[test]
    fn too_few_signers_certify_nothing_when_their_height_is_due() {
        let mut strangers = signers(2);
        strangers.extend((20..30).map(key));
        let mut repeated = certificate(5, &signers(1));
        repeated.signatures = vec![repeated.signatures[0].clone(); 3];
        assert_eq!(judge(5..=8).judge(&answer(vec![value(&repeated)])), Err(Offence::ForgedCertificate));
        for few in [signers(1), signers(2), strangers] {
            let forged = value(&certificate(5, &few));
            assert_eq!(judge(5..=8).judge(&answer(vec![forged])), Err(Offence::ForgedCertificate));
            // Who decides a later block, only the blocks before it say.
            let later = vec![value(&certificate(5, &signers(3))), value(&certificate(6, &few))];
            assert_eq!(judge(5..=8).judge(&answer(later)), Ok(()));
        }
    }

    #[test]
    fn a_certificate_without_a_round_is_forged() {
        let mut values = true_values(5..6);
        values[0].certificate.round = Round::Nil;
        assert_eq!(judge(5..=8).judge(&answer(values)), Err(Offence::ForgedCertificate));
    }
}
