//! A node's part in deciding heights: what it builds, checks, remembers and commits, and when it goes on.
//!
//! Synchronous, and free of engine runtime, network and clock: the engine's messages drive it in a running node
//! ([`super::driver`]), and a simulator drives it in tests. What it wants sent, it returns; durable acts go to the
//! [`Application`].

mod proposals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_app_channel::app::types::{MisbehaviorEvidence, ProposedValue};
use engine::Validator as _;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId};
use yilian_spec::crypto::signature::{PublicKey, SecretKey};
use yilian_spec::domain::parameters::ConsensusTimeouts;

use super::assembler::Window;
use super::certificate::spec_certificate;
use super::context::{LedgerContext, ValidatorSet};
use super::heights::Heard;
use super::pacing::{Pace, Pacer, Situation};
use super::patience::Patience;
use super::proposal::CompleteProposal;
use crate::application::{Application, ApplicationError, Misbehaviour, MisbehaviourKind, StartPoint};

pub use proposals::OwnProposal;

/// The state beside the ledger that lives as long as the process.
pub struct Participant<A> {
    application: A,
    chain_id: ChainId,
    key: Option<SecretKey>,
    pacer: Pacer,
    patience: Patience,
    timeouts: ConsensusTimeouts,
    start: StartPoint,
    validators: Arc<ValidatorSet>,
    /// The round that is under way, 0 between heights.
    round: u32,
    /// The blocks of other proposers that were executed for the present height, by round.
    executed: BTreeMap<u32, BTreeSet<BlockId>>,
    /// Complete proposals for the next height, the last of each proposer.
    early: BTreeMap<PublicKey, CompleteProposal>,
    /// The last height whose block came by value sync.
    synced: Option<Height>,
    /// The last height for whose round 0 a valid block was received.
    proposed: Option<Height>,
}

impl<A: Application> Participant<A> {
    /// Reads where the ledger stands.
    ///
    /// # Errors
    /// When the application cannot start.
    pub fn new(
        mut application: A,
        chain_id: ChainId,
        key: Option<SecretKey>,
        heartbeat_ms: u64,
    ) -> Result<Self, ApplicationError> {
        let start = application.start()?;
        let validators = Arc::new(ValidatorSet::new(&start));
        let pacer = Pacer::new(heartbeat_ms);
        Ok(Self {
            application,
            chain_id,
            key,
            pacer,
            patience: Patience::default(),
            timeouts: start.timeouts,
            start,
            validators,
            round: 0,
            executed: BTreeMap::new(),
            early: BTreeMap::new(),
            synced: None,
            proposed: None,
        })
    }

    /// The ledger.
    pub fn application(&self) -> &A {
        &self.application
    }

    /// The ledger, to drive it beside what is decided.
    pub fn application_mut(&mut self) -> &mut A {
        &mut self.application
    }

    /// With what the height under decision started, or the next one will.
    pub fn start(&self) -> &StartPoint {
        &self.start
    }

    /// How long it waits for the others.
    pub fn timeouts(&self) -> ConsensusTimeouts {
        self.timeouts
    }

    /// Its validators.
    pub fn validators(&self) -> &Arc<ValidatorSet> {
        &self.validators
    }

    /// What the assembler needs to know of it.
    pub fn window(&self) -> Window {
        Window { height: self.start.height, round: self.round, validators: Arc::clone(&self.validators) }
    }

    /// Whether the node has a vote at this height.
    pub fn is_validator(&self) -> bool {
        self.key.as_ref().is_some_and(|key| self.validators.contains(&key.public_key()))
    }

    /// Whether the next height, which has been waiting since `since_ms`, starts now.
    pub fn pace(&mut self, now_ms: u64, since_ms: u64, heard: &Heard) -> Pace {
        let next = self.start.height;
        let situation = Situation {
            now_ms,
            since_ms,
            next,
            heard,
            own_work: self.application.has_work(),
            catching_up: self.synced.is_some_and(|height| height.next() == next),
            proposed: self.proposed == Some(next) || self.early.values().any(|early| self.opens(early)),
        };
        let pace = self.pacer.decide(&situation);
        tracing::debug!(?situation, ?pace, "whether the next height starts");
        pace
    }

    /// A valid proposal is known to the engine: the next heights wait as long as such ones take.
    pub fn proposal_came(&mut self, value: &ProposedValue<LedgerContext>, now_ms: u64) {
        if value.validity.is_valid() {
            let at = (value.height.ledger(), value.round.as_u32().unwrap_or(0));
            self.patience.proposal_came(at, value.proposer.0, now_ms);
        }
    }

    /// Whether a proposal is that of round 0 of the next height by the proposer whose turn it is.
    fn opens(&self, proposal: &CompleteProposal) -> bool {
        let manifest = &proposal.manifest;
        let turn = self.validators.proposer(self.start.height.into(), 0);
        let signed_by_turn = *turn.public_key() == manifest.proposer;
        manifest.height == self.start.height && manifest.round == 0 && signed_by_turn
    }

    /// Commits a decided block.
    ///
    /// # Errors
    /// Any reason for which the block is not part of the ledger afterwards.
    pub fn commit(
        &mut self,
        certificate: &engine::CommitCertificate<LedgerContext>,
    ) -> Result<(), ApplicationError> {
        let certificate = spec_certificate(certificate).ok_or_else(|| {
            let reason = format!("the engine decided height {} in no round", certificate.height);
            ApplicationError::Broken { reason }
        })?;
        self.application.commit(&certificate)
    }

    /// A height is final: tells the application who signed twice, and prepares the next height.
    ///
    /// # Errors
    /// When the application fails.
    pub fn finalized(
        &mut self,
        evidence: &MisbehaviorEvidence<LedgerContext>,
    ) -> Result<(), ApplicationError> {
        let seen = misbehaviour(self.start.height, evidence);
        if !seen.is_empty() {
            self.application.misbehaved(&seen);
        }
        let synced = self.synced == Some(self.start.height);
        self.start = self.application.start()?;
        self.validators = Arc::new(ValidatorSet::new(&self.start));
        self.patience.retain(&self.start.validators);
        let own = self.key.as_ref().map(SecretKey::public_key);
        self.timeouts = self.patience.timeouts(self.start.timeouts, &self.start.validators, own);
        self.round = 0;
        self.executed.clear();
        self.pacer.finalized(self.start.had_work || synced);
        Ok(())
    }
}

fn misbehaviour(height: Height, evidence: &MisbehaviorEvidence<LedgerContext>) -> Vec<Misbehaviour> {
    let entry = |validator: PublicKey, kind| Misbehaviour { validator, height, kind };
    let votes = evidence.votes.iter().map(|(voter, _)| entry(voter.0, MisbehaviourKind::DoubleVote));
    let proposals =
        evidence.proposals.iter().map(|(proposer, _)| entry(proposer.0, MisbehaviourKind::DoubleProposal));
    votes.chain(proposals).collect()
}
