//! One institution's desk in the demo: its client, and the way it records things and waits for them to be final.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use yilian_client::client::Client;
use yilian_spec::base::id::{InstitutionId, TransactionId};
use yilian_spec::domain::Operation;
use yilian_spec::ledger::receipt::Outcome;

use super::tally::Tally;

/// How long a transaction may take until it is final.
const FINALITY_TIMEOUT_MS: u64 = 30_000;

/// An institution that takes part in the day.
pub(super) struct Desk {
    pub id: InstitutionId,
    pub client: Client,
}

/// What was recorded in one transaction.
pub(super) struct Recorded {
    pub transaction_id: TransactionId,
    /// The ids of the objects that the operations create, in order; only some operations create one.
    pub objects: Vec<[u8; 32]>,
}

impl Desk {
    /// Records operations as one transaction and waits until it is final; all of them must take effect.
    pub async fn record(&self, operations: Vec<Operation>, tally: &mut Tally) -> Result<Recorded> {
        let (recorded, outcome) = self.submit(operations, tally).await?;
        match outcome {
            Outcome::Applied => Ok(recorded),
            Outcome::Refused { operation, reason } => {
                bail!("{}: operation {operation} was refused: {reason}", self.id)
            }
        }
    }

    /// Records one operation that the rules must refuse; the refusal stays on the ledger.
    pub async fn attempt(&self, operation: Operation, tally: &mut Tally) -> Result<String> {
        match self.submit(vec![operation], tally).await?.1 {
            Outcome::Applied => bail!("{}: an operation that breaks the rules took effect", self.id),
            Outcome::Refused { reason, .. } => Ok(reason.to_string()),
        }
    }

    async fn submit(&self, operations: Vec<Operation>, tally: &mut Tally) -> Result<(Recorded, Outcome)> {
        let count = operations.len();
        let began = Instant::now();
        let who = || format!("{} could not record {count} operations", self.id);
        let submitted = self.client.submit(operations).await.with_context(who)?;
        let committed = self.client.wait(&submitted, FINALITY_TIMEOUT_MS).await.with_context(who)?;
        let outcome = committed.receipt.outcome;
        tally.count(count, began.elapsed(), outcome == Outcome::Applied);
        let objects = (0..count as u16).filter_map(|index| submitted.object(index)).collect();
        Ok((Recorded { transaction_id: submitted.transaction_id, objects }, outcome))
    }
}
