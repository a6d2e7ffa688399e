//! Who may submit and read what (rules N-6 and N-7): regulators all, an institution what concerns it.
//!
//! An operation concerns its author's institution and, when it took effect, the institutions it names and the parties of the
//! grant, disclosure, referral, service or agreement that it refers to or, of a referral, creates. A stream concerns the
//! parties of its object, and a subject's stream who keeps the tag. Members, keys, parameters, capacity, headers and checkpoints are for every caller.

use yilian_spec::id::{InstitutionId, ReferralId};
use yilian_spec::merkle::log::Frontier;
use yilian_spec::operation::Operation;
use yilian_spec::receipt::Outcome;
use yilian_spec::state::key::{StateKey, StreamId};
use yilian_spec::state::record::{Agreement, Disclosure, Grant, HasParties, Referral, Service};
use yilian_spec::transaction::Transaction;

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
        let created = operation.object_id(transaction_id, index);
        if operation_concerns(view, caller, operation, created)? {
            concerning.push(number);
        }
    }
    Ok(concerning)
}

/// Whether an operation concerns the caller; `created` is the id of the object that it creates, if it creates one.
fn operation_concerns(
    view: &View<'_>,
    caller: &Caller,
    operation: &Operation,
    created: [u8; 32],
) -> Result<bool, ApiError> {
    let is_caller = |institution: &InstitutionId| *institution == caller.institution;
    let in_referral = |id| -> Result<bool, ApiError> {
        let row: Option<Referral> = view.row(&StateKey::Referral(id))?;
        Ok(row.is_some_and(|referral| referral.has_party(&caller.institution)))
    };
    let in_agreement = |id| -> Result<bool, ApiError> {
        let row: Option<Agreement> = view.row(&StateKey::Agreement(id))?;
        Ok(row.is_some_and(|agreement| agreement.has_party(&caller.institution)))
    };
    match operation {
        Operation::RegisterKey(_)
        | Operation::RotateKey(_)
        | Operation::RevokeKey(_)
        | Operation::PublishCapacity(_) => Ok(false),
        Operation::GrantAccess(grant) => Ok(is_caller(&grant.grantee)),
        Operation::RevokeGrant(revoke) => {
            let row: Option<Grant> = view.row(&StateKey::Grant(revoke.grant))?;
            Ok(row.is_some_and(|grant| grant.has_party(&caller.institution)))
        }
        Operation::RecordDisclosure(disclosure) => Ok(is_caller(&disclosure.recipient)),
        Operation::RecordReceipt(receipt) => {
            let row: Option<Disclosure> = view.row(&StateKey::Disclosure(receipt.disclosure))?;
            Ok(row.is_some_and(|found| found.has_party(&caller.institution)))
        }
        // Also the institution that it went to after a redirection: the referral's stream, which it reads, begins here.
        Operation::RequestReferral(request) => {
            Ok(is_caller(&request.to) || in_referral(ReferralId(created))?)
        }
        // Not the institution that it goes to: the requester must confirm that first.
        Operation::RedirectReferral(redirect) => in_referral(redirect.referral),
        // Also where the referral went on from there: the confirmation stands in the stream of the one it names.
        Operation::ConfirmRedirect(confirm) => Ok(is_caller(&confirm.to) || in_referral(confirm.referral)?),
        Operation::AcceptReferral(operation) => in_referral(operation.referral),
        Operation::DeclineReferral(operation) => in_referral(operation.referral),
        Operation::CancelReferral(operation) => in_referral(operation.referral),
        Operation::HandOver(operation) => in_referral(operation.referral),
        Operation::AcknowledgeHandover(operation) => in_referral(operation.referral),
        Operation::ReportOutcome(operation) => in_referral(operation.referral),
        Operation::CloseClinically(operation) => in_referral(operation.referral),
        Operation::CloseAdministratively(operation) => in_referral(operation.referral),
        Operation::ReturnDownward(operation) => {
            Ok(in_referral(operation.returns)? || in_referral(ReferralId(created))?)
        }
        Operation::DeliverService(service) => {
            Ok(is_caller(&service.payer) || service.parts.iter().any(|part| is_caller(&part.institution)))
        }
        Operation::ReverseService(reverse) => {
            let row: Option<Service> = view.row(&StateKey::Service(reverse.service))?;
            Ok(row.is_some_and(|service| service.has_party(&caller.institution)))
        }
        Operation::ProposeAgreement(proposal) => {
            Ok(proposal.terms.parties.iter().any(|party| is_caller(&party.institution)))
        }
        Operation::SignAgreement(operation) => in_agreement(operation.agreement),
        Operation::TerminateAgreement(operation) => in_agreement(operation.agreement),
        Operation::ClosePeriod(operation) => in_agreement(operation.agreement),
    }
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
