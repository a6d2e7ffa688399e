//! Rules and B-16: work is known before it is done, and no transaction or block costs more than its bound.

use std::cell::RefCell;

use yilian_spec::base::id::{AgreementId, Hash, ServiceId, TransactionId};
use yilian_spec::base::limits::{BLOCK_WORK_MAX, COVERAGE_WORK_MAX, PARTIES_MAX, TRANSACTION_WORK_MAX};
use yilian_spec::base::version::ProtocolVersion;
use yilian_spec::domain::Operation;
use yilian_spec::domain::agreement::work::AgreementWork;
use yilian_spec::domain::agreement::{ClosePeriod, SignAgreement, TerminateAgreement};
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::domain::service::{ReversalReason, ReverseService};
use yilian_spec::ledger::block::Block;
use yilian_spec::ledger::chain::{self, BlockError, Made};
use yilian_spec::ledger::machine::{self, BlockContext};
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::CheckedTransaction;
use yilian_spec::ledger::validation::semantic;
use yilian_spec::ledger::work;
use yilian_spec::settlement::terms::Rounding;
use yilian_spec::state::key::StateKey;
use yilian_spec::state::{StateView, ViewError};

use crate::heavy::{self, Weight, agree, closings, delivery, member, terms};
use crate::support::{CATCHING_UP, proposer, travelling, validate};
use crate::world::{World, institution, secret};

/// A ledger with an agreement whose periods are as heavy to close as may be.
fn attacked() -> (World, AgreementId) {
    let mut world = World::of(heavy::genesis());
    let heavy = terms(Weight::Tiers, 4, 1, Rounding::PerPeriod);
    assert!(AgreementWork::of(&heavy).close > 200, "the terms are light: {:?}", AgreementWork::of(&heavy));
    let agreement = agree(&mut world, &heavy);
    (world, agreement)
}

fn signed(world: &mut World, author: &str, operations: Vec<Operation>) -> CheckedTransaction {
    let key = secret(author, operations[0].role());
    let transaction = world.body(author, &key, operations).sign(&key);
    semantic::check(transaction, world.tip.chain_id).unwrap()
}

fn execute(world: &World, list: &[CheckedTransaction], work_max: u64) -> machine::Execution {
    let context = BlockContext {
        chain_id: world.tip.chain_id,
        height: world.tip.height.next(),
        version: ProtocolVersion::LATEST,
        time: world.tip.next_time_min(),
    };
    machine::execute(&world.rows, &context, list, work_max).unwrap()
}

/// The attack that stood still for ten minutes: 256 closings of one heavy agreement in one transaction of 10 KB.
#[test]
fn rule_x6_many_closings_in_one_transaction_are_refused_when_their_work_is_too_much() {
    let (mut world, agreement) = attacked();
    let close: AgreementWork = world.read(&StateKey::AgreementWork(agreement)).unwrap();
    let fits = u16::try_from(TRANSACTION_WORK_MAX / u64::from(close.close)).unwrap();
    assert!(fits < 6, "one closing costs {close:?}");
    let operations = closings(agreement, 0, 256);
    let (_, outcome) = world.submit(&member(1), operations);
    assert_eq!(outcome, Outcome::Refused { operation: fits, reason: Refusal::TooMuchWork });
    // As many as fit take effect.
    let (_, outcome) = world.submit(&member(1), closings(agreement, 0, fits.into()));
    assert_eq!(outcome, Outcome::Applied);
}

#[test]
fn rule_b16_a_proposer_that_puts_too_much_work_into_its_block_is_refused_before_it_is_done() {
    let (mut world, agreement) = attacked();
    let close: AgreementWork = world.read(&StateKey::AgreementWork(agreement)).unwrap();
    let each = (TRANSACTION_WORK_MAX / u64::from(close.close)) as u32;
    // The attack once more, in transactions that are in order each by itself, together twice what a block may cost.
    let count = 2 * (BLOCK_WORK_MAX / (u64::from(each * close.close))) as u32;
    let list: Vec<CheckedTransaction> = (0..count)
        .map(|number| signed(&mut world, &member(1), closings(agreement, number * each, each)))
        .collect();
    let whole = execute(&world, &list[..1], u64::MAX);
    assert_eq!(whole.work, [u64::from(each * close.close)], "what it costs is what was said before");

    let made = Made { time: world.tip.next_time_min(), proposer: proposer() };
    let root_of = |writes: &_| world.rows.root_after(writes);
    let lie = chain::execute(&world.tip, &world.rows, made, list.clone(), u64::MAX, root_of).unwrap();
    assert_eq!(lie.transactions.len(), list.len());
    let honest =
        chain::execute(&world.tip, &world.rows, made, list.clone(), BLOCK_WORK_MAX, root_of).unwrap();
    let fit = honest.transactions.len();
    assert!(fit < list.len());
    assert!(validate(&world, travelling(&honest), CATCHING_UP).is_ok(), "what fits makes a block");

    let work: u64 = honest.work.iter().sum();
    assert!(work <= BLOCK_WORK_MAX);
    let found = validate(&world, travelling(&lie), CATCHING_UP);
    assert_eq!(found.unwrap_err(), BlockError::TooMuchWork { executed: fit, work, work_max: BLOCK_WORK_MAX });
    // One transaction more than fits is too much, too.
    let block = Block {
        header: lie.header.clone(),
        transactions: list[..=fit].iter().map(|one| one.transaction().clone()).collect(),
    };
    let found = validate(&world, block, CATCHING_UP);
    assert_eq!(found.unwrap_err(), BlockError::TooMuchWork { executed: fit, work, work_max: BLOCK_WORK_MAX });
}

/// A state that notes which rows it is asked for.
struct Noting<'a> {
    rows: &'a dyn StateView,
    asked: RefCell<Vec<Vec<u8>>>,
}

impl<'a> Noting<'a> {
    fn of(rows: &'a dyn StateView) -> Self {
        Self { rows, asked: RefCell::default() }
    }
}

impl StateView for Noting<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.asked.borrow_mut().push(key.to_vec());
        self.rows.get(key)
    }

    fn contains_transaction(&self, id: TransactionId) -> Result<bool, ViewError> {
        self.rows.contains_transaction(id)
    }
}

#[test]
fn rule_b16_nothing_is_executed_behind_what_is_too_much() {
    let (mut world, agreement) = attacked();
    let mut list = vec![signed(&mut world, &member(1), closings(agreement, 0, 1))];
    // These would read rows of agreements that do not exist.
    for number in 0..50 {
        let nowhere = AgreementId([number; 32]);
        list.push(signed(&mut world, &member(1), closings(nowhere, 0, 100)));
    }
    let noting = Noting::of(&world.rows);
    let context = BlockContext {
        chain_id: world.tip.chain_id,
        height: world.tip.height.next(),
        version: ProtocolVersion::LATEST,
        time: world.tip.next_time_min(),
    };
    let stopped = machine::execute(&noting, &context, &list, 10).unwrap();
    assert_eq!((stopped.receipts.len(), stopped.work.len()), (0, 0));
    assert!(stopped.writes.is_empty());
    let asked = noting.asked.borrow().len();
    assert!(asked < 8, "{asked} rows were read");
}

/// What can be asked of an agreement that is there already.
fn about(agreement: AgreementId) -> [Operation; 3] {
    [
        Operation::ClosePeriod(ClosePeriod { agreement, period: 0 }),
        Operation::SignAgreement(SignAgreement { agreement, terms_hash: Hash([1; 32]) }),
        Operation::TerminateAgreement(TerminateAgreement { agreement }),
    ]
}

/// The attack: behind own work that leaves little of what a transaction may cost, an operation on a heavy agreement of others was
/// too much work, and one on no agreement named nothing that exists.
#[test]
fn rule_x5_what_others_have_costs_a_stranger_what_nothing_costs() {
    let (mut world, theirs) = attacked();
    let mut own = terms(Weight::Tiers, 4, 1, Rounding::PerPeriod);
    for (number, party) in own.parties.iter_mut().enumerate() {
        party.institution = institution(&member(10 + number));
    }
    let stranger = own.parties[0].institution.clone();
    let mine = agree(&mut world, &own);
    let player = institution(&member(1));
    let deliver = delivery(&player, own.services.first().unwrap().clone(), 1);
    let service = ServiceId(world.apply_one(player.as_str(), deliver));
    let nowhere = AgreementId([9; 32]);
    for (existing, absent) in about(theirs).iter().zip(&about(nowhere)) {
        assert_eq!(existing.work(&stranger, &world.rows), Ok(1), "{}", existing.name());
        assert_eq!(absent.work(&stranger, &world.rows), Ok(1));
    }
    let reverse =
        |service| Operation::ReverseService(ReverseService { service, reason: ReversalReason::Mistake });
    assert!(reverse(service).work(&player, &world.rows).unwrap() > 1, "a party pays for what is done");
    assert_eq!(reverse(service).work(&stranger, &world.rows), Ok(1));

    let close = u64::from(AgreementWork::of(&own).close);
    let fits = u16::try_from(TRANSACTION_WORK_MAX / close).unwrap();
    let left = TRANSACTION_WORK_MAX % close;
    assert!(left < close && left > 1, "what is left is too little for another closing");
    for agreement in [theirs, nowhere] {
        let mut operations = closings(mine, 0, fits.into());
        operations.extend(closings(agreement, 0, 1));
        let (_, outcome) = world.submit(stranger.as_str(), operations);
        assert_eq!(outcome, Outcome::Refused { operation: fits, reason: Refusal::NoSuchAgreement });
    }
}

/// Terms may be long, and a stranger pays for a unit.
#[test]
fn rule_x5_an_agreement_is_not_read_for_a_stranger() {
    let (mut world, theirs) = attacked();
    let list: Vec<CheckedTransaction> =
        about(theirs).into_iter().map(|operation| signed(&mut world, &member(10), vec![operation])).collect();
    let noting = Noting::of(&world.rows);
    let context = BlockContext {
        chain_id: world.tip.chain_id,
        height: world.tip.height.next(),
        version: ProtocolVersion::LATEST,
        time: world.tip.next_time_min(),
    };
    let executed = machine::execute(&noting, &context, &list, BLOCK_WORK_MAX).unwrap();
    assert_eq!(executed.work, [1, 1, 1]);
    let asked = noting.asked.borrow();
    for key in [StateKey::Agreement(theirs), StateKey::AgreementWork(theirs)] {
        assert!(!asked.contains(&key.bytes()), "{key} was read");
    }
}

#[test]
fn rule_x6_what_is_refused_at_once_costs_a_unit_and_what_ran_before_it_costs_all_of_that() {
    let mut world = World::of(heavy::genesis());
    let agreement = agree(&mut world, &terms(Weight::Fractions, 2, 1, Rounding::PerPeriod));
    let close: AgreementWork = world.read(&StateKey::AgreementWork(agreement)).unwrap();
    let mut operations = closings(agreement, 0, 1);
    operations.extend(closings(agreement, 7, 1));
    let nowhere = AgreementId([9; 32]);
    let list = [
        signed(&mut world, &member(1), operations),
        signed(&mut world, &member(1), closings(nowhere, 0, 1)),
        {
            let key = secret(&member(2), Role::Auditor);
            let transaction = world.body(&member(2), &key, closings(agreement, 0, 200)).sign(&key);
            semantic::check(transaction, world.tip.chain_id).unwrap()
        },
    ];
    let executed = execute(&world, &list, BLOCK_WORK_MAX);
    assert_eq!(executed.work, [2 * u64::from(close.close), 1, 1]);
    assert!(executed.receipts.iter().all(|receipt| receipt.outcome != Outcome::Applied));
}

/// The written formulas, computed by hand for terms whose numbers are all known.
#[test]
fn rule_x5_work_of_an_agreement_is_what_the_chapter_says() {
    let mut terms = terms(Weight::Sums, PARTIES_MAX, 16, Rounding::PerPeriod);
    let steps = terms.expression.steps.len() as u64;
    let (parties, services, players) = (32, 16, 31);
    let party_events = steps / 2;
    let sums = services * (1 + players * 6);
    let bytes = yilian_spec::base::codec::encode(&terms).len() as u64;
    let evaluate = steps * parties / 2 + party_events * parties * sums / 8_192;
    let base = 1 + sums / 128 + bytes / 4_096;
    let expected = AgreementWork {
        event: base as u32,
        close: (base + parties / 4 + evaluate) as u32,
        change: (1 + bytes / 4_096 + parties / 4 + players * services / 2) as u32,
    };
    assert_eq!(AgreementWork::of(&terms), expected);
    terms.expression.steps.truncate(1);
    assert!(AgreementWork::of(&terms).close < expected.close);
}

/// The table of the chapter, for services under no, one and two agreements: a service of six parts costs 1 + 6 / 4 units.
#[test]
fn rule_x5_a_service_costs_its_parts_and_what_each_agreement_makes_of_it() {
    let mut world = World::of(heavy::genesis());
    let light = terms(Weight::Sums, 4, 1, Rounding::PerPeriod);
    let each = AgreementWork::of(&light);
    let player = institution(&member(1));
    let service = light.services.first().unwrap().clone();
    for agreements in 0..3 {
        let deliver = delivery(&player, service.clone(), agreements);
        let counted = 2 + agreements * u64::from(each.event);
        assert_eq!(deliver.work(&player, &world.rows), Ok(counted));
        let id = ServiceId(world.apply_one(player.as_str(), deliver));
        let reverse =
            Operation::ReverseService(ReverseService { service: id, reason: ReversalReason::Mistake });
        let taken_back = 2 + agreements * (u64::from(each.event) + u64::from(each.close));
        assert_eq!(reverse.work(&player, &world.rows), Ok(taken_back));
        agree(&mut world, &light);
    }
    let unknown = ReverseService { service: ServiceId([1; 32]), reason: ReversalReason::Mistake };
    assert_eq!(Operation::ReverseService(unknown).work(&player, &world.rows), Ok(1));
}

#[test]
fn a_transaction_is_expected_to_cost_the_sum_of_its_operations_and_at_most_what_any_may() {
    let (mut world, agreement) = attacked();
    let close: AgreementWork = world.read(&StateKey::AgreementWork(agreement)).unwrap();
    let key = secret(&member(1), Role::Finance);
    let mut expected = |count| {
        let body = world.body(&member(1), &key, closings(agreement, 0, count));
        work::expected(&body, &world.rows).unwrap()
    };
    assert_eq!(expected(1), u64::from(close.close));
    assert_eq!(expected(2), 2 * u64::from(close.close));
    assert_eq!(expected(256), TRANSACTION_WORK_MAX);
}

#[test]
fn rule_o23_a_service_that_counts_can_always_be_taken_back_in_one_transaction() {
    let mut world = World::of(heavy::genesis());
    let heavy = terms(Weight::Tiers, 4, 1, Rounding::PerPeriod);
    let late = AgreementWork::of(&heavy).late_reversal();
    let fit = COVERAGE_WORK_MAX / late;
    assert!((1..8).contains(&fit), "{late} units for one agreement");
    for _ in 0..fit {
        agree(&mut world, &heavy);
    }
    let player = institution(&member(1));
    let service = heavy.services.first().unwrap().clone();
    let id = world.apply_one(player.as_str(), delivery(&player, service, 1));
    // One more of them would make the reversal too much, and is not completed.
    let one_too_many = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| agree(&mut world, &heavy)));
    let said = *one_too_many.unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains("TooManyAgreements"), "{said}");
    let reverse = ReverseService { service: ServiceId(id), reason: ReversalReason::Mistake };
    world.apply_one(player.as_str(), Operation::ReverseService(reverse));
}
