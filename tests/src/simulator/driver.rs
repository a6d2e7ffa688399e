//! Between the core and the ledger: what the driver of a real node does, step for step, without its runtime.

use std::sync::Arc;

use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_app_channel::app::types::{LocallyProposedValue, ProposedValue};
use arc_malachitebft_core_consensus::Input;
use bytes::Bytes;
use engine::{Round, Validator as _, Validity, ValueOrigin};
use yilian_node::application::{Application as _, Arrival, Candidate, UndecidedBlock, Verdict};
use yilian_node::clock::Clock as _;
use yilian_node::consensus::assembler::Window;
use yilian_node::consensus::certificate::spec_certificate;
use yilian_node::consensus::context::{Address, EngineHeight, LedgerContext, ValidatorSet, Value};
use yilian_node::consensus::proposal::{CompleteProposal, ProposalPosition, split};
use yilian_spec::id::BlockId;
use yilian_spec::signature::SecretKey;

use super::frame::Frame;
use super::host::{Host, Sabotage, Stopped};

/// Complete proposals for the next height that are kept until it starts.
const EARLY_PROPOSALS_MAX: usize = 8;

impl Host {
    /// Gives back what was remembered for the round, and looks at what came before the height started.
    pub fn started_round(&mut self, height: EngineHeight, round: Round) -> Result<(), Stopped> {
        let number = round.as_u32().unwrap_or(0);
        if number > 0 {
            self.counts.later_rounds += 1;
        }
        let early = std::mem::take(&mut self.early);
        for proposal in early.into_iter().filter(|proposal| proposal.manifest.height >= height.ledger()) {
            if let Some(value) = self.received(proposal)? {
                self.later(Input::ProposedValue(value, ValueOrigin::Consensus));
            }
        }
        for block in self.ledger.undecided(height.ledger(), Some(number))? {
            self.later(Input::ProposedValue(proposed_value(&block), ValueOrigin::Consensus));
        }
        Ok(())
    }

    /// Builds or finds the block to propose, keeps it and sends its parts.
    pub fn value_to_propose(&mut self, height: EngineHeight, round: Round) -> Result<(), Stopped> {
        let (Some(key), Some(number)) = (self.identity.key.clone(), round.as_u32()) else { return Ok(()) };
        if height.ledger() != self.start.height {
            return Ok(());
        }
        let proposer = key.public_key();
        let remembered = self.ledger.undecided(height.ledger(), Some(number))?;
        let block = match remembered.into_iter().find(|block| block.proposer == proposer) {
            Some(block) => block,
            None => {
                let built = self.ledger.build(height.ledger(), number, self.clock.now_ms())?;
                let block = UndecidedBlock {
                    height: height.ledger(),
                    round: number,
                    valid_round: None,
                    proposer,
                    block_id: built.block_id,
                    bytes: built.bytes,
                };
                self.remember(block.clone())?;
                block
            }
        };
        let position =
            ProposalPosition { height: block.height, round: number, valid_round: block.valid_round };
        let value = Value(block.block_id);
        self.stream(&key, position, block);
        self.later(Input::Propose(LocallyProposedValue::new(height, round, value)));
        Ok(())
    }

    /// Sends a block's parts again for a later round.
    pub fn restream(
        &mut self,
        height: EngineHeight,
        round: Round,
        valid_round: Round,
        block_id: BlockId,
    ) -> Result<(), Stopped> {
        let (Some(key), Some(round)) = (self.identity.key.clone(), round.as_u32()) else { return Ok(()) };
        let remembered = self.ledger.undecided(height.ledger(), None)?;
        if let Some(block) = remembered.into_iter().find(|block| block.block_id == block_id) {
            self.counts.restreamed += 1;
            let position =
                ProposalPosition { height: height.ledger(), round, valid_round: valid_round.as_u32() };
            self.stream(&key, position, block);
        }
        Ok(())
    }

    fn stream(&mut self, key: &SecretKey, position: ProposalPosition, block: UndecidedBlock) {
        for part in split(self.chain_id, key, position, block.block_id, &Bytes::from(block.bytes)) {
            self.broadcast(Frame::Part(part));
        }
    }

    fn remember(&mut self, block: UndecidedBlock) -> Result<(), Stopped> {
        if self.act() {
            self.ledger.remember(block)?;
        }
        Ok(())
    }

    /// Looks at a proposal that has arrived in full.
    pub fn received(
        &mut self,
        proposal: CompleteProposal,
    ) -> Result<Option<ProposedValue<LedgerContext>>, Stopped> {
        let CompleteProposal { manifest, payload } = proposal;
        if manifest.height > self.start.height {
            if self.early.len() == EARLY_PROPOSALS_MAX {
                self.early.remove(0);
            }
            self.early.push(CompleteProposal { manifest, payload });
            return Ok(None);
        }
        let turn = self.validators.proposer(manifest.height.into(), manifest.round);
        if manifest.height < self.start.height || *turn.public_key() != manifest.proposer {
            return Ok(None);
        }
        let verdict = self.ledger.validate(Candidate {
            height: manifest.height,
            round: manifest.round,
            proposer: manifest.proposer,
            valid_round: manifest.valid_round,
            arrival: Arrival::Proposed { now_ms: self.clock.now_ms() },
            bytes: &payload,
        })?;
        match verdict {
            Verdict::Valid { block_id } if block_id == manifest.block_id => {
                let block = UndecidedBlock {
                    height: manifest.height,
                    round: manifest.round,
                    valid_round: manifest.valid_round,
                    proposer: manifest.proposer,
                    block_id,
                    bytes: payload.to_vec(),
                };
                let value = proposed_value(&block);
                self.remember(block)?;
                if manifest.round == 0 {
                    self.proposed = Some(manifest.height);
                }
                Ok(Some(value))
            }
            // All proposers are honest here, so nothing they propose may break a rule.
            Verdict::Valid { block_id } => {
                Err(Stopped(format!("block {block_id} arrived under the manifest of {}", manifest.block_id)))
            }
            Verdict::Invalid { reason, .. } => {
                self.counts.refused += 1;
                Err(Stopped(format!(
                    "an honest proposal of height {} was refused: {reason}",
                    manifest.height
                )))
            }
        }
    }

    /// Checks a block that came by value sync; the core has verified its certificate.
    pub fn synced_value(
        &mut self,
        value: &engine::ValueResponse<LedgerContext>,
        proposer: Address,
    ) -> Result<(), Stopped> {
        let (height, round) = (value.certificate.height, value.certificate.round);
        if height.ledger() != self.start.height {
            return Ok(());
        }
        let number = round.as_u32().unwrap_or(0);
        let verdict = self.ledger.validate(Candidate {
            height: height.ledger(),
            round: number,
            proposer: proposer.0,
            valid_round: None,
            arrival: Arrival::Synced,
            bytes: &value.value_bytes,
        })?;
        let block_id = match verdict {
            Verdict::Valid { block_id } if block_id == value.certificate.value_id => block_id,
            other => return Err(Stopped(format!("a peer's decided block {height} was refused: {other:?}"))),
        };
        let block = UndecidedBlock {
            height: height.ledger(),
            round: number,
            valid_round: None,
            proposer: proposer.0,
            block_id,
            bytes: value.value_bytes.to_vec(),
        };
        let proposed = proposed_value(&block);
        self.remember(block)?;
        self.synced = Some(height.ledger());
        self.counts.synced += 1;
        self.later(Input::ProposedValue(proposed, ValueOrigin::Sync));
        Ok(())
    }

    /// Commits a decided block.
    pub fn commit(&mut self, certificate: &engine::CommitCertificate<LedgerContext>) -> Result<(), Stopped> {
        let certificate = spec_certificate(certificate)
            .ok_or_else(|| Stopped("a certificate without a round was decided".to_owned()))?;
        if !self.act() {
            return Ok(());
        }
        if let Some(Sabotage::CommitsAnotherBlock { node, height }) = self.sabotage
            && node == self.identity.index
            && certificate.height.0 >= height
        {
            self.sabotage = None;
            return self.commit_another(&certificate);
        }
        self.ledger.commit(&certificate)?;
        Ok(())
    }

    /// Whether the proposer whose turn it is has sent a block for the next height.
    pub fn has_proposal(&self) -> bool {
        let turn = *self.validators.proposer(self.start.height.into(), 0).public_key();
        let opens = |early: &CompleteProposal| {
            let manifest = &early.manifest;
            manifest.height == self.start.height && manifest.round == 0 && manifest.proposer == turn
        };
        self.proposed == Some(self.start.height) || self.early.iter().any(opens)
    }

    /// Prepares the next height, and rests until it is time.
    pub fn finalized(&mut self) -> Result<(), Stopped> {
        self.start = self.ledger.start()?;
        self.validators = Arc::new(ValidatorSet::new(&self.start));
        let window = Window { height: self.start.height, validators: Arc::clone(&self.validators) };
        self.assembler.advance(window);
        self.resting_since_ms = Some(self.now_ms);
        Ok(())
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
