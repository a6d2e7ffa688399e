//! What a transaction can ask for, by domain: each has its operations, its records and its rules in a folder.
//!
//! The table below lists all operations. A new one is a row here, and an implementation of `operate::Operate` in its
//! folder: the encoding, the role, the name, the checks of structure, the work, the execution, whom it concerns and what it
//! creates follow from these. The rules stand in `spec/protocol/05-operations.md`.

pub mod access;
pub mod agreement;
pub(crate) mod call;
pub mod concern;
pub mod membership;
pub mod object;
pub mod operate;
pub mod parameters;
pub mod party;
pub mod referral;
pub mod refusal;
pub mod service;
pub mod work;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use self::call::{Call, Step};
use self::membership::Role;
use self::object::{Object, ObjectKind};
use self::operate::{Named, Operate, OperationError};
use crate::base::id::InstitutionId;
use crate::base::version::ProtocolVersion;
use crate::state::{StateView, ViewError};

/// What is fixed of all operations of a kind: a row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationKind {
    /// The number that encodes it.
    pub number: u32,
    /// The version of the protocol in which it came (rule C-6).
    pub since: ProtocolVersion,
    /// Its name in JSON, metrics and on the command line.
    pub name: &'static str,
    /// The role that the author's key must have (rule A-3).
    pub role: Role,
    /// What it creates when it takes effect, if anything.
    pub creates: Option<ObjectKind>,
}

/// Writes the operations from their table: the number that encodes each, the version in which it came (rule C-6), its type,
/// the role of the key that may ask for it (rule A-3), its name in JSON, metrics and on the command line, and the kind of object that it creates, if any.
macro_rules! operations {
    ($($number:tt $since:ident $operation:ident($record:path) by $role:ident, $name:literal $(, creates $object:ident)?;)*) => {
        /// One operation of a transaction.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Operation {
            $(
                #[doc = concat!("See [`", stringify!($record), "`].")]
                #[wincode(tag = $number)]
                $operation($record),
            )*
        }

        impl OperationKind {
            /// All kinds, as the table lists them.
            pub const ALL: &[Self] = &[$(operations!(@kind $number $since $role $name $($object)?),)*];
        }

        impl Operation {
            /// Its row of the table.
            pub const fn kind(&self) -> OperationKind {
                match self {
                    $(Self::$operation(_) => operations!(@kind $number $since $role $name $($object)?),)*
                }
            }

            const fn as_operate(&self) -> &dyn Operate {
                match self {
                    $(Self::$operation(operation) => operation,)*
                }
            }
        }
    };
    (@kind $number:tt $since:ident $role:ident $name:literal $($object:ident)?) => {
        OperationKind {
            number: $number,
            since: ProtocolVersion::$since,
            name: $name,
            role: Role::$role,
            creates: operations!(@creates $($object)?),
        }
    };
    (@creates) => { None };
    (@creates $object:ident) => { Some(ObjectKind::$object) };
}

operations! {
    0 V1 RegisterKey(membership::RegisterKey) by Administrator, "register_key";
    1 V1 RotateKey(membership::RotateKey) by Administrator, "rotate_key";
    2 V1 RevokeKey(membership::RevokeKey) by Administrator, "revoke_key";
    3 V1 GrantAccess(access::GrantAccess) by AccessGateway, "grant_access", creates Grant;
    4 V1 RevokeGrant(access::RevokeGrant) by AccessGateway, "revoke_grant";
    5 V1 RecordDisclosure(access::RecordDisclosure) by AccessGateway, "record_disclosure", creates Disclosure;
    6 V1 RecordReceipt(access::RecordReceipt) by AccessGateway, "record_receipt";
    7 V1 PublishCapacity(referral::PublishCapacity) by ReferralGateway, "publish_capacity";
    8 V1 RequestReferral(referral::RequestReferral) by ReferralGateway, "request_referral", creates Referral;
    9 V1 AcceptReferral(referral::AcceptReferral) by ReferralGateway, "accept_referral", creates Grant;
    10 V1 DeclineReferral(referral::DeclineReferral) by ReferralGateway, "decline_referral";
    11 V1 RedirectReferral(referral::RedirectReferral) by ReferralGateway, "redirect_referral";
    12 V1 CancelReferral(referral::CancelReferral) by ReferralGateway, "cancel_referral";
    13 V1 HandOver(referral::HandOver) by ReferralGateway, "hand_over";
    14 V1 AcknowledgeHandover(referral::AcknowledgeHandover) by ReferralGateway, "acknowledge_handover";
    15 V1 ReportOutcome(referral::ReportOutcome) by ReferralGateway, "report_outcome";
    16 V1 CloseClinically(referral::CloseClinically) by ReferralGateway, "close_clinically";
    17 V1 CloseAdministratively(referral::CloseAdministratively) by ReferralGateway, "close_administratively";
    18 V1 ReturnDownward(referral::ReturnDownward) by ReferralGateway, "return_downward", creates Referral;
    19 V1 DeliverService(service::DeliverService) by Finance, "deliver_service", creates Service;
    20 V1 ReverseService(service::ReverseService) by Finance, "reverse_service";
    21 V1 ProposeAgreement(agreement::ProposeAgreement) by Finance, "propose_agreement", creates Agreement;
    22 V1 SignAgreement(agreement::SignAgreement) by Finance, "sign_agreement";
    23 V1 TerminateAgreement(agreement::TerminateAgreement) by Finance, "terminate_agreement";
    24 V1 ClosePeriod(agreement::ClosePeriod) by Finance, "close_period";
    25 V1 ConfirmRedirect(referral::ConfirmRedirect) by ReferralGateway, "confirm_redirect";
    26 V2 AmendOutcome(referral::AmendOutcome) by ReferralGateway, "amend_outcome";
}

impl Operation {
    /// The role that the author's key must have (rule A-3).
    pub const fn role(&self) -> Role {
        self.kind().role
    }

    /// The operation's name as JSON, metrics and the command line write it.
    pub const fn name(&self) -> &'static str {
        self.kind().name
    }

    /// What the operation creates when it takes effect, if anything.
    pub const fn creates(&self) -> Option<ObjectKind> {
        self.kind().creates
    }

    /// Checks its structure: what can be said without keys, clock and state (rules S-1, S-6 to S-9, S-12).
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), OperationError> {
        self.names().into_iter().try_for_each(|named| named.institution().check())?;
        self.as_operate().check()
    }

    /// What it costs on this state when `author` asks for it (rule X-5).
    ///
    /// # Errors
    /// [`ViewError`] when storage fails.
    pub fn work(&self, author: &InstitutionId, view: &dyn StateView) -> Result<u64, ViewError> {
        self.as_operate().work(author, view)
    }

    /// The institutions that it names beside its author's.
    pub fn names(&self) -> Vec<Named<'_>> {
        self.as_operate().names()
    }

    /// The object that it is about, when another operation created that.
    pub fn refers_to(&self) -> Option<Object> {
        self.as_operate().refers_to()
    }

    /// Refuses, or changes the state.
    ///
    /// # Errors
    /// The first need of chapter 5 that is not met.
    pub(crate) fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        self.as_operate().execute(call)
    }
}
