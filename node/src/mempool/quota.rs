//! Quotas: what each institution has had in blocks lately, and who has to wait for the others.
//!
//! Every institution has a quota of work per second, a parameter of the ledger. When it is idle it saves up some seconds of it;
//! what it has in blocks uses that up and makes debts, time brings it back. It is within its quota while it has more credit than
//! work waiting. While one that is within is at work, those beyond have a small part of each block for their credit, and
//! wait when it is used up: so a flood gets its quota and no more, and blocks stay short for the others. Where all who work are
//! beyond their quota, or one works alone, nobody waits.
//!
//! Nodes that see the same blocks come to the same accounts; one that was started again begins with full credit for all.
//! A rule for building blocks and for what waits; what others put into theirs is bounded by the ledger's parameters.

use std::collections::BTreeMap;

use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::time::LedgerTime;

use crate::base::limits;

/// Credit in thousandths of a unit of work, which is what a quota of one unit per second brings in a millisecond.
pub(super) type Credit = i64;

/// What so many units of work cost.
pub(super) fn cost(work: u64) -> Credit {
    Credit::try_from(work).unwrap_or(Credit::MAX).saturating_mul(1_000)
}

#[derive(Debug, Clone, Copy)]
struct Account {
    credit: Credit,
    /// When it had that credit: the time of the last block with something of it.
    at: LedgerTime,
}

/// The accounts of all who have had something in a block lately.
#[derive(Debug)]
pub(super) struct Quotas {
    work_per_s: u64,
    second: Credit,
    accounts: BTreeMap<InstitutionId, Account>,
}

impl Quotas {
    /// Everybody has so many units of work per second.
    pub fn new(work_per_s: u64) -> Self {
        Self { work_per_s, second: cost(work_per_s), accounts: BTreeMap::new() }
    }

    /// Everybody has so many from now on, and the credit that it has.
    pub fn set(&mut self, work_per_s: u64) {
        (self.work_per_s, self.second) = (work_per_s, cost(work_per_s));
    }

    /// Units of work per second.
    pub fn work_per_s(&self) -> u64 {
        self.work_per_s
    }

    fn full(&self) -> Credit {
        self.second.saturating_mul(limits::QUOTA_CREDIT_SECONDS)
    }

    /// What one that is beyond its quota may have in a block.
    pub fn block_part(&self) -> Credit {
        (self.second / limits::QUOTA_BLOCK_PARTS).max(1)
    }

    /// The credit of an institution; none is left when it is 0 or less.
    pub fn credit(&self, institution: &InstitutionId, now: LedgerTime) -> Credit {
        self.accounts.get(institution).map_or_else(|| self.full(), |account| self.grown(account, now))
    }

    fn grown(&self, account: &Account, now: LedgerTime) -> Credit {
        let elapsed_ms = Credit::try_from(now.0.saturating_sub(account.at.0)).unwrap_or(Credit::MAX);
        let back = (self.second / 1_000).saturating_mul(elapsed_ms);
        account.credit.saturating_add(back).min(self.full())
    }

    /// A block of this time carries so much work of an institution.
    pub fn charge(&mut self, institution: &InstitutionId, work: u64, time: LedgerTime) {
        let debt_max = self.second.saturating_mul(limits::QUOTA_DEBT_SECONDS_MAX);
        let credit = self.credit(institution, time).saturating_sub(cost(work)).max(-debt_max);
        self.accounts.insert(institution.clone(), Account { credit, at: time });
    }

    /// Those with credit who have had something in a block lately.
    pub fn at_work(&self, now: LedgerTime) -> impl Iterator<Item = &InstitutionId> {
        let is_recent =
            move |account: &Account| now.0.saturating_sub(account.at.0) < limits::QUOTA_AT_WORK_MS;
        self.accounts
            .iter()
            .filter(move |(_, account)| is_recent(account) && self.grown(account, now) > 0)
            .map(|(institution, _)| institution)
    }

    /// Forgets who has had nothing for so long that it makes no difference.
    pub fn forget_idle(&mut self, now: LedgerTime) {
        let whole_s = limits::QUOTA_DEBT_SECONDS_MAX + limits::QUOTA_CREDIT_SECONDS;
        let remembered_ms = limits::QUOTA_AT_WORK_MS.max(1_000 * whole_s.unsigned_abs());
        self.accounts.retain(|_, account| now.0.saturating_sub(account.at.0) < remembered_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> InstitutionId {
        InstitutionId::new(name).unwrap()
    }

    #[test]
    fn credit_is_used_up_by_work_and_comes_back_with_time() {
        let (mut quotas, one) = (Quotas::new(100), member("one"));
        let at = |ms: u64| LedgerTime(1_000_000 + ms);
        assert_eq!(quotas.credit(&one, at(0)), cost(200));
        quotas.charge(&one, 60, at(0));
        assert_eq!(quotas.credit(&one, at(0)), cost(140));
        assert_eq!(quotas.credit(&one, at(100)), cost(150));
        quotas.charge(&one, 250, at(100));
        assert_eq!(quotas.credit(&one, at(100)), -cost(100));
        quotas.charge(&one, 5_000, at(100));
        assert_eq!(quotas.credit(&one, at(100)), -cost(1_000), "a debt of ten seconds, no more");
        assert_eq!(quotas.credit(&one, at(10_100)), 0);
        assert_eq!(quotas.credit(&one, LedgerTime(u64::MAX)), cost(200));
        assert_eq!(
            quotas.credit(&one, LedgerTime(0)),
            -cost(1_000),
            "a clock that jumps back brings nothing"
        );
    }

    #[test]
    fn who_has_credit_and_was_in_a_block_lately_is_at_work() {
        let mut quotas = Quotas::new(100);
        let (one, flooder) = (member("one"), member("flooder"));
        let at = |ms: u64| LedgerTime(1_000_000 + ms);
        quotas.charge(&flooder, 1_000, at(0));
        assert_eq!(quotas.at_work(at(0)).count(), 0);
        quotas.charge(&one, 1, at(0));
        assert_eq!(quotas.at_work(at(limits::QUOTA_AT_WORK_MS - 1)).collect::<Vec<_>>(), [&one]);
        assert_eq!(quotas.at_work(at(limits::QUOTA_AT_WORK_MS)).count(), 0);
        quotas.forget_idle(at(limits::QUOTA_AT_WORK_MS));
        assert_eq!(quotas.credit(&flooder, at(limits::QUOTA_AT_WORK_MS)), -cost(300));
        quotas.forget_idle(at(60_000));
        assert!(quotas.accounts.is_empty());
    }
}
