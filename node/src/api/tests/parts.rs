//! Long streams in parts, the ledger's log, and lists that lie in several places.

use axum::http::StatusCode;
use yilian_spec::base::id::{Commitment, DisclosureId, GrantId};
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{
    Category, Decision, DenialReason, Purpose, RecordDisclosure, RecordReceipt, Sensitivity,
};
use yilian_spec::domain::membership::Role;
use yilian_spec::proof::{Proof, StreamParts};

use super::reading::proof;
use super::world::{CLINIC, HOSPITAL, REGULATOR, World, institution};

const HOSPITAL_READS: (&str, Role) = (HOSPITAL, Role::AccessGateway);
const CLINIC_READS: (&str, Role) = (CLINIC, Role::AccessGateway);
const REGULATOR_READS: (&str, Role) = (REGULATOR, Role::Auditor);

fn disclosure(content: u8, decision: Decision) -> Operation {
    Operation::RecordDisclosure(RecordDisclosure {
        subject: World::patient(1),
        recipient: institution(CLINIC),
        category: Category::Laboratory,
        sensitivity: Sensitivity::N,
        purpose: Purpose::Treat,
        content: Commitment([content; 32]),
        decision,
        acting_person: None,
        origin: None,
    })
}

/// Every part of a stream of more than two subtrees with a row of their own, whatever its first entry and its length.
#[tokio::test(flavor = "multi_thread")]
async fn any_part_of_a_long_stream_is_proven() {
    const LENGTH: u64 = 3 * 256 + 5;
    let mut world = World::new();
    let denial = disclosure(1, Decision::Deny { reason: DenialReason::NoGrant });
    for count in [256, 256, 256, 5] {
        let transaction = world.transaction(HOSPITAL_READS, vec![denial.clone(); count]);
        world.committed(vec![transaction]);
    }
    let path = format!("/v1/streams/subject/{}/proof", World::patient(1));
    for (from, entries) in
        [(0, 1), (0, 255), (0, 256), (1, 255), (1, 256), (100, 7), (255, 1), (255, 2), (256, 256), (511, 3)]
            .into_iter()
            .chain([(512, 256), (767, 2), (768, 4), (768, 5), (769, 4_000), (LENGTH, 1), (3, 600)])
    {
        let asked = format!("{path}?from={from}&entries={entries}");
        let Proof::Stream(part) = proof(&world, HOSPITAL_READS, &asked).await else {
            panic!("not the proof of a stream");
        };
        assert_eq!(part.before.length(), from, "{asked}");
        assert_eq!(part.entries.len() as u64, entries.min(LENGTH - from), "{asked}");
    }
    let mut all: Option<StreamParts> = None;
    while all.as_ref().is_none_or(|parts| !parts.are_complete()) {
        let from = all.as_ref().map_or(0, StreamParts::next);
        let asked = format!("{path}?from={from}&entries=100");
        let Proof::Stream(proof) = proof(&world, HOSPITAL_READS, &asked).await else {
            panic!("not the proof of a stream");
        };
        let part = proof.part().unwrap();
        match &mut all {
            None => all = Some(StreamParts::new(&proof, part)),
            Some(parts) => parts.add(&proof, part).unwrap(),
        }
    }
    for query in ["entries=0", "entries=4001", "from=774", "entries=-1", "entries=x"] {
        let answer = world.ask(HOSPITAL_READS, &format!("{path}?{query}")).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "malformed"), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn later_blocks_prove_earlier_transactions_and_logs() {
    let mut world = World::new();
    let first = world.grant(1);
    let ids = world.committed(vec![first]);
    for _ in 0..3 {
        let grants = (0..3).map(|_| world.grant(1)).collect();
        world.committed(grants);
    }
    world.commit();
    let path = format!("/v1/transactions/{}/inclusion", ids[0]);
    for caller in [HOSPITAL_READS, CLINIC_READS, REGULATOR_READS] {
        let Proof::Inclusion(found) = proof(&world, caller, &path).await else { panic!("another proof") };
        assert_eq!((found.transaction.id(), found.block.header.height.0), (ids[0], 5));
        assert_eq!((found.inclusion.index, found.inclusion.size), (0, 10));
    }
    let stranger = world.ask((super::world::INSURER, Role::Finance), &path).await;
    assert_eq!((stranger.status, stranger.code()), (StatusCode::FORBIDDEN, "not_yours"));
    for height in 1..5 {
        let path = format!("/v1/blocks/{height}/consistency");
        let Proof::Consistency(found) = proof(&world, CLINIC_READS, &path).await else {
            panic!("another proof")
        };
        assert_eq!((found.earlier.header.height.0, found.block.header.height.0), (height, 5));
    }
    for (height, code) in [("5", "malformed"), ("6", "not_found"), ("0", "not_found"), ("x", "malformed")] {
        let answer = world.ask(CLINIC_READS, &format!("/v1/blocks/{height}/consistency")).await;
        assert_eq!(answer.code(), code, "{height}");
    }
}

/// Both sides list what waits for a receipt, page by page, although one row says it.
#[tokio::test(flavor = "multi_thread")]
async fn both_sides_list_disclosures_without_receipt() {
    let mut world = World::new();
    let given = world.grant(1);
    let grant = GrantId(given.object_id(0).unwrap());
    world.committed(vec![given]);
    let permits = (1..=7).map(|content| disclosure(content, Decision::Permit { grant })).collect();
    let made = world.transaction(HOSPITAL_READS, permits);
    let mut expected: Vec<String> = (0..7).map(|index| hex::encode(made.object_id(index).unwrap())).collect();
    let first = DisclosureId(made.object_id(0).unwrap());
    world.committed(vec![made]);
    expected.sort();
    for caller in [HOSPITAL_READS, CLINIC_READS] {
        for limit in [1, 2, 3, 7, 8] {
            let mut found = Vec::new();
            let mut cursor = String::new();
            loop {
                let page =
                    world.ask(caller, &format!("/v1/disclosures?open=true&limit={limit}{cursor}")).await;
                assert_eq!(page.status, StatusCode::OK, "{page:?}");
                let items = page.json["items"].as_array().unwrap();
                assert!(items.len() <= limit);
                found.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
                let Some(next) = page.json["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(found, expected, "{caller:?} {limit}");
        }
    }
    let stranger = world.ask((super::world::INSURER, Role::Finance), "/v1/disclosures?open=true").await;
    assert_eq!(stranger.json["items"], serde_json::json!([]));
    let content = Commitment([1; 32]);
    let receipt = Operation::RecordReceipt(RecordReceipt { disclosure: first, content, acting_person: None });
    let receipt = world.transaction(CLINIC_READS, vec![receipt]);
    world.committed(vec![receipt]);
    for caller in [HOSPITAL_READS, CLINIC_READS] {
        let left = world.ask(caller, "/v1/disclosures?open=true").await;
        assert_eq!(left.json["items"].as_array().unwrap().len(), 6);
    }
}
