//! Which of the peers' votes, proposals and certificates reach the engine, and who is to blame for the others.
//!
//! Nobody relays: a validator's votes and proposals come from its own institution's nodes, and only from there are they
//! taken. Everything is verified here, before the engine buffers, logs or counts it, and each place of a vote (height,
//! round, kind, voter) has room for two, the proof that its voter lies. So a member can neither fill the engine's
//! buffers nor have it verify more than its own few signatures, and a forgery names whose node sent it.
//!
//! Pure: time comes in as milliseconds of any monotonic clock, signatures are checked by what the caller hands in.

use std::collections::{BTreeMap, BTreeSet};

use arc_malachitebft_app_channel::app::types::core as engine;
use engine::{NilOrVal, PolkaCertificate, Round, RoundCertificate, SignedProposal, SignedVote, VoteType};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId, InstitutionId};
use yilian_spec::crypto::signature::{PublicKey, Signature};

use super::assembler::Window;
use super::context::{Address, EngineHeight, LedgerContext, Vote};
use super::own_key::OwnKey;
use super::proposal::{CompleteProposal, Manifest, PartError};
use super::signing::{proposal_signing_bytes, vote_signing_bytes};
use crate::base::allowance::{Allowance, Rate};
use crate::base::limits;
use crate::conduct::Offence;

/// Whether a key signed a message.
pub type CheckSignature = Box<dyn Fn(&PublicKey, &[u8], &Signature) -> bool + Send>;

/// Why a message goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is too early, too late or known already; any honest node may send it.
    Idle,
    /// No honest node sends it.
    Offence(Offence),
}

impl From<&PartError> for Refusal {
    fn from(error: &PartError) -> Self {
        match error {
            PartError::Malformed { .. } | PartError::Shape { .. } => MALFORMED,
            PartError::Signature | PartError::Chunk { .. } => Self::Offence(Offence::ForgedProposal),
            PartError::Proposer { .. } | PartError::Relayed { .. } => Self::Offence(Offence::ForeignProposal),
            PartError::TooMany { .. } => Self::Offence(Offence::TooManyProposals),
            PartError::Round { given, current } => {
                let is_far = *given > current.saturating_add(limits::VOTE_ROUNDS_AHEAD_MAX);
                if is_far { Self::Offence(Offence::FarRound) } else { Self::Idle }
            }
            // Late, or of a node that is a little ahead.
            PartError::Height { .. } => Self::Idle,
        }
    }
}

/// What goes on to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The only message of its place, or the same again.
    Alone,
    /// Its signer has signed another one for the same place: the engine keeps both as evidence.
    Conflicting,
}

/// What has been taken in of the present height and the next.
pub struct Intake {
    chain_id: ChainId,
    /// This node's own validator key, which signs nothing elsewhere.
    own: Option<OwnKey>,
    /// The height of a certificate with a signature of that key by another process.
    signed_elsewhere: Option<Height>,
    is_signed: CheckSignature,
    window: Window,
    votes: BTreeMap<VotePlace, Vec<Cast>>,
    proposals: BTreeMap<(Height, u32, PublicKey), Vec<Signature>>,
    certificates: BTreeMap<InstitutionId, Allowance>,
    /// Blocks that are proposed again, the last of each proposer, until an honest validator has voted for them.
    unattested: BTreeMap<PublicKey, CompleteProposal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct VotePlace {
    height: Height,
    round: u32,
    is_precommit: bool,
    voter: PublicKey,
}

#[derive(Clone, Debug)]
struct Cast {
    value: NilOrVal<BlockId>,
    signature: Signature,
    /// When it went on last. One that was only seen in a certificate has not: the engine may ignore the certificate.
    passed_ms: Option<u64>,
}

impl Intake {
    /// Nothing taken in yet.
    pub fn new(chain_id: ChainId, own: Option<OwnKey>, window: Window, is_signed: CheckSignature) -> Self {
        Self {
            chain_id,
            own,
            signed_elsewhere: None,
            is_signed,
            window,
            votes: BTreeMap::new(),
            proposals: BTreeMap::new(),
            certificates: BTreeMap::new(),
            unattested: BTreeMap::new(),
        }
    }

    /// Moves on to another height or round; what is below the height is dropped.
    pub fn advance(&mut self, window: Window) {
        if window.height != self.window.height {
            self.votes.retain(|place, _| place.height >= window.height);
            self.proposals.retain(|(height, _, _), _| *height >= window.height);
            self.unattested.retain(|_, proposal| proposal.manifest.height >= window.height);
        }
        self.window = window;
    }

    /// A vote from a node of `from`.
    ///
    /// # Errors
    /// Why the engine must not see it.
    pub fn vote(
        &mut self,
        from: &InstitutionId,
        vote: &SignedVote<LedgerContext>,
        now_ms: u64,
    ) -> Result<Taken, Refusal> {
        let Vote { height, round, voter: Address(voter), .. } = &vote.message;
        let round = self.position(*height, *round, limits::VOTE_ROUNDS_AHEAD_MAX)?;
        self.own_nodes_sent(from, height.ledger(), voter, Offence::ForeignVote)?;
        let taken = self.take_vote(round, vote, Some(now_ms))?;
        if self.own.as_ref().is_some_and(|own| own.key() == *voter) {
            return Err(Refusal::Offence(Offence::OwnKey));
        }
        Ok(taken)
    }

    /// A proposal from a node of `from`.
    ///
    /// # Errors
    /// Why the engine must not see it.
    pub fn proposal(
        &mut self,
        from: &InstitutionId,
        proposal: &SignedProposal<LedgerContext>,
    ) -> Result<Taken, Refusal> {
        let (signed, signature) = (&proposal.message, proposal.signature);
        let proposer = signed.proposer.0;
        let round = self.position(signed.height, signed.round, limits::PROPOSAL_ROUNDS_AHEAD_MAX)?;
        let height = signed.height.ledger();
        self.own_nodes_sent(from, height, &proposer, Offence::ForeignProposal)?;
        let validators = &self.window.validators;
        let turn = validators.proposer(signed.height, round);
        // Whose turn it is at the next height is not known before this one is decided.
        if height == self.window.height && *engine::Validator::public_key(turn) != proposer {
            return Err(Refusal::Offence(Offence::ForeignProposal));
        }
        let taken = self.proposals.entry((height, round, proposer)).or_default();
        if taken.contains(&signature) || taken.len() >= limits::PROPOSALS_PER_ROUND_MAX {
            return Err(Refusal::Idle);
        }
        let message = proposal_signing_bytes(self.chain_id, signed).ok_or(MALFORMED)?;
        if !(self.is_signed)(&proposer, &message, &signature) {
            return Err(Refusal::Offence(Offence::ForgedProposal));
        }
        taken.push(signature);
        Ok(if taken.len() == 1 { Taken::Alone } else { Taken::Conflicting })
    }

    /// A certificate of two thirds of the prevotes of a round, from a node of `from`.
    ///
    /// # Errors
    /// Why the engine must not see it.
    pub fn polka(
        &mut self,
        from: &InstitutionId,
        polka: &PolkaCertificate<LedgerContext>,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let votes: Vec<_> = polka.votes(&LedgerContext).collect();
        self.certificate(from, polka.height, &votes, now_ms)
    }

    /// A certificate of the votes that end a round, from a node of `from`.
    ///
    /// # Errors
    /// Why the engine must not see it.
    pub fn round_certificate(
        &mut self,
        from: &InstitutionId,
        certificate: &RoundCertificate<LedgerContext>,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let votes: Vec<_> = certificate.votes(&LedgerContext).collect();
        self.certificate(from, certificate.height, &votes, now_ms)
    }

    /// A proposal has arrived in full. It goes on at once, marked; one that is not attested comes once more when it is.
    pub fn completed(&mut self, mut proposal: CompleteProposal) -> CompleteProposal {
        proposal.is_attested = self.attests(&proposal.manifest);
        if proposal.manifest.valid_round.is_some() && !proposal.is_attested {
            self.unattested.insert(proposal.manifest.proposer, proposal.clone());
        }
        proposal
    }

    /// The proposals that have become attested since.
    pub fn newly_attested(&mut self) -> Vec<CompleteProposal> {
        let mut waiting = std::mem::take(&mut self.unattested);
        let is_attested = |_: &PublicKey, proposal: &mut CompleteProposal| self.attests(&proposal.manifest);
        let attested = waiting.extract_if(.., is_attested).map(|(_, proposal)| proposal);
        let attested = attested.map(|proposal| CompleteProposal { is_attested: true, ..proposal }).collect();
        self.unattested = waiting;
        attested
    }

    /// The height of a certificate that came since it was last asked, in which another process has signed with this node's
    /// own key.
    pub fn signed_elsewhere(&mut self) -> Option<Height> {
        self.signed_elsewhere.take()
    }

    /// Whether an honest validator has voted for the block that a manifest proposes again, and so has checked who built it:
    /// voters with more than a third of the power have. `false` where the manifest's valid round is not an earlier one.
    fn attests(&self, manifest: &Manifest) -> bool {
        if manifest.valid_round.is_none_or(|valid| valid >= manifest.round) {
            return false;
        }
        let value = NilOrVal::Val(manifest.block_id);
        let voters: BTreeSet<PublicKey> = self
            .votes
            .iter()
            .filter(|(place, _)| place.height == manifest.height)
            .filter(|(_, casts)| casts.iter().any(|cast| cast.value == value))
            .map(|(place, _)| place.voter)
            .collect();
        let validators = &self.window.validators;
        let power =
            voters.iter().filter_map(|voter| validators.get(voter)).map(engine::Validator::voting_power);
        validators.has_an_honest_one(power.fold(0, u64::saturating_add))
    }

    /// Whether a place is one of which messages are taken now; its round.
    fn position(&self, height: EngineHeight, round: Round, ahead: u32) -> Result<u32, Refusal> {
        let round = round.as_u32().ok_or(MALFORMED)?;
        let (height, present) = (height.ledger(), self.window.height);
        let is_near = if height == present {
            round <= self.window.round.saturating_add(ahead)
        } else {
            height == present.next() && round < limits::EARLY_VOTE_ROUNDS_MAX
        };
        if is_near { Ok(round) } else { Err(Refusal::Idle) }
    }

    fn own_nodes_sent(
        &self,
        from: &InstitutionId,
        height: Height,
        signer: &PublicKey,
        offence: Offence,
    ) -> Result<(), Refusal> {
        match self.window.validators.get(signer) {
            Some(validator) if validator.institution() == from => Ok(()),
            // It may be a validator from the next height on.
            None if height > self.window.height => Err(Refusal::Idle),
            Some(_) | None => Err(Refusal::Offence(offence)),
        }
    }

    /// Takes a vote that goes on now, at `passes_ms`, or was seen in a certificate.
    fn take_vote(
        &mut self,
        round: u32,
        vote: &SignedVote<LedgerContext>,
        passes_ms: Option<u64>,
    ) -> Result<Taken, Refusal> {
        let Vote { kind, height, value, voter: Address(voter), .. } = &vote.message;
        let place = VotePlace {
            height: height.ledger(),
            round,
            is_precommit: *kind == VoteType::Precommit,
            voter: *voter,
        };
        let casts = self.votes.entry(place).or_default();
        let same = |cast: &&mut Cast| cast.value == *value && cast.signature == vote.signature;
        if let Some(cast) = casts.iter_mut().find(same) {
            return cast.repeated(passes_ms);
        }
        if casts.len() >= limits::VOTES_PER_PLACE_MAX {
            return Err(Refusal::Offence(Offence::Equivocation));
        }
        let message = vote_signing_bytes(self.chain_id, &vote.message).ok_or(MALFORMED)?;
        if !(self.is_signed)(voter, &message, &vote.signature) {
            return Err(Refusal::Offence(Offence::ForgedVote));
        }
        casts.push(Cast { value: *value, signature: vote.signature, passed_ms: passes_ms });
        Ok(if casts.len() == 1 { Taken::Alone } else { Taken::Conflicting })
    }

    fn certificate(
        &mut self,
        from: &InstitutionId,
        height: EngineHeight,
        votes: &[SignedVote<LedgerContext>],
        now_ms: u64,
    ) -> Result<(), Refusal> {
        if height.ledger() != self.window.height {
            return Err(Refusal::Idle);
        }
        let validators = &self.window.validators;
        if !validators.iter().any(|validator| validator.institution() == from) {
            return Err(Refusal::Offence(Offence::ForeignVote));
        }
        let allowance = self.certificates.entry(from.clone());
        let allowance = allowance.or_insert_with(|| Allowance::full(VOTE_CERTIFICATES, now_ms));
        if !allowance.spend(VOTE_CERTIFICATES, now_ms) {
            return Err(Refusal::Offence(Offence::TooManyRequests));
        }
        let forged = Refusal::Offence(Offence::ForgedCertificate);
        if votes.len() > engine::ValidatorSet::count(&**validators) {
            return Err(forged);
        }
        for vote in votes {
            let round = vote.message.round.as_u32().ok_or(forged)?;
            if !self.window.validators.contains(&vote.message.voter.0) {
                return Err(forged);
            }
            match self.take_vote(round, vote, None) {
                Ok(_) if self.own.as_ref().is_some_and(|own| own.is_foreign_vote(&vote.message)) => {
                    self.signed_elsewhere = Some(height.ledger());
                }
                // Votes that are known, or one more of a voter who lies; the engine looks at them itself.
                Ok(_) | Err(Refusal::Idle | Refusal::Offence(Offence::Equivocation)) => {}
                Err(Refusal::Offence(_)) => return Err(forged),
            }
        }
        Ok(())
    }
}

impl Cast {
    /// Whether it goes on again: the engine may have lost it, but not so often.
    fn repeated(&mut self, passes_ms: Option<u64>) -> Result<Taken, Refusal> {
        let Some(now_ms) = passes_ms else { return Ok(Taken::Alone) };
        let is_too_soon =
            self.passed_ms.is_some_and(|passed| now_ms.saturating_sub(passed) < limits::VOTE_REPEAT_MS_MIN);
        if is_too_soon {
            return Err(Refusal::Idle);
        }
        self.passed_ms = Some(now_ms);
        Ok(Taken::Alone)
    }
}

const MALFORMED: Refusal = Refusal::Offence(Offence::MalformedFrame);
const VOTE_CERTIFICATES: Rate =
    Rate { burst: limits::VOTE_CERTIFICATES_BURST_MAX, refill_ms: limits::VOTE_CERTIFICATE_REFILL_MS };

#[cfg(test)]
mod tests;
