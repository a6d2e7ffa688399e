//! Discretion: what others have between them does not exist for a stranger. The refusal of an operation on it is the one that
//! an unknown thing gets (rule O-28), said again as one question per operation.

use yilian_spec::base::id::{AgreementId, InstitutionId, ReferralId};
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::Decision;
use yilian_spec::domain::refusal::Refusal;

use super::history::{Act, History};

/// The one refusal that the author may be told, when it is a stranger to what the operation refers to, or that is unknown;
/// nothing when the author is a party of it, or it refers to nothing.
pub fn told_to_a_stranger(history: &History, act: &Act<'_>) -> Option<Refusal> {
    let unless_among = |parties: Option<Vec<&InstitutionId>>, refusal| {
        let is_party = parties.is_some_and(|parties| parties.contains(&act.institution));
        if is_party { None } else { Some(refusal) }
    };
    let grant = |id| {
        let found = history.grants.get(&id);
        let parties = found.map(|grant| vec![&grant.grantor, &grant.grantee]);
        unless_among(parties, Refusal::NoSuchGrant)
    };
    let referral = |id: ReferralId| {
        let found = history.referrals.get(&id);
        let parties = found.map(|referral| vec![&referral.requester, &referral.receiver]);
        unless_among(parties, Refusal::NoSuchReferral)
    };
    let agreement = |id: AgreementId| {
        let found = history.agreements.get(&id);
        let parties =
            found.map(|one| one.proposed.terms.parties.iter().map(|party| &party.institution).collect());
        unless_among(parties, Refusal::NoSuchAgreement)
    };
    match act.operation {
        Operation::RegisterKey(_)
        | Operation::RotateKey(_)
        | Operation::RevokeKey(_)
        | Operation::GrantAccess(_)
        | Operation::PublishCapacity(_)
        | Operation::RequestReferral(_)
        | Operation::DeliverService(_)
        | Operation::ProposeAgreement(_) => None,
        Operation::RevokeGrant(revoke) => grant(revoke.grant),
        Operation::RecordDisclosure(disclosure) => match disclosure.decision {
            // Whom it names is judged first, and is no secret.
            Decision::Permit { grant: id }
                if disclosure.recipient != *act.institution
                    && history.institutions.contains_key(&disclosure.recipient) =>
            {
                grant(id)
            }
            Decision::Permit { .. } | Decision::Deny { .. } => None,
        },
        Operation::RecordReceipt(receipt) => {
            let found = history.disclosures.get(&receipt.disclosure);
            let parties = found.map(|disclosure| vec![&disclosure.source, &disclosure.recorded.recipient]);
            unless_among(parties, Refusal::NoSuchDisclosure)
        }
        Operation::AcceptReferral(accept) => referral(accept.referral),
        Operation::DeclineReferral(decline) => referral(decline.referral),
        Operation::RedirectReferral(redirect) => referral(redirect.referral),
        Operation::ConfirmRedirect(confirm) => referral(confirm.referral),
        Operation::CancelReferral(cancel) => referral(cancel.referral),
        Operation::HandOver(hand_over) => referral(hand_over.referral),
        Operation::AcknowledgeHandover(acknowledge) => referral(acknowledge.referral),
        Operation::ReportOutcome(report) => referral(report.referral),
        Operation::AmendOutcome(amend) => referral(amend.referral),
        Operation::CloseClinically(close) => referral(close.referral),
        Operation::CloseAdministratively(close) => referral(close.referral),
        Operation::ReturnDownward(back) => referral(back.returns),
        Operation::ReverseService(reverse) => {
            let found = history.services.get(&reverse.service);
            let parties = found.map(|service| {
                let players = service.delivered.parts.iter().map(|part| &part.institution);
                players.chain([&service.recorder, &service.delivered.payer]).collect()
            });
            unless_among(parties, Refusal::NoSuchService)
        }
        Operation::SignAgreement(sign) => agreement(sign.agreement),
        Operation::TerminateAgreement(end) => agreement(end.agreement),
        Operation::ClosePeriod(close) => agreement(close.agreement),
    }
}
