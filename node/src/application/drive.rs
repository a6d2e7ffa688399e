//! The ledger behind consensus: [`Application`] as the engine or the simulator drives it.

use yilian_spec::base::height::Height;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::ledger::block::CommitCertificate;
use yilian_spec::ledger::chain::Expectation;

use super::ledger::{Ledger, failed};
use super::source::TransactionSource;
use super::{
    Application, ApplicationError, Arrival, BuiltBlock, Candidate, LedgerReader, Misbehaviour, StartPoint,
    UndecidedBlock, ValidatorInfo, Verdict,
};

impl Application for Ledger {
    type Blocks = LedgerReader;

    fn blocks(&self) -> LedgerReader {
        self.reader()
    }

    fn start(&mut self) -> Result<StartPoint, ApplicationError> {
        let validators = self.tip.validators.validators().iter();
        Ok(StartPoint {
            height: self.tip.height.next(),
            validators: validators
                .map(|entry| ValidatorInfo {
                    public_key: entry.key,
                    institution: entry.institution.clone(),
                    voting_power: entry.power,
                })
                .collect(),
            rotation: self.tip.rotation().into_iter().map(|validator| validator.key).collect(),
            timeouts: self.tip.parameters.consensus,
            target_time_ms: self.options.target_time_ms,
            had_work: self.had_work,
        })
    }

    fn build(&mut self, height: Height, round: u32, now_ms: u64) -> Result<BuiltBlock, ApplicationError> {
        self.require_next(height)?;
        let proposer = self.options.proposer.ok_or_else(|| ApplicationError::Broken {
            reason: "this node has no key to propose with".into(),
        })?;
        // After a restart the engine may ask again for what it was given: another block would be equivocation.
        let earlier = self.undecided(height, Some(round))?;
        let own = |block: &UndecidedBlock| block.proposer == proposer && block.valid_round.is_none();
        if let Some(block) = earlier.into_iter().find(own) {
            return Ok(BuiltBlock { block_id: block.block_id, bytes: block.bytes });
        }
        let (block_id, bytes) = self.build_block(proposer, round, now_ms)?;
        Ok(BuiltBlock { block_id, bytes })
    }

    fn validate(&mut self, candidate: Candidate<'_>) -> Result<Verdict, ApplicationError> {
        if candidate.height != self.tip.height.next() {
            let reason = format!("height {} is not the next one", candidate.height);
            return Ok(Verdict::Invalid { block_id: None, reason });
        }
        let expectation = match candidate.arrival {
            Arrival::Synced => Expectation { proposer: None, clock: None },
            Arrival::Proposed { now_ms } => Expectation {
                // Another validator may have built a block that is proposed again.
                proposer: candidate.valid_round.is_none().then_some(candidate.proposer),
                clock: Some(LedgerTime(now_ms)),
            },
        };
        let verdict = match self.execute_block(candidate.bytes, expectation)? {
            Ok(block_id) => Verdict::Valid { block_id },
            Err(invalid) => Verdict::Invalid { block_id: invalid.block_id, reason: invalid.reason },
        };
        Ok(verdict)
    }

    fn remember(&mut self, block: UndecidedBlock) -> Result<(), ApplicationError> {
        if block.height <= self.tip.height {
            return Ok(());
        }
        let row = (block.valid_round, block.proposer, block.bytes);
        self.store
            .remember(block.height, block.round, block.block_id, row)
            .map_err(|error| failed("keeping an undecided block", error))
    }

    fn undecided(
        &mut self,
        height: Height,
        round: Option<u32>,
    ) -> Result<Vec<UndecidedBlock>, ApplicationError> {
        let rows = self.store.tables().undecided(height, round);
        let rows = rows.map_err(|error| failed("reading undecided blocks", error))?;
        let block = |(round, block_id, (_, valid_round, proposer, bytes))| UndecidedBlock {
            height,
            round,
            valid_round,
            proposer,
            block_id,
            bytes,
        };
        Ok(rows.into_iter().map(block).collect())
    }

    fn commit(&mut self, certificate: &CommitCertificate) -> Result<(), ApplicationError> {
        if certificate.height == self.tip.height && certificate.block_id == self.tip.block_id {
            return Ok(());
        }
        self.require_next(certificate.height)?;
        self.commit_next(certificate)
    }

    fn misbehaved(&mut self, misbehaviour: &[Misbehaviour]) {
        for Misbehaviour { validator, height, kind } in misbehaviour {
            // The book of conduct warns of it, by institution and within a bound: a liar may sign twice at every height.
            tracing::debug!(%validator, %height, ?kind, "a validator signed two things of which it may sign one");
        }
    }

    fn has_work(&mut self) -> bool {
        self.source().is_some_and(TransactionSource::has_work)
    }
}

impl Ledger {
    fn require_next(&self, height: Height) -> Result<(), ApplicationError> {
        let next = self.tip.height.next();
        if height == next {
            return Ok(());
        }
        Err(ApplicationError::Broken { reason: format!("asked for height {height}, the next one is {next}") })
    }
}
