//! Who may submit and read what (rules N-6 and N-7): regulators all, an institution what concerns it.
//!
//! An operation concerns its author's institution and, when it took effect, those whom [`yilian_spec::domain::concern`]
//! says. A stream concerns the parties of its object, and a subject's stream who keeps the tag. Members, keys, parameters,
//! capacity, headers and checkpoints are for every caller. To a stranger an object that exists is as one that does not:
//! an id can be computed by some who may not know what became of it.

use yilian_spec::base::codec::Canonical;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::domain::access::Grant;
use yilian_spec::domain::agreement::Agreement;
use yilian_spec::domain::party::HasParties;
use yilian_spec::domain::referral::Referral;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::state::key::{StateKey, StreamId};

use super::auth::Caller;
use super::error::ApiError;
use super::ledger::View;

/// The object under a key, which is there for its parties and for regulators.
///
/// # Errors
/// [`ApiError::NoneOfYours`], for a regulator [`ApiError::NotFound`], or when storage fails.
pub fn object<T: Canonical + HasParties>(
    view: &View<'_>,
    caller: &Caller,
    key: &StateKey,
    what: &'static str,
) -> Result<T, ApiError> {
    if caller.is_regulator {
        return view.require(key, what);
    }
    let found: Option<T> = view.row(key)?;
    found.filter(|object| object.has_party(&caller.institution)).ok_or(ApiError::NoneOfYours { what })
}

/// Refuses unless the caller is a party of the object under a key, or a regulator: that one may also learn that there is none.
///
/// # Errors
/// [`ApiError::NoneOfYours`], or when storage fails.
pub fn require_party<T: Canonical + HasParties>(
    view: &View<'_>,
    caller: &Caller,
    key: &StateKey,
    what: &'static str,
) -> Result<(), ApiError> {
    if caller.is_regulator { Ok(()) } else { object::<T>(view, caller, key, what).map(drop) }
}

/// Refuses unless the caller is of this institution, or a regulator.
///
/// # Errors
/// [`ApiError::NotYours`].
pub fn require_institution(
    caller: &Caller,
    what: &'static str,
    institution: &InstitutionId,
) -> Result<(), ApiError> {
    if caller.may_read_of(institution) { Ok(()) } else { Err(ApiError::NotYours { what }) }
}

/// Which operations of a transaction, by their numbers, concern the caller: all of them for its author's institution, else
/// each by itself, since one transaction may have operations about many patients and partners. One that was refused has
/// given nothing to anybody, and concerns nobody else: why it was refused would tell of operations that do not concern the reader.
///
/// # Errors
/// When the state cannot be read.
pub fn concerning(
    view: &View<'_>,
    caller: &Caller,
    transaction: &Transaction,
    outcome: Outcome,
) -> Result<Vec<usize>, ApiError> {
    let operations = &transaction.body.operations;
    if caller.may_read_of(&transaction.body.institution) {
        return Ok((0..operations.len()).collect());
    }
    match outcome {
        Outcome::Applied => {}
        Outcome::Refused { .. } => return Ok(Vec::new()),
    }
    let transaction_id = transaction.id();
    let mut concerning = Vec::new();
    for (index, operation) in (0..=u16::MAX).zip(operations) {
        let number = usize::from(index);
        if view.concerns(operation, &caller.institution, (transaction_id, index))? {
            concerning.push(number);
        }
    }
    Ok(concerning)
}

/// Refuses unless the stream concerns the caller.
///
/// A subject's stream is for the institution that keeps its tag: its length and its times tell of every visit. Whoever was
/// given something has the stream of that grant or referral.
///
/// # Errors
/// [`ApiError::NoneOfYours`], of an institution's stream [`ApiError::NotYours`], or when the state cannot be read.
pub fn require_stream(view: &View<'_>, caller: &Caller, stream: &StreamId) -> Result<(), ApiError> {
    const WHAT: &str = "stream";
    match stream {
        // Who is a member is known to all.
        StreamId::Institution(institution) => require_institution(caller, "the stream", institution),
        StreamId::Grant(id) => require_party::<Grant>(view, caller, &StateKey::Grant(*id), WHAT),
        StreamId::Referral(id) => require_party::<Referral>(view, caller, &StateKey::Referral(*id), WHAT),
        StreamId::Period { agreement, .. } => {
            require_party::<Agreement>(view, caller, &StateKey::Agreement(*agreement), WHAT)
        }
        StreamId::Subject(tag) if caller.is_regulator || tag.is_kept_by(&caller.institution) => Ok(()),
        StreamId::Subject(_) => Err(ApiError::NoneOfYours { what: WHAT }),
    }
}
