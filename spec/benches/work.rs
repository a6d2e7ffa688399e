//! What a unit of work takes (rule X-5): the heaviest transactions of each kind, state in memory.
//!
//! `cargo bench -p yilian-spec --bench work` prints for each the units that it costs and the microseconds of one unit, the
//! fastest of some runs. The factors in `work.rs` are right while no kind takes much longer than a grant.

use std::time::{Duration, Instant};

#[path = "../tests/support/heavy.rs"]
#[allow(dead_code, missing_docs, clippy::unwrap_used)]
mod heavy;
#[path = "../tests/support/world.rs"]
#[allow(dead_code, missing_docs, clippy::unwrap_used)]
mod world;

use heavy::{Weight, agree, closings, delivery, member, services, terms};
use world::{COUNTY, DAY_MS, TEACHING, World, commitment, institution, scope};
use yilian_spec::base::id::{ServiceId, SubjectTag};
use yilian_spec::base::limits::{PARTIES_MAX, SERVICES_PER_TERMS_MAX};
use yilian_spec::base::time::Window;
use yilian_spec::base::version::ProtocolVersion;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::GrantAccess;
use yilian_spec::domain::agreement::{ProposeAgreement, Schedule, TerminateAgreement};
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::{RegisterKey, possession_bytes};
use yilian_spec::domain::service::{ReversalReason, ReverseService};
use yilian_spec::ledger::machine::{self, BlockContext};
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::validation::semantic;
use yilian_spec::settlement::terms::{Rounding, Terms};

const RUNS: usize = 5;

fn main() {
    grants();
    keys();
    for (weight, most) in [(Weight::Fractions, PARTIES_MAX), (Weight::Tiers, 8), (Weight::Sums, PARTIES_MAX)]
    {
        settled(weight, Rounding::PerPeriod, 2);
        settled(weight, Rounding::PerEvent, 2);
        settled(weight, Rounding::PerPeriod, most);
    }
    settled(Weight::Fractions, Rounding::PerEvent, 8);
    changed();
}

/// Prints what the operations of a member take in one transaction on this ledger.
fn measure(name: &str, world: &mut World, author: &str, operations: Vec<Operation>) {
    let count = operations.len();
    let key = world::secret(author, operations[0].role());
    let transaction = world.body(author, &key, operations).sign(&key);
    let list = [semantic::check(transaction, world.tip.chain_id).expect("it is well-formed")];
    let context = BlockContext {
        chain_id: world.tip.chain_id,
        height: world.tip.height.next(),
        version: ProtocolVersion::LATEST,
        time: world.tip.next_time_min(),
    };
    let mut fastest = Duration::MAX;
    let mut cost = (0, Outcome::Applied);
    for _ in 0..RUNS {
        let began = Instant::now();
        let executed = machine::execute(&world.rows, &context, &list, u64::MAX).expect("memory can be read");
        fastest = fastest.min(began.elapsed());
        cost = (executed.work[0], executed.receipts[0].outcome);
    }
    let (units, outcome) = cost;
    let took_us = fastest.as_secs_f64() * 1e6;
    let each = took_us / units as f64;
    println!(
        "{name:<44} {count:>4} operations {units:>6} units {took_us:>9.0} us {each:>7.1} us/unit  {outcome:?}"
    );
}

fn grants() {
    let mut world = World::new();
    let window = Window { starts: world.time(), expires: world.time().plus_ms(DAY_MS) };
    let grant = |number: u8| {
        Operation::GrantAccess(GrantAccess {
            grantee: institution(COUNTY),
            subject: SubjectTag::of(&institution(TEACHING), [number; 16]),
            scope: scope(),
            window,
            consent: commitment(1),
        })
    };
    measure("grants", &mut world, TEACHING, (0..=255).map(grant).collect());
}

fn keys() {
    let mut world = World::new();
    let window = Window { starts: world.time(), expires: world.time().plus_ms(DAY_MS) };
    let register = |number: u8| {
        let secret = SecretKey::from_seed(&[number; 32]);
        let key = secret.public_key();
        let bytes = possession_bytes(world.tip.chain_id, &institution(TEACHING), Role::AccessGateway, key);
        let possession = secret.sign(&bytes);
        Operation::RegisterKey(RegisterKey { key, role: Role::AccessGateway, window, possession })
    };
    let operations = (1..=100).map(register).collect();
    measure("new keys", &mut world, TEACHING, operations);
}

/// Deliveries, closings and late reversals under terms of one kind, with all sums that a period can have.
fn settled(weight: Weight, rounding: Rounding, parties: usize) {
    let services_count = if parties == 2 { 1 } else { SERVICES_PER_TERMS_MAX };
    let mut world = World::of(heavy::genesis());
    let terms = terms(weight, parties, services_count, rounding);
    let agreement = agree(&mut world, &terms);
    let mut number = 0;
    for party in &terms.parties[1..] {
        for service in services(services_count) {
            number += 1;
            world.apply_one(party.institution.as_str(), delivery(&party.institution, service, number));
        }
    }
    let author = member(1);
    let one = || institution(&member(1));
    let first_service = || services(1).into_iter().next().expect("there is one");
    let name = |what: &str| format!("{what}, {weight:?} {rounding:?} {parties}");
    measure(&name("close"), &mut world, &author, closings(agreement, 0, 1));
    measure(&name("deliver"), &mut world, &author, vec![delivery(&one(), first_service(), number + 1)]);
    let service = world.apply_one(&author, delivery(&one(), first_service(), number + 2));
    world.submit(&author, closings(agreement, 0, 1));
    let reverse = Operation::ReverseService(ReverseService {
        service: ServiceId(service),
        reason: ReversalReason::Mistake,
    });
    measure(&name("reverse late"), &mut world, &author, vec![reverse]);
}

fn changed() {
    let mut world = World::of(heavy::genesis());
    let terms = terms(Weight::Parties, PARTIES_MAX, SERVICES_PER_TERMS_MAX, Rounding::PerPeriod);
    let proposal = |world: &World, terms: Terms| {
        Operation::ProposeAgreement(ProposeAgreement {
            consortium: yilian_spec::base::id::ConsortiumId::new("qinghe-community").expect("a slug"),
            terms,
            window: Window { starts: world.time(), expires: world.time().plus_ms(DAY_MS) },
            schedule: Schedule::OnDemand,
        })
    };
    let operations = vec![proposal(&world, terms.clone())];
    measure("propose, many parties", &mut world, &member(0), operations);
    let long = self::terms(Weight::Fractions, PARTIES_MAX, SERVICES_PER_TERMS_MAX, Rounding::PerPeriod);
    let operations = vec![proposal(&world, long)];
    measure("propose, long terms", &mut world, &member(0), operations);
    let agreement = agree(&mut world, &terms);
    let end = Operation::TerminateAgreement(TerminateAgreement { agreement });
    measure("terminate (as the last signature)", &mut world, &member(0), vec![end]);
}
