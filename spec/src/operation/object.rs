//! What operations create, and what it is called.

use super::Operation;
use crate::codec::{self, Domain};
use crate::id::TransactionId;

/// A kind of object that an operation creates and later ones refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A grant of access.
    Grant,
    /// A disclosure, permitted or denied.
    Disclosure,
    /// A referral.
    Referral,
    /// A delivered service.
    Service,
    /// An agreement.
    Agreement,
}

impl ObjectKind {
    /// The name as JSON and the command line write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Disclosure => "disclosure",
            Self::Referral => "referral",
            Self::Service => "service",
            Self::Agreement => "agreement",
        }
    }
}

impl Operation {
    /// What the operation creates when it takes effect, if anything.
    pub const fn creates(&self) -> Option<ObjectKind> {
        match self {
            Self::GrantAccess(_) | Self::AcceptReferral(_) => Some(ObjectKind::Grant),
            Self::RecordDisclosure(_) => Some(ObjectKind::Disclosure),
            Self::RequestReferral(_) | Self::ReturnDownward(_) => Some(ObjectKind::Referral),
            Self::DeliverService(_) => Some(ObjectKind::Service),
            Self::ProposeAgreement(_) => Some(ObjectKind::Agreement),
            Self::RegisterKey(_)
            | Self::RotateKey(_)
            | Self::RevokeKey(_)
            | Self::RevokeGrant(_)
            | Self::RecordReceipt(_)
            | Self::PublishCapacity(_)
            | Self::DeclineReferral(_)
            | Self::RedirectReferral(_)
            | Self::ConfirmRedirect(_)
            | Self::CancelReferral(_)
            | Self::HandOver(_)
            | Self::AcknowledgeHandover(_)
            | Self::ReportOutcome(_)
            | Self::CloseClinically(_)
            | Self::CloseAdministratively(_)
            | Self::ReverseService(_)
            | Self::SignAgreement(_)
            | Self::TerminateAgreement(_)
            | Self::ClosePeriod(_) => None,
        }
    }

    /// The identifier of the object that this creates as operation `index` of `transaction` (rule S-2).
    ///
    /// Clients compute it before they submit, and nobody can choose it. It depends on the whole operation, so that whoever may
    /// read only a part of a transaction cannot try the numbers of the rest and learn how much there is.
    pub fn object_id(&self, transaction: TransactionId, index: u16) -> [u8; 32] {
        let mut bytes = codec::encode(&(transaction, index));
        bytes.extend_from_slice(&codec::encode(self));
        codec::hash_bytes(Domain::Object, &bytes).0
    }
}
