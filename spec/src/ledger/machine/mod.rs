//! The state machine: executes the transactions of a block, one after another, each as a whole or not at all.
//!
//! A pure function of the state before, the block's height and time, and its transactions. What each operation
//! needs and changes stands in `spec/protocol/05-operations.md` and in [`crate::domain`], rule by rule.

use std::collections::BTreeSet;

use crate::base::codec::{self, Domain};
use crate::base::id::{Hash, TransactionId};
use crate::base::limits;
use crate::base::time::LedgerTime;
use crate::domain::Operation;
pub use crate::domain::call::BlockContext;
use crate::domain::call::{Call, Step, Stop, require};
use crate::domain::membership::KeyRecord;
use crate::domain::parameters::Parameters;
use crate::domain::refusal::Refusal;
use crate::ledger::receipt::{Outcome, Receipt};
use crate::ledger::transaction::{CheckedTransaction, TransactionBody};
use crate::state::key::{StateKey, StreamId};
use crate::state::overlay::{Overlay, Writes};
use crate::state::remembered::Remembered;
use crate::state::stream::{self, Entry, EntryKind};
use crate::state::{StateView, ViewError};

/// What the execution of a block gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// One receipt for each transaction that was executed, in order.
    pub receipts: Vec<Receipt>,
    /// What each of them cost, in the same order.
    pub work: Vec<u64>,
    /// All writes, in key order.
    pub writes: Writes,
}

/// Executes transactions on top of `view` (rules ), as long as they cost at most `work_max` together: it stops
/// before the first operation that would cost more, and leaves out its transaction and all behind it.
///
/// # Errors
/// [`ViewError`] when storage fails; then nothing was decided.
pub fn execute(
    view: &dyn StateView,
    context: &BlockContext,
    transactions: &[CheckedTransaction],
    work_max: u64,
) -> Result<Execution, ViewError> {
    let before = Remembered::new(view);
    let mut block = Overlay::new(&before);
    let parameters = block
        .read(&StateKey::Parameters)?
        .ok_or_else(|| ViewError("the state has no parameters: it was not made from a genesis".into()))?;
    let mut receipts = Vec::with_capacity(transactions.len());
    let mut work = Vec::with_capacity(transactions.len());
    let mut left = work_max;
    for transaction in transactions {
        let mut meter = Meter { spent: 0, left };
        let Some((receipt, writes)) = execute_one(&block, context, &parameters, transaction, &mut meter)?
        else {
            break;
        };
        block.absorb(writes);
        receipts.push(receipt);
        // One that is refused at once costs something, too.
        let spent = meter.spent.max(1);
        work.push(spent);
        left -= spent;
    }
    Ok(Execution { receipts, work, writes: block.into_writes() })
}

/// What a transaction has cost so far, and what the block has left for it.
struct Meter {
    spent: u64,
    left: u64,
}

impl Meter {
    /// Rule X-6: before an operation is executed, the transaction and the block must have room for its work.
    fn spend(&mut self, work: u64) -> Step {
        let spent = self.spent.saturating_add(work);
        require(spent <= limits::TRANSACTION_WORK_MAX, Refusal::TooMuchWork)?;
        if spent > self.left {
            return Err(Stop::BlockIsFull);
        }
        self.spent = spent;
        Ok(())
    }
}

fn execute_one(
    block: &Overlay<'_>,
    context: &BlockContext,
    parameters: &Parameters,
    transaction: &CheckedTransaction,
    meter: &mut Meter,
) -> Result<Option<(Receipt, Writes)>, ViewError> {
    if meter.left == 0 {
        return Ok(None);
    }
    let mut layer = Overlay::new(block);
    let outcome = match run_operations(&mut layer, context, parameters, transaction, meter) {
        Ok(()) => Outcome::Applied,
        Err((_, Stop::View(error))) => return Err(error),
        Err((_, Stop::BlockIsFull)) => return Ok(None),
        Err((operation, Stop::Refused(reason))) => {
            layer = Overlay::new(block);
            record_refusal(&mut layer, context, transaction, operation)?;
            Outcome::Refused { operation, reason }
        }
    };
    let writes = layer.into_writes();
    let receipt = Receipt { transaction_id: transaction.id(), outcome, effects: effects_hash(&writes) };
    Ok(Some((receipt, writes)))
}

/// Rule X-4: a receipt commits to every row that its transaction wrote.
fn effects_hash(writes: &Writes) -> Hash {
    codec::hash(Domain::Effects, writes)
}

/// Rules: one operation after another; the first that is refused stops them.
fn run_operations(
    layer: &mut Overlay<'_>,
    context: &BlockContext,
    parameters: &Parameters,
    transaction: &CheckedTransaction,
    meter: &mut Meter,
) -> Result<(), (u16, Stop)> {
    let body = transaction.body();
    let record: Option<KeyRecord> =
        layer.read(&StateKey::Key(body.author)).map_err(|error| (0, Stop::View(error)))?;
    let key = record.ok_or((0, Stop::Refused(Refusal::KeyUnknown)))?;
    for (index, operation) in body.operations.iter().enumerate() {
        let index = u16::try_from(index).expect("structural validation bounds the operations");
        authorise(&key, body, operation, context.time).map_err(|stop| (index, stop))?;
        let work = operation.work(&body.institution, &*layer);
        let work = work.map_err(|error| (index, Stop::View(error)))?;
        meter.spend(work).map_err(|stop| (index, stop))?;
        let mut call = Call {
            context,
            parameters,
            transaction_id: transaction.id(),
            index,
            operation,
            institution: &body.institution,
            state: layer,
            streams: BTreeSet::from([StreamId::Institution(body.institution.clone())]),
        };
        operation.execute(&mut call).map_err(|stop| (index, stop))?;
        let streams = std::mem::take(&mut call.streams);
        let entry = entry(context, transaction.id(), index, EntryKind::Applied);
        stream::append(layer, streams, &entry).map_err(|error| (index, Stop::View(error)))?;
    }
    Ok(())
}

fn entry(context: &BlockContext, transaction_id: TransactionId, operation: u16, kind: EntryKind) -> Entry {
    Entry { height: context.height, transaction_id, operation, kind }
}

/// Rules: every operation names the key, the institution and the role that allow it.
fn authorise(key: &KeyRecord, body: &TransactionBody, operation: &Operation, time: LedgerTime) -> Step {
    require(key.institution == body.institution, Refusal::KeyOfAnotherInstitution)?;
    require(key.role == operation.role(), Refusal::WrongRole)?;
    require(key.revoked_at.is_none(), Refusal::KeyRevoked)?;
    require(key.window.starts <= time, Refusal::KeyNotYetValid)?;
    // Without this, an institution whose last administrator has expired could never act again.
    let replaces_itself =
        matches!(operation, Operation::RotateKey(rotation) if rotation.old_key == body.author);
    require(replaces_itself || time < key.window.expires, Refusal::KeyExpired)
}

/// Rule X-3: a refused transaction leaves its mark where somebody will ask about it: in the stream of the author's
/// institution, and, for a refused disclosure by who keeps the subject's tag, in that of the subject.
fn record_refusal(
    layer: &mut Overlay<'_>,
    context: &BlockContext,
    transaction: &CheckedTransaction,
    operation: u16,
) -> Result<(), ViewError> {
    let body = transaction.body();
    let entry = entry(context, transaction.id(), operation, EntryKind::Refused);
    // Only for a member's own key that was not revoked: neither a stranger nor whoever has found a key that is no longer in use
    // must be able to write into an institution's stream.
    let record: Option<KeyRecord> = layer.read(&StateKey::Key(body.author))?;
    if record.is_none_or(|key| key.institution != body.institution || key.revoked_at.is_some()) {
        return Ok(());
    }
    let mut streams = vec![StreamId::Institution(body.institution.clone())];
    if let Operation::RecordDisclosure(disclosure) = &body.operations[usize::from(operation)]
        && disclosure.subject.is_kept_by(&body.institution)
    {
        streams.push(StreamId::Subject(disclosure.subject));
    }
    stream::append(layer, streams, &entry)
}
