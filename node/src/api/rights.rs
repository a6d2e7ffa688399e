//! Who may submit and read what (rules N-6 and N-7): regulators all, an institution what concerns it.
//!
//! An operation concerns its author's institution and, when it took effect, those whom [`yilian_spec::domain::concern`]
//! says. A stream concerns the parties of its object, and a subject's stream who keeps the tag. Members, keys, parameters,
//! capacity, headers and checkpoints are for every caller.

use yilian_spec::base::id::InstitutionId;
use yilian_spec::crypto::merkle::log::Frontier;
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

/// Refuses unless the caller's institution is a party of `object`, or the caller is a regulator.
///
/// # Errors
/// [`ApiError::NotYours`].
pub fn require_party(caller: &Caller, what: &'static str, object: &impl HasParties) -> Result<(), ApiError> {
    let concerns = caller.is_regulator || object.has_party(&caller.institution);
    if concerns { Ok(()) } else { Err(ApiError::NotYours { what }) }
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
/// [`ApiError::NotYours`], or when the state cannot be read.
pub fn require_stream(view: &View<'_>, caller: &Caller, stream: &StreamId) -> Result<(), ApiError> {
    const WHAT: &str = "the stream";
    if caller.is_regulator {
        return Ok(());
    }
    match stream {
        StreamId::Institution(institution) => require_institution(caller, WHAT, institution),
        StreamId::Grant(id) => match view.row::<Grant>(&StateKey::Grant(*id))? {
            Some(grant) => require_party(caller, WHAT, &grant),
            None => Ok(()),
        },
        StreamId::Referral(id) => match view.row::<Referral>(&StateKey::Referral(*id))? {
            Some(referral) => require_party(caller, WHAT, &referral),
            None => Ok(()),
        },
        StreamId::Period { agreement, .. } => {
            match view.row::<Agreement>(&StateKey::Agreement(*agreement))? {
                Some(agreement) => require_party(caller, WHAT, &agreement),
                None => Ok(()),
            }
        }
        StreamId::Subject(tag) if tag.is_kept_by(&caller.institution) => Ok(()),
        StreamId::Subject(_) => match view.row::<Frontier>(&StateKey::StreamHead(stream.clone()))? {
            Some(_) => Err(ApiError::NotYours {
                what: "the stream of this subject, which another institution keeps,",
            }),
            None => Ok(()),
        },
    }
}
