//! Rules V-1 and V-2: a ledger goes from one version of the protocol to the next at the height that its parameters say, and no
//! further than the program knows.

use yilian_spec::base::height::Height;
use yilian_spec::base::id::{Commitment, ReferralId};
use yilian_spec::base::limits::BLOCK_WORK_MAX;
use yilian_spec::base::version::{ProtocolVersion, UnknownVersion, VersionSchedule};
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::referral::{AmendOutcome, OutcomeCode};
use yilian_spec::ledger::block::Block;
use yilian_spec::ledger::chain::{self, BlockError, ExecutionError, Made};
use yilian_spec::ledger::validation::contextual::ContextualError;
use yilian_spec::ledger::validation::semantic;

use crate::support::{CATCHING_UP, proposer, travelling, validate};
use crate::world::{COUNTY, World, genesis, secret};

/// A ledger whose third block is the first of version 2.
fn world() -> World {
    let mut genesis = genesis();
    let starts = [(Height(1), ProtocolVersion::V1), (Height(3), ProtocolVersion::V2)];
    genesis.parameters.versions = VersionSchedule::new(starts);
    World::of(genesis)
}

/// The next block, with one transaction that amends an outcome.
fn amending(world: &mut World) -> (chain::ExecutedBlock, Block) {
    let key = secret(COUNTY, Role::ReferralGateway);
    let report = Commitment([1; 32]);
    let amend = AmendOutcome { referral: ReferralId([1; 32]), outcome: OutcomeCode::Completed, report };
    let transaction = world.body(COUNTY, &key, vec![Operation::AmendOutcome(amend)]).sign(&key);
    let checked = semantic::check(transaction, world.tip.chain_id).unwrap();
    let made = Made { time: world.tip.next_time_min(), proposer: proposer() };
    let root_of = |writes: &_| world.rows.root_after(writes);
    let executed =
        chain::execute(&world.tip, &world.rows, made, vec![checked], BLOCK_WORK_MAX, root_of).unwrap();
    let block = travelling(&executed);
    (executed, block)
}

#[test]
fn a_header_names_the_version_of_its_height_and_an_operation_waits_for_its_own() {
    let mut world = world();
    for (height, version) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
        let (executed, block) = amending(&mut world);
        assert_eq!((block.header.height, block.header.version), (Height(height), version));
        let found = validate(&world, block.clone(), CATCHING_UP).map(drop);
        if version == 1 {
            let (since, version) = (ProtocolVersion::V2, ProtocolVersion::V1);
            let reason = ContextualError::NotYet { operation: 0, name: "amend_outcome", since, version };
            assert_eq!(found, Err(BlockError::Contextual { index: 0, reason }));
        } else {
            assert_eq!(found, Ok(()));
        }
        for other in [0, 3 - version, 3] {
            let mut lying = block.clone();
            lying.header.version = other;
            assert_eq!(validate(&world, lying, CATCHING_UP).map(drop), Err(BlockError::NotTheNext));
        }
        world.commit(executed);
    }
}

#[test]
fn a_program_stops_before_a_version_that_it_does_not_know() {
    let mut world = world();
    let (executed, block) = amending(&mut world);
    world.commit(executed);
    let starts = r#"[{ "height": 1, "version": 1 }, { "height": 2, "version": 7 }]"#;
    world.tip.parameters.versions = serde_json::from_str(starts).unwrap();
    let unknown = UnknownVersion { found: 7 };
    let made = Made { time: world.tip.next_time_min(), proposer: proposer() };
    let root_of = |writes: &_| world.rows.root_after(writes);
    let built = chain::execute(&world.tip, &world.rows, made, vec![], BLOCK_WORK_MAX, root_of);
    assert_eq!(built.map(drop), Err(ExecutionError::Version(unknown)));
    assert_eq!(validate(&world, block, CATCHING_UP).map(drop), Err(BlockError::UnknownVersion(unknown)));
    assert!(unknown.to_string().contains("update"));
}

#[test]
fn a_block_has_the_work_that_the_parameters_allow() {
    let mut world = World::new();
    let (_, block) = amending(&mut world);
    world.tip.parameters.block_work_max = 0;
    let found = validate(&world, block, CATCHING_UP).map(drop);
    assert_eq!(found, Err(BlockError::TooMuchWork { executed: 0, work: 0, work_max: 0 }));
}
