//! Capacity: of the slots that an institution has published, those are reserved that its open referrals hold (rules O-8,
//! O-11 and O-18).

use yilian_spec::base::codec;
use yilian_spec::domain::referral::Capacity;
use yilian_spec::state::key::StateKey;

use super::Finding;
use super::history::History;
use super::rows::{self, CAPACITY, Rows};

/// Compares all rows of capacity, and looks for such as should not be there.
///
/// # Errors
/// The first difference.
pub fn check_all(history: &History, disk: &Rows<'_>) -> Result<(), Finding> {
    let mut found = disk.all(CAPACITY)?;
    for ((institution, service), slots) in &history.slots {
        let key = StateKey::Capacity(institution.clone(), service.clone()).bytes();
        let reserved = history.held(institution, service);
        let expected = codec::encode(&Capacity { slots: *slots, reserved });
        match found.remove(&key) {
            Some(row) if row == expected => {}
            Some(_) => return Err(Finding::RowDiffers { row: rows::name(&key) }),
            None => return Err(Finding::RowMissing { row: rows::name(&key) }),
        }
    }
    match found.into_keys().next() {
        Some(key) => Err(Finding::RowAdded { row: rows::name(&key) }),
        None => Ok(()),
    }
}
