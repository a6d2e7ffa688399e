//! Keys: registration, rotation, revocation (rules O-1 to O-3).

use super::operation::{RegisterKey, RevokeKey, RotateKey, possession_bytes};
use super::record::{KeyRecord, Role};
use crate::base::id::InstitutionId;
use crate::base::limits;
use crate::base::time::Window;
use crate::crypto::signature::{self, PublicKey, Signature};
use crate::domain::call::{Call, Step, require};
use crate::domain::object::Object;
use crate::domain::operate::{Named, Operate, OperationError};
use crate::domain::refusal::Refusal;
use crate::domain::work::{NEW_KEY, ORDINARY};
use crate::state::key::StateKey;
use crate::state::{StateView, ViewError};

/// Rule O-1.
impl Operate for RegisterKey {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(NEW_KEY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn refers_to(&self) -> Option<Object> {
        None
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let RegisterKey { key, role, window, possession } = self;
        add_key(call, *key, *role, *window, possession)?;
        let nodes = read_count(call, &StateKey::NodeKeys(call.institution.clone()))?;
        require(nodes as usize <= limits::NODE_KEYS_PER_INSTITUTION_MAX, Refusal::TooManyNodeKeys)
    }
}

/// Rule O-2.
impl Operate for RotateKey {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(NEW_KEY)
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn refers_to(&self) -> Option<Object> {
        None
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let RotateKey { old_key, new_key, window, possession } = self;
        let old = own_key(call, old_key)?;
        // The successor first: an institution never passes through a moment without an administrator.
        add_key(call, *new_key, old.role, *window, possession)?;
        end_key(call, *old_key, old)
    }
}

/// Rule O-3.
impl Operate for RevokeKey {
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
        None
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let record = own_key(call, &self.key)?;
        require(record.role != Role::Validator, Refusal::ValidatorKeyNeedsBallot)?;
        end_key(call, self.key, record)
    }
}

/// The record of a key of the author's institution that is not revoked.
fn own_key(call: &Call<'_, '_>, key: &PublicKey) -> Step<KeyRecord> {
    let record: Option<KeyRecord> = call.state.read(&StateKey::Key(*key))?;
    let record = record.filter(|record| record.institution == *call.institution);
    let record = record.ok_or(Refusal::NoSuchKey)?;
    require(record.revoked_at.is_none(), Refusal::KeyAlreadyRevoked)?;
    Ok(record)
}

fn add_key(
    call: &mut Call<'_, '_>,
    key: PublicKey,
    role: Role,
    window: Window,
    possession: &Signature,
) -> Step {
    require(role != Role::Validator, Refusal::ValidatorKeyNeedsBallot)?;
    require(key.check_registrable().is_ok(), Refusal::KeyNotRegistrable)?;
    require(!call.state.contains(&StateKey::Key(key))?, Refusal::KeyAlreadyRegistered)?;
    let length_ms = window.expires.0.saturating_sub(window.starts.0);
    let fits = window.is_ordered() && length_ms <= limits::KEY_LIFETIME_MS_MAX;
    require(fits && window.expires > call.time(), Refusal::BadWindow)?;
    let bytes = possession_bytes(call.context.chain_id, call.institution, role, key);
    require(signature::verify(&key, &bytes, possession).is_ok(), Refusal::BadPossession)?;
    let record = KeyRecord { institution: call.institution.clone(), role, window, revoked_at: None };
    call.state.write(&StateKey::Key(key), &record);
    call.state.mark(&StateKey::KeyIndex(call.institution.clone(), key));
    if let Some(row) = count_row(role, call.institution) {
        let count = read_count(call, &row)?.checked_add(1).ok_or(Refusal::Overflow)?;
        call.state.write(&row, &count);
    }
    Ok(())
}

fn end_key(call: &mut Call<'_, '_>, key: PublicKey, record: KeyRecord) -> Step {
    if let Some(row) = count_row(record.role, call.institution) {
        let count = read_count(call, &row)?;
        require(count > 1 || record.role != Role::Administrator, Refusal::LastAdministrator)?;
        call.state.write(&row, &count.saturating_sub(1));
    }
    let record = KeyRecord { revoked_at: Some(call.time()), ..record };
    call.state.write(&StateKey::Key(key), &record);
    Ok(())
}

/// The row that counts an institution's keys of a role that are not revoked, where the role is counted.
fn count_row(role: Role, institution: &InstitutionId) -> Option<StateKey> {
    match role {
        Role::Administrator => Some(StateKey::Administrators(institution.clone())),
        Role::Node => Some(StateKey::NodeKeys(institution.clone())),
        Role::Validator | Role::AccessGateway | Role::ReferralGateway | Role::Finance | Role::Auditor => None,
    }
}

fn read_count(call: &Call<'_, '_>, row: &StateKey) -> Step<u32> {
    Ok(call.state.read(row)?.unwrap_or(0))
}
