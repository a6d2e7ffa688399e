//! The way of a batch into the pool: known ones answered, those without a place refused, signatures verified together,
//! context checked, bounds kept.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use libp2p::PeerId;
use tokio::sync::oneshot;
use yilian_spec::base::codec;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::membership::KeyRecord;
use yilian_spec::ledger::transaction::{CheckedTransaction, Transaction};
use yilian_spec::ledger::validation::contextual::{self, ContextualError};
use yilian_spec::ledger::validation::semantic;
use yilian_spec::ledger::work;
use yilian_spec::state::key::StateKey;
use yilian_spec::state::{StateView, ViewError};

use super::{Admission, Mempool, Rejection, Verdict};
use crate::application::publish::CommittedBlock;
use crate::application::timings::Stage;
use crate::base::limits;
use crate::conduct::Offence;

/// What waits for a worker.
#[derive(Debug)]
pub(super) enum Work {
    /// From a caller of this node, who waits for the answer.
    Submitted { transactions: Vec<Transaction>, reply: oneshot::Sender<Vec<Verdict>> },
    /// From a peer.
    Gossiped { from: PeerId, bytes: Bytes },
}

impl Mempool {
    /// Handles a batch of work: one verification for all of it.
    pub(super) fn process(&self, batch: Vec<Work>) {
        let mut transactions = Vec::new();
        let mut parts = Vec::new();
        for work in batch {
            match work {
                Work::Submitted { transactions: mut submitted, reply } => {
                    parts.push((submitted.len(), Part::Reply(reply)));
                    transactions.append(&mut submitted);
                }
                Work::Gossiped { from, bytes } => match self.decode_batch(from, &bytes) {
                    Some(mut received) => {
                        let expired = self.expired_long_ago(&received);
                        parts.push((received.len(), Part::Peer { from, expired }));
                        transactions.append(&mut received);
                    }
                    None => continue,
                },
            }
        }
        let local = parts.iter().flat_map(|(count, part)| std::iter::repeat_n(part.is_local(), *count));
        let local: Vec<bool> = local.collect();
        let mut verdicts = self.admit(transactions, &local).into_iter();
        for (count, part) in parts {
            let verdicts: Vec<Verdict> = verdicts.by_ref().take(count).collect();
            match part {
                // A caller that has gone away needs no answer; its transactions stay.
                Part::Reply(reply) => drop(reply.send(verdicts)),
                Part::Peer { from, expired } => self.judge(from, &verdicts, expired),
            }
        }
    }

    /// A peer's batch; `None` when it is none, which counts as much as anything the peer can do wrong.
    fn decode_batch(&self, from: PeerId, bytes: &[u8]) -> Option<Vec<Transaction>> {
        let decode = || codec::decode::<Vec<Transaction>>(bytes, limits::GOSSIP_BATCH_BYTES_MAX);
        let decoded = self.shared.timings.measure(Stage::Verification, decode);
        if decoded.is_err() {
            self.refused(from, Offence::MalformedFrame, 1);
            self.count_invalid(from, limits::GOSSIP_INVALID_MAX);
        }
        decoded.ok()
    }

    fn expired_long_ago(&self, transactions: &[Transaction]) -> u64 {
        let now = LedgerTime(self.shared.clock.now_ms());
        let is_old = |transaction: &&Transaction| {
            transaction.body.expires.plus_ms(limits::GOSSIP_EXPIRED_GRACE_MS) <= now
        };
        transactions.iter().filter(is_old).count() as u64
    }

    /// What is invalid on any state counts, and so does what no node of today would take: signatures cost the same to
    /// verify. Whether there was room, or the ledger has it already, is nothing that a peer can know.
    fn judge(&self, from: PeerId, verdicts: &[Verdict], expired_long_ago: u64) {
        let mut counts: BTreeMap<Offence, u64> = BTreeMap::new();
        for verdict in verdicts {
            let offence = match verdict {
                Ok(_) | Err(Rejection::Pool(_) | Rejection::Version(_) | Rejection::Storage(_)) => continue,
                Err(Rejection::Semantic(_)) => Offence::InvalidTransaction,
                Err(Rejection::Contextual(error)) => match error {
                    ContextualError::UnknownAuthor | ContextualError::RevokedAuthor => Offence::UnknownAuthor,
                    ContextualError::FromTheFuture => Offence::ExpiredTransaction,
                    // The sender may be a block ahead.
                    ContextualError::NotYet { .. } => continue,
                    // Counted by its own bound below.
                    ContextualError::Expired => continue,
                    ContextualError::Repeated | ContextualError::View(_) => continue,
                },
            };
            *counts.entry(offence).or_default() += 1;
        }
        if expired_long_ago > 0 {
            *counts.entry(Offence::ExpiredTransaction).or_default() += expired_long_ago;
        }
        for (offence, count) in &counts {
            self.refused(from, *offence, *count);
        }
        self.count_invalid(from, u32::try_from(counts.values().sum::<u64>()).unwrap_or(u32::MAX));
    }

    fn count_invalid(&self, from: PeerId, invalid: u32) {
        let now_ms = self.shared.clock.now_ms();
        self.shared.counters.gossip_invalid(invalid);
        let sender = self.sender(from);
        if self.peers().done(&sender, invalid, now_ms) {
            let muted_s = limits::GOSSIP_MUTE_MS / 1_000;
            tracing::warn!(
                ?sender,
                "the transactions of a peer are passed over for {muted_s} s: too many were in vain"
            );
        }
    }

    /// Takes transactions into the pool; `local` says which came from this node's own callers.
    pub(super) fn admit(&self, transactions: Vec<Transaction>, local: &[bool]) -> Vec<Verdict> {
        let mut owners = Owners::default();
        let early: Vec<Option<Verdict>> = transactions
            .iter()
            .zip(local)
            .map(|(transaction, local)| self.early(transaction, *local, &mut owners))
            .collect();
        let fresh: Vec<Transaction> = transactions
            .into_iter()
            .zip(&early)
            .filter(|(_, early)| early.is_none())
            .map(|(transaction, _)| transaction)
            .collect();
        let check = || semantic::check_many(fresh, self.shared.reader.chain_id());
        let mut checked = self.shared.timings.measure(Stage::Verification, check).into_iter();
        let mut accepted = Vec::new();
        let verdicts = early.into_iter().zip(local).map(|(early, local)| {
            if let Some(verdict) = early {
                return verdict;
            }
            let result = checked.next().expect("one result for each transaction without a verdict");
            let transaction = result.map_err(Rejection::Semantic)?;
            let admission = self.admit_checked(&transaction, *local, &mut owners)?;
            if *local && admission == Admission::Accepted {
                accepted.push(transaction);
            }
            Ok(admission)
        });
        let verdicts: Vec<Verdict> = verdicts.collect();
        self.shared.counters.verdicts(&verdicts);
        self.gossip_out(&accepted);
        self.announce_work();
        verdicts
    }

    /// The verdict that needs no signature: the transaction waits already or is committed, has expired, is of nobody, or
    /// there is no place for one of its author. A forged one is told the same; it names a full share and takes nothing from it.
    fn early(&self, transaction: &Transaction, local: bool, owners: &mut Owners) -> Option<Verdict> {
        let id = transaction.id();
        let mut pool = self.pool();
        if pool.get(id).is_some() {
            if local {
                pool.adopt(id, self.shared.clock.now_ms());
            }
            return Some(Ok(Admission::Pending));
        }
        drop(pool);
        let mut early = || {
            let location = self.shared.reader.location(id).map_err(|error| Rejection::Storage(error.into()));
            if let Some((height, index)) = location? {
                return Ok(Some(Admission::Committed { height, index }));
            }
            let now = LedgerTime(self.shared.clock.now_ms());
            if transaction.body.expires <= now {
                return Err(Rejection::Contextual(ContextualError::Expired));
            }
            let owner = self.owner(transaction.body.author, owners)?;
            let owner = owner.ok_or(Rejection::Contextual(ContextualError::UnknownAuthor))?;
            self.pool().admits(owner, now).map_err(Rejection::Pool)?;
            Ok(None)
        };
        early().transpose()
    }

    fn admit_checked(
        &self,
        transaction: &CheckedTransaction,
        local: bool,
        owners: &mut Owners,
    ) -> Result<Admission, Rejection> {
        let reader = &self.shared.reader;
        let tables = reader.tables();
        let now_ms = self.shared.clock.now_ms();
        // While nothing happens ledger time stands still; the next block will carry the clock's.
        let tip = &reader.tip().tip;
        let time = LedgerTime(now_ms).max(tip.next_time_min());
        let version = tip.next_version().map_err(Rejection::Version)?;
        contextual::check(transaction, &tables, version, time).map_err(rejection)?;
        let owner = self.owner(transaction.body().author, owners)?;
        let owner = owner.ok_or(Rejection::Contextual(ContextualError::UnknownAuthor))?.clone();
        let id = transaction.id();
        let work = work::expected(transaction.body(), &tables).map_err(Rejection::Storage)?;
        let mut pool = self.pool();
        if pool.get(id).is_some() {
            return Ok(Admission::Pending);
        }
        // Once more under the lock: a block may have carried it since, and then nothing would remove it.
        if let Some((height, index)) =
            reader.location(id).map_err(|error| Rejection::Storage(error.into()))?
        {
            return Ok(Admission::Committed { height, index });
        }
        pool.admits(&owner, LedgerTime(now_ms)).map_err(Rejection::Pool)?;
        let gossip_at_ms = local.then(|| now_ms.saturating_add(limits::GOSSIP_REPEAT_MS));
        pool.insert(transaction.clone(), owner, work, gossip_at_ms).map_err(Rejection::Pool)?;
        Ok(Admission::Accepted)
    }

    /// The institution that a key is registered for; `None` when it is registered for none.
    fn owner<'a>(
        &self,
        author: PublicKey,
        owners: &'a mut Owners,
    ) -> Result<Option<&'a InstitutionId>, ViewError> {
        if let Entry::Vacant(entry) = owners.entry(author) {
            let row = self.shared.reader.tables().get(&StateKey::Key(author).bytes())?;
            let decode = |row: Vec<u8>| {
                codec::decode::<KeyRecord>(&row, limits::ROW_BYTES_MAX)
                    .map(|record| record.institution)
                    .map_err(|error| ViewError(format!("the author's key: {error}")))
            };
            entry.insert(row.map(decode).transpose()?);
        }
        Ok(owners.get(&author).and_then(Option::as_ref))
    }

    /// How much the transactions of each institution cost. One whose author's key cannot be read counts for
    /// nobody: whoever reads the ledger next says what is wrong with it.
    pub(super) fn shares(&self, block: &CommittedBlock) -> BTreeMap<InstitutionId, u64> {
        let (mut shares, mut owners) = (BTreeMap::new(), Owners::default());
        for (transaction, work) in block.transactions.iter().zip(&block.work) {
            if let Ok(Some(owner)) = self.owner(transaction.body().author, &mut owners) {
                *shares.entry(owner.clone()).or_default() += *work;
            }
        }
        shares
    }
}

/// The institutions of the authors in a batch, looked up once.
type Owners = BTreeMap<PublicKey, Option<InstitutionId>>;

enum Part {
    Reply(oneshot::Sender<Vec<Verdict>>),
    Peer {
        from: PeerId,
        /// How many had expired so long ago that an honest node would not have sent them.
        expired: u64,
    },
}

impl Part {
    fn is_local(&self) -> bool {
        matches!(self, Self::Reply(_))
    }
}

fn rejection(error: ContextualError) -> Rejection {
    match error {
        ContextualError::View(error) => Rejection::Storage(error),
        other => Rejection::Contextual(other),
    }
}
