//! An older copy of the journal, or one of which everything is gone, is completed from the transactions on the ledger.

use std::collections::{BTreeMap, BTreeSet};

use super::directory;
use super::small::{INPUT, MAPPING};
use crate::import::collect::{Collected, Reach};
use crate::import::document::{Key, Secret};
use crate::import::draft::{Draft, Item, Resolver, Wave};
use crate::import::journal::{Fate, Journal};
use crate::import::mapping::Mapping;
use crate::import::missed::Missed;
use crate::import::plan::{Gross, Plan, Planning};
use crate::import::watch::{self, Watch};
use crate::import::{ImportError, agreement, changes, run};
use yilian_spec::base::id::{ChainId, ConsortiumId, InstitutionId, ServiceId, SubjectTag};
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

/// A tag for each subject.
fn tags(plan: &Plan) -> Vec<SubjectTag> {
    let subjects = plan.subjects.iter().zip(0..);
    subjects.map(|((custodian, _), number)| SubjectTag::of(custodian, [number; 16])).collect()
}

/// What an import of a plan signs, with the journal's keys: one transaction for each wave, author and role.
fn signed(plan: &Plan) -> Vec<(Transaction, Vec<Key>)> {
    let tags = tags(plan);
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

/// Completes a journal; how many operations were found.
fn adopt(missed: Missed, journal: &mut Journal, planning: &Planning<'_>) -> Result<u64, ImportError> {
    missed.tell(journal.contents(), planning)?.write(journal)
}

fn journal(directory: &tempfile::TempDir) -> Journal {
    Journal::open(&directory.path().join("journal"), CHAIN, None).unwrap()
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
            let missed = Missed::of(lacking.collect(), BTreeSet::new());
            let count: usize = signed[known..].iter().map(|(_, keys)| keys.len()).sum();
            assert_eq!(adopt(missed, &mut journal, planning).unwrap(), count as u64, "{known}");
            let nothing = Missed::of(Vec::new(), BTreeSet::new());
            assert_eq!(adopt(nothing, &mut journal, planning).unwrap(), 0);
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

/// Who takes everything back notes what it found without knowing what that was; the next import tells.
#[test]
fn what_was_noted_untold_is_told_by_the_next_import_as_far_as_its_input_does() {
    let transactions: Vec<Transaction> = with_planning(INPUT, |planning| {
        signed(&planning.plan(&|_| 0)).into_iter().map(|one| one.0).collect()
    });
    let place = tempfile::tempdir().unwrap();
    let mut journal = journal(&place);
    journal.note_untold(&transactions).unwrap();
    assert_eq!(changes::on_ledger(journal.contents())["USD"].services, 2);
    let is_known = |journal: &Journal| transactions.iter().all(|one| journal.contents().knows(&one.id()));
    assert!(is_known(&journal));
    let nothing = || Missed::of(Vec::new(), BTreeSet::new());
    with_planning("", |planning| {
        let missed = nothing().and_untold(journal.contents());
        assert_eq!(adopt(missed, &mut journal, planning).unwrap(), 0, "it says nothing of them");
    });
    assert_eq!(journal.contents().untold().count(), transactions.len());
    drop(journal);
    let mut journal = self::journal(&place);
    with_planning(INPUT, |planning| {
        let missed = nothing().and_untold(journal.contents());
        let count: usize = transactions.iter().map(|one| one.body.operations.len()).sum();
        assert_eq!(adopt(missed, &mut journal, planning).unwrap(), count as u64);
        let plan = planning.plan(&|_| 0);
        let read_again = Journal::look(&place.path().join("journal")).unwrap().unwrap();
        for contents in [journal.contents().clone(), read_again] {
            assert_eq!(contents.untold().count(), 0);
            assert_eq!(contents.settled().count(), plan.items.len(), "each stands once");
            let found = changes::Changes::find(&plan, planning.collected, &contents, planning.secret, false);
            assert!(found.is_empty(), "{found:?}");
        }
    });
    // What the input does not explain still stops it, whatever else may stay untold.
    let mut journal = Journal::open(&place.path().join("second"), CHAIN, None).unwrap();
    journal.note_untold(&transactions[1..]).unwrap();
    with_planning("", |planning| {
        let missed = Missed::of(vec![transactions[0].clone()], BTreeSet::new());
        let error = adopt(missed.and_untold(journal.contents()), &mut journal, planning).unwrap_err();
        let first = transactions[0].id();
        assert!(matches!(error, ImportError::JournalBehind { transaction, .. } if transaction == first));
    });
}

#[test]
fn what_is_found_is_what_the_input_asks_for_so_that_nothing_counts_as_changed() {
    with_planning(INPUT, |planning| {
        let plan = planning.plan(&|_| 0);
        let place = tempfile::tempdir().unwrap();
        let mut journal = journal(&place);
        let transactions = signed(&plan).into_iter().map(|(transaction, _)| transaction).collect();
        adopt(Missed::of(transactions, BTreeSet::new()), &mut journal, planning).unwrap();
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
        let mut journal = journal(&place);
        let error = adopt(Missed::of(transactions, BTreeSet::new()), &mut journal, planning).unwrap_err();
        assert!(matches!(error, ImportError::JournalBehind { .. }), "{error}");
        assert!(journal.contents().is_empty(), "all of it or nothing");
    });
}

/// What a claim's service is in a plan.
fn service<'p>(plan: &'p Plan, claim: &str) -> &'p Item {
    let source = format!("Claim {claim}");
    let mut services = plan.items.iter().filter(|item| matches!(item.draft, Draft::Deliver { .. }));
    services.find(|item| *item.source == source).unwrap()
}

fn alone(nonce: u8, item: &Item) -> Transaction {
    let resolver = Resolver { tags: &[], object: &|_| None, now: LedgerTime(1) };
    sign(nonce, &item.author, &[item], &resolver)
}

/// The reversal of the service that a transaction recorded.
fn reversal(nonce: u8, of: &Transaction) -> Transaction {
    let service = ServiceId(of.object_id(0).unwrap());
    let reason = yilian_spec::domain::service::ReversalReason::Mistake;
    let item = Item {
        key: Key([0; 32]),
        source: "".into(),
        wave: Wave::Correct,
        author: of.body.institution.clone(),
        draft: Draft::Reverse { service, reason },
        after: None,
    };
    alone(nonce, &item)
}

/// A watch over the services of a plan.
fn watching(plan: &Plan, journal: &Journal) -> Watch {
    let mut watch = Watch::new(journal.contents(), std::iter::empty());
    let pairs = agreement::pairs(plan);
    let terms = pairs.iter().map(|pair| agreement::terms_hash(pair).unwrap()).collect();
    watch.set_own(pairs, terms);
    watch
}

#[test]
fn a_service_recorded_anew_is_found_where_the_journal_knows_of_none_before_it() {
    let first = with_planning(INPUT, |planning| alone(1, service(&planning.plan(&|_| 0), "c1")));
    let first_reversal = reversal(2, &first);
    let dearer = INPUT.replace("10.005", "17");
    with_planning(&dearer, |planning| {
        let anew = |times: u32, nonce| alone(nonce, service(&planning.plan(&|_| times), "c1"));
        let (second, third) = (anew(1, 3), anew(2, 5));
        let second_reversal = reversal(4, &second);
        let replaced = [first.clone(), first_reversal.clone()];
        let lives: [(&[Transaction], u64); 3] = [
            (std::slice::from_ref(&second), 1),
            (std::slice::from_ref(&third), 1),
            (&[second.clone(), second_reversal, third.clone()], 3),
        ];
        for (found, count) in lives {
            let place = tempfile::tempdir().unwrap();
            let mut journal = journal(&place);
            let all: Vec<Transaction> = replaced.iter().chain(found).cloned().collect();
            let missed = Missed::of(all.clone(), watch::reversed(&all));
            assert_eq!(
                adopt(missed, &mut journal, planning).unwrap(),
                count + 2,
                "the spent one and its reversal"
            );
            drop(journal);
            let journal = self::journal(&place);
            let contents = journal.contents();
            let plan = run::plan(planning, Some(contents));
            let key = service(&plan, "c1").key;
            assert!(matches!(journal.fate(&key), Some(Fate::Applied { .. })), "it is recorded: {count}");
            assert_eq!(changes::on_ledger(contents)["USD"].gross_minor, 1_700);
            let (collected, secret) = (planning.collected, planning.secret);
            assert!(changes::Changes::find(&plan, collected, contents, secret, false).is_empty());
        }
    });
}

#[test]
fn a_service_of_somebody_else_stops_the_import_unless_it_is_reversed_or_of_other_parties() {
    let first = with_planning(INPUT, |planning| alone(1, service(&planning.plan(&|_| 0), "c1")));
    let dearer = INPUT.replace("10.005", "17");
    with_planning(&dearer, |planning| {
        let place = tempfile::tempdir().unwrap();
        let mut journal = journal(&place);
        let own = Missed::of(vec![first.clone()], BTreeSet::new());
        let error = adopt(own, &mut journal, planning).unwrap_err();
        assert!(
            matches!(error, ImportError::JournalBehind { .. }),
            "of its own it knows nothing else: {error}"
        );
        let plan = planning.plan(&|_| 0);
        let watch = watching(&plan, &journal);
        let refuse = |transactions: &[Transaction]| watch.refuse_services(transactions, journal.contents());
        match refuse(std::slice::from_ref(&first)).unwrap_err() {
            ImportError::UnknownServices { count: 1, service, provider, .. } => {
                assert_eq!(
                    (service.0, provider),
                    (first.object_id(0).unwrap(), first.body.institution.clone())
                );
            }
            other => panic!("{other}"),
        }
        refuse(&[first.clone(), reversal(2, &first)]).unwrap();
        // A service of other parties is nothing to this import.
        let mut elsewhere = service(&plan, "c1").clone();
        elsewhere.author = InstitutionId::new("elsewhere").unwrap();
        refuse(&[alone(3, &elsewhere)]).unwrap();
    });
}

#[test]
fn another_agreement_of_the_same_terms_stops_the_import() {
    with_planning(INPUT, |planning| {
        let place = tempfile::tempdir().unwrap();
        let plan = planning.plan(&|_| 0);
        let watch = watching(&plan, &journal(&place));
        let pair = agreement::pairs(&plan).into_iter().next().unwrap();
        let propose = |pair: &agreement::Pair| {
            let consortium = ConsortiumId::new("county").unwrap();
            let [proposal, _] =
                agreement::items(pair, consortium, agreement::terms(pair).unwrap(), planning.secret);
            alone(1, &proposal)
        };
        let found = propose(&pair);
        let error = watch.refuse_agreements(std::slice::from_ref(&found)).unwrap_err();
        assert!(error.to_string().contains(&hex::encode(found.object_id(0).unwrap())), "{error}");
        let other = agreement::Pair { currency: yilian_spec::base::money::Currency::CNY, ..pair };
        watch.refuse_agreements(&[propose(&other)]).unwrap();
    });
}

#[test]
fn agreements_and_periods_are_told_by_their_parties() {
    with_planning(INPUT, |planning| {
        let place = tempfile::tempdir().unwrap();
        let mut journal = journal(&place);
        let plan = planning.plan(&|_| 0);
        let pair = agreement::pairs(&plan).into_iter().next().unwrap();
        let consortium = ConsortiumId::new("county").unwrap();
        let terms = agreement::terms(&pair).unwrap();
        let [propose, sign] = agreement::items(&pair, consortium, terms, planning.secret);
        let proposed = alone(1, &propose);
        let object = proposed.object_id(0).unwrap();
        let resolver = Resolver { tags: &[], object: &|_| Some(object), now: LedgerTime(1) };
        let signed = self::sign(2, &sign.author, &[&sign], &resolver);
        let missed = Missed::of(vec![signed, proposed], BTreeSet::new());
        assert_eq!(adopt(missed, &mut journal, planning).unwrap(), 2);
        assert_eq!(journal.object(&propose.key), Some(object));
        assert!(journal.fate(&sign.key).is_some());
    });
}

#[test]
fn what_was_recorded_for_another_amount_counts_as_changed() {
    with_planning(INPUT, |planning| {
        let plan = planning.plan(&|_| 0);
        let mut recorded = service(&plan, "c1").clone();
        if let Draft::Deliver { gross, .. } = &mut recorded.draft {
            gross.minor = yilian_spec::base::money::AmountMinor(700);
        }
        let place = tempfile::tempdir().unwrap();
        let mut journal = journal(&place);
        let missed = Missed::of(vec![alone(1, &recorded)], BTreeSet::new());
        assert_eq!(adopt(missed, &mut journal, planning).unwrap(), 1);
        let (collected, secret) = (planning.collected, planning.secret);
        let found = changes::Changes::find(&plan, collected, journal.contents(), secret, false);
        let changed: Vec<i64> = found.services.iter().map(|one| one.recorded_minor).collect();
        assert_eq!(changed, [700], "the evidence is the same, and the amount is not");
    });
}

#[test]
fn a_service_that_somebody_else_reversed_stays_so_until_its_source_changes() {
    let place = tempfile::tempdir().unwrap();
    let first = with_planning(INPUT, |planning| {
        let first = alone(1, service(&planning.plan(&|_| 0), "c1"));
        let mut journal = journal(&place);
        adopt(Missed::of(vec![first.clone()], BTreeSet::new()), &mut journal, planning).unwrap();
        let id = ServiceId(first.object_id(0).unwrap());
        journal.note_reversed_by_others(&[id]).unwrap();
        drop(journal);
        let journal = self::journal(&place);
        let contents = journal.contents();
        let plan = run::plan(planning, Some(contents));
        assert!(journal.fate(&service(&plan, "c1").key).is_some(), "it is not recorded anew");
        assert!(changes::on_ledger(contents).is_empty(), "and does not count");
        first
    });
    let dearer = INPUT.replace("10.005", "17");
    with_planning(&dearer, |planning| {
        let journal = self::journal(&place);
        let plan = run::plan(planning, Some(journal.contents()));
        let (collected, secret) = (planning.collected, planning.secret);
        let found = changes::Changes::find(&plan, collected, journal.contents(), secret, false);
        assert_eq!(found.services.len(), 1, "the changed source is told");
        assert_eq!(found.services[0].service.0, first.object_id(0).unwrap());
    });
}
