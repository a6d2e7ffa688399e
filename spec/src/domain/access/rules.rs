//! Grants, disclosures and receipts (rules O-4 to O-7, O-26).

use super::operation::{AccessScope, Decision, GrantAccess, RecordDisclosure, RecordReceipt, RevokeGrant};
use super::record::{Disclosure, EarlyEnd, Grant, GrantEnd};
use crate::base::id::{DisclosureId, GrantId, InstitutionId, SubjectTag};
use crate::base::limits;
use crate::base::time::Window;
use crate::domain::call::{Call, Step, require};
use crate::domain::object::Object;
use crate::domain::operate::{Named, Operate, OperationError};
use crate::domain::refusal::Refusal;
use crate::domain::work::ORDINARY;
use crate::state::key::{StateKey, StreamId};
use crate::state::{StateView, ViewError};

/// Rule O-4.
impl Operate for GrantAccess {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(ORDINARY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named::Party(&self.grantee)]
    }

    fn refers_to(&self) -> Option<Object> {
        None
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let GrantAccess { subject, grantee, scope, window, consent } = self;
        require(grantee != call.institution, Refusal::SameInstitution)?;
        call.require_member(grantee)?;
        require(is_useful(scope), Refusal::EmptyScope)?;
        let length_ms = window.expires.0.saturating_sub(window.starts.0);
        let fits = window.is_ordered() && length_ms <= limits::GRANT_LIFETIME_MS_MAX;
        require(fits && window.expires > call.time(), Refusal::BadWindow)?;
        require_custodian(subject, call.institution)?;
        let grant = Grant {
            grantor: call.institution.clone(),
            grantee: grantee.clone(),
            subject: *subject,
            scope: scope.clone(),
            window: *window,
            consent: *consent,
            referral: None,
            ended: None,
        };
        open_grant(call, &grant);
        Ok(())
    }
}

/// Rule O-26: nobody but its custodian begins anything about a tag.
pub(crate) fn require_custodian(subject: &SubjectTag, institution: &InstitutionId) -> Step {
    require(subject.is_kept_by(institution), Refusal::NotTheCustodian)
}

/// Whether a scope allows anything.
pub(crate) fn is_useful(scope: &AccessScope) -> bool {
    !scope.categories.is_empty() && !scope.purposes.is_empty()
}

/// Writes a new grant under the id of the operation that gives it.
pub(crate) fn open_grant(call: &mut Call<'_, '_>, grant: &Grant) -> GrantId {
    let id = GrantId(call.object_id());
    call.state.write(&StateKey::Grant(id), grant);
    call.state.mark(&StateKey::GrantIndex(grant.grantor.clone(), id));
    call.state.mark(&StateKey::GrantIndex(grant.grantee.clone(), id));
    append_to_streams_of(call, id, grant);
    id
}

/// Rule O-5.
impl Operate for RevokeGrant {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(ORDINARY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn refers_to(&self) -> Option<Object> {
        Some(Object::Grant(self.grant))
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let mut grant: Grant = call.find(&StateKey::Grant(self.grant), Refusal::NoSuchGrant)?;
        require(grant.grantor == *call.institution, Refusal::NotTheGrantor)?;
        check_not_ended(&grant)?;
        grant.ended = Some(EarlyEnd { at: call.time(), how: GrantEnd::Revoked });
        call.state.write(&StateKey::Grant(self.grant), &grant);
        append_to_streams_of(call, self.grant, &grant);
        Ok(())
    }
}

/// Ends the grant that a referral gave, unless it has ended already.
pub(crate) fn end_with_referral(call: &mut Call<'_, '_>, id: GrantId) -> Step {
    let mut grant: Grant = call.find(&StateKey::Grant(id), Refusal::NoSuchGrant)?;
    if grant.ended.is_none() {
        grant.ended = Some(EarlyEnd { at: call.time(), how: GrantEnd::ReferralClosed });
        call.state.write(&StateKey::Grant(id), &grant);
        append_to_streams_of(call, id, &grant);
    }
    Ok(())
}

/// Rule O-6.
impl Operate for RecordDisclosure {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(ORDINARY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named::Party(&self.recipient)]
    }

    fn refers_to(&self) -> Option<Object> {
        None
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        require(self.recipient != *call.institution, Refusal::SameInstitution)?;
        call.require_member(&self.recipient)?;
        match self.decision {
            Decision::Permit { grant: id } => {
                let grant: Grant = call.find(&StateKey::Grant(id), Refusal::NoSuchGrant)?;
                check_covered(call, &grant, self)?;
                call.append_to(StreamId::Grant(id));
                let (recipient, source) = (self.recipient.clone(), call.institution.clone());
                let disclosure = DisclosureId(call.object_id());
                call.state.mark(&StateKey::OpenDisclosureIndex(recipient, source, disclosure));
            }
            Decision::Deny { .. } => {
                require_custodian(&self.subject, call.institution)?;
                call.append_to(StreamId::Subject(self.subject));
            }
        }
        let disclosure = Disclosure {
            source: call.institution.clone(),
            recipient: self.recipient.clone(),
            subject: self.subject,
            content: self.content,
            decision: self.decision,
            transaction_id: call.transaction_id,
            receipt_due: call.time().plus_ms(call.parameters.receipt_deadline_ms),
            received_at: None,
        };
        call.state.write(&StateKey::Disclosure(DisclosureId(call.object_id())), &disclosure);
        call.append_to(StreamId::Institution(self.recipient.clone()));
        Ok(())
    }
}

/// Rule O-6: a grant covers a disclosure when every one of its terms does.
fn check_covered(call: &Call<'_, '_>, grant: &Grant, asked: &RecordDisclosure) -> Step {
    require(grant.grantor == *call.institution, Refusal::NotTheGrantor)?;
    require(grant.grantee == asked.recipient, Refusal::OtherGrantee)?;
    require(grant.subject == asked.subject, Refusal::OtherSubject)?;
    check_not_ended(grant)?;
    let Window { starts, expires } = grant.window;
    require(starts <= call.time(), Refusal::GrantNotYetValid)?;
    require(call.time() < expires, Refusal::GrantExpired)?;
    require(grant.scope.categories.contains(&asked.category), Refusal::CategoryNotGranted)?;
    require(asked.sensitivity <= grant.scope.highest_sensitivity, Refusal::SensitivityNotGranted)?;
    require(grant.scope.purposes.contains(&asked.purpose), Refusal::PurposeNotGranted)
}

/// Rule O-7.
impl Operate for RecordReceipt {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(ORDINARY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn refers_to(&self) -> Option<Object> {
        Some(Object::Disclosure(self.disclosure))
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let key = StateKey::Disclosure(self.disclosure);
        let mut disclosure: Disclosure = call.find(&key, Refusal::NoSuchDisclosure)?;
        require(disclosure.recipient == *call.institution, Refusal::OtherRecipient)?;
        let Decision::Permit { grant } = disclosure.decision else {
            return Err(Refusal::DisclosureDenied.into());
        };
        require(disclosure.received_at.is_none(), Refusal::AlreadyReceived)?;
        require(disclosure.content == self.content, Refusal::CommitmentMismatch)?;
        disclosure.received_at = Some(call.time());
        call.state.write(&key, &disclosure);
        let Disclosure { recipient, source, .. } = &disclosure;
        call.state.delete(&StateKey::OpenDisclosureIndex(recipient.clone(), source.clone(), self.disclosure));
        call.append_to(StreamId::Grant(grant));
        call.append_to(StreamId::Institution(disclosure.source));
        Ok(())
    }
}

fn check_not_ended(grant: &Grant) -> Step {
    match grant.ended.map(|ended| ended.how) {
        None => Ok(()),
        Some(GrantEnd::Revoked) => Err(Refusal::GrantRevoked.into()),
        Some(GrantEnd::ReferralClosed) => Err(Refusal::GrantEnded.into()),
    }
}

/// What happens to a grant belongs to its own stream, its subject's, and those of both institutions.
fn append_to_streams_of(call: &mut Call<'_, '_>, id: GrantId, grant: &Grant) {
    call.append_to(StreamId::Grant(id));
    call.append_to(StreamId::Subject(grant.subject));
    call.append_to(StreamId::Institution(grant.grantor.clone()));
    call.append_to(StreamId::Institution(grant.grantee.clone()));
}
