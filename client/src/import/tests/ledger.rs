//! The whole Synthea set against the rules of the ledger, without nodes: every operation takes effect, the statements
//! add up what the files claim, and none of the input's texts is in a transaction.

use std::collections::{BTreeMap, BTreeSet};

use yilian_spec::base::codec::{self, Canonical};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{AgreementId, ConsortiumId, InstitutionId, SubjectTag, TransactionId};
use yilian_spec::base::limits::BLOCK_WORK_MAX;
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::base::version::ProtocolVersion;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::agreement::PeriodStatement;
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::domain::membership::{Institution, InstitutionKind, Role, Tier};
use yilian_spec::domain::parameters::Parameters;
use yilian_spec::domain::referral::{Referral, ReferralState};
use yilian_spec::ledger::chain::genesis_writes;
use yilian_spec::ledger::genesis::{Genesis, GenesisInstitution, GenesisKey};
use yilian_spec::ledger::machine::{self, BlockContext};
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::TransactionBody;
use yilian_spec::ledger::validation::semantic;
use yilian_spec::state::key::StateKey;
use yilian_spec::state::overlay::Writes;
use yilian_spec::state::{StateView, ViewError};

use super::data;
use super::synthea::lines;
use crate::import::agreement;
use crate::import::collect::{Collected, Reach};
use crate::import::document::{Key, Secret};
use crate::import::draft::{Draft, Item, Resolver, Wave};
use crate::import::mapping::Mapping;
use crate::import::plan::{Gross, Plan, Planning};

const START: LedgerTime = LedgerTime(1_790_000_000_000);
const PROVIDERS: [(&str, Tier); 3] = [
    ("province-hospital", Tier::Province),
    ("county-hospital", Tier::County),
    ("township-centre", Tier::Township),
];
const PAYER: &str = "people-fund";

fn id(text: &str) -> InstitutionId {
    InstitutionId::new(text).unwrap()
}

fn consortium() -> ConsortiumId {
    ConsortiumId::new("qinghe-community").unwrap()
}

fn secret_key(institution: &InstitutionId, role: Role) -> SecretKey {
    let name = format!("{institution}/{role:?}");
    SecretKey::from_seed(&codec::hash_bytes(codec::Domain::Object, name.as_bytes()).0)
}

fn genesis() -> Genesis {
    let window = Window { starts: START.minus_ms(1_000), expires: START.plus_ms(1_000_000_000) };
    let roles = [Role::Validator, Role::AccessGateway, Role::ReferralGateway, Role::Finance];
    let entry = |name: &str, kind, tier| {
        let keys =
            roles.map(|role| GenesisKey { key: secret_key(&id(name), role).public_key(), role, window });
        let consortia = BTreeSet::from([consortium()]);
        let institution = Institution { id: id(name), name: name.to_owned(), kind, tier, consortia };
        GenesisInstitution { institution, keys: keys.to_vec() }
    };
    let mut institutions: Vec<_> =
        PROVIDERS.iter().map(|(name, tier)| entry(name, InstitutionKind::Hospital, Some(*tier))).collect();
    institutions.push(entry(PAYER, InstitutionKind::Insurer, None));
    institutions.sort_by(|left, right| left.institution.id.cmp(&right.institution.id));
    let key = secret_key(&id(PAYER), Role::Validator).public_key();
    let validators = ValidatorSet::new(vec![Validator { key, institution: id(PAYER), power: 1 }]);
    Genesis {
        network: "test".into(),
        time: START,
        parameters: Parameters::default(),
        institutions,
        validators,
    }
}

/// The ledger's state in memory, and everything that was signed.
#[derive(Default)]
struct Ledger {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    objects: BTreeMap<Key, [u8; 32]>,
    transactions: Vec<u8>,
    height: u64,
}

impl StateView for Ledger {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.rows.get(key).cloned())
    }

    fn contains_transaction(&self, _: TransactionId) -> Result<bool, ViewError> {
        Ok(false)
    }
}

impl Ledger {
    fn apply(&mut self, writes: Writes) {
        for (key, row) in writes {
            match row {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
    }

    fn read<T: Canonical>(&self, key: &StateKey) -> Option<T> {
        self.rows.get(&key.bytes()).map(|row| codec::decode(row, 1 << 20).unwrap())
    }

    /// Records the items of a wave, 100 to a transaction; each must take effect.
    fn wave(&mut self, genesis: &Genesis, items: &[&Item], tags: &[SubjectTag]) {
        let mut groups: BTreeMap<_, Vec<&Item>> = BTreeMap::new();
        for item in items {
            groups.entry((&item.author, item.draft.role())).or_default().push(item);
        }
        for ((author, role), items) in groups {
            for items in items.chunks(100) {
                self.transaction(genesis, author, role, items, tags);
            }
        }
    }

    fn transaction(
        &mut self,
        genesis: &Genesis,
        author: &InstitutionId,
        role: Role,
        items: &[&Item],
        tags: &[SubjectTag],
    ) {
        self.height += 1;
        let time = START.plus_ms(self.height * 1_000);
        let object = |key: &Key| self.objects.get(key).copied();
        let resolver = Resolver { tags, object: &object, now: START };
        let operations: Vec<_> =
            items.iter().map(|item| item.draft.operation(author, &resolver).unwrap()).collect();
        assert!(operations.iter().all(|operation| operation.role() == role));
        let key = secret_key(author, role);
        let body = TransactionBody {
            chain_id: genesis.chain_id(),
            author: key.public_key(),
            institution: author.clone(),
            created: time,
            expires: time.plus_ms(600_000),
            nonce: u128::from(self.height).to_le_bytes(),
            operations,
        };
        let transaction = body.sign(&key);
        self.transactions.extend(codec::encode(&transaction.body.operations));
        let objects: Vec<[u8; 32]> =
            (0..items.len() as u16).filter_map(|index| transaction.object_id(index)).collect();
        let checked = semantic::check(transaction, genesis.chain_id()).unwrap();
        let context = BlockContext {
            chain_id: genesis.chain_id(),
            height: Height(self.height),
            version: ProtocolVersion::LATEST,
            time,
        };
        let executed =
            machine::execute(&*self, &context, std::slice::from_ref(&checked), BLOCK_WORK_MAX).unwrap();
        let first = items[0].draft.name();
        assert_eq!(executed.receipts[0].outcome, Outcome::Applied, "{first} by {author}");
        self.apply(executed.writes);
        self.objects.extend(items.iter().map(|item| item.key).zip(objects));
    }
}

/// Maps by volume in turn, without a consortium file.
fn mapping(collected: &Collected) -> Mapping {
    let institutions = PROVIDERS.iter().cycle().map(|(name, _)| id(name));
    let organizations = collected.organizations.keys().cloned().zip(institutions).collect();
    Mapping::with_payer(collected, id(PAYER), organizations)
}

#[test]
fn the_rules_take_the_whole_set_and_the_statements_add_up_what_is_claimed() {
    let Some(directory) = data("synthea-r4-2019-dev") else { return };
    let collected = Collected::read(&directory, Reach::default(), |_, _| ()).unwrap();
    let tiers = PROVIDERS.iter().map(|(name, tier)| (id(name), *tier)).collect();
    let secret = Secret::new([5; 32]);
    let (collected, mapping, tiers) = (&collected, &mapping(&collected), &tiers);
    let plan = Planning { collected, mapping, tiers, gross: Gross::Claimed, secret: &secret }.plan(&|_| 0);
    let genesis = genesis();
    genesis.check().unwrap();
    let mut ledger = Ledger::default();
    ledger.apply(genesis_writes(&genesis));
    let pairs = agreement::pairs(&plan);
    let agreements: Vec<Item> = pairs
        .iter()
        .flat_map(|pair| agreement::items(pair, consortium(), agreement::terms(pair).unwrap(), &secret))
        .collect();
    let tags: Vec<SubjectTag> = plan
        .subjects
        .iter()
        .map(|(custodian, name)| {
            let hash = codec::hash_bytes(codec::Domain::Object, name.as_bytes());
            SubjectTag::of(custodian, hash.0[..16].try_into().unwrap())
        })
        .collect();
    for wave in Wave::PLANNED {
        let items: Vec<&Item> =
            agreements.iter().chain(&plan.items).filter(|item| item.wave == wave).collect();
        ledger.wave(&genesis, &items, &tags);
    }
    check_statements(&mut ledger, &genesis, &plan, &agreements);
    check_referrals(&ledger, &plan);
    check_texts(&ledger.transactions, &directory);
}

fn check_statements(ledger: &mut Ledger, genesis: &Genesis, plan: &Plan, agreements: &[Item]) {
    let (mut owed, mut services) = (0, 0);
    let proposed = agreements.iter().filter(|item| matches!(item.draft, Draft::Propose { .. }));
    for proposed in proposed.collect::<Vec<_>>() {
        let agreement = AgreementId(ledger.objects[&proposed.key]);
        let close = Item {
            key: Key(agreement.0),
            wave: Wave::ClosePeriods,
            source: "period".into(),
            author: proposed.author.clone(),
            draft: Draft::ClosePeriod { agreement, period: 0 },
            after: None,
        };
        ledger.wave(genesis, &[&close], &[]);
        let statement: PeriodStatement = ledger.read(&StateKey::Statement(agreement, 0)).unwrap();
        owed += i128::from(statement.statement.total().unwrap().0);
        services += statement.statement.lines.iter().map(|line| line.share.count).sum::<i64>();
    }
    // 370 of the 11,169 claims are of patients whom nobody insures.
    assert_eq!((owed, services), (plan.sums["USD"].gross_minor, 10_799));
}

fn check_referrals(ledger: &Ledger, plan: &Plan) {
    let requests: Vec<&Item> =
        plan.items.iter().filter(|item| matches!(item.draft, Draft::Request { .. })).collect();
    assert!(requests.len() > 100, "{}", requests.len());
    for request in requests {
        let key = StateKey::Referral(yilian_spec::base::id::ReferralId(ledger.objects[&request.key]));
        assert_eq!(ledger.read::<Referral>(&key).unwrap().state, ReferralState::Closed);
    }
}

/// No text of six characters or more that says something about a patient, an organisation or an encounter is in the
/// operations, but the coarse codes.
fn check_texts(bytes: &[u8], directory: &std::path::Path) {
    let mut texts = BTreeSet::new();
    for name in ["Patient", "Organization", "Practitioner", "Encounter"] {
        for line in lines(directory, name) {
            leaves(&serde_json::from_str(&line).unwrap(), &mut texts);
        }
    }
    let codes: BTreeSet<&str> =
        crate::import::codes::Service::ALL.iter().map(|service| service.name()).collect();
    let mut by_start: BTreeMap<&[u8], Vec<&str>> = BTreeMap::new();
    for text in texts.iter().filter(|text| text.len() >= 6 && !codes.contains(text.as_str())) {
        by_start.entry(&text.as_bytes()[..6]).or_default().push(text);
    }
    assert!(by_start.len() > 5_000 && bytes.len() > 3_500_000, "{} {}", by_start.len(), bytes.len());
    for at in 0..bytes.len() - 6 {
        for text in by_start.get(&bytes[at..at + 6]).into_iter().flatten() {
            assert!(!bytes[at..].starts_with(text.as_bytes()), "{text:?} is in an operation");
        }
    }
}

/// All texts of a JSON value.
fn leaves(value: &serde_json::Value, texts: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::String(text) => {
            texts.insert(text.clone());
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| leaves(value, texts)),
        serde_json::Value::Object(fields) => fields.values().for_each(|value| leaves(value, texts)),
        _ => {}
    }
}
