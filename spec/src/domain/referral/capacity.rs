//! Capacity: how many cases of a service an institution takes at a time (rule O-8).

use super::operation::PublishCapacity;
use super::record::{Capacity, Referral};
use crate::base::id::{InstitutionId, ServiceCode};
use crate::base::limits;
use crate::domain::call::{Call, Step, require};
use crate::domain::object::Object;
use crate::domain::operate::{Named, Operate, OperationError};
use crate::domain::refusal::Refusal;
use crate::domain::work::ORDINARY;
use crate::state::key::StateKey;
use crate::state::{StateView, ViewError};

/// Rule O-8.
impl Operate for PublishCapacity {
    fn check(&self) -> Result<(), OperationError> {
        Ok(self.service.check()?)
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
        require(self.slots <= limits::CAPACITY_SLOTS_MAX, Refusal::TooManySlots)?;
        let key = StateKey::Capacity(call.institution.clone(), self.service.clone());
        let reserved = call.state.read(&key)?.map_or(0, |capacity: Capacity| capacity.reserved);
        require(self.slots >= reserved, Refusal::CapacityInUse)?;
        call.state.write(&key, &Capacity { slots: self.slots, reserved });
        Ok(())
    }
}

/// Takes a slot where the receiver has published capacity; without published capacity there is nothing to take.
pub(super) fn reserve_slot(call: &mut Call<'_, '_>, service: &ServiceCode) -> Step<bool> {
    let key = StateKey::Capacity(call.institution.clone(), service.clone());
    let Some(Capacity { slots, reserved }) = call.state.read(&key)? else {
        return Ok(false);
    };
    require(reserved < slots, Refusal::NoCapacity)?;
    call.state.write(&key, &Capacity { slots, reserved: reserved + 1 });
    Ok(true)
}

pub(super) fn release_slot(call: &mut Call<'_, '_>, referral: &Referral) -> Step {
    let key = StateKey::Capacity(referral.receiver.clone(), referral.service.clone());
    if let Some(Capacity { slots, reserved }) = call.state.read(&key)? {
        call.state.write(&key, &Capacity { slots, reserved: reserved.saturating_sub(1) });
    }
    Ok(())
}
