//! Verifies what validators sign, each signature once: the nodes of a run see the same votes, alone and in certificates,
//! and the answer depends on nothing but key, bytes and signature. Verifying is most of the work of a run.

use std::cell::RefCell;
use std::collections::BTreeMap;

use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_signing::{Error, VerificationResult, Verifier};
use async_trait::async_trait;
use engine::{ValidatorProof, VoteExtensionScope};
use sha2::{Digest, Sha256};
use yilian_node::consensus::context::{LedgerContext, Proposal, Vote};
use yilian_node::consensus::signing::{LedgerVerifier, proposal_signing_bytes, vote_signing_bytes};
use yilian_spec::crypto::signature::{PublicKey, Signature, verify};

/// Answers kept by a thread; all are forgotten beyond that.
const ANSWERS_MAX: usize = 1 << 16;

thread_local! {
    static ANSWERS: RefCell<BTreeMap<[u8; 32], bool>> = const { RefCell::new(BTreeMap::new()) };
}

/// A node's verifier, in front of it the answers of all nodes of the thread.
#[derive(Clone)]
pub struct OnceVerifier(pub LedgerVerifier);

/// Whether a key has signed these bytes.
pub fn is_signed(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    // Key and signature have a fixed length, so nothing else hashes alike.
    let parts = Sha256::new()
        .chain_update(key.ed25519_bytes())
        .chain_update(signature.ed25519_bytes())
        .chain_update(message);
    let place: [u8; 32] = parts.finalize().into();
    ANSWERS.with_borrow_mut(|answers| {
        if answers.len() == ANSWERS_MAX {
            answers.clear();
        }
        *answers.entry(place).or_insert_with(|| verify(key, message, signature).is_ok())
    })
}

fn outcome(message: Option<Vec<u8>>, signature: &Signature, key: &PublicKey) -> VerificationResult {
    let valid = message.is_some_and(|message| is_signed(key, &message, signature));
    VerificationResult::from_bool(valid)
}

#[async_trait]
impl Verifier<LedgerContext> for OnceVerifier {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(outcome(vote_signing_bytes(self.0.chain_id, vote), signature, key))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(outcome(proposal_signing_bytes(self.0.chain_id, proposal), signature, key))
    }

    async fn verify_signed_vote_extension(
        &self,
        scope: &VoteExtensionScope<LedgerContext>,
        extension: &<LedgerContext as engine::Context>::Extension,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        self.0.verify_signed_vote_extension(scope, extension, signature, key).await
    }

    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<LedgerContext>,
    ) -> Result<VerificationResult, Error> {
        self.0.verify_validator_proof(proof).await
    }
}
