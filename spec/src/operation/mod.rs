//! What a transaction can ask for. Each operation names who may do it, what it needs and what it changes in its
//! own documentation; the rules behind it stand in `spec/protocol/05-operations.md` and run in [`crate::machine`].

pub mod access;
pub mod agreement;
pub mod membership;
pub mod object;
pub mod referral;
pub mod service;

use serde::{Deserialize, Serialize};
use wincode::{SchemaRead, SchemaWrite};

use crate::id::InstitutionId;
use crate::membership::Role;

/// One operation of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// See [`membership::RegisterKey`].
    RegisterKey(membership::RegisterKey),
    /// See [`membership::RotateKey`].
    RotateKey(membership::RotateKey),
    /// See [`membership::RevokeKey`].
    RevokeKey(membership::RevokeKey),
    /// See [`access::GrantAccess`].
    GrantAccess(access::GrantAccess),
    /// See [`access::RevokeGrant`].
    RevokeGrant(access::RevokeGrant),
    /// See [`access::RecordDisclosure`].
    RecordDisclosure(access::RecordDisclosure),
    /// See [`access::RecordReceipt`].
    RecordReceipt(access::RecordReceipt),
    /// See [`referral::PublishCapacity`].
    PublishCapacity(referral::PublishCapacity),
    /// See [`referral::RequestReferral`].
    RequestReferral(referral::RequestReferral),
    /// See [`referral::AcceptReferral`].
    AcceptReferral(referral::AcceptReferral),
    /// See [`referral::DeclineReferral`].
    DeclineReferral(referral::DeclineReferral),
    /// See [`referral::RedirectReferral`].
    RedirectReferral(referral::RedirectReferral),
    /// See [`referral::CancelReferral`].
    CancelReferral(referral::CancelReferral),
    /// See [`referral::HandOver`].
    HandOver(referral::HandOver),
    /// See [`referral::AcknowledgeHandover`].
    AcknowledgeHandover(referral::AcknowledgeHandover),
    /// See [`referral::ReportOutcome`].
    ReportOutcome(referral::ReportOutcome),
    /// See [`referral::CloseClinically`].
    CloseClinically(referral::CloseClinically),
    /// See [`referral::CloseAdministratively`].
    CloseAdministratively(referral::CloseAdministratively),
    /// See [`referral::ReturnDownward`].
    ReturnDownward(referral::ReturnDownward),
    /// See [`service::DeliverService`].
    DeliverService(service::DeliverService),
    /// See [`service::ReverseService`].
    ReverseService(service::ReverseService),
    /// See [`agreement::ProposeAgreement`].
    ProposeAgreement(agreement::ProposeAgreement),
    /// See [`agreement::SignAgreement`].
    SignAgreement(agreement::SignAgreement),
    /// See [`agreement::TerminateAgreement`].
    TerminateAgreement(agreement::TerminateAgreement),
    /// See [`agreement::ClosePeriod`].
    ClosePeriod(agreement::ClosePeriod),
    /// See [`referral::ConfirmRedirect`].
    ConfirmRedirect(referral::ConfirmRedirect),
}

impl Operation {
    /// The role that the author's key must have (rule A-3).
    pub const fn role(&self) -> Role {
        match self {
            Self::RegisterKey(_) | Self::RotateKey(_) | Self::RevokeKey(_) => Role::Administrator,
            Self::GrantAccess(_)
            | Self::RevokeGrant(_)
            | Self::RecordDisclosure(_)
            | Self::RecordReceipt(_) => Role::AccessGateway,
            Self::PublishCapacity(_)
            | Self::RequestReferral(_)
            | Self::AcceptReferral(_)
            | Self::DeclineReferral(_)
            | Self::RedirectReferral(_)
            | Self::CancelReferral(_)
            | Self::HandOver(_)
            | Self::AcknowledgeHandover(_)
            | Self::ReportOutcome(_)
            | Self::CloseClinically(_)
            | Self::CloseAdministratively(_)
            | Self::ReturnDownward(_)
            | Self::ConfirmRedirect(_) => Role::ReferralGateway,
            Self::DeliverService(_)
            | Self::ReverseService(_)
            | Self::ProposeAgreement(_)
            | Self::SignAgreement(_)
            | Self::TerminateAgreement(_)
            | Self::ClosePeriod(_) => Role::Finance,
        }
    }

    /// The operation's name as JSON, metrics and the command line write it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RegisterKey(_) => "register_key",
            Self::RotateKey(_) => "rotate_key",
            Self::RevokeKey(_) => "revoke_key",
            Self::GrantAccess(_) => "grant_access",
            Self::RevokeGrant(_) => "revoke_grant",
            Self::RecordDisclosure(_) => "record_disclosure",
            Self::RecordReceipt(_) => "record_receipt",
            Self::PublishCapacity(_) => "publish_capacity",
            Self::RequestReferral(_) => "request_referral",
            Self::AcceptReferral(_) => "accept_referral",
            Self::DeclineReferral(_) => "decline_referral",
            Self::RedirectReferral(_) => "redirect_referral",
            Self::CancelReferral(_) => "cancel_referral",
            Self::HandOver(_) => "hand_over",
            Self::AcknowledgeHandover(_) => "acknowledge_handover",
            Self::ReportOutcome(_) => "report_outcome",
            Self::CloseClinically(_) => "close_clinically",
            Self::CloseAdministratively(_) => "close_administratively",
            Self::ReturnDownward(_) => "return_downward",
            Self::DeliverService(_) => "deliver_service",
            Self::ReverseService(_) => "reverse_service",
            Self::ProposeAgreement(_) => "propose_agreement",
            Self::SignAgreement(_) => "sign_agreement",
            Self::TerminateAgreement(_) => "terminate_agreement",
            Self::ClosePeriod(_) => "close_period",
            Self::ConfirmRedirect(_) => "confirm_redirect",
        }
    }

    /// The institutions, other than its author's, that the operation names.
    pub fn institutions(&self) -> Vec<&InstitutionId> {
        match self {
            Self::GrantAccess(grant) => vec![&grant.grantee],
            Self::RecordDisclosure(disclosure) => vec![&disclosure.recipient],
            Self::RequestReferral(request) => vec![&request.to],
            Self::RedirectReferral(redirect) => vec![&redirect.to],
            Self::ConfirmRedirect(confirm) => vec![&confirm.to],
            Self::DeliverService(service) => {
                let parts = service.parts.iter().map(|part| &part.institution);
                parts.chain([&service.payer]).collect()
            }
            Self::ProposeAgreement(proposal) => {
                proposal.terms.parties.iter().map(|party| &party.institution).collect()
            }
            Self::RegisterKey(_)
            | Self::RotateKey(_)
            | Self::RevokeKey(_)
            | Self::RevokeGrant(_)
            | Self::RecordReceipt(_)
            | Self::PublishCapacity(_)
            | Self::AcceptReferral(_)
            | Self::DeclineReferral(_)
            | Self::CancelReferral(_)
            | Self::HandOver(_)
            | Self::AcknowledgeHandover(_)
            | Self::ReportOutcome(_)
            | Self::CloseClinically(_)
            | Self::CloseAdministratively(_)
            | Self::ReturnDownward(_)
            | Self::ReverseService(_)
            | Self::SignAgreement(_)
            | Self::TerminateAgreement(_)
            | Self::ClosePeriod(_) => Vec::new(),
        }
    }
}
