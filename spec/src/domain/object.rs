//! What operations create, and what it is called.

use super::Operation;
use crate::base::codec::{self, Domain};
use crate::base::id::{AgreementId, DisclosureId, GrantId, ReferralId, ServiceId, TransactionId};

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

/// An object that operations refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// A grant of access.
    Grant(GrantId),
    /// A disclosure.
    Disclosure(DisclosureId),
    /// A referral.
    Referral(ReferralId),
    /// A delivered service.
    Service(ServiceId),
    /// An agreement.
    Agreement(AgreementId),
}

impl Object {
    /// The object of a kind with this identifier.
    pub const fn of(kind: ObjectKind, id: [u8; 32]) -> Self {
        match kind {
            ObjectKind::Grant => Self::Grant(GrantId(id)),
            ObjectKind::Disclosure => Self::Disclosure(DisclosureId(id)),
            ObjectKind::Referral => Self::Referral(ReferralId(id)),
            ObjectKind::Service => Self::Service(ServiceId(id)),
            ObjectKind::Agreement => Self::Agreement(AgreementId(id)),
        }
    }
}

impl Operation {
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
