//! Signatures of consensus: what exactly a validator signs, and how the engine has it signed and verified.
//!
//! | message | domain | body |
//! |---|---|---|
//! | precommit for a block | that of [`precommit_signing_bytes`] | height, round, block id |
//! | prevote for a block | `yilian/prevote/v1` | height, round, block id |
//! | prevote for nil | `yilian/prevote-nil/v1` | height, round |
//! | precommit for nil | `yilian/precommit-nil/v1` | height, round |
//! | proposal | `yilian/proposal/v1` | height, round, valid round + 1 or 0, block id |
//! | payload manifest | `yilian/manifest/v1` | see [`super::proposal`] |
//!
//! Heights are u64, rounds u32, little endian. The voter is not part of it: the key says who votes, and all
//! precommits of a certificate are over the same bytes, which a light client computes from what the certificate
//! shows. Validity is the project's one rule, ZIP-215.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_signing::{Error, Signer, VerificationResult, Verifier};
use async_trait::async_trait;
use engine::{NilOrVal, SignedMessage, ValidatorProof, VoteExtensionScope, VoteType};
use sha2::{Digest, Sha256};
use yilian_spec::base::codec::{self, DecodeError};
use yilian_spec::base::id::{BlockId, ChainId};
use yilian_spec::crypto::signature::{PublicKey, SecretKey, Signature, signing_bytes, verify};
use yilian_spec::ledger::block::precommit_signing_bytes;

use super::context::{LedgerContext, Proposal, Vote};
use super::own_key::OwnKey;
use crate::base::limits::VERIFIED_SIGNATURES_MAX;

/// The engine's signing scheme: the ledger's Ed25519.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerScheme;

impl engine::SigningScheme for LedgerScheme {
    type DecodingError = DecodeError;
    type Signature = Signature;
    type PublicKey = PublicKey;
    type PrivateKey = SecretKey;

    fn decode_signature(bytes: &[u8]) -> Result<Signature, DecodeError> {
        codec::decode(bytes, Signature::ENCODED_BYTES)
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        codec::encode(signature)
    }

    fn decode_public_key(bytes: &[u8]) -> Result<PublicKey, DecodeError> {
        codec::decode(bytes, PublicKey::ENCODED_BYTES)
    }

    fn encode_public_key(public_key: &PublicKey) -> Vec<u8> {
        codec::encode(public_key)
    }
}

/// What a voter signs; `None` for a vote without a round, which does not occur in a valid run.
pub fn vote_signing_bytes(chain_id: ChainId, vote: &Vote) -> Option<Vec<u8>> {
    let round = vote.round.as_u32()?;
    let position = position_bytes(vote.height.0, round);
    Some(match (vote.kind, &vote.value) {
        (VoteType::Precommit, NilOrVal::Val(block_id)) => {
            precommit_signing_bytes(chain_id, vote.height.ledger(), round, *block_id)
        }
        (VoteType::Prevote, NilOrVal::Val(block_id)) => {
            signing_bytes("yilian/prevote/v1", &chain_id.0, &with_block(position, *block_id))
        }
        (VoteType::Prevote, NilOrVal::Nil) => signing_bytes("yilian/prevote-nil/v1", &chain_id.0, &position),
        (VoteType::Precommit, NilOrVal::Nil) => {
            signing_bytes("yilian/precommit-nil/v1", &chain_id.0, &position)
        }
    })
}

/// What a proposer signs; `None` for a proposal without a round.
pub fn proposal_signing_bytes(chain_id: ChainId, proposal: &Proposal) -> Option<Vec<u8>> {
    let mut body = position_bytes(proposal.height.0, proposal.round.as_u32()?);
    let valid_round = proposal.pol_round.as_u32().map_or(0, |round| u64::from(round) + 1);
    body.extend_from_slice(&valid_round.to_le_bytes());
    Some(signing_bytes("yilian/proposal/v1", &chain_id.0, &with_block(body, proposal.value.0)))
}

fn position_bytes(height: u64, round: u32) -> Vec<u8> {
    [height.to_le_bytes().as_slice(), round.to_le_bytes().as_slice()].concat()
}

fn with_block(mut body: Vec<u8>, block_id: BlockId) -> Vec<u8> {
    body.extend_from_slice(&block_id.0);
    body
}

/// Signatures that have been verified: votes are verified where they arrive, before the engine sees them, and the engine
/// verifies them once more. Bounded, and shared by its clones.
#[derive(Clone, Debug, Default)]
pub struct VerifiedSignatures(Arc<Mutex<Verified>>);

#[derive(Debug, Default)]
struct Verified {
    names: BTreeSet<[u8; 32]>,
    /// The same, oldest first.
    order: VecDeque<[u8; 32]>,
}

impl VerifiedSignatures {
    /// Whether `key` signed `message`.
    pub fn check(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        // The encoding of a key or signature says how long it is, so nothing else hashes alike.
        let parts = [codec::encode(key), codec::encode(signature)].concat();
        let parts = Sha256::new().chain_update(parts).chain_update(message);
        let name: [u8; 32] = parts.finalize().into();
        if self.verified().names.contains(&name) {
            return true;
        }
        let is_valid = verify(key, message, signature).is_ok();
        if is_valid {
            self.verified().insert(name);
        }
        is_valid
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
        // Hashes only: a panic elsewhere cannot leave them half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Verified {
    fn insert(&mut self, name: [u8; 32]) {
        if !self.names.insert(name) {
            return;
        }
        self.order.push_back(name);
        if self.order.len() > VERIFIED_SIGNATURES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }
}

/// Verifies what other validators signed on this ledger.
#[derive(Clone, Debug)]
pub struct LedgerVerifier {
    /// The ledger.
    pub chain_id: ChainId,
    /// What has been verified already.
    pub verified: VerifiedSignatures,
}

/// Signs with this node's validator key.
#[derive(Clone, Debug)]
pub struct LedgerSigner {
    /// The ledger.
    pub chain_id: ChainId,
    /// The validator's key.
    pub key: SecretKey,
    /// Where what is signed is noted.
    pub own: OwnKey,
}

impl LedgerVerifier {
    /// Has verified nothing yet.
    pub fn new(chain_id: ChainId) -> Self {
        Self { chain_id, verified: VerifiedSignatures::default() }
    }

    fn outcome(
        &self,
        message: Option<Vec<u8>>,
        signature: &Signature,
        key: &PublicKey,
    ) -> VerificationResult {
        let valid = message.is_some_and(|message| self.verified.check(key, &message, signature));
        VerificationResult::from_bool(valid)
    }
}

#[async_trait]
impl Verifier<LedgerContext> for LedgerVerifier {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(self.outcome(vote_signing_bytes(self.chain_id, vote), signature, key))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(self.outcome(proposal_signing_bytes(self.chain_id, proposal), signature, key))
    }

    /// There are no vote extensions, so none is valid.
    async fn verify_signed_vote_extension(
        &self,
        _scope: &VoteExtensionScope<LedgerContext>,
        _extension: &(),
        _signature: &Signature,
        _key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }

    /// The gate knows the members by key; proofs that tie a peer to a validator are not used.
    async fn verify_validator_proof(
        &self,
        _proof: &ValidatorProof<LedgerContext>,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }
}

/// The engine never asks for this one; if it does, the request fails instead of signing something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unsupported {
    #[error("votes carry no extensions on this ledger")]
    VoteExtension,
    #[error("validator proofs are not used on this ledger")]
    ValidatorProof,
    #[error("a message without a round is never signed")]
    NoRound,
}

fn unsupported(cause: Unsupported) -> Error {
    let cause: Box<dyn std::error::Error + Send + Sync> = Box::new(cause);
    Error::from_source(cause)
}

#[async_trait]
impl Signer<LedgerContext> for LedgerSigner {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedMessage<LedgerContext, Vote>, Error> {
        let bytes =
            vote_signing_bytes(self.chain_id, &vote).ok_or_else(|| unsupported(Unsupported::NoRound))?;
        self.own.signs_vote(&vote);
        Ok(SignedMessage::new(vote, self.key.sign(&bytes)))
    }

    async fn sign_proposal(
        &self,
        proposal: Proposal,
    ) -> Result<SignedMessage<LedgerContext, Proposal>, Error> {
        let bytes = proposal_signing_bytes(self.chain_id, &proposal)
            .ok_or_else(|| unsupported(Unsupported::NoRound))?;
        self.own.signs_proposal(&proposal);
        Ok(SignedMessage::new(proposal, self.key.sign(&bytes)))
    }

    async fn sign_vote_extension(
        &self,
        _scope: VoteExtensionScope<LedgerContext>,
        _extension: (),
    ) -> Result<SignedMessage<LedgerContext, ()>, Error> {
        Err(unsupported(Unsupported::VoteExtension))
    }

    async fn sign_validator_proof(
        &self,
        _public_key: Vec<u8>,
        _peer_id: Vec<u8>,
    ) -> Result<ValidatorProof<LedgerContext>, Error> {
        Err(unsupported(Unsupported::ValidatorProof))
    }
}
