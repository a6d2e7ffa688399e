//! Keys of a genesis expire one after another: a date that ends all of them at once would find nobody prepared.

use yilian_spec::domain::membership::Role;

/// Institutions after which the days repeat.
const INSTITUTIONS_APART: usize = 12;
/// Days between the keys of one institution and the next.
const INSTITUTION_DAYS: u64 = 14;
/// Days between the keys of one role and the next, of one institution.
const ROLE_DAYS: u64 = 2;

/// Days by which a key expires before the last one, by its institution's place and its role.
pub fn stagger_days(position: usize, role: Role) -> u64 {
    let role = match role {
        Role::Validator => 0,
        Role::Node => 1,
        Role::Administrator => 2,
        Role::AccessGateway => 3,
        Role::ReferralGateway => 4,
        Role::Finance => 5,
        Role::Auditor => 6,
    };
    (position % INSTITUTIONS_APART) as u64 * INSTITUTION_DAYS + role * ROLE_DAYS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_keys_of_neighbours_expire_on_one_day() {
        let all =
            (0..INSTITUTIONS_APART).flat_map(|position| Role::ALL.map(|role| stagger_days(position, role)));
        let days: BTreeSet<u64> = all.collect();
        assert_eq!(days.len(), INSTITUTIONS_APART * Role::ALL.len());
        assert!(days.last().is_some_and(|most| *most < 180), "{days:?}");
    }
}
