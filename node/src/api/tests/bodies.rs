//! Bad input, each with its named error and no effect.

use axum::http::StatusCode;
use yilian_spec::base::codec;
use yilian_spec::base::id::ChainId;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::{SecretKey, Signature};
use yilian_spec::domain::membership::Role;
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};

use super::world::{BODY_BYTES_MAX, CLINIC, HOSPITAL, World, secret};

const CALLER: (&str, Role) = (HOSPITAL, Role::AccessGateway);
const BYTES: &str = "application/octet-stream";
const JSON: &str = "application/json";

fn signed(body: TransactionBody) -> Transaction {
    body.sign(&secret(HOSPITAL, Role::AccessGateway))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_transaction_is_accepted_in_each_form_and_a_repeat_is_recognised() {
    let mut world = World::new();
    let (first, second, third) = (world.grant(1), world.grant(2), world.grant(3));
    let answer = world.submit(CALLER, &first).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    assert_eq!(answer.json["results"][0]["status"], "accepted");
    assert_eq!(answer.json["results"][0]["transaction_id"], first.id().to_string());
    let answer = world.post(CALLER, JSON, serde_json::to_vec(&second).unwrap()).await;
    assert_eq!(
        (answer.status, &answer.json["results"][0]["status"]),
        (StatusCode::ACCEPTED, &"accepted".into())
    );
    let hex = |transaction: &Transaction| hex::encode(codec::encode(transaction));
    let many = serde_json::json!({ "transactions": [hex(&first), "00", hex(&third)] });
    let answer = world.post(CALLER, JSON, many.to_string()).await;
    let status = |index: usize| answer.json["results"][index]["status"].as_str().unwrap();
    assert_eq!([status(0), status(1), status(2)], ["pending", "rejected", "accepted"]);
    world.commit();
    let answer = world.submit(CALLER, &first).await;
    let result = &answer.json["results"][0];
    assert_eq!(
        (answer.status, &result["status"], &result["height"]),
        (StatusCode::ACCEPTED, &"committed".into(), &1.into())
    );
    assert_eq!(result["receipt"]["outcome"], "applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_transaction_are_refused() {
    let mut world = World::new();
    let good = codec::encode(&world.grant(1));
    let mut longer = good.clone();
    longer.push(0);
    for bytes in [Vec::new(), b"garbage".to_vec(), good[..good.len() - 1].to_vec(), longer] {
        let answer = world.post(CALLER, BYTES, bytes).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "malformed"));
    }
    let answer = world.post(CALLER, BYTES, vec![0; BODY_BYTES_MAX + 1]).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));
    let answer = world.post(CALLER, "text/plain", good).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type"));
    assert_eq!(world.mempool.pending(), 0);
}

/// All machines' clocks were set back, so nobody's differs from the others'.
#[tokio::test(flavor = "multi_thread")]
async fn what_expires_because_the_clocks_are_behind_the_ledger_is_told_so() {
    let mut world = World::new();
    world.commit();
    let tip_ms = world.now().0;
    world.clock.set(tip_ms - 3_000_000);
    let grant = world.grant(1);
    let answer = world.submit(CALLER, &grant).await;
    assert_eq!(answer.code(), "expired");
    let text = answer.json["error"]["message"].to_string();
    assert!(text.contains("this node's clock is 50 min 0 s behind the ledger's last block"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_that_a_transaction_breaks_has_its_name() {
    let mut world = World::new();
    let good = world.grant(1);
    let body = || good.body.clone();
    let stranger = SecretKey::from_seed(&[9; 32]);
    let now = world.now();
    let cases = [
        (signed(TransactionBody { chain_id: ChainId([1; 32]), ..body() }), "wrong_chain"),
        (Transaction { signature: Signature::Ed25519([7; 64]), ..good.clone() }, "bad_signature"),
        (signed(TransactionBody { created: LedgerTime(5), expires: LedgerTime(10), ..body() }), "expired"),
        (
            signed(TransactionBody {
                created: now.plus_ms(600_000),
                expires: now.plus_ms(700_000),
                ..body()
            }),
            "from_the_future",
        ),
        (signed(TransactionBody { expires: LedgerTime(1), ..body() }), "lifetime"),
        (signed(TransactionBody { operations: Vec::new(), ..body() }), "operation_count"),
        (
            signed(TransactionBody { operations: vec![body().operations[0].clone(); 257], ..body() }),
            "operation_count",
        ),
        (TransactionBody { author: stranger.public_key(), ..body() }.sign(&stranger), "unknown_author"),
    ];
    for (transaction, code) in cases {
        let answer = world.submit(CALLER, &transaction).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::UNPROCESSABLE_ENTITY, code));
    }
    assert_eq!(world.mempool.pending(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_or_a_stopping_node_takes_no_transaction_and_says_why() {
    let mut world = World::new();
    let good = world.grant(1);
    world.health.set_disk_free_bytes(5);
    let answer = world.submit(CALLER, &good).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "disk"));
    let health = world.ask_openly("/health").await;
    assert_eq!((health.status, &health.json["status"]), (StatusCode::SERVICE_UNAVAILABLE, &"disk".into()));
    world.health.set_disk_free_bytes(u64::MAX);
    world.health.set_stopping();
    assert_eq!(world.submit(CALLER, &good).await.code(), "stopping");
    assert_eq!(world.ask((CLINIC, Role::Auditor), "/v1/institutions").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_json_of_every_kind_is_refused_and_the_server_lives() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/jsontestsuite");
    if !directory.exists() {
        println!("skipped: {} is absent", directory.display());
        return;
    }
    let world = World::new();
    let mut cases = 0;
    for folder in ["test_parsing", "test_transform"] {
        for entry in std::fs::read_dir(directory.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let answer = world.post(CALLER, JSON, std::fs::read(&path).unwrap()).await;
            assert!(answer.status.is_client_error(), "{}: {answer:?}", path.display());
            assert!(!answer.code().is_empty(), "{}: {answer:?}", path.display());
            cases += 1;
        }
    }
    assert!(cases > 300, "{cases} cases were found");
    assert_eq!(world.mempool.pending(), 0);
    assert_eq!(world.ask(CALLER, "/v1/institutions").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_queries_and_methods_that_do_not_exist_are_named() {
    let world = World::new();
    let cases = [
        ("/v2/chain", StatusCode::NOT_FOUND, "no_such_path"),
        ("/v1/grants/xyz", StatusCode::BAD_REQUEST, "malformed"),
        ("/v1/grants?limit=0", StatusCode::BAD_REQUEST, "malformed"),
        ("/v1/grants?limit=many", StatusCode::BAD_REQUEST, "malformed"),
        ("/v1/grants?colour=red", StatusCode::BAD_REQUEST, "malformed"),
        ("/v1/grants?cursor=zz", StatusCode::BAD_REQUEST, "malformed"),
        ("/v1/grants?cursor=00ff", StatusCode::BAD_REQUEST, "malformed"),
        ("/v1/blocks/first", StatusCode::BAD_REQUEST, "malformed"),
        ("/v1/blocks/99", StatusCode::NOT_FOUND, "not_found"),
        ("/v1/streams/patient/x", StatusCode::BAD_REQUEST, "malformed"),
        ("/v1/disclosures", StatusCode::BAD_REQUEST, "malformed"),
        ("/v1/state/xx/proof", StatusCode::BAD_REQUEST, "malformed"),
        ("/v1/state/8100/proof", StatusCode::BAD_REQUEST, "malformed"),
    ];
    for (path, status, code) in cases {
        let answer = world.ask(CALLER, path).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{path}");
    }
    let request =
        world.request(axum::http::Method::DELETE, CALLER, "/v1/chain", "", axum::body::Body::empty());
    assert_eq!(world.answer(request).await.code(), "method_not_allowed");
}
