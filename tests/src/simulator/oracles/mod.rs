//! Oracles over a whole ledger: what must follow from the blocks' transactions and from what became of them, said again
//! in plain arithmetic and compared with what a node's disk holds.
//!
//! None of them calls the state machine, the evaluation of terms or the execution of blocks; they use the protocol's
//! records, their encoding and the keys of rows. A node shares its rules with the audit and with the recomputation, so
//! these two would share a wrong rule as well; these oracles would not.
//!
//! ```text
//! block ──► history (what took effect) ──► validity: took effect if and only if chapter 5 allows it
//!                                     ├──► streams: every entry, every head
//!                                     ├──► capacity: every reserved slot, at the end
//!                                     └──► money: every period, statement and service
//! ```
//!
//! The first node that commits a height is compared with them there, in the rows that the block touches; every node is
//! compared in all rows at the end of a run.

mod capacity;
mod discretion;
mod follow;
pub mod history;
mod merkle;
mod money;
mod period;
mod rows;
mod streams;
mod terms;
#[cfg(test)]
mod tests;
mod validity;

use std::collections::BTreeMap;

use yilian_node::application::reader::StoredBlock;
use yilian_node::storage::disk::ReadBytes;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{AgreementId, TransactionId};
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::ledger::receipt::{Outcome, Receipt};
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::state::stream::{Entry, EntryKind};

use self::history::{Act, History};
use self::money::Money;
use self::rows::Rows;
use self::streams::Streams;

/// What is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// The disk cannot be read.
    #[error("the disk: {reason}")]
    Disk {
        /// Why.
        reason: String,
    },
    /// A row is not the record that its key says.
    #[error("row {key} cannot be read")]
    Unreadable {
        /// Its key.
        key: String,
    },
    /// Receipts and transactions of a block do not belong together.
    #[error("block {height}: its receipts are not those of its transactions")]
    Receipts {
        /// The block.
        height: Height,
    },
    /// Something took effect that must not, or was refused without a reason.
    #[error("transaction {id} operation {operation} {became}, but {reason}")]
    Invalid {
        /// The transaction.
        id: TransactionId,
        /// The number of the operation.
        operation: u16,
        /// What became of it.
        became: &'static str,
        /// Why it should not have.
        reason: String,
    },
    /// An operation took effect on something that nothing has made.
    #[error("an operation took effect on {what} {}, which was never made", hex::encode(id))]
    NeverMade {
        /// Its kind.
        what: &'static str,
        /// Its id.
        id: [u8; 32],
    },
    /// An entry is not in its stream.
    #[error("stream {stream} lacks entry {index}")]
    EntryMissing {
        /// The stream.
        stream: String,
        /// The number of the entry.
        index: u64,
    },
    /// An entry says something else.
    #[error("stream {stream} has another entry {index}")]
    EntryDiffers {
        /// The stream.
        stream: String,
        /// The number of the entry.
        index: u64,
    },
    /// A stream has an entry too many.
    #[error("stream {stream} has an entry {index} that belongs to no operation")]
    EntryAdded {
        /// The stream.
        stream: String,
        /// The number of the entry.
        index: u64,
    },
    /// The root of a stream's subtree is missing or is another.
    #[error("stream {stream} lacks the root of a subtree of level {level}, or has another")]
    SubtreeDiffers {
        /// The stream.
        stream: String,
        /// The level of the subtree.
        level: u8,
    },
    /// A subtree that no stream has.
    #[error("row {key} is of a subtree that no stream has")]
    SubtreeAdded {
        /// The row's key.
        key: String,
    },
    /// A stream has no head.
    #[error("stream {stream} has no head")]
    HeadMissing {
        /// The stream.
        stream: String,
    },
    /// A head is not that of the stream's entries.
    #[error("stream {stream} has another head than its entries")]
    HeadDiffers {
        /// The stream.
        stream: String,
    },
    /// A stream stands there that no operation has made.
    #[error("stream {stream} belongs to no operation")]
    HeadAdded {
        /// The stream.
        stream: String,
    },
    /// Terms that these oracles do not know.
    #[error("agreement {agreement} has terms that the oracle does not know")]
    UnknownTerms {
        /// The agreement.
        agreement: AgreementId,
    },
    /// A statement does not add up.
    #[error("the statement of period {period} of agreement {agreement}: {reason}")]
    Unbalanced {
        /// The agreement.
        agreement: AgreementId,
        /// The period.
        period: u32,
        /// What does not.
        reason: String,
    },
    /// What closed periods have settled is not what their services are worth.
    #[error("agreement {agreement} has settled {settled}, its services are worth {worth}")]
    NotConserved {
        /// The agreement.
        agreement: AgreementId,
        /// The sum of all statements, in minor units.
        settled: i128,
        /// What it should be.
        worth: i128,
    },
    /// One service counts twice in one agreement.
    #[error("{row} counts twice in an agreement")]
    CountedTwice {
        /// The service.
        row: String,
    },
    /// A closed period or its statement is not what it was when it was closed.
    #[error("{row} is not what it was when the period was closed")]
    ClosedPeriodChanged {
        /// Which.
        row: String,
    },
    /// A row of money or capacity is another one.
    #[error("{row} is not what was counted")]
    RowDiffers {
        /// Which.
        row: String,
    },
    /// A row of money or capacity is not there.
    #[error("{row} is missing")]
    RowMissing {
        /// Which.
        row: String,
    },
    /// A row of money or capacity should not be there.
    #[error("{row} should not be there")]
    RowAdded {
        /// Which.
        row: String,
    },
}

/// What happened on a ledger, to see that the oracles have something to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// Operations that took effect, by name.
    pub applied: BTreeMap<&'static str, u64>,
    /// Transactions that were refused, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// Transactions of several operations that took effect.
    pub applied_together: u64,
    /// Transactions that were refused because they refer to what is unknown, or others' alone.
    pub strangers: u64,
    /// Services that some agreement counted.
    pub services_counted: u64,
    /// Statements in which somebody is owed something.
    pub statements_with_amounts: u64,
    /// Reversals of services whose period was closed.
    pub late_reversals: u64,
}

impl Happened {
    /// Adds what happened on another ledger.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.applied {
            *self.applied.entry(name).or_default() += count;
        }
        for (reason, count) in &other.refused {
            *self.refused.entry(*reason).or_default() += count;
        }
        self.applied_together += other.applied_together;
        self.strangers += other.strangers;
        self.services_counted += other.services_counted;
        self.statements_with_amounts += other.statements_with_amounts;
        self.late_reversals += other.late_reversals;
    }
}

/// All oracles, at one height.
pub struct Oracles {
    height: Height,
    history: History,
    streams: Streams,
    money: Money,
    happened: Happened,
}

impl Oracles {
    /// A ledger after its genesis.
    pub fn new(genesis: &Genesis) -> Self {
        Self {
            height: Height(0),
            history: History::new(genesis),
            streams: Streams::default(),
            money: Money::default(),
            happened: Happened::default(),
        }
    }

    /// The last height that they were told of.
    pub fn height(&self) -> Height {
        self.height
    }

    /// The next block of the ledger.
    ///
    /// # Errors
    /// When something in it must not be.
    pub fn block(&mut self, block: &StoredBlock) -> Result<(), Finding> {
        let height = block.header.height;
        self.height = height;
        if block.transactions.len() != block.receipts.len() {
            return Err(Finding::Receipts { height });
        }
        // The block is the first word on each of its keys: what was revoked before it is not carried at all.
        let revoked = |transaction: &&Transaction| {
            self.history.keys.get(&transaction.body.author).is_some_and(|key| key.revoked)
        };
        if let Some(transaction) = block.transactions.iter().find(revoked) {
            let reason = "its author's key was revoked before the block".to_owned();
            return Err(Finding::Invalid {
                id: transaction.id(),
                operation: 0,
                became: "was recorded",
                reason,
            });
        }
        for (transaction, receipt) in block.transactions.iter().zip(&block.receipts) {
            if transaction.id() != receipt.transaction_id {
                return Err(Finding::Receipts { height });
            }
            self.transaction(block, transaction, receipt)?;
        }
        Ok(())
    }

    /// The disk of a node at this height, in what the blocks since the last comparison have touched.
    ///
    /// # Errors
    /// The first thing that is not as it must be.
    pub fn check_touched(&mut self, disk: &dyn ReadBytes) -> Result<(), Finding> {
        self.streams.check_touched(&Rows(disk))?;
        self.money.check_touched(&Rows(disk))
    }

    /// The whole disk of a node at this height.
    ///
    /// # Errors
    /// The first thing that is not as it must be.
    pub fn check_all(&self, disk: &dyn ReadBytes) -> Result<(), Finding> {
        self.streams.check_all(&Rows(disk))?;
        capacity::check_all(&self.history, &Rows(disk))?;
        self.money.check_all(&Rows(disk))
    }

    /// What happened so far.
    pub fn happened(&self) -> Happened {
        Happened {
            services_counted: self.money.services_counted,
            statements_with_amounts: self.money.statements_with_amounts,
            late_reversals: self.money.late_reversals,
            ..self.happened.clone()
        }
    }

    fn transaction(
        &mut self,
        block: &StoredBlock,
        transaction: &Transaction,
        receipt: &Receipt,
    ) -> Result<(), Finding> {
        let body = &transaction.body;
        let acts: Vec<Act<'_>> = (0..)
            .zip(&body.operations)
            .map(|(index, operation)| Act {
                institution: &body.institution,
                time: block.header.time,
                transaction_id: receipt.transaction_id,
                index,
                operation,
            })
            .collect();
        match receipt.outcome {
            Outcome::Applied => self.applied(transaction, &acts),
            Outcome::Refused { operation, reason } => {
                *self.happened.refused.entry(reason).or_default() += 1;
                self.refused(transaction, &acts, operation, reason)
            }
        }
    }

    fn applied(&mut self, transaction: &Transaction, acts: &[Act<'_>]) -> Result<(), Finding> {
        // The key counts as it stood before the transaction, which may rotate it.
        for act in acts {
            let key = transaction.body.author;
            let objection =
                validity::key_objection(&self.history, key, act.institution, act.operation, act.time);
            objection.map_or(Ok(()), |reason| Err(invalid(act, "took effect", reason)))?;
        }
        for act in acts {
            let objection = validity::objection(&self.history, act);
            objection.map_or(Ok(()), |reason| Err(invalid(act, "took effect", reason)))?;
            let streams = streams::of_applied(&self.history, act)?;
            self.streams.append(streams, &self.entry(act, EntryKind::Applied));
            self.money.applied(&self.history, act, &self.streams)?;
            self.history.take(act)?;
            *self.happened.applied.entry(act.operation.name()).or_default() += 1;
        }
        self.happened.applied_together += u64::from(acts.len() > 1);
        Ok(())
    }

    fn refused(
        &mut self,
        transaction: &Transaction,
        acts: &[Act<'_>],
        operation: u16,
        reason: Refusal,
    ) -> Result<(), Finding> {
        let key = transaction.body.author;
        let Some((act, before)) = acts.get(..=usize::from(operation)).and_then(<[_]>::split_last) else {
            return Err(Finding::Receipts { height: self.height });
        };
        let objection = validity::key_objection(&self.history, key, act.institution, act.operation, act.time);
        if objection.is_none() && validity::is_judged(act.operation) {
            // The operations before it would have taken effect.
            let mut history = std::borrow::Cow::Borrowed(&self.history);
            for act in before {
                if let Some(reason) = validity::objection(&history, act) {
                    return Err(invalid(act, "was passed over", reason));
                }
                history.to_mut().take(act)?;
            }
            if validity::objection(&history, act).is_none() {
                return Err(invalid(act, "was refused", &format!("not because {reason}")));
            }
            let told = discretion::told_to_a_stranger(&history, act);
            if told.is_some_and(|told| told != reason) {
                return Err(invalid(act, "was refused", &format!("a stranger is told that {reason}")));
            }
            self.happened.strangers += u64::from(told.is_some());
        }
        let owner = self.history.keys.get(&key).filter(|key| !key.revoked).map(|key| &key.institution);
        if owner == Some(act.institution) {
            let entry = self.entry(act, EntryKind::Refused);
            self.streams.append(streams::of_refused(act), &entry);
        }
        Ok(())
    }

    fn entry(&self, act: &Act<'_>, kind: EntryKind) -> Entry {
        Entry { height: self.height, transaction_id: act.transaction_id, operation: act.index, kind }
    }
}

fn invalid(act: &Act<'_>, became: &'static str, reason: &str) -> Finding {
    let reason = reason.to_owned();
    Finding::Invalid { id: act.transaction_id, operation: act.index, became, reason }
}
