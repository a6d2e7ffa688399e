//! One institution at work: records operations, waits until they are final, and remembers what it was told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Result, bail};
use yilian_client::client::Client;
use yilian_client::client::submit::Submitted;
use yilian_client::error::ClientError;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{InstitutionId, TransactionId};
use yilian_spec::domain::Operation;
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::ledger::receipt::{Outcome, Receipt};

use super::PATIENCE;

/// How long a transaction may take until it is final, also while nodes are down.
const FINALITY_TIMEOUT_MS: u64 = 90_000;

/// Block, place in it, and what became of the transaction.
pub type Place = (Height, u32, Receipt);

/// What clients were told is final, and where.
#[derive(Debug, Clone, Default)]
pub struct Acknowledged(Arc<Mutex<BTreeMap<TransactionId, Place>>>);

impl Acknowledged {
    /// Remembers one.
    ///
    /// # Errors
    /// When it was final elsewhere before.
    pub fn note(&self, height: Height, index: u32, receipt: Receipt) -> Result<()> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (height, index, receipt);
        match all.insert(now.2.transaction_id, now.clone()) {
            Some(before) if before != now => bail!("a final transaction moved: {before:?}, then {now:?}"),
            _ => Ok(()),
        }
    }

    /// All of them.
    pub fn all(&self) -> BTreeMap<TransactionId, Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// What was recorded in one transaction.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The transaction.
    pub submitted: Submitted,
    /// Its block.
    pub height: Height,
    /// What became of it.
    pub outcome: Outcome,
}

impl Recorded {
    /// The transaction's id.
    pub fn transaction_id(&self) -> TransactionId {
        self.submitted.transaction_id
    }

    /// The id of the object that operation `index` created.
    pub fn object(&self, index: u16) -> [u8; 32] {
        self.submitted.object(index).expect("one of the operations that were submitted")
    }
}

/// One institution at work.
#[derive(Debug)]
pub struct Desk {
    /// The institution.
    pub id: InstitutionId,
    /// Its client.
    pub client: Client,
    /// What it was told is final goes here.
    pub acknowledged: Acknowledged,
}

impl Desk {
    /// Records operations as one transaction and waits until it is final; all of them must take effect.
    ///
    /// # Errors
    /// When they are refused, or not final in time.
    pub async fn record(&self, operations: Vec<Operation>) -> Result<Recorded> {
        let recorded = self.follow(self.submit(operations).await?).await?;
        match recorded.outcome {
            Outcome::Applied => Ok(recorded),
            Outcome::Refused { operation, reason } => {
                bail!("{}: operation {operation} was refused: {reason}", self.id)
            }
        }
    }

    /// Records an operation that the rules must refuse, and returns why they do.
    ///
    /// # Errors
    /// When it takes effect, or is not final in time.
    pub async fn attempt(&self, operation: Operation) -> Result<Refusal> {
        let recorded = self.follow(self.submit(vec![operation]).await?).await?;
        match recorded.outcome {
            Outcome::Applied => bail!("{}: an operation that breaks the rules took effect", self.id),
            Outcome::Refused { reason, .. } => Ok(reason),
        }
    }

    /// Signs operations once and submits them until a node takes them, also while none answers.
    ///
    /// # Errors
    /// When a node refuses them, or none answers for too long.
    pub async fn submit(&self, operations: Vec<Operation>) -> Result<Submitted> {
        let transaction = self.client.sign(operations)?;
        let began = Instant::now();
        loop {
            match self.client.submit_signed(transaction.clone()).await {
                Err(ClientError::Unreachable { .. }) if began.elapsed() < PATIENCE => {}
                done => return Ok(done?),
            }
        }
    }

    /// Waits until a submitted transaction is final, also while no node answers.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn follow(&self, submitted: Submitted) -> Result<Recorded> {
        let began = Instant::now();
        let committed = loop {
            match self.client.wait(&submitted, FINALITY_TIMEOUT_MS).await {
                Err(ClientError::Unreachable { .. }) if began.elapsed() < PATIENCE => {}
                done => break done?,
            }
        };
        let (height, outcome) = (committed.height, committed.receipt.outcome);
        self.acknowledged.note(height, committed.index, committed.receipt)?;
        Ok(Recorded { submitted, height, outcome })
    }
}
