//! Verifies each signature once in a run, not once on each node: the nodes share a process, and the rule for validity is a
//! function of key, message and signature. Half of a run's time went into it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_signing::{Error, VerificationResult, Verifier};
use async_trait::async_trait;
use engine::{ValidatorProof, VoteExtensionScope};
use sha2::{Digest, Sha256};
use yilian_node::consensus::context::{LedgerContext, Proposal, Vote};
use yilian_node::consensus::signing::{LedgerVerifier, proposal_signing_bytes, vote_signing_bytes};
use yilian_spec::signature::{PublicKey, Signature};

/// What the signatures of a run came to. Copies are the same.
#[derive(Clone, Debug, Default)]
pub struct Memo(Arc<Mutex<BTreeMap<[u8; 32], bool>>>);

/// A node's verifier, that remembers.
#[derive(Clone, Debug)]
pub struct RememberingVerifier {
    /// Whom it asks.
    pub verifier: LedgerVerifier,
    /// What it remembers.
    pub memo: Memo,
}

impl RememberingVerifier {
    /// Whether it is known what a signature over these bytes comes to; the place where it is noted otherwise.
    fn recall(
        &self,
        message: Option<&[u8]>,
        signature: &Signature,
        key: &PublicKey,
    ) -> (Option<bool>, [u8; 32]) {
        let mut hasher = Sha256::new();
        hasher.update(key.0);
        hasher.update(signature.0);
        hasher.update(message.unwrap_or_default());
        let place = hasher.finalize().into();
        let memo = self.memo.0.lock().unwrap_or_else(PoisonError::into_inner);
        (memo.get(&place).copied(), place)
    }

    fn note(&self, place: [u8; 32], is_valid: bool) {
        self.memo.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place, is_valid);
    }
}

#[async_trait]
impl Verifier<LedgerContext> for RememberingVerifier {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        let message = vote_signing_bytes(self.verifier.chain_id, vote);
        let (known, place) = self.recall(message.as_deref(), signature, key);
        if let Some(is_valid) = known {
            return Ok(VerificationResult::from_bool(is_valid));
        }
        let result = self.verifier.verify_signed_vote(vote, signature, key).await?;
        self.note(place, result.is_valid());
        Ok(result)
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        let message = proposal_signing_bytes(self.verifier.chain_id, proposal);
        let (known, place) = self.recall(message.as_deref(), signature, key);
        if let Some(is_valid) = known {
            return Ok(VerificationResult::from_bool(is_valid));
        }
        let result = self.verifier.verify_signed_proposal(proposal, signature, key).await?;
        self.note(place, result.is_valid());
        Ok(result)
    }

    async fn verify_signed_vote_extension(
        &self,
        scope: &VoteExtensionScope<LedgerContext>,
        extension: &(),
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        self.verifier.verify_signed_vote_extension(scope, extension, signature, key).await
    }

    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<LedgerContext>,
    ) -> Result<VerificationResult, Error> {
        self.verifier.verify_validator_proof(proof).await
    }
}
