//! Whom an operation concerns, so that it may read it (rule N-7).

use super::Operation;
use super::access::{Disclosure, Grant};
use super::agreement::Agreement;
use super::object::{Object, ObjectKind};
use super::operate::Named;
use super::party::HasParties;
use super::referral::Referral;
use super::service::Service;
use crate::base::codec::Canonical;
use crate::base::id::{InstitutionId, TransactionId};
use crate::state::key::StateKey;
use crate::state::{self, StateView, ViewError};

impl Operation {
    /// Whether it concerns `reader`, who is not its author, on this state, after it took effect as operation `index` of
    /// `transaction`: the institutions that it names but does not only propose, and the parties of what it is about or, of a
    /// referral, creates.
    ///
    /// # Errors
    /// [`ViewError`] when storage fails.
    pub fn concerns(
        &self,
        reader: &InstitutionId,
        (transaction, index): (TransactionId, u16),
        view: &dyn StateView,
    ) -> Result<bool, ViewError> {
        if self.names().contains(&Named::Party(reader)) {
            return Ok(true);
        }
        // Also the institution that a referral went to after a redirection: its stream, which that one reads, begins here.
        let created = self.creates().filter(|kind| matches!(kind, ObjectKind::Referral));
        let created = created.map(|kind| Object::of(kind, self.object_id(transaction, index)));
        for object in self.refers_to().into_iter().chain(created) {
            if object.has_party(reader, view)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Object {
    /// Whether it is there for this institution (rule O-28).
    ///
    /// # Errors
    /// [`ViewError`] when storage fails.
    pub fn has_party(self, institution: &InstitutionId, view: &dyn StateView) -> Result<bool, ViewError> {
        match self {
            Self::Grant(id) => is_party::<Grant>(&StateKey::Grant(id), institution, view),
            Self::Disclosure(id) => is_party::<Disclosure>(&StateKey::Disclosure(id), institution, view),
            Self::Referral(id) => is_party::<Referral>(&StateKey::Referral(id), institution, view),
            Self::Service(id) => is_party::<Service>(&StateKey::Service(id), institution, view),
            Self::Agreement(id) => is_party::<Agreement>(&StateKey::Agreement(id), institution, view),
        }
    }
}

fn is_party<T: Canonical + HasParties>(
    key: &StateKey,
    institution: &InstitutionId,
    view: &dyn StateView,
) -> Result<bool, ViewError> {
    Ok(state::record::<T>(view, key)?.is_some_and(|record| record.has_party(institution)))
}
