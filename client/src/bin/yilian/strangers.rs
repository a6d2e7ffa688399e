//! Names the institutions of an operation that are not members: the rule that refuses it says only that there is one.

use yilian_client::client::Client;
use yilian_spec::id::InstitutionId;
use yilian_spec::membership::Institution;
use yilian_spec::operation::Operation;
use yilian_spec::state::key::StateKey;

/// A sentence about the institutions that the operation names and the ledger does not know. None where the node cannot be
/// asked: the refusal stands without it.
pub async fn describe(client: &Client, operation: &Operation) -> Option<String> {
    let mut strangers = Vec::new();
    for id in named(operation) {
        let key = StateKey::Institution(id.clone());
        if client.row::<Institution>(&key, "institution").await.ok()?.value.is_none() {
            strangers.push(id.as_str());
        }
    }
    let names = strangers.join(", ");
    (!names.is_empty()).then(|| format!("no member: {names}; `yilian institution list` shows the members"))
}

/// The other institutions that an operation names.
fn named(operation: &Operation) -> Vec<&InstitutionId> {
    match operation {
        Operation::GrantAccess(grant) => vec![&grant.grantee],
        Operation::RecordDisclosure(disclosure) => vec![&disclosure.recipient],
        Operation::RequestReferral(request) => vec![&request.to],
        Operation::RedirectReferral(redirect) => vec![&redirect.to],
        Operation::ConfirmRedirect(confirm) => vec![&confirm.to],
        Operation::DeliverService(service) => {
            let parts = service.parts.iter().map(|part| &part.institution);
            parts.chain([&service.payer]).collect()
        }
        Operation::ProposeAgreement(proposal) => {
            proposal.terms.parties.iter().map(|party| &party.institution).collect()
        }
        Operation::RegisterKey(_)
        | Operation::RotateKey(_)
        | Operation::RevokeKey(_)
        | Operation::RevokeGrant(_)
        | Operation::RecordReceipt(_)
        | Operation::PublishCapacity(_)
        | Operation::AcceptReferral(_)
        | Operation::DeclineReferral(_)
        | Operation::CancelReferral(_)
        | Operation::HandOver(_)
        | Operation::AcknowledgeHandover(_)
        | Operation::ReportOutcome(_)
        | Operation::CloseClinically(_)
        | Operation::CloseAdministratively(_)
        | Operation::ReturnDownward(_)
        | Operation::ReverseService(_)
        | Operation::SignAgreement(_)
        | Operation::TerminateAgreement(_)
        | Operation::ClosePeriod(_) => Vec::new(),
    }
}
