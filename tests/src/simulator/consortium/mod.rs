//! The consortium of the runs: its genesis, its keys, and the transactions that its gateways and finance departments sign.
//!
//! A run has several stories (agreements with their services and periods, referrals, grants with disclosures), cut into
//! transactions and shuffled into one order in which what depends on something comes a while after it. Clients submit at
//! their own pace and nodes fail, so some come too early all the same; others are wrong on purpose. Both stand on the
//! ledger as refused.

mod access;
mod author;
mod referrals;
mod settlement;

use std::collections::BTreeSet;

use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{ChainId, ConsortiumId, InstitutionId};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::base::version::{ProtocolVersion, VersionSchedule};
use yilian_spec::crypto::signature::{PublicKey, SecretKey};
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::domain::membership::{Institution, InstitutionKind, Role, Tier};
use yilian_spec::domain::parameters::Parameters;
use yilian_spec::ledger::genesis::{Genesis, GenesisInstitution, GenesisKey};
use yilian_spec::ledger::transaction::Transaction;

use self::author::Author;
use super::plan::VALIDATORS;
use super::random::Random;

/// Wall clock at the beginning of every run, in milliseconds since 1970-01-01 UTC.
pub const START_MS: u64 = 1_790_000_000_000;
const DAY_MS: u64 = 86_400_000;

/// The member that pays for care and has no tier.
const INSURER: usize = 0;
/// Those that treat, the lowest tier first.
const PROVIDERS: [usize; 3] = [1, 2, 3];

const MEMBERS: [(&str, InstitutionKind, Option<Tier>); VALIDATORS] = [
    ("anping-insurer", InstitutionKind::Insurer, None),
    ("liulin-health-centre", InstitutionKind::PrimaryCare, Some(Tier::Township)),
    ("qinghe-county-hospital", InstitutionKind::Hospital, Some(Tier::County)),
    ("renhe-hospital", InstitutionKind::Hospital, Some(Tier::Province)),
];

/// The roles of every member's keys, one key each.
const ROLES: [Role; 5] =
    [Role::Validator, Role::Administrator, Role::AccessGateway, Role::ReferralGateway, Role::Finance];

fn secret(member: usize, role: Role) -> SecretKey {
    let label = format!("{}/{role:?}", MEMBERS[member].0);
    SecretKey::from_seed(&codec::hash_bytes(codec::Domain::Object, label.as_bytes()).0)
}

/// The key with which a member's node votes.
pub fn validator_key(member: usize) -> SecretKey {
    secret(member, Role::Validator)
}

/// A member's name on the ledger.
pub fn institution(member: usize) -> InstitutionId {
    InstitutionId::new(MEMBERS[member].0).expect("the members' names above are well-formed")
}

/// Whose node it is that has no vote.
pub fn observing_institution() -> InstitutionId {
    InstitutionId::new("observing-institution").expect("the name is well-formed")
}

/// The consortium to which all members belong.
fn consortium() -> ConsortiumId {
    ConsortiumId::new("qinghe-community").expect("the name is well-formed")
}

/// The secret half of a key of this consortium.
pub fn secret_of(key: &PublicKey) -> Option<SecretKey> {
    let secrets = (0..VALIDATORS).flat_map(|member| Role::ALL.map(|role| secret(member, role)));
    secrets.into_iter().find(|secret| secret.public_key() == *key)
}

/// The genesis of every run.
pub fn genesis() -> Genesis {
    let window =
        Window { starts: LedgerTime(START_MS - DAY_MS), expires: LedgerTime(START_MS + 300 * DAY_MS) };
    let entry = |member: usize| {
        let (name, kind, tier) = MEMBERS[member];
        let key = |role| GenesisKey { key: secret(member, role).public_key(), role, window };
        let id = institution(member);
        let consortia = BTreeSet::from([consortium()]);
        GenesisInstitution {
            institution: Institution { id, name: name.to_owned(), kind, tier, consortia },
            keys: ROLES.into_iter().map(key).collect(),
        }
    };
    let validator = |member| Validator {
        key: validator_key(member).public_key(),
        institution: institution(member),
        power: 1,
    };
    Genesis {
        network: "simulated consortium".to_owned(),
        time: LedgerTime(START_MS - 60_000),
        parameters: Parameters {
            // Every run goes from one version of the protocol to the next.
            versions: VersionSchedule::new([
                (Height(1), ProtocolVersion::V1),
                (Height(4), ProtocolVersion::V2),
            ]),
            block_transactions_max: 6,
            ..Parameters::default()
        },
        institutions: (0..VALIDATORS).map(entry).collect(),
        validators: ValidatorSet::new((0..VALIDATORS).map(validator).collect()),
    }
}

/// The transactions of a run, in the order in which they are submitted. What does not fit into `count` is left out from
/// the end; what is missing is filled up with grants and disclosures.
pub fn transactions(chain_id: ChainId, count: usize, random: &mut Random) -> Vec<Transaction> {
    let mut author = Author::new(chain_id, random);
    settlement::story(&mut author);
    for _ in 0..author.place(1, 2) {
        referrals::story(&mut author);
    }
    access::story(&mut author, count);
    author.in_order(count)
}

#[cfg(test)]
mod tests {
    use yilian_spec::domain::Operation;
    use yilian_spec::ledger::validation::semantic;

    use super::*;

    #[test]
    fn the_genesis_passes_its_rules_and_every_transaction_is_valid_by_itself() {
        let genesis = genesis();
        genesis.check().unwrap();
        for seed in 0..20 {
            let transactions = transactions(genesis.chain_id(), 40, &mut Random::new(seed));
            let checked = semantic::check_many(transactions, genesis.chain_id());
            assert!(checked.iter().all(Result::is_ok), "seed {seed}");
        }
    }

    #[test]
    fn transactions_are_as_many_as_asked_for_all_different_and_of_every_kind() {
        let chain_id = genesis().chain_id();
        let mut kinds = BTreeSet::new();
        for seed in 0..40 {
            for count in [3, 24, 40] {
                let made = transactions(chain_id, count, &mut Random::new(seed));
                let ids: BTreeSet<_> = made.iter().map(Transaction::id).collect();
                assert_eq!((made.len(), ids.len()), (count, count), "seed {seed}");
                kinds.extend(made.iter().flat_map(|one| &one.body.operations).map(Operation::name));
            }
        }
        // All but the registration of keys: nobody could submit with a key that is not there yet.
        assert_eq!(kinds.len(), 26, "{kinds:?}");
    }
}
