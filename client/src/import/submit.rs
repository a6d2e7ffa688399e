//! Carries the operations of a plan to the ledger: wave by wave, many operations to a transaction, several
//! transactions at a time, each tried out first ([`trial`]) and written to the journal before it is submitted.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures::StreamExt as _;
use indicatif::ProgressBar;
use rand::TryRng as _;
use serde::Serialize;
use yilian_spec::api::transaction::Committed;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{InstitutionId, SubjectTag, TransactionId};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::Transaction;

use super::changes::Sources;
use super::document::{Key, Secret};
use super::draft::{Item, Resolver};
use super::error::ImportError;
use super::journal::{Fate, Journal, Signed};
use super::limits;
use super::trial::{is_busy, trial};
use super::watch::{Watch, own_and_others};
use crate::client::Client;
use crate::error::ClientError;
use yilian_local::moment;

/// What became of the operations of a run, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Recorded in this run.
    pub recorded: BTreeMap<String, u64>,
    /// Recorded by an earlier run, and left alone.
    pub before: BTreeMap<String, u64>,
    /// Recorded by an earlier run and missing in the journal, which is complete again: operations found on the ledger.
    pub found: u64,
    /// Services of this import that somebody else has reversed since it last looked; they stay so.
    pub reversed_by_others: u64,
    /// Refused by the rules of the ledger, mostly before they were submitted: by operation and reason.
    pub refused: BTreeMap<String, BTreeMap<String, u64>>,
    /// Not submitted, because something that they need was refused.
    pub blocked: BTreeMap<String, u64>,
    /// Transactions that became final in this run.
    pub transactions: u64,
}

impl Tally {
    fn refuse(&mut self, item: &Item, reason: Refusal) {
        self.refuse_some(item.draft.name(), reason, 1);
    }

    /// Counts so many operations of a name as refused.
    pub fn refuse_some(&mut self, name: &str, reason: Refusal, count: u64) {
        let reasons = self.refused.entry(name.to_owned()).or_default();
        *reasons.entry(reason.to_string()).or_default() += count;
    }
}

fn count(counts: &mut BTreeMap<String, u64>, item: &Item) {
    *counts.entry(item.draft.name().to_owned()).or_default() += 1;
}

/// What submitting needs.
pub struct Submitter<'a> {
    /// A client for each author.
    pub clients: &'a BTreeMap<InstitutionId, Client>,
    /// What is recorded already.
    pub journal: Journal,
    /// What makes the nonces of its transactions.
    pub secret: &'a Secret,
    /// The tags of the plan's subjects.
    pub tags: Vec<SubjectTag>,
    /// The digests of what the plan asks for.
    pub sources: Sources,
    /// The ledger's time when the import began.
    pub now: LedgerTime,
    /// The highest block that something of the import stands in, or that the ledger had when it began.
    pub seen: Height,
    /// Operations in one transaction.
    pub operations_max: usize,
    /// Transactions that are on their way at a time.
    pub in_flight_max: usize,
    /// Services whose evidence is on the ledger under a number that the journal does not know: they were recorded and reversed
    /// before an older copy of it came into use, and want the next number.
    pub repeated: Vec<Key>,
    /// What others record meanwhile.
    pub watch: Watch,
    /// Moves by one for each operation.
    pub progress: ProgressBar,
    /// What became of the operations.
    pub tally: Tally,
}

/// A transaction on its way, and the items that it records.
struct Flight<'i> {
    transaction: Transaction,
    items: Vec<&'i Item>,
}

/// How much is on its way at a time.
#[derive(Debug, Clone, Copy)]
struct Lot {
    transactions: usize,
    /// Of each of them.
    operations: usize,
}

type Groups<'i> = BTreeMap<(&'i InstitutionId, Role), VecDeque<&'i Item>>;

impl Submitter<'_> {
    /// Records the items of one wave. Those that are recorded already are left alone; those that were refused before are tried
    /// out once more.
    ///
    /// # Errors
    /// [`ImportError`] when a node does not take a transaction or none answers; what became of the others is in the
    /// journal then.
    pub async fn wave<'i>(&mut self, items: impl IntoIterator<Item = &'i Item>) -> Result<(), ImportError> {
        let mut groups: Groups<'i> = BTreeMap::new();
        for item in items {
            match self.journal.fate(&item.key) {
                Some(Fate::Applied { .. }) => {
                    count(&mut self.tally.before, item);
                    self.progress.inc(1);
                }
                Some(Fate::Refused(_)) | None => {
                    groups.entry((&item.author, item.draft.role())).or_default().push_back(item)
                }
            }
        }
        let has_services = groups.values().flatten().any(|item| item.draft.debt().is_some());
        if has_services {
            self.look_around().await?;
        }
        // Of two imports at once, each shows the other one service of each provider before it records more.
        let mut lot = Lot { transactions: self.in_flight_max, operations: self.operations_max };
        if has_services {
            lot = Lot { transactions: groups.len().min(self.in_flight_max), operations: 1 };
        }
        loop {
            let flights = self.next_flights(&mut groups, lot)?;
            if flights.is_empty() {
                return Ok(());
            }
            lot = Lot { transactions: self.in_flight_max, operations: self.operations_max };
            let flights = self.try_out(flights, &mut groups).await?;
            let source = |item: &&Item| (item.key, self.sources.of(item));
            let signed =
                |flight: &Flight<'_>| (flight.transaction.clone(), flight.items.iter().map(source).collect());
            let signed: Vec<Signed> = flights.iter().map(signed).collect();
            self.journal.sign(signed)?;
            let transactions = flights.iter().map(|flight| &flight.transaction);
            let results = futures::future::join_all(transactions.map(|one| carry(self.clients, one))).await;
            self.land(flights, results, &mut groups)?;
            if has_services {
                self.look_around().await?;
            }
        }
    }

    /// Stops where others record what the import records.
    ///
    /// # Errors
    /// What the watch refuses, or asking the ledger gives.
    pub async fn look_around(&mut self) -> Result<(), ImportError> {
        let (watch, contents) = (&mut self.watch, self.journal.contents());
        let (own, others) = own_and_others(watch.look(self.clients, contents).await?, self.secret);
        if let Some(first) = own.first() {
            // A copy of the directory is at work, too.
            let (transaction, institution) = (first.id(), first.body.institution.clone());
            return Err(ImportError::JournalBehind { transaction, institution });
        }
        watch.refuse_services(&others, contents)?;
        watch.refuse_agreements(&others)
    }

    /// Keeps the transactions that the rules would not refuse. Of the others, all but the refused operation are queued
    /// again.
    async fn try_out<'i>(
        &mut self,
        flights: Vec<Flight<'i>>,
        groups: &mut Groups<'i>,
    ) -> Result<Vec<Flight<'i>>, ImportError> {
        let (clients, seen) = (self.clients, self.seen);
        let trials = flights.into_iter().map(|flight| async move {
            let body = &flight.transaction.body;
            let outcome = match client_of(clients, &body.institution) {
                Ok(client) => trial(client, body, seen).await,
                Err(error) => Err(error),
            };
            (flight, outcome)
        });
        let trials: Vec<_> = futures::stream::iter(trials.collect::<Vec<_>>())
            .buffered(limits::TRIALS_IN_FLIGHT)
            .collect()
            .await;
        let mut passed = Vec::new();
        for (flight, outcome) in trials {
            match outcome? {
                Outcome::Applied => passed.push(flight),
                Outcome::Refused { operation, reason } if is_about_the_author(reason) => {
                    let transaction_id = flight.transaction.id();
                    return Err(ClientError::Refused { transaction_id, operation, reason }.into());
                }
                Outcome::Refused { operation, reason } => self.put_back(&flight, operation, reason, groups),
            }
        }
        Ok(passed)
    }

    /// Signs the next transactions, one from each author in turn, so that no node gets all of them.
    fn next_flights<'i>(
        &mut self,
        groups: &mut Groups<'i>,
        lot: Lot,
    ) -> Result<Vec<Flight<'i>>, ImportError> {
        let mut flights = Vec::new();
        while flights.len() < lot.transactions {
            let mut is_done = true;
            for ((author, _), items) in groups.iter_mut() {
                if flights.len() == lot.transactions {
                    is_done = items.is_empty() && is_done;
                    continue;
                }
                let (operations, items) = self.next_operations(items, lot.operations);
                if let (false, Some(client)) = (operations.is_empty(), self.clients.get(*author)) {
                    flights.push(Flight { transaction: self.sign(client, operations)?, items });
                    is_done = false;
                }
            }
            if is_done {
                break;
            }
        }
        Ok(flights)
    }

    fn sign(&self, client: &Client, operations: Vec<Operation>) -> Result<Transaction, ClientError> {
        let mut random = [0; 8];
        rand::rngs::SysRng.try_fill_bytes(&mut random)?;
        client.sign_as(operations, crate::limits::TRANSACTION_LIFETIME_MS, self.secret.nonce(random))
    }

    /// Takes items until a transaction is full. Those whose needs are not met are blocked for good.
    fn next_operations<'i>(
        &mut self,
        queue: &mut VecDeque<&'i Item>,
        operations_max: usize,
    ) -> (Vec<Operation>, Vec<&'i Item>) {
        let (mut operations, mut items) = (Vec::new(), Vec::new());
        while operations.len() < operations_max {
            let Some(item) = queue.pop_front() else { break };
            let journal = &self.journal;
            let object = |key: &super::document::Key| journal.object(key);
            let is_ready = item.after.is_none_or(|key| journal.object(&key).is_some());
            let resolver = Resolver { tags: &self.tags, object: &object, now: self.now };
            match item.draft.operation(&item.author, &resolver).filter(|_| is_ready) {
                Some(operation) => {
                    operations.push(operation);
                    items.push(item);
                }
                None => {
                    count(&mut self.tally.blocked, item);
                    self.progress.inc(1);
                }
            }
        }
        (operations, items)
    }

    /// Writes down what became of transactions. Of a refused one, all but the refused operation are queued again.
    fn land<'i>(
        &mut self,
        flights: Vec<Flight<'i>>,
        results: Vec<Result<Landed, ClientError>>,
        groups: &mut Groups<'i>,
    ) -> Result<(), ImportError> {
        let mut outcomes = Vec::new();
        let mut failure = None;
        for (flight, result) in flights.into_iter().zip(results) {
            let id = flight.transaction.id();
            let outcome = match result {
                Ok((height, outcome)) => {
                    self.seen = self.seen.max(height);
                    outcome
                }
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            };
            match outcome {
                Outcome::Applied => {
                    outcomes.push((id, Some(Outcome::Applied)));
                    flight.items.iter().for_each(|item| count(&mut self.tally.recorded, item));
                    self.progress.inc(flight.items.len() as u64);
                }
                Outcome::Refused { operation, reason } if is_about_the_author(reason) => {
                    outcomes.push((id, None));
                    failure = Some(ClientError::Refused { transaction_id: id, operation, reason });
                }
                // It passed its trial, and the ledger moved on before its block.
                refused @ Outcome::Refused { operation, reason } => {
                    outcomes.push((id, room(reason, operation).is_none().then_some(refused)));
                    self.put_back(&flight, operation, reason, groups);
                }
            }
        }
        self.tally.transactions += outcomes.len() as u64;
        self.journal.finish(&outcomes)?;
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Queues the items of a refused transaction again: all but the refused one, or, where they were too much work
    /// together, all of them, fewer at a time.
    fn put_back<'i>(
        &mut self,
        flight: &Flight<'i>,
        operation: u16,
        reason: Refusal,
        groups: &mut Groups<'i>,
    ) {
        let again = match room(reason, operation) {
            Some(room) => {
                self.operations_max = self.operations_max.min(room);
                flight.items.clone()
            }
            None => self.requeue(&flight.items, operation, reason),
        };
        let group = flight.items.first().map(|item| (&item.author, item.draft.role()));
        if let Some(queue) = group.and_then(|group| groups.get_mut(&group)) {
            again.into_iter().rev().for_each(|item| queue.push_front(item));
        }
    }

    fn requeue<'i>(&mut self, items: &[&'i Item], operation: u16, reason: Refusal) -> Vec<&'i Item> {
        let (refused, again): (Vec<_>, Vec<_>) =
            items.iter().zip(0u16..).partition(|(_, index)| *index == operation);
        for (item, _) in refused {
            match reason {
                Refusal::EvidenceRepeated => self.repeated.push(item.key),
                _ => self.tally.refuse(item, reason),
            }
            self.progress.inc(1);
        }
        again.into_iter().map(|(item, _)| *item).collect()
    }

    /// Finds out what became of the transactions that an earlier run signed and did not see final. The same bytes
    /// are submitted again where a block may still carry them.
    ///
    /// # Errors
    /// [`ImportError`] when no node answers, or one is not settled yet.
    pub async fn settle(&mut self) -> Result<(), ImportError> {
        for transaction in self.journal.unfinished() {
            let id = transaction.id();
            let Some(client) = self.clients.get(&transaction.body.institution) else { continue };
            let found = settled(client, &transaction).await?;
            self.seen = found.map_or(self.seen, |(height, _)| self.seen.max(height));
            let is_about_the_operation = |outcome: &Outcome| match *outcome {
                Outcome::Applied => true,
                Outcome::Refused { operation, reason } => {
                    !is_about_the_author(reason) && room(reason, operation).is_none()
                }
            };
            let outcome = found.map(|(_, outcome)| outcome).filter(is_about_the_operation);
            self.finish_one(id, outcome)?;
        }
        Ok(())
    }

    fn finish_one(&mut self, id: TransactionId, outcome: Option<Outcome>) -> Result<(), ImportError> {
        Ok(self.journal.finish(&[(id, outcome)])?)
    }
}

/// Whether a refusal says something about the key that signed, and nothing about the operation.
fn is_about_the_author(reason: Refusal) -> bool {
    matches!(
        reason,
        Refusal::KeyUnknown
            | Refusal::KeyOfAnotherInstitution
            | Refusal::WrongRole
            | Refusal::KeyNotYetValid
            | Refusal::KeyExpired
            | Refusal::KeyRevoked
    )
}

/// How many operations a transaction has room for, where one cost too much work with all of them. The operation at which
/// that showed says nothing about itself, unless it stood alone.
fn room(reason: Refusal, operation: u16) -> Option<usize> {
    (reason == Refusal::TooMuchWork && operation > 0).then_some(usize::from(operation))
}

fn client_of<'c>(
    clients: &'c BTreeMap<InstitutionId, Client>,
    institution: &InstitutionId,
) -> Result<&'c Client, ClientError> {
    let no_key = || ClientError::NoKey { purpose: format!("acting for {institution}") };
    clients.get(institution).ok_or_else(no_key)
}

/// Where a transaction stands, and what became of it.
type Landed = (Height, Outcome);

/// Submits a transaction until a node has room for it, and waits until it is final.
async fn carry(
    clients: &BTreeMap<InstitutionId, Client>,
    transaction: &Transaction,
) -> Result<Landed, ClientError> {
    let client = client_of(clients, &transaction.body.institution)?;
    let mut tries = 0;
    let submitted = loop {
        match client.submit_signed(transaction.clone()).await {
            Err(error) if is_busy(&error) && tries < limits::BUSY_RETRIES_MAX => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(limits::BUSY_PAUSE_MS)).await;
            }
            other => break other?,
        }
    };
    Ok(landed(&client.wait(&submitted, limits::FINALITY_TIMEOUT_MS).await?))
}

fn landed(committed: &Committed) -> Landed {
    (committed.height, committed.receipt.outcome)
}

/// What became of a transaction of an earlier run; `None` when no block will carry it any more.
async fn settled(client: &Client, transaction: &Transaction) -> Result<Option<Landed>, ClientError> {
    let expires = transaction.body.expires;
    loop {
        let now = moment::now()?;
        if let Some(committed) = client.poll(transaction.id(), 0).await? {
            return Ok(Some(landed(&committed)));
        }
        if now < expires {
            let submitted = client.submit_signed(transaction.clone()).await?;
            return Ok(Some(landed(&client.wait(&submitted, limits::FINALITY_TIMEOUT_MS).await?)));
        }
        // Just expired: a block that carries it may still be on its way to this node.
        if now >= expires.plus_ms(limits::EXPIRY_MARGIN_MS) {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(limits::BUSY_PAUSE_MS)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_work_makes_transactions_shorter_and_refuses_only_an_operation_that_is_alone() {
        assert_eq!(room(Refusal::TooMuchWork, 17), Some(17));
        assert_eq!(room(Refusal::TooMuchWork, 0), None);
        assert_eq!(room(Refusal::EvidenceRepeated, 17), None);
        assert!(!is_about_the_author(Refusal::TooMuchWork) && is_about_the_author(Refusal::KeyRevoked));
    }
}
