//! The consortium of the runs: its genesis, its keys, and the transactions that its gateways sign.

use std::collections::BTreeSet;

use yilian_spec::codec;
use yilian_spec::genesis::{Genesis, GenesisInstitution, GenesisKey, Parameters};
use yilian_spec::id::{ChainId, Commitment, GrantId, InstitutionId, SubjectTag, object_id};
use yilian_spec::membership::{Institution, InstitutionKind, Role, Tier, Validator, ValidatorSet};
use yilian_spec::operation::Operation;
use yilian_spec::operation::access::{
    AccessScope, Category, Decision, GrantAccess, Purpose, RecordDisclosure, Sensitivity,
};
use yilian_spec::signature::{PublicKey, SecretKey};
use yilian_spec::time::{LedgerTime, Window};
use yilian_spec::transaction::{Transaction, TransactionBody};

use super::plan::VALIDATORS;
use super::random::Random;

/// Wall clock at the beginning of every run, in milliseconds since 1970-01-01 UTC.
pub const START_MS: u64 = 1_790_000_000_000;
const DAY_MS: u64 = 86_400_000;

const MEMBERS: [(&str, InstitutionKind, Option<Tier>); VALIDATORS] = [
    ("anping-insurer", InstitutionKind::Insurer, None),
    ("liulin-health-centre", InstitutionKind::PrimaryCare, Some(Tier::Township)),
    ("qinghe-county-hospital", InstitutionKind::Hospital, Some(Tier::County)),
    ("renhe-hospital", InstitutionKind::Hospital, Some(Tier::Province)),
];

fn secret(member: usize, role: Role) -> SecretKey {
    let label = format!("{}/{role:?}", MEMBERS[member].0);
    SecretKey::from_seed(&codec::hash_bytes(codec::Domain::Object, label.as_bytes()).0)
}

/// The key with which a member's node votes.
pub fn validator_key(member: usize) -> SecretKey {
    secret(member, Role::Validator)
}

/// The secret half of a key of this consortium.
pub fn secret_of(key: &PublicKey) -> Option<SecretKey> {
    let secrets = (0..VALIDATORS).flat_map(|member| Role::ALL.map(|role| secret(member, role)));
    secrets.into_iter().find(|secret| secret.public_key() == *key)
}

fn institution(member: usize) -> InstitutionId {
    InstitutionId::new(MEMBERS[member].0).expect("the members' names above are well-formed")
}

/// The genesis of every run.
pub fn genesis() -> Genesis {
    let window =
        Window { starts: LedgerTime(START_MS - DAY_MS), expires: LedgerTime(START_MS + 300 * DAY_MS) };
    let entry = |member: usize| {
        let (name, kind, tier) = MEMBERS[member];
        let roles = [Role::Validator, Role::Administrator, Role::AccessGateway];
        let key = |role| GenesisKey { key: secret(member, role).public_key(), role, window };
        let id = institution(member);
        GenesisInstitution {
            institution: Institution { id, name: name.to_owned(), kind, tier, consortia: BTreeSet::new() },
            keys: roles.into_iter().map(key).collect(),
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
        parameters: Parameters { block_transactions_max: 6, ..Parameters::default() },
        institutions: (0..VALIDATORS).map(entry).collect(),
        validators: ValidatorSet::new((0..VALIDATORS).map(validator).collect()),
    }
}

/// The transactions of a run, in the order they are submitted: grants, and disclosures under them. Some disclosures go
/// beyond their grant or come before it is committed, and stand on the ledger as refused.
pub fn transactions(chain_id: ChainId, count: usize, random: &mut Random) -> Vec<Transaction> {
    let mut grants: Vec<(usize, GrantAccess, GrantId)> = Vec::new();
    let mut transactions = Vec::with_capacity(count);
    for _ in 0..count {
        let (member, operation, grant) = match grants.len() {
            known if known > 0 && random.chance(600) => {
                let (member, grant, id) = &grants[random.position(known)];
                (*member, Operation::RecordDisclosure(disclosure(grant, *id, random)), None)
            }
            _ => {
                let member = random.position(VALIDATORS);
                let grant = grant(member, random);
                (member, Operation::GrantAccess(grant.clone()), Some(grant))
            }
        };
        let author = secret(member, Role::AccessGateway);
        let [nonce, _] = halves(random.bytes());
        let body = TransactionBody {
            chain_id,
            author: author.public_key(),
            institution: institution(member),
            created: LedgerTime(START_MS),
            expires: LedgerTime(START_MS + DAY_MS / 2),
            nonce,
            operations: vec![operation],
        };
        let transaction = body.sign(&author);
        if let Some(grant) = grant {
            grants.push((member, grant, GrantId(object_id(transaction.id(), 0))));
        }
        transactions.push(transaction);
    }
    transactions
}

fn halves(bytes: [u8; 32]) -> [[u8; 16]; 2] {
    let half = |from: usize| std::array::from_fn(|index| bytes[from + index]);
    [half(0), half(16)]
}

fn grant(member: usize, random: &mut Random) -> GrantAccess {
    // Another member than the grantor.
    let grantee = (member + 1 + random.position(VALIDATORS - 1)) % VALIDATORS;
    GrantAccess {
        subject: SubjectTag(random.bytes()),
        grantee: institution(grantee),
        scope: AccessScope {
            categories: BTreeSet::from([Category::Laboratory, Category::Imaging]),
            highest_sensitivity: Sensitivity::N,
            purposes: BTreeSet::from([Purpose::Treat]),
        },
        window: Window { starts: LedgerTime(START_MS), expires: LedgerTime(START_MS + DAY_MS) },
        consent: Commitment(random.bytes()),
    }
}

fn disclosure(grant: &GrantAccess, id: GrantId, random: &mut Random) -> RecordDisclosure {
    RecordDisclosure {
        subject: grant.subject,
        recipient: grant.grantee.clone(),
        category: if random.chance(200) { Category::Genomic } else { Category::Laboratory },
        sensitivity: Sensitivity::N,
        purpose: Purpose::Treat,
        content: Commitment(random.bytes()),
        decision: Decision::Permit { grant: id },
    }
}

#[cfg(test)]
mod tests {
    use yilian_spec::validation::semantic;

    use super::*;

    #[test]
    fn the_genesis_passes_its_rules_and_every_transaction_is_valid() {
        let genesis = genesis();
        genesis.check().unwrap();
        let transactions = transactions(genesis.chain_id(), 40, &mut Random::new(7));
        assert!(semantic::check_many(transactions, genesis.chain_id()).iter().all(Result::is_ok));
    }
}
