//! A node's ledger as its power lets it be: what is to be kept counts as an act, and what the node says about the blocks
//! and signatures of others is there for the run to judge.

use std::sync::Arc;

use yilian_node::application::ledger::Ledger;
use yilian_node::application::{
    Application, ApplicationError, Arrival, BuiltBlock, Candidate, LedgerReader, Misbehaviour, StartPoint,
    UndecidedBlock, Verdict,
};
use yilian_node::base::clock::{Clock as _, ManualClock};
use yilian_spec::base::height::Height;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::ledger::block::CommitCertificate;

use super::host::Sabotage;
use super::power::Power;
use super::sabotage;

/// A block that a node refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedBlock {
    /// Where.
    pub height: Height,
    /// Who proposed it.
    pub proposer: PublicKey,
    /// The rule it breaks.
    pub reason: String,
}

/// What a node found out about others since it was last asked.
#[derive(Debug, Default)]
pub struct Findings {
    /// Blocks that break a rule.
    pub refused: Vec<RefusedBlock>,
    /// Validators that signed twice.
    pub misbehaviour: Vec<Misbehaviour>,
}

/// The ledger of one life of a node.
pub struct PoweredLedger {
    /// The real one.
    pub ledger: Ledger,
    /// What it says of others.
    pub findings: Findings,
    /// Whose it is.
    pub own: Option<PublicKey>,
    /// From which height on it commits another block than the decided one, if it is made to.
    pub commits_another: Option<Height>,
    power: Power,
    clock: Arc<ManualClock>,
}

impl PoweredLedger {
    /// A ledger under a node's power.
    pub fn new(ledger: Ledger, own: Option<PublicKey>, power: Power, clock: Arc<ManualClock>) -> Self {
        Self { ledger, findings: Findings::default(), own, commits_another: None, power, clock }
    }

    /// Makes it break a rule, if that is for the ledger to do.
    pub fn sabotage(&mut self, index: usize, sabotage: Option<Sabotage>) {
        if let Some(Sabotage::CommitsAnotherBlock { node, height }) = sabotage
            && node == index
        {
            self.commits_another = Some(Height(height));
        }
    }
}

impl Application for PoweredLedger {
    type Blocks = LedgerReader;

    fn blocks(&self) -> LedgerReader {
        self.ledger.blocks()
    }

    fn start(&mut self) -> Result<StartPoint, ApplicationError> {
        self.ledger.start()
    }

    fn build(&mut self, height: Height, round: u32, now_ms: u64) -> Result<BuiltBlock, ApplicationError> {
        self.ledger.build(height, round, now_ms)
    }

    fn validate(&mut self, candidate: Candidate<'_>) -> Result<Verdict, ApplicationError> {
        let (height, proposer) = (candidate.height, candidate.proposer);
        let is_proposed = candidate.arrival != Arrival::Synced;
        let verdict = self.ledger.validate(candidate)?;
        // Of a block that a peer serves, the peer is to blame, see `Host::distrust_sync_peer`.
        if let Verdict::Invalid { reason, .. } = &verdict
            && is_proposed
        {
            self.findings.refused.push(RefusedBlock { height, proposer, reason: reason.clone() });
        }
        Ok(verdict)
    }

    fn remember(&mut self, block: UndecidedBlock) -> Result<(), ApplicationError> {
        if self.power.act() { self.ledger.remember(block) } else { Ok(()) }
    }

    fn undecided(
        &mut self,
        height: Height,
        round: Option<u32>,
    ) -> Result<Vec<UndecidedBlock>, ApplicationError> {
        self.ledger.undecided(height, round)
    }

    fn commit(&mut self, certificate: &CommitCertificate) -> Result<(), ApplicationError> {
        if !self.power.act() {
            return Ok(());
        }
        if self.commits_another.is_some_and(|from| certificate.height >= from) {
            self.commits_another = None;
            let now_ms = self.clock.now_ms();
            return sabotage::commit_another(&mut self.ledger, self.own, certificate, now_ms);
        }
        self.ledger.commit(certificate)
    }

    fn misbehaved(&mut self, misbehaviour: &[Misbehaviour]) {
        self.findings.misbehaviour.extend_from_slice(misbehaviour);
        self.ledger.misbehaved(misbehaviour);
    }

    fn has_work(&mut self) -> bool {
        self.ledger.has_work()
    }
}
