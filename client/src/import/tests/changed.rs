//! Sources that change after they were recorded: found, said, corrected; without nodes, by the journal alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::data;
use crate::import::changes::{self, Changes};
use crate::import::collect::{Collected, Reach};
use crate::import::document::Secret;
use crate::import::draft::{Item, Resolver, Wave};
use crate::import::journal::Journal;
use crate::import::limits;
use crate::import::mapping::Mapping;
use crate::import::plan::{Gross, Plan, Planning};
use yilian_spec::base::codec::{Domain, hash_bytes};
use yilian_spec::base::id::{ChainId, InstitutionId, SubjectTag};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::service::ReversalReason;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::TransactionBody;

const CHAIN: ChainId = ChainId([3; 32]);

fn secret() -> Secret {
    Secret::new([1; 32])
}

/// An import whose every operation takes effect.
struct Import {
    _place: tempfile::TempDir,
    path: PathBuf,
    nonce: u128,
}

impl Import {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        Self { path: place.path().join("journal"), _place: place, nonce: 0 }
    }

    fn journal(&self) -> Journal {
        Journal::open(&self.path, CHAIN, None).unwrap()
    }

    fn plan(&self, collected: &Collected, mapping: &Mapping) -> Plan {
        let contents = Journal::look(&self.path).unwrap().unwrap_or_default();
        let secret = secret();
        let planning =
            Planning { collected, mapping, tiers: &BTreeMap::new(), gross: Gross::Claimed, secret: &secret };
        planning.plan(&|claim| changes::reversals(&contents, &secret, claim))
    }

    fn changes(&self, collected: &Collected, mapping: &Mapping, is_partial: bool) -> Changes {
        let contents = Journal::look(&self.path).unwrap().unwrap_or_default();
        Changes::find(&self.plan(collected, mapping), collected, &contents, &secret(), is_partial)
    }

    fn ledger(&self) -> Vec<(String, u64, i128)> {
        let contents = Journal::look(&self.path).unwrap().unwrap_or_default();
        let held = changes::on_ledger(&contents).into_iter();
        held.map(|(currency, held)| (currency, held.services, held.gross_minor)).collect()
    }

    /// Records what is not recorded yet.
    fn record(&mut self, plan: &Plan) {
        for wave in Wave::PLANNED {
            let items: Vec<Item> = plan.items.iter().filter(|item| item.wave == wave).cloned().collect();
            self.apply(&items, &plan.subjects);
        }
    }

    fn apply(&mut self, items: &[Item], subjects: &[(InstitutionId, String)]) {
        let mut journal = self.journal();
        let sources = changes::Sources::new(&secret(), subjects);
        let tag =
            |(_, name): &(InstitutionId, String)| SubjectTag(hash_bytes(Domain::Object, name.as_bytes()).0);
        let tags: Vec<SubjectTag> = subjects.iter().map(tag).collect();
        for item in items.iter().filter(|item| journal.fate(&item.key).is_none()).collect::<Vec<_>>() {
            self.nonce += 1;
            let object = |key: &_| journal.object(key);
            let resolver = Resolver { tags: &tags, object: &object, now: LedgerTime(7) };
            let operations = vec![item.draft.operation(&item.author, &resolver).unwrap()];
            let key = SecretKey::from_seed(&[4; 32]);
            let body = TransactionBody {
                chain_id: CHAIN,
                author: key.public_key(),
                institution: item.author.clone(),
                created: LedgerTime(1),
                expires: LedgerTime(2),
                nonce: self.nonce.to_le_bytes(),
                operations,
            };
            let transaction = body.sign(&key);
            let id = transaction.id();
            journal.sign(vec![(transaction, vec![(item.key, sources.of(item))])]).unwrap();
            journal.finish(&[(id, Some(Outcome::Applied))]).unwrap();
        }
    }

    /// What `--correct` does.
    fn correct(&mut self, changes: &Changes) {
        self.apply(&changes.corrections(&secret(), ReversalReason::NotDelivered), &[]);
        self.journal().note_known(&changes.staying()).unwrap();
    }
}

fn read(directory: &Path) -> Collected {
    Collected::read(directory, Reach::default(), |_, _| ()).unwrap()
}

/// The input after it changed, with one text in the place of another.
fn altered(directory: &Path, from: &str, to: &str) -> Collected {
    let text = std::fs::read_to_string(directory.join("x.ndjson")).unwrap();
    assert!(text.contains(from), "{from}");
    read(super::directory(&[("x.ndjson", &text.replace(from, to))]).path())
}

/// The case: the input before and after, its mapping, and an import of what was before.
fn recorded() -> Option<(PathBuf, Mapping, Import)> {
    let cases = data("import-cases")?;
    let mapping = Mapping::load(&cases.join("changed-map.toml")).unwrap();
    let before = read(&cases.join("changed-before"));
    let mut import = Import::new();
    let plan = import.plan(&before, &mapping);
    import.record(&plan);
    assert!(import.changes(&before, &mapping, false).is_empty(), "nothing changed");
    assert_eq!(import.ledger(), [("EUR".to_owned(), 1, 10_000)]);
    Some((cases, mapping, import))
}

#[test]
fn another_amount_is_found_and_the_ledger_holds_the_old_one_until_it_is_corrected() {
    let Some((cases, mapping, mut import)) = recorded() else { return };
    let after = read(&cases.join("changed-after"));
    let found = import.changes(&after, &mapping, false);
    let [changed] = found.services.as_slice() else { panic!("{found:?}") };
    let now = changed.now.as_ref().unwrap();
    assert_eq!((changed.claim.as_deref(), changed.recorded_minor), (Some("Claim c1"), 10_000));
    assert_eq!((now.gross_minor, now.provider.as_str()), (17_000, "renhe-hospital"));
    assert!(found.others.is_empty(), "{found:?}");
    // Without a correction nothing of it is recorded.
    let plan = import.plan(&after, &mapping);
    import.record(&plan);
    assert_eq!(import.ledger(), [("EUR".to_owned(), 1, 10_000)]);
    import.correct(&found);
    assert_eq!(import.ledger(), [], "reversed");
    let plan = import.plan(&after, &mapping);
    import.record(&plan);
    assert_eq!(import.ledger(), [("EUR".to_owned(), 1, 17_000)]);
    assert!(import.changes(&after, &mapping, false).is_empty());
    // And back again: the evidence is another each time.
    let before = read(&cases.join("changed-before"));
    let found = import.changes(&before, &mapping, false);
    import.correct(&found);
    let plan = import.plan(&before, &mapping);
    import.record(&plan);
    assert_eq!(import.ledger(), [("EUR".to_owned(), 1, 10_000)]);
}

#[test]
fn a_cancelled_claim_is_withdrawn_by_name_also_from_a_part() {
    let Some((cases, mapping, mut import)) = recorded() else { return };
    let claim = "\"Claim\",\"id\":\"c1\",\"status\":\"active\"";
    let cancelled = altered(&cases.join("changed-before"), claim, &claim.replace("active", "cancelled"));
    for is_partial in [false, true] {
        let found = import.changes(&cancelled, &mapping, is_partial);
        let [changed] = found.services.as_slice() else { panic!("{found:?}") };
        assert_eq!((changed.claim.as_deref(), &changed.now), (Some("Claim c1"), &None));
    }
    // Without the claim the payer has no part in the encounter: the grant goes, the disclosure has happened.
    let found = import.changes(&cancelled, &mapping, false);
    let withdrawn = |name: &str| found.others.get(name).map_or(0, |others| others.withdrawn);
    assert_eq!((withdrawn("grant_access"), withdrawn("record_disclosure")), (1, 1));
    let corrections = found.corrections(&secret(), ReversalReason::NotDelivered);
    let names: Vec<_> = corrections.iter().map(|item| item.draft.name()).collect();
    assert_eq!(names, ["reverse_service", "revoke_grant"]);
    import.correct(&found);
    assert!(import.changes(&cancelled, &mapping, false).is_empty());
    assert_eq!(import.ledger(), []);
    // And back again: the grant is given anew, once.
    let before = read(&cases.join("changed-before"));
    let plan = import.plan(&before, &mapping);
    let given = |import: &Import| {
        let journal = import.journal();
        let grants = plan.items.iter().filter(|item| item.draft.name() == "grant_access");
        grants.map(|item| journal.contents().object(&item.key).unwrap()).collect::<Vec<_>>()
    };
    let revoked = given(&import);
    import.record(&plan);
    let anew = given(&import);
    assert!(anew.len() == 1 && anew != revoked);
    assert!(!import.changes(&before, &mapping, false).others.contains_key("grant_access"));
    import.record(&import.plan(&before, &mapping));
    assert_eq!(given(&import), anew);
    assert_eq!(import.ledger(), [("EUR".to_owned(), 1, 10_000)]);
}

#[test]
fn a_claim_that_is_gone_was_withdrawn_unless_the_input_is_a_part() {
    let Some((_, mapping, import)) = recorded() else { return };
    let rest = "{\"resourceType\":\"Organization\",\"id\":\"o1\",\"name\":\"ONE\"}";
    let rest = read(super::directory(&[("x.ndjson", rest)]).path());
    let found = import.changes(&rest, &mapping, false);
    assert_eq!((found.services.len(), &found.services[0].claim), (1, &None));
    assert!(import.changes(&rest, &mapping, true).is_empty());
}

#[test]
fn another_mapping_is_a_change() {
    let Some((cases, mapping, import)) = recorded() else { return };
    let before = read(&cases.join("changed-before"));
    let mut organizations = mapping.organizations.clone();
    let other = organizations["o2"].clone();
    organizations.insert("o1".to_owned(), other.clone());
    let found = import.changes(&before, &Mapping { organizations, ..mapping }, false);
    let [changed] = found.services.as_slice() else { panic!("{found:?}") };
    assert_eq!(changed.recorder.as_str(), "renhe-hospital");
    assert_eq!(changed.now.as_ref().unwrap().provider, other);
    assert!(found.others["request_referral"].withdrawn == 1, "{found:?}");
}

/// Encounters, each with a claim, that began on a day.
fn encounters(count: usize, day: &str) -> Collected {
    let mut text = String::from("{\"resourceType\":\"Organization\",\"id\":\"o1\",\"name\":\"ONE\"}\n");
    for number in 0..count {
        text += &format!(
            r#"{{"resourceType":"Encounter","id":"e{number}","status":"finished","class":{{"code":"AMB"}},"subject":{{"reference":"Patient/p{number}"}},"serviceProvider":{{"reference":"Organization/o1"}},"period":{{"start":"{day}"}}}}
{{"resourceType":"Claim","id":"c{number}","status":"active","use":"claim","billablePeriod":{{"start":"2020-01-01"}},"provider":{{"reference":"Organization/o1"}},"item":[{{"encounter":[{{"reference":"Encounter/e{number}"}}]}}],"total":{{"value":1.00,"currency":"EUR"}}}}
"#
        );
    }
    read(super::directory(&[("x.ndjson", &text)]).path())
}

#[test]
fn what_happened_and_changed_is_counted_and_a_few_are_named() {
    let Some(cases) = data("import-cases") else { return };
    let mapping = Mapping::load(&cases.join("changed-map.toml")).unwrap();
    let mapping = Mapping { organizations: mapping.organizations.into_iter().take(1).collect(), ..mapping };
    let count = 2 * limits::EXAMPLES_PER_REASON_MAX;
    let mut import = Import::new();
    let plan = import.plan(&encounters(count, "2020-01-01"), &mapping);
    import.record(&plan);
    let later = encounters(count, "2020-01-02");
    let found = import.changes(&later, &mapping, false);
    assert!(found.services.is_empty() && !found.is_empty(), "{found:?}");
    for name in ["record_disclosure", "record_receipt"] {
        let others = &found.others[name];
        assert_eq!((others.changed, others.withdrawn), (count as u64, 0), "{name}");
        assert_eq!(others.examples.len(), limits::EXAMPLES_PER_REASON_MAX, "{name}");
    }
    import.correct(&found);
    assert!(import.changes(&later, &mapping, false).is_empty(), "it is known");
}

/// What was taken back without the journal's noting that as known is not there to be taken back once more.
#[test]
fn what_was_taken_back_is_nothing_to_take_back() {
    let Some((cases, mapping, mut import)) = recorded() else { return };
    let nothing = Collected::default();
    let found = import.changes(&nothing, &mapping, false);
    assert_eq!((found.services.len(), found.grants().len()), (1, 1));
    let staying = found.staying_by_name();
    assert_eq!((staying["record_disclosure"], staying["record_receipt"]), (2, 2));
    assert!(!staying.contains_key("grant_access"), "a grant can be revoked: {staying:?}");
    import.apply(&found.corrections(&secret(), ReversalReason::Duplicate), &[]);
    let again = import.changes(&nothing, &mapping, false);
    assert_eq!((again.services.len(), again.grants().len()), (0, 0), "{again:?}");
    // Nor is what somebody else reversed.
    let before = read(&cases.join("changed-before"));
    let plan = import.plan(&before, &mapping);
    import.record(&plan);
    let found = import.changes(&nothing, &mapping, false);
    assert_eq!(found.services.len(), 1);
    import.journal().note_reversed_by_others(&[found.services[0].service]).unwrap();
    assert!(import.changes(&nothing, &mapping, false).services.is_empty());
}
