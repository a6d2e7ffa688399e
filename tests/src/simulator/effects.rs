//! What the engine's core asks for, and how a simulated node answers: as the engine's own actor does, in its order.

use std::future::Future;

use arc_malachitebft_app_channel::app::consensus::{ConsensusMsg, VoteExtensionError};
use arc_malachitebft_app_channel::app::types::codec::Codec;
use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_core_consensus::{Effect, LivenessMsg, Resumable as _, Resume};
use arc_malachitebft_signing::{Signer as _, Verifier as _, VerifierExt as _};
use bytes::Bytes;
use engine::Timeouts as _;
use futures::FutureExt as _;
use yilian_node::consensus::codec::{CodecError, LedgerCodec};
use yilian_node::consensus::context::LedgerContext;
use yilian_node::consensus::timeouts::EngineTimeouts;
use yilian_spec::signature::PublicKey;

use super::frame::Frame;
use super::host::{Host, Stopped};
use super::verifier::OnceVerifier;

type Answer = Result<Resume<LedgerContext>, Stopped>;

/// Signing and verifying are asynchronous in the engine's interface alone.
fn now<T>(future: impl Future<Output = T>) -> Result<T, Stopped> {
    future.now_or_never().ok_or_else(|| Stopped("signing or verifying waits for something".to_owned()))
}

fn encoded<T>(message: &T) -> Result<Bytes, Stopped>
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
                let after = EngineTimeouts(self.start.timeouts).duration_for(timeout);
                // At most the bound of all timeouts, so it fits.
                self.start_timer(timeout, after.as_millis() as u64);
                resume.resume_with(())
            }
            E::StartRound(height, round, _, _, resume) => {
                self.flush_log();
                self.started_round(height, round)?;
                resume.resume_with(())
            }
            E::GetValue(height, round, _, resume) => {
                self.value_to_propose(height, round)?;
                resume.resume_with(())
            }
            E::RestreamProposal(height, round, valid_round, _, block_id, resume) => {
                self.restream(height, round, valid_round, block_id)?;
                resume.resume_with(())
            }
            E::CertVerifiedSyncValue(value, proposer, resume) => {
                self.synced_value(&value, proposer)?;
                resume.resume_with(())
            }
            E::CertRejectedSyncValue(_, height, error, _) => {
                return Err(Stopped(format!(
                    "an honest peer's certificate of {height} was rejected: {error}"
                )));
            }
            E::WalAppend(height, entry, resume) => {
                if !self.recovering && self.is_validator() && self.act() {
                    self.log.append(height.ledger(), entry);
                }
                resume.resume_with(())
            }
            E::Decide(certificate, _, resume) => {
                self.flush_log();
                self.commit(&certificate)?;
                resume.resume_with(())
            }
            E::Finalize(certificate, _, evidence, resume) => {
                if !evidence.is_empty() {
                    let height = certificate.height;
                    return Err(Stopped(format!(
                        "evidence of signing twice at height {height}: {evidence:?}"
                    )));
                }
                self.finalized()?;
                resume.resume_with(())
            }
            other => return self.message(other),
        })
    }

    /// The effects that sign, verify and publish.
    fn message(&mut self, effect: Effect<LedgerContext>) -> Answer {
        use Effect as E;
        let verifier = OnceVerifier(self.verifier);
        Ok(match effect {
            E::PublishConsensusMsg(message, resume) => {
                self.flush_log();
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

    fn is_signed(
        &self,
        message: engine::SignedMessage<LedgerContext, ConsensusMsg<LedgerContext>>,
        key: &PublicKey,
    ) -> Result<bool, Stopped> {
        let verifier = OnceVerifier(self.verifier);
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

    fn flush_log(&mut self) {
        if !self.recovering && self.act() {
            self.log.flush();
        }
    }
}
