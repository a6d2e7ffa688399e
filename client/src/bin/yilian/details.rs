//! What an operation says beside its name, in a few words for a table.

use yilian_client::describe;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::Decision;

use crate::output::{name, names};

/// The particulars that tell one operation from others of its kind.
pub fn details(operation: &Operation) -> String {
    match operation {
        Operation::RegisterKey(key) => name(&key.role),
        Operation::RotateKey(key) => format!("{} by {}", key.old_key, key.new_key),
        Operation::RevokeKey(key) => format!("{}: {}", key.key, name(&key.reason)),
        Operation::GrantAccess(grant) => {
            format!("{} to {}", names(&grant.scope.categories), grant.grantee)
        }
        Operation::RevokeGrant(revoke) => name(&revoke.reason),
        Operation::RecordDisclosure(disclosure) => {
            let (category, recipient) = (name(&disclosure.category), &disclosure.recipient);
            match disclosure.decision {
                Decision::Permit { .. } => format!("{category} to {recipient}"),
                Decision::Deny { reason } => format!("{category} denied to {recipient}: {}", name(&reason)),
            }
        }
        Operation::RecordReceipt(receipt) => format!("of disclosure {}", receipt.disclosure),
        Operation::PublishCapacity(capacity) => format!("{}: {} slots", capacity.service, capacity.slots),
        Operation::RequestReferral(request) => {
            format!("{} at {}, {}", request.service, request.receiver, name(&request.direction))
        }
        Operation::DeclineReferral(step) => name(&step.reason),
        Operation::RedirectReferral(step) => format!("to {}: {}", step.proposed_receiver, name(&step.reason)),
        Operation::ConfirmRedirect(step) => format!("to {}", step.receiver),
        Operation::CancelReferral(step) => name(&step.reason),
        Operation::ReportOutcome(step) => name(&step.outcome),
        Operation::AmendOutcome(step) => name(&step.outcome),
        Operation::ReturnDownward(back) => back.service.to_string(),
        Operation::DeliverService(service) => {
            let amount = describe::amount(service.gross_minor.0, service.currency);
            format!("{}, {amount}, paid by {}", service.service, service.payer)
        }
        Operation::ReverseService(reverse) => name(&reverse.reason),
        Operation::ProposeAgreement(proposal) => {
            let parties: Vec<String> =
                proposal.terms.parties.iter().map(|party| party.institution.to_string()).collect();
            format!("between {}", parties.join(", "))
        }
        Operation::ClosePeriod(close) => format!("period {}", close.period),
        Operation::AcceptReferral(_)
        | Operation::HandOver(_)
        | Operation::AcknowledgeHandover(_)
        | Operation::CloseClinically(_)
        | Operation::CloseAdministratively(_)
        | Operation::SignAgreement(_)
        | Operation::TerminateAgreement(_) => String::new(),
    }
}
