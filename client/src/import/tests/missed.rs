//! An older copy of the journal, or one of which everything is gone, is completed from the transactions on the ledger.

use std::collections::BTreeMap;

use super::directory;
use super::small::{INPUT, MAPPING};
use crate::import::collect::{Collected, Reach};
use crate::import::document::{Key, Secret};
use crate::import::draft::{Item, Resolver, Wave};
use crate::import::journal::{Fate, Journal};
use crate::import::mapping::Mapping;
use crate::import::missed::Missed;
use crate::import::plan::{Gross, Plan, Planning};
use crate::import::{ImportError, changes};
use yilian_spec::base::id::{ChainId, InstitutionId, SubjectTag};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::membership::Role;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};

const CHAIN: ChainId = ChainId([7; 32]);

/// Does something with the planning of an input.
fn with_planning<T>(input: &str, act: impl FnOnce(&Planning<'_>) -> T) -> T {
    let directory = directory(&[("x.ndjson", input), ("mapping.toml", MAPPING)]);
    let collected = Collected::read(directory.path(), Reach::default(), |_, _| ()).unwrap();
    let mapping = Mapping::load(&directory.path().join("mapping.toml")).unwrap();
    let (tiers, secret) = (BTreeMap::new(), Secret::new([1; 32]));
    let planning = Planning {
        collected: &collected,
        mapping: &mapping,
        tiers: &tiers,
        gross: Gross::Claimed,
        secret: &secret,
    };
    act(&planning)
}

fn sign(nonce: u8, author: &InstitutionId, items: &[&Item], resolver: &Resolver<'_>) -> Transaction {
    let key = SecretKey::from_seed(&[1; 32]);
    let operations = items.iter().map(|item| item.draft.operation(author, resolver).unwrap());
    TransactionBody {
        chain_id: CHAIN,
        author: key.public_key(),
        institution: author.clone(),
        created: LedgerTime(1),
        expires: LedgerTime(2),
        nonce: [nonce; 16],
        operations: operations.collect(),
    }
    .sign(&key)
}

/// What an import of a plan signs, with the journal's keys: one transaction for each wave, author and role.
fn signed(plan: &Plan) -> Vec<(Transaction, Vec<Key>)> {
    let tags: Vec<SubjectTag> = (0..plan.subjects.len()).map(|_| SubjectTag([9; 32])).collect();
    let mut objects: BTreeMap<Key, [u8; 32]> = BTreeMap::new();
    let mut all = Vec::new();
    for wave in Wave::PLANNED {
        let mut groups: BTreeMap<(&InstitutionId, Role), Vec<&Item>> = BTreeMap::new();
        for item in plan.items.iter().filter(|item| item.wave == wave) {
            groups.entry((&item.author, item.draft.role())).or_default().push(item);
        }
        for ((author, _), items) in groups {
            let object = |key: &Key| objects.get(key).copied();
            // Windows begin whenever the import did: nothing is told by them.
            let now = LedgerTime(1_000 + all.len() as u64);
            let transaction =
                sign(all.len() as u8, author, &items, &Resolver { tags: &tags, object: &object, now });
            let keys: Vec<Key> = items.iter().map(|item| item.key).collect();
            let created = (0..keys.len() as u16).filter_map(|index| transaction.object_id(index));
            objects.extend(keys.iter().copied().zip(created));
            all.push((transaction, keys));
        }
    }
    all
}

fn journal(directory: &tempfile::TempDir) -> Journal {
    Journal::open(&directory.path().join("journal"), CHAIN, None).unwrap()
}

/// A transaction of the same institutions that has nothing to do with the import.
fn by_hand(plan: &Plan) -> Transaction {
    let secret = Secret::new([2; 32]);
    let mut item = plan.items[0].clone();
    if let crate::import::draft::Draft::Grant { consent, .. } = &mut item.draft {
        *consent = secret.commit("consent", &[], b"by hand");
    }
    let tags = vec![SubjectTag([9; 32]); plan.subjects.len()];
    let resolver = Resolver { tags: &tags, object: &|_| None, now: LedgerTime(1) };
    sign(200, &item.author, &[&item], &resolver)
}

#[test]
fn whatever_the_journal_lacks_is_found_and_nothing_else() {
    with_planning(INPUT, |planning| {
        let plan = planning.plan(&|_| 0);
        let signed = signed(&plan);
        assert!(signed.len() > 10, "{}", signed.len());
        for known in [0, 1, signed.len() / 2, signed.len()] {
            let place = tempfile::tempdir().unwrap();
            let mut journal = journal(&place);
            for (transaction, keys) in &signed[..known] {
                let operations = keys.iter().map(|key| (*key, [0; 32])).collect();
                journal.sign(vec![(transaction.clone(), operations)]).unwrap();
                journal.finish(&[(transaction.id(), Some(Outcome::Applied))]).unwrap();
            }
            // In any order: what a step belongs to may come after it.
            let lacking = signed[known..].iter().rev().map(|(transaction, _)| transaction.clone());
            let mut missed = Missed::of(lacking.chain([by_hand(&plan)]).collect());
            let count: usize = signed[known..].iter().map(|(_, keys)| keys.len()).sum();
            assert_eq!(missed.adopt(&mut journal, planning).unwrap(), count as u64, "{known}");
            assert_eq!(missed.adopt(&mut journal, planning).unwrap(), 0);
            drop(journal);
            let journal = self::journal(&place);
            for (transaction, keys) in &signed {
                for (key, index) in keys.iter().zip(0..) {
                    let fate = Fate::Applied { object: transaction.object_id(index).unwrap() };
                    assert_eq!(journal.fate(key), Some(fate), "{known}");
                }
            }
            assert_eq!(changes::on_ledger(journal.contents())["USD"].services, 2);
        }
    });
}

#[test]
fn what_is_found_is_what_the_input_asks_for_so_that_nothing_counts_as_changed() {
    with_planning(INPUT, |planning| {
        let plan = planning.plan(&|_| 0);
        let place = tempfile::tempdir().unwrap();
        let mut journal = journal(&place);
        let transactions = signed(&plan).into_iter().map(|(transaction, _)| transaction).collect();
        Missed::of(transactions).adopt(&mut journal, planning).unwrap();
        let (collected, secret) = (planning.collected, planning.secret);
        let found = changes::Changes::find(&plan, collected, journal.contents(), secret, false);
        assert!(found.is_empty(), "{found:?}");
    });
}

#[test]
fn a_transaction_of_which_the_input_asks_for_a_part_stops_the_import() {
    let transactions: Vec<Transaction> = with_planning(INPUT, |planning| {
        signed(&planning.plan(&|_| 0)).into_iter().map(|one| one.0).collect()
    });
    let smaller: String =
        INPUT.lines().filter(|line| !line.contains("\"d2\"")).collect::<Vec<_>>().join("\n");
    with_planning(&smaller, |planning| {
        let place = tempfile::tempdir().unwrap();
        let error = Missed::of(transactions).adopt(&mut journal(&place), planning).unwrap_err();
        assert!(matches!(error, ImportError::JournalBehind { .. }), "{error}");
    });
}
