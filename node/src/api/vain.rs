//! Submissions in vain: what of each institution's submissions was not valid, known already or beyond a bound.
//!
//! Each costs the node as much as a good one, and an honest caller has few. So every institution has an allowance of
//! them that comes back with time; when it is used up, its submissions are refused before they are decoded. Who
//! submits what the node takes uses nothing up, however much it is.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use yilian_spec::base::id::InstitutionId;

use super::error::ApiError;
use super::limits::{API_VAIN_MAX, API_VAIN_PER_SECOND};

/// Allowance in thousandths of a transaction, of which [`API_VAIN_PER_SECOND`] come back in a millisecond.
type Allowance = i64;

const FULL: Allowance = API_VAIN_MAX * 1_000;

/// The allowances that are not full.
#[derive(Debug, Default)]
pub struct InVain(Mutex<BTreeMap<InstitutionId, (Allowance, u64)>>);

impl InVain {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<InstitutionId, (Allowance, u64)>> {
        // Nothing is done under the lock that can leave an allowance half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses an institution whose allowance is used up.
    ///
    /// # Errors
    /// [`ApiError::Busy`], with when to try again.
    pub fn check(&self, institution: &InstitutionId, now_ms: u64) -> Result<(), ApiError> {
        let left = self.lock().get(institution).map_or(FULL, |entry| grown(*entry, now_ms));
        if left > 0 {
            return Ok(());
        }
        let missing_ms = left.unsigned_abs() / API_VAIN_PER_SECOND.unsigned_abs();
        Err(ApiError::Busy {
            code: "too_much_in_vain",
            message: format!(
                "{institution} has submitted {API_VAIN_MAX} transactions that were not valid, known already or beyond a bound, and \
                 may do so {API_VAIN_PER_SECOND} times a second: see why they were refused, and submit less"
            ),
            retry_after_s: u32::try_from(missing_ms / 1_000).unwrap_or(u32::MAX).saturating_add(1),
        })
    }

    /// Notes that so many transactions of an institution were submitted in vain.
    pub fn note(&self, institution: &InstitutionId, count: usize, now_ms: u64) {
        if count == 0 {
            return;
        }
        let mut entries = self.lock();
        // At most one entry for each institution of the ledger; those that are full again say nothing.
        entries.retain(|_, entry| grown(*entry, now_ms) < FULL);
        let left = entries.get(institution).map_or(FULL, |entry| grown(*entry, now_ms));
        let used = Allowance::try_from(count).unwrap_or(Allowance::MAX).saturating_mul(1_000);
        entries.insert(institution.clone(), (left.saturating_sub(used), now_ms));
    }
}

fn grown((left, at_ms): (Allowance, u64), now_ms: u64) -> Allowance {
    let elapsed_ms = Allowance::try_from(now_ms.saturating_sub(at_ms)).unwrap_or(Allowance::MAX);
    left.saturating_add(elapsed_ms.saturating_mul(API_VAIN_PER_SECOND)).min(FULL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_used_up_comes_back_and_is_nobody_elses() {
        let vain = InVain::default();
        let [one, other] = ["one", "other"].map(|name| InstitutionId::new(name).unwrap());
        let most = usize::try_from(API_VAIN_MAX).unwrap();
        vain.note(&one, most - 1, 1_000);
        assert!(vain.check(&one, 1_000).is_ok());
        vain.note(&one, 1 + usize::try_from(API_VAIN_PER_SECOND).unwrap() * 2, 1_000);
        let Err(ApiError::Busy { message, retry_after_s, .. }) = vain.check(&one, 1_000) else {
            panic!("the allowance should be used up");
        };
        assert!(message.contains("one has submitted") && retry_after_s == 3, "{message} {retry_after_s}");
        assert!(vain.check(&one, 3_000).is_err());
        assert!(vain.check(&one, 3_001).is_ok());
        assert!(vain.check(&other, 1_000).is_ok());
        vain.note(&other, 1, 60_000);
        assert_eq!(vain.lock().len(), 1, "an allowance that is full again is forgotten");
    }
}
