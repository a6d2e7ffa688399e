//! What a participant does about proposals: building, signing, receiving and catching up.

use std::sync::Arc;

use arc_malachitebft_app_channel::app::engine::host::SyncedValueOutcome;
use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_app_channel::app::types::{LocallyProposedValue, ProposedValue};
use bytes::Bytes;
use engine::{Round, Validity};
use yilian_spec::base::id::BlockId;
use yilian_spec::crypto::signature::{PublicKey, SecretKey};

use super::Participant;
use crate::application::{Application, ApplicationError, Arrival, Candidate, UndecidedBlock, Verdict};
use crate::base::limits::PROPOSALS_PER_ROUND_MAX;
use crate::consensus::context::{Address, EngineHeight, LedgerContext, Value};
use crate::consensus::proposal::{CompleteProposal, Manifest, ProposalPosition, split};

/// A block that this node proposes, and its signed parts for the peers.
#[derive(Debug)]
pub struct OwnProposal {
    /// For the engine.
    pub value: LocallyProposedValue<LedgerContext>,
    /// For the peers, in the order of their chunks.
    pub parts: Vec<Bytes>,
}

impl<A: Application> Participant<A> {
    /// A round has started: what was remembered for it, and what came before its height did.
    ///
    /// # Errors
    /// When the application fails.
    pub fn started_round(
        &mut self,
        height: EngineHeight,
        round: Round,
        now_ms: u64,
    ) -> Result<Vec<ProposedValue<LedgerContext>>, ApplicationError> {
        let number = round.as_u32().unwrap_or(0);
        self.round = number;
        self.patience.round_started((height.ledger(), number), now_ms);
        self.early.retain(|_, proposal| proposal.manifest.height >= height.ledger());
        let is_due =
            |_: &PublicKey, proposal: &mut CompleteProposal| proposal.manifest.height == height.ledger();
        let due: Vec<CompleteProposal> =
            self.early.extract_if(.., is_due).map(|(_, proposal)| proposal).collect();
        let mut invalid = Vec::new();
        for proposal in due {
            let value = self.received(proposal, now_ms)?;
            invalid.extend(value.filter(|value| value.validity.is_invalid()));
        }
        let remembered = self.application.undecided(height.ledger(), Some(number))?;
        let mut values: Vec<_> = remembered.iter().map(proposed_value).collect();
        values.extend(invalid.into_iter().filter(|value| value.round == round));
        Ok(values)
    }

    /// The block to propose: the one that was built for this round before a restart, or a new one, which is on the
    /// disk when this returns. `None` for an observer, and for a height that is not the one to decide.
    ///
    /// # Errors
    /// When the application fails.
    pub fn value_to_propose(
        &mut self,
        height: EngineHeight,
        round: Round,
        now_ms: u64,
    ) -> Result<Option<OwnProposal>, ApplicationError> {
        let (Some(key), Some(number)) = (self.key.clone(), round.as_u32()) else { return Ok(None) };
        if height.ledger() != self.start.height {
            return Ok(None);
        }
        let proposer = key.public_key();
        let remembered = self.application.undecided(height.ledger(), Some(number))?;
        let own = remembered.into_iter().find(|block| block.proposer == proposer);
        let block = match own {
            Some(block) => block,
            None => {
                let built = self.application.build(height.ledger(), number, now_ms)?;
                let block = UndecidedBlock {
                    height: height.ledger(),
                    round: number,
                    valid_round: None,
                    proposer,
                    block_id: built.block_id,
                    bytes: built.bytes,
                };
                self.application.remember(block.clone())?;
                block
            }
        };
        let value = LocallyProposedValue::new(height, round, Value(block.block_id));
        let position =
            ProposalPosition { height: block.height, round: number, valid_round: block.valid_round };
        Ok(Some(OwnProposal { value, parts: self.parts(&key, position, block) }))
    }

    /// The signed parts of a block that is proposed again in a later round.
    ///
    /// # Errors
    /// When the application fails.
    pub fn parts_again(
        &mut self,
        height: EngineHeight,
        round: Round,
        valid_round: Round,
        block_id: BlockId,
    ) -> Result<Vec<Bytes>, ApplicationError> {
        let (Some(key), Some(round)) = (self.key.clone(), round.as_u32()) else { return Ok(Vec::new()) };
        let remembered = self.application.undecided(height.ledger(), None)?;
        let Some(block) = remembered.into_iter().find(|block| block.block_id == block_id) else {
            // The others hold it: two thirds of them voted for it.
            tracing::warn!(%height, %block_id, "asked to send a block again that is not held here");
            return Ok(Vec::new());
        };
        let position = ProposalPosition { height: height.ledger(), round, valid_round: valid_round.as_u32() };
        Ok(self.parts(&key, position, block))
    }

    fn parts(&self, key: &SecretKey, position: ProposalPosition, block: UndecidedBlock) -> Vec<Bytes> {
        split(self.chain_id, key, position, block.block_id, &Bytes::from(block.bytes))
    }

    /// Looks at a proposal that has arrived in full, and keeps a valid one. `None` when nothing can be said about the
    /// block it names, or not yet.
    ///
    /// # Errors
    /// When the application fails.
    pub fn received(
        &mut self,
        proposal: CompleteProposal,
        now_ms: u64,
    ) -> Result<Option<ProposedValue<LedgerContext>>, ApplicationError> {
        let manifest = Arc::clone(&proposal.manifest);
        if manifest.height > self.start.height {
            // One of each proposer: whoever sends many drives out its own alone.
            self.early.insert(manifest.proposer, proposal);
            return Ok(None);
        }
        let turn = self.validators.proposer(manifest.height.into(), manifest.round);
        let proposes = *engine::Validator::public_key(turn) == manifest.proposer;
        if manifest.height < self.start.height || !proposes || !self.may_execute(&proposal)? {
            return Ok(None);
        }
        let payload = proposal.payload;
        let candidate = Candidate {
            height: manifest.height,
            round: manifest.round,
            proposer: manifest.proposer,
            valid_round: manifest.valid_round,
            arrival: Arrival::Proposed { now_ms },
            bytes: &payload,
        };
        let block_id = manifest.block_id;
        let mut value = ProposedValue {
            height: manifest.height.into(),
            round: Round::new(manifest.round),
            valid_round: Round::from(manifest.valid_round),
            proposer: Address(manifest.proposer),
            value: Value(block_id),
            validity: Validity::Invalid,
        };
        match self.application.validate(candidate)? {
            Verdict::Valid { block_id: computed } if computed == block_id => {
                self.application.remember(UndecidedBlock {
                    height: manifest.height,
                    round: manifest.round,
                    valid_round: manifest.valid_round,
                    proposer: manifest.proposer,
                    block_id,
                    bytes: payload.to_vec(),
                })?;
                if manifest.round == 0 {
                    self.proposed = Some(manifest.height);
                }
                value.validity = Validity::Valid;
                Ok(Some(value))
            }
            Verdict::Invalid { block_id: Some(computed), reason } if computed == block_id => {
                tracing::warn!(height = %value.height, %block_id, proposer = %manifest.proposer, reason,
                    "a proposed block breaks the rules");
                Ok(Some(value))
            }
            // The payload is not what the manifest says, so nothing is known about the block that was named.
            verdict => {
                tracing::warn!(height = %value.height, %block_id, proposer = %manifest.proposer, ?verdict,
                    "a proposal's payload is not the block it names");
                Ok(None)
            }
        }
    }

    /// Whether a proposal's block is executed: at most [`PROPOSALS_PER_ROUND_MAX`] of a round, each once. A block that is
    /// proposed again may name another builder than its proposer, so it is taken only where that was checked before: by
    /// this node, which then holds it, or by an honest validator that voted for it.
    fn may_execute(&mut self, proposal: &CompleteProposal) -> Result<bool, ApplicationError> {
        let manifest = &proposal.manifest;
        if let Some(valid_round) = manifest.valid_round {
            let is_earlier = valid_round < manifest.round;
            if !is_earlier || !(proposal.is_attested || self.holds(manifest)?) {
                return Ok(false);
            }
        }
        let executed = self.executed.entry(manifest.round).or_default();
        let is_new = executed.len() < PROPOSALS_PER_ROUND_MAX && executed.insert(manifest.block_id);
        Ok(is_new)
    }

    fn holds(&mut self, manifest: &Manifest) -> Result<bool, ApplicationError> {
        let held = self.application.undecided(manifest.height, None)?;
        Ok(held.iter().any(|block| block.block_id == manifest.block_id))
    }

    /// Checks a block that came by value sync; the engine has verified its certificate.
    ///
    /// # Errors
    /// When the application fails.
    pub fn synced_value(
        &mut self,
        height: EngineHeight,
        round: Round,
        proposer: Address,
        bytes: &Bytes,
    ) -> Result<SyncedValueOutcome<LedgerContext>, ApplicationError> {
        let number = round.as_u32().unwrap_or(0);
        if height.ledger() != self.start.height {
            return Ok(SyncedValueOutcome::LocalTransientError);
        }
        let candidate = Candidate {
            height: height.ledger(),
            round: number,
            proposer: proposer.0,
            valid_round: None,
            arrival: Arrival::Synced,
            bytes,
        };
        let (block_id, validity) = match self.application.validate(candidate)? {
            Verdict::Valid { block_id } => {
                self.application.remember(UndecidedBlock {
                    height: height.ledger(),
                    round: number,
                    valid_round: None,
                    proposer: proposer.0,
                    block_id,
                    bytes: bytes.to_vec(),
                })?;
                self.synced = Some(height.ledger());
                (block_id, Validity::Valid)
            }
            Verdict::Invalid { block_id: Some(block_id), reason } => {
                tracing::error!(%height, %block_id, reason, "a decided block breaks this node's rules; \
                    if its peers agree with each other, this node runs another version");
                (block_id, Validity::Invalid)
            }
            Verdict::Invalid { block_id: None, reason } => {
                tracing::warn!(%height, reason, "a peer served garbage in place of a block");
                return Ok(SyncedValueOutcome::PeerFault);
            }
        };
        Ok(SyncedValueOutcome::Verdict(ProposedValue {
            height,
            round,
            valid_round: Round::Nil,
            proposer,
            value: Value(block_id),
            validity,
        }))
    }
}

fn proposed_value(block: &UndecidedBlock) -> ProposedValue<LedgerContext> {
    ProposedValue {
        height: block.height.into(),
        round: Round::new(block.round),
        valid_round: Round::from(block.valid_round),
        proposer: Address(block.proposer),
        value: Value(block.block_id),
        validity: Validity::Valid,
    }
}
