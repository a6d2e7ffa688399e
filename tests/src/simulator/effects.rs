//! What the engine's core asks for, and how a simulated node answers: as the engine's own actor does, in its order.

use std::future::Future;

use arc_malachitebft_app_channel::app::consensus::{ConsensusMsg, VoteExtensionError};
use arc_malachitebft_app_channel::app::engine::host::SyncedValueOutcome;
use arc_malachitebft_app_channel::app::types::codec::Codec;
use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_core_consensus::{Effect, Input, LivenessMsg, Resumable as _, Resume};
use arc_malachitebft_signing::{Signer as _, Verifier as _, VerifierExt as _};
use bytes::Bytes;
use engine::{Timeouts as _, ValueOrigin};
use futures::FutureExt as _;
use yilian_node::base::clock::Clock as _;
use yilian_node::consensus::codec::{CodecError, LedgerCodec};
use yilian_node::consensus::context::{Address, LedgerContext};
use yilian_node::consensus::timeouts::EngineTimeouts;
use yilian_spec::crypto::signature::PublicKey;

use super::frame::Frame;
use super::host::{Host, Stopped};

type Answer = Result<Resume<LedgerContext>, Stopped>;

/// Signing and verifying are asynchronous in the engine's interface alone.
/// The result of a future that waits for nothing.
pub fn now<T>(future: impl Future<Output = T>) -> Result<T, Stopped> {
    future.now_or_never().ok_or_else(|| Stopped("signing or verifying waits for something".to_owned()))
}

/// A message's bytes.
pub fn encoded<T>(message: &T) -> Result<Bytes, Stopped>
where
    LedgerCodec: Codec<T, Error = CodecError>,
{
    LedgerCodec.encode(message).map_err(|error| Stopped(error.to_string()))
}

impl Host {
    /// Carries out an effect.
    ///
    /// # Errors
    /// What stops the node.
    pub fn effect(&mut self, effect: Effect<LedgerContext>) -> Answer {
        use Effect as E;
        Ok(match effect {
            E::CancelAllTimeouts(resume) => {
                self.timers.clear();
                resume.resume_with(())
            }
            E::CancelTimeout(timeout, resume) => {
                self.cancel_timer(timeout);
                resume.resume_with(())
            }
            E::ScheduleTimeout(timeout, resume) => {
                let after = EngineTimeouts(self.participant.timeouts()).duration_for(timeout);
                // At most the bound of all timeouts, so it fits.
                self.start_timer(timeout, after.as_millis() as u64);
                resume.resume_with(())
            }
            E::StartRound(height, round, _, _, resume) => {
                self.flush_log()?;
                self.counts.later_rounds += u64::from(round.as_u32().unwrap_or(0) > 0);
                let values = self.participant.started_round(height, round, self.clock.now_ms())?;
                self.advance();
                for value in values {
                    self.participant.proposal_came(&value, self.clock.now_ms());
                    self.later(Input::ProposedValue(value, ValueOrigin::Consensus));
                }
                resume.resume_with(())
            }
            E::GetValue(height, round, _, resume) => {
                if let Some(own) = self.participant.value_to_propose(height, round, self.clock.now_ms())? {
                    self.broadcast_parts(own.parts);
                    self.later(Input::Propose(own.value));
                }
                resume.resume_with(())
            }
            E::RestreamProposal(height, round, valid_round, _, block_id, resume) => {
                let parts = self.participant.parts_again(height, round, valid_round, block_id)?;
                self.counts.restreamed += u64::from(!parts.is_empty());
                self.broadcast_parts(parts);
                resume.resume_with(())
            }
            E::CertVerifiedSyncValue(value, proposer, resume) => {
                self.synced_value(&value, proposer)?;
                resume.resume_with(())
            }
            E::CertRejectedSyncValue(_, height, error, resume) => {
                self.distrust_sync_peer(format!("the certificate of height {height}: {error}"));
                resume.resume_with(())
            }
            E::WalAppend(height, entry, resume) => {
                if !self.recovering && self.participant.is_validator() && self.power.act() {
                    self.log.append(height.ledger(), entry);
                }
                resume.resume_with(())
            }
            E::Decide(certificate, _, resume) => {
                self.flush_log()?;
                self.watch_own_key(&certificate);
                self.participant.commit(&certificate)?;
                resume.resume_with(())
            }
            E::Finalize(_, _, evidence, resume) => {
                self.participant.finalized(&evidence)?;
                self.advance();
                self.resting_since_ms = Some(self.now_ms);
                resume.resume_with(())
            }
            other => return self.message(other),
        })
    }

    /// The effects that sign, verify and publish.
    fn message(&mut self, effect: Effect<LedgerContext>) -> Answer {
        use Effect as E;
        let verifier = &self.verifier;
        Ok(match effect {
            E::PublishConsensusMsg(message, resume) => {
                self.flush_log()?;
                self.broadcast(Frame::Consensus(encoded(&message)?));
                resume.resume_with(())
            }
            E::PublishLivenessMsg(message, resume) => {
                self.broadcast(Frame::Liveness(encoded(&message)?));
                resume.resume_with(())
            }
            E::RepublishVote(vote, resume) => {
                self.broadcast(Frame::Liveness(encoded(&LivenessMsg::Vote(vote))?));
                resume.resume_with(())
            }
            E::RepublishRoundCertificate(certificate, resume) => {
                let message = LivenessMsg::SkipRoundCertificate(certificate);
                self.broadcast(Frame::Liveness(encoded(&message)?));
                resume.resume_with(())
            }
            E::SignVote(vote, resume) => {
                let signed = now(self.signer()?.sign_vote(vote))?;
                resume.resume_with(signed.map_err(|error| Stopped(error.to_string()))?)
            }
            E::SignProposal(proposal, resume) => {
                let signed = now(self.signer()?.sign_proposal(proposal))?;
                resume.resume_with(signed.map_err(|error| Stopped(error.to_string()))?)
            }
            E::VerifySignature(message, key, resume) => resume.resume_with(self.is_signed(message, &key)?),
            E::VerifyCommitCertificate(certificate, validators, thresholds, resume) => {
                let verify =
                    verifier.verify_commit_certificate(&LedgerContext, &certificate, &validators, thresholds);
                resume.resume_with(now(verify)?)
            }
            E::VerifyExtendedCommitCertificate(certificate, validators, thresholds, policy, resume) => {
                let verify = verifier.verify_extended_commit_certificate(
                    &LedgerContext,
                    &certificate,
                    &validators,
                    thresholds,
                    policy,
                );
                resume.resume_with(now(verify)?)
            }
            E::VerifyPolkaCertificate(certificate, validators, thresholds, resume) => {
                let verify =
                    verifier.verify_polka_certificate(&LedgerContext, &certificate, &validators, thresholds);
                resume.resume_with(now(verify)?)
            }
            E::VerifyRoundCertificate(certificate, validators, thresholds, resume) => {
                let verify =
                    verifier.verify_round_certificate(&LedgerContext, &certificate, &validators, thresholds);
                resume.resume_with(now(verify)?)
            }
            E::ExtendVote(_, _, _, _, resume) => resume.resume_with(None),
            E::VerifyVoteExtension(_, _, _, _, _, _, resume) => {
                resume.resume_with(Err(VoteExtensionError::InvalidVoteExtension))
            }
            other => return Err(Stopped(format!("the core asks for something new: {other:?}"))),
        })
    }

    fn watch_own_key(&mut self, certificate: &engine::CommitCertificate<LedgerContext>) {
        let validators = self.participant.validators();
        let is_foreign =
            self.signer.as_ref().is_some_and(|signer| signer.own.is_foreign_commit(certificate, validators));
        if is_foreign {
            self.signed_elsewhere.push(certificate.height.ledger());
        }
    }

    fn broadcast_parts(&mut self, parts: Vec<Bytes>) {
        for part in parts {
            self.broadcast(Frame::Part(part));
        }
    }

    /// Hands a block with a verified certificate to the participant, as the engine's actor does.
    fn synced_value(
        &mut self,
        value: &engine::ValueResponse<LedgerContext>,
        proposer: Address,
    ) -> Result<(), Stopped> {
        let (height, round) = (value.certificate.height, value.certificate.round);
        match self.participant.synced_value(height, round, proposer, &value.value_bytes)? {
            SyncedValueOutcome::Verdict(proposed) if proposed.value.0 == value.certificate.value_id => {
                if proposed.validity.is_invalid() {
                    return Err(Stopped(format!(
                        "the certified block of height {height} breaks a rule here"
                    )));
                }
                self.counts.synced += 1;
                self.later(Input::ProposedValue(proposed, ValueOrigin::Sync));
            }
            SyncedValueOutcome::Verdict(_) => {
                self.distrust_sync_peer(format!("another block than the certified one of height {height}"));
            }
            SyncedValueOutcome::PeerFault => {
                self.distrust_sync_peer(format!("garbage in place of the block of height {height}"));
            }
            SyncedValueOutcome::LocalTransientError => {}
        }
        Ok(())
    }

    fn is_signed(
        &self,
        message: engine::SignedMessage<LedgerContext, ConsensusMsg<LedgerContext>>,
        key: &PublicKey,
    ) -> Result<bool, Stopped> {
        let verifier = &self.verifier;
        let verified = match &message.message {
            ConsensusMsg::Vote(vote) => now(verifier.verify_signed_vote(vote, &message.signature, key))?,
            ConsensusMsg::Proposal(proposal) => {
                now(verifier.verify_signed_proposal(proposal, &message.signature, key))?
            }
        };
        Ok(verified.is_ok_and(|result| result.is_valid()))
    }

    fn signer(&self) -> Result<&yilian_node::consensus::signing::LedgerSigner, Stopped> {
        self.signer.as_ref().ok_or_else(|| Stopped("an observer was asked to sign".to_owned()))
    }

    /// A real engine hangs, and its node is stopped, when the log cannot be written.
    fn flush_log(&mut self) -> Result<(), Stopped> {
        if !self.recovering && self.log.is_dirty() && self.power.act() {
            self.disk.write().map_err(|error| Stopped(error.to_string()))?;
            self.log.flush();
        }
        Ok(())
    }
}
