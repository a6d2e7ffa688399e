//! What a broken or hostile caller sends is answered with the name of the rule, and leaves no trace on the ledger; what is
//! well-formed and forbidden is on record with its refusal, and changes nothing. Callers: rules N-1 to N-7.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::json;
use yilian_client::client::{Client, Settings, Signers};
use yilian_client::error::ClientError;
use yilian_node::base::clock::SystemClock;
use yilian_node::conduct::Conduct;
use yilian_node::members::Members;
use yilian_node::network::{self, AddressBook, NetworkConfig, NodeIdentity};
use yilian_spec::base::codec;
use yilian_spec::base::id::{ChainId, GrantId, InstitutionId};
use yilian_spec::base::limits;
use yilian_spec::base::time::Window;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::crypto::token::Audience;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::Grant;
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::{RegisterKey, RevocationReason, RevokeKey, possession_bytes};
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};
use yilian_spec::proof::Checkpoint;
use yilian_spec::state::key::StateKey;
use yilian_tests::caller::{self, Answer, Caller};
use yilian_tests::cluster::{COUNTY, Cluster, REGULATOR, TEACHING, TOWNSHIP, VALIDATORS};
use yilian_tests::work;

const BYTES: &str = "application/octet-stream";
const JSON: &str = "application/json";
/// Life of a key that expires during a test: long enough to be registered on a busy machine.
const BRIEF_MS: u64 = 12_000;

/// A cluster, and somebody at the township's node who holds its access gateway's key.
struct Scene {
    cluster: Cluster,
    caller: Caller,
    gateway: SecretKey,
    institution: InstitutionId,
    chain_id: ChainId,
}

impl Scene {
    async fn open() -> Result<Self> {
        let cluster = Cluster::start(&VALIDATORS).await?;
        let (institution, chain_id) = (cluster.institution(TOWNSHIP), cluster.files.genesis.chain_id());
        let gateway = cluster.member(TOWNSHIP).secrets[&Role::AccessGateway].clone();
        let token = caller::token(&institution, &cluster.audience(TOWNSHIP), &gateway, 0)?;
        let caller = Caller::new(&cluster.url(TOWNSHIP), Some(token))?;
        let scene = Self { cluster, caller, gateway, institution, chain_id };
        // One block with one transaction, so that there is a header whose log can be compared.
        scene.cluster.desk(TOWNSHIP).await?.record(vec![scene.grant()?]).await?;
        Ok(scene)
    }

    fn grant(&self) -> Result<Operation> {
        work::grant(work::subject(&self.institution)?, &self.cluster.institution(COUNTY))
    }

    /// A valid body of one grant, to be spoiled.
    fn body(&self) -> Result<TransactionBody> {
        let created = work::now()?;
        Ok(TransactionBody {
            chain_id: self.chain_id,
            author: self.gateway.public_key(),
            institution: self.institution.clone(),
            created,
            expires: created.plus_ms(60_000),
            nonce: work::random()?,
            operations: vec![self.grant()?],
        })
    }

    async fn submit(&self, transaction: &Transaction) -> Result<Answer> {
        self.caller.submit(BYTES, codec::encode(transaction)).await
    }

    /// Checks the answer to a body that nobody should take.
    async fn refused(&self, body: Vec<u8>, kind: &str, status: u16, code: &str) -> Result<()> {
        let length = body.len();
        let answer = self.caller.submit(kind, body).await?;
        ensure!(
            answer.status.as_u16() == status && answer.error_code() == code,
            "{length} bytes as {kind}: expected {status} {code}, got {answer:?}"
        );
        ensure!(!answer.error_message().is_empty(), "an error says what it is: {answer:?}");
        Ok(())
    }

    /// Closes the scene: the ledger holds as many transactions as it should, and all nodes agree.
    async fn close(mut self, transactions: u64) -> Result<()> {
        let readings = self.cluster.check_all_nodes().await?;
        for reading in &readings {
            let found = reading.report.transactions;
            ensure!(
                found == transactions,
                "node {} holds {found} transactions, not {transactions}",
                reading.node
            );
        }
        Ok(())
    }
}

#[tokio::test]
async fn bodies_that_are_no_transactions_are_refused_by_name() -> Result<()> {
    let scene = Scene::open().await?;
    let good = codec::encode(&scene.body()?.sign(&scene.gateway));
    let mut longer = good.clone();
    longer.push(0);
    let half = good[..good.len() / 2].to_vec();
    let garbage = work::random::<200>()?.to_vec();
    for body in [Vec::new(), garbage, half, longer, vec![0xff; 1_000]] {
        scene.refused(body, BYTES, 400, "malformed").await?;
    }
    scene.refused(vec![0; limits::TRANSACTION_BYTES_MAX + 1], BYTES, 400, "malformed").await?;
    // Several times: an answer given while the body still comes in is sometimes lost with the connection.
    for _ in 0..5 {
        scene.refused(vec![0; 9 << 20], BYTES, 413, "body_too_large").await?;
    }
    scene.refused(good.clone(), "text/plain", 415, "content_type").await?;
    for body in ["", "{", "[]", "{}", "null", r#"{"transactions":[]}"#, r#"{"transactions":["0g"]}"#] {
        scene.refused(body.into(), JSON, 400, "malformed").await?;
    }
    let many = json!({"transactions": vec!["00"; 257]}).to_string();
    scene.refused(many.into(), JSON, 400, "malformed").await?;
    let mixed = json!({"transactions": [hex::encode(&good[..20]), "ff"]}).to_string();
    let answer = scene.caller.submit(JSON, mixed.into()).await?;
    let results = answer.body["results"].as_array().context("one result each")?;
    ensure!(results.len() == 2 && results.iter().all(|result| result["status"] == "rejected"), "{answer:?}");
    scene.close(1).await
}

#[tokio::test]
async fn transactions_that_break_a_rule_are_refused_by_its_name() -> Result<()> {
    let scene = Scene::open().await?;
    let stranger = SecretKey::from_seed(&work::random()?);
    let body = scene.body()?;
    let other_chain = TransactionBody { chain_id: ChainId([7; 32]), ..body.clone() }.sign(&scene.gateway);
    let wrong_key = body.clone().sign(&stranger);
    let unknown = TransactionBody { author: stranger.public_key(), ..body.clone() }.sign(&stranger);
    let now = work::now()?;
    let expired =
        TransactionBody { created: now.minus_ms(60_000), expires: now.minus_ms(30_000), ..body.clone() };
    let early = TransactionBody {
        created: now.plus_ms(20 * 60_000),
        expires: now.plus_ms(30 * 60_000),
        ..body.clone()
    };
    let backwards = TransactionBody { expires: body.created.minus_ms(1), ..body.clone() };
    let none = TransactionBody { operations: vec![], ..body.clone() };
    let operations = vec![body.operations[0].clone(); limits::OPERATIONS_PER_TRANSACTION_MAX + 1];
    let too_many = TransactionBody { operations, ..body.clone() };
    let cases = [
        ("wrong_chain", other_chain),
        ("bad_signature", wrong_key),
        ("unknown_author", unknown),
        ("expired", expired.sign(&scene.gateway)),
        ("from_the_future", early.sign(&scene.gateway)),
        ("lifetime", backwards.sign(&scene.gateway)),
        ("operation_count", none.sign(&scene.gateway)),
        ("operation_count", too_many.sign(&scene.gateway)),
    ];
    for (code, transaction) in cases {
        let answer = scene.submit(&transaction).await?;
        ensure!(
            answer.status == StatusCode::UNPROCESSABLE_ENTITY && answer.error_code() == code,
            "expected 422 {code}, got {answer:?}"
        );
        let known = scene.caller.get(&format!("/v1/transactions/{}", transaction.id())).await?;
        ensure!(known.status == StatusCode::NOT_FOUND, "{code}: nobody keeps it: {known:?}");
    }
    scene.close(1).await
}

#[tokio::test]
async fn a_transaction_that_is_sent_again_counts_once_and_has_one_answer() -> Result<()> {
    let scene = Scene::open().await?;
    let desk = scene.cluster.desk(TOWNSHIP).await?;
    let transaction = desk.client.sign(vec![scene.grant()?])?;
    let recorded = desk.follow(desk.client.submit_signed(transaction.clone()).await?).await?;
    let first = scene.submit(&transaction).await?;
    ensure!(
        first.status == StatusCode::ACCEPTED && first.body["results"][0]["status"] == "committed",
        "{first:?}"
    );
    ensure!(first.body["results"][0]["height"] == json!(recorded.height), "{first:?}");
    for node in VALIDATORS {
        let elsewhere = Caller::new(&scene.cluster.url(node), None)?;
        scene.cluster.wait_for_height(&[node], recorded.height).await?;
        let audience = scene.cluster.audience(node);
        let token = caller::token(&scene.institution, &audience, &scene.gateway, 0)?;
        let again = elsewhere.with_token(Some(token)).submit(BYTES, codec::encode(&transaction)).await?;
        ensure!(again.body == first.body, "node {node} answers {again:?}, not {first:?}");
    }
    scene.close(2).await
}

#[tokio::test]
async fn callers_without_the_right_to_call_are_turned_away_by_name() -> Result<()> {
    let scene = Scene::open().await?;
    let Scene { cluster, institution, gateway, .. } = &scene;
    let member = cluster.member(TOWNSHIP);
    let body = codec::encode(&scene.body()?.sign(gateway));
    let here = cluster.audience(TOWNSHIP);
    let sign = |key: &SecretKey| caller::token(institution, &here, key, 0);
    let other_chain = Audience { chain_id: ChainId([9; 32]), ..here };
    let county = cluster.institution(COUNTY);
    let cases = [
        (401, "no_token", None),
        (401, "bad_token", Some("a.b.c".to_owned())),
        (401, "token_expired", Some(caller::token(institution, &here, gateway, 600)?)),
        (401, "token_for_another_chain", Some(caller::token(institution, &other_chain, gateway, 0)?)),
        (
            401,
            "token_for_another_node",
            Some(caller::token(institution, &cluster.audience(COUNTY), gateway, 0)?),
        ),
        (401, "key_unknown", Some(sign(&SecretKey::from_seed(&work::random()?))?)),
        (401, "issuer_mismatch", Some(caller::token(&county, &here, gateway, 0)?)),
        (403, "role_has_no_api", Some(sign(&member.validator)?)),
        (403, "role_has_no_api", Some(sign(&member.network)?)),
        (403, "role_cannot_submit", Some(sign(&member.secrets[&Role::Auditor])?)),
    ];
    for (status, code, token) in cases {
        let answer = scene.caller.with_token(token).submit(BYTES, body.clone()).await?;
        ensure!(
            answer.status.as_u16() == status && answer.error_code() == code,
            "expected {status} {code}, got {answer:?}"
        );
    }
    scene.close(1).await
}

/// A client that signs with one key only.
async fn client_with(scene: &Scene, key: &SecretKey) -> Result<Client> {
    let settings = Settings {
        nodes: vec![scene.cluster.url(TOWNSHIP)],
        institution: Some(scene.institution.clone()),
        signers: Signers::one(key.clone()),
        checkpoint: Some(Checkpoint::of_genesis(&scene.cluster.files.genesis)),
        ..Settings::default()
    };
    Ok(Client::connect(settings).await?)
}

/// A new access gateway's key, valid for `lifetime_ms` from now.
fn registration(scene: &Scene, key: &SecretKey, lifetime_ms: u64) -> Result<Operation> {
    let (role, starts) = (Role::AccessGateway, work::now()?.minus_ms(1_000));
    let possession = key.sign(&possession_bytes(scene.chain_id, &scene.institution, role, key.public_key()));
    let window = Window { starts, expires: starts.plus_ms(1_000 + lifetime_ms) };
    Ok(Operation::RegisterKey(RegisterKey { key: key.public_key(), role, window, possession }))
}

#[tokio::test]
async fn what_a_key_may_not_do_is_recorded_as_refused_and_changes_nothing() -> Result<()> {
    let scene = Scene::open().await?;
    let desk = scene.cluster.desk(TOWNSHIP).await?;
    let member = scene.cluster.member(TOWNSHIP);
    let (brief, revoked) = (SecretKey::from_seed(&work::random()?), SecretKey::from_seed(&work::random()?));
    desk.record(vec![registration(&scene, &brief, BRIEF_MS)?, registration(&scene, &revoked, work::DAY_MS)?])
        .await?;
    let by_revoked = client_with(&scene, &revoked).await?;
    desk.follow(by_revoked.submit(vec![scene.grant()?]).await?).await?;
    let revoke = RevokeKey { key: revoked.public_key(), reason: RevocationReason::Retired };
    desk.record(vec![Operation::RevokeKey(revoke)]).await?;
    tokio::time::sleep(Duration::from_millis(BRIEF_MS)).await;

    let finance = member.secrets[&Role::Finance].clone();
    let county_gateway = scene.cluster.member(COUNTY).secrets[&Role::AccessGateway].clone();
    let regulator = scene.cluster.client(REGULATOR, &[TOWNSHIP]).await?;
    let cases = [
        (Refusal::WrongRole, finance),
        (Refusal::KeyExpired, brief.clone()),
        (Refusal::KeyOfAnotherInstitution, county_gateway),
    ];
    for (expected, key) in cases {
        let body = TransactionBody { author: key.public_key(), ..scene.body()? };
        // Carried by a caller that may call: the author's own key is what is judged.
        let submitted = desk.client.submit_signed(body.sign(&key)).await?;
        let recorded = desk.follow(submitted).await?;
        let refused = matches!(recorded.outcome, Outcome::Refused { reason, .. } if reason == expected);
        ensure!(refused, "expected {expected:?}, got {:?}", recorded.outcome);
        let key = StateKey::Grant(GrantId(recorded.object(0)));
        let row = regulator.row::<Grant>(&key).await?;
        ensure!(row.verified && row.value.is_none(), "a refused grant is proven absent to who may read all");
        let hidden = desk.client.row::<Grant>(&key).await;
        ensure!(matches!(hidden, Err(ClientError::NoneOfYours { .. })), "{hidden:?}");
    }
    // What a revoked key signs is not even recorded, whoever carries it.
    let body = TransactionBody { author: revoked.public_key(), ..scene.body()? };
    let bytes = codec::encode(&body.sign(&revoked));
    let answer = scene.caller.submit("application/octet-stream", bytes).await?;
    ensure!(answer.error_code() == "revoked_author", "{answer:?}");
    for (code, key) in [("key_expired", brief), ("key_revoked", revoked)] {
        let audience = scene.cluster.audience(TOWNSHIP);
        let token = caller::token(&scene.institution, &audience, &key, 0)?;
        let answer = scene.caller.with_token(Some(token)).get("/v1/institutions").await?;
        ensure!(answer.status == StatusCode::UNAUTHORIZED && answer.error_code() == code, "{answer:?}");
    }
    // The opening one, two keys, a grant by the key revoked later, the revocation, three refusals.
    scene.close(1 + 1 + 1 + 1 + 3).await
}

#[tokio::test]
async fn every_case_of_the_json_test_suite_is_refused_and_the_node_lives() -> Result<()> {
    let suite = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/jsontestsuite");
    if !suite.is_dir() {
        println!("skipped: there is no {} on this machine", suite.display());
        return Ok(());
    }
    let scene = Scene::open().await?;
    let mut cases = Vec::new();
    for folder in ["test_parsing", "test_transform"] {
        let Ok(entries) = std::fs::read_dir(suite.join(folder)) else { continue };
        for entry in entries {
            cases.push(entry?.path());
        }
    }
    cases.sort();
    ensure!(cases.len() > 300, "the suite has more than 300 cases, found {}", cases.len());
    for path in &cases {
        let answer = scene.caller.submit(JSON, std::fs::read(path)?).await?;
        ensure!(
            answer.status == StatusCode::BAD_REQUEST && answer.error_code() == "malformed",
            "{}: {answer:?}",
            path.display()
        );
    }
    ensure!(scene.cluster.health(TOWNSHIP).await?.status == "healthy");
    ensure!(scene.caller.ledger_size().await? == 1);
    scene.close(1).await
}

#[tokio::test]
async fn a_stranger_as_a_peer_gets_nothing_through() -> Result<()> {
    let scene = Scene::open().await?;
    // The stranger speaks every protocol of the node and knows whom it dials; only the ledger does not name it.
    let config = yilian_node::config::Config::load(&scene.cluster.member(TOWNSHIP).home)?;
    let peer = config.network.peers.first().context("the township's node has peers")?.clone();
    let identity = NodeIdentity::from_ed25519_seed(work::random()?).context("a seed makes an identity")?;
    let institution = InstitutionId::new("a-stranger").context("a well-formed name")?;
    let members = Members::of([(peer.peer, institution)]);
    let (_members, membership) = tokio::sync::watch::channel(Arc::new(members));
    let conduct = Conduct::new(membership.clone(), Arc::new(SystemClock));
    let settings =
        NetworkConfig { listen: ([127, 0, 0, 1], 0).into(), peers: vec![peer], ..NetworkConfig::default() };
    let addresses = AddressBook::in_memory(identity.clone(), scene.chain_id);
    let mut stranger =
        network::spawn(&settings, &scene.chain_id.to_string(), &identity, membership, conduct, addresses)
            .await?;
    let transaction = scene.body()?.sign(&scene.gateway);
    let batch = codec::encode(&vec![transaction.clone()]);
    for _ in 0..50 {
        let _ = stranger.handle.gossip_transactions(batch.clone().into());
        tokio::time::sleep(Duration::from_millis(100)).await;
        ensure!(stranger.transactions.try_recv().is_err(), "a stranger hears of other people's transactions");
    }
    stranger.handle.shutdown().await;
    for node in VALIDATORS {
        let audience = scene.cluster.audience(node);
        let token = caller::token(&scene.institution, &audience, &scene.gateway, 0)?;
        let asking = Caller::new(&scene.cluster.url(node), Some(token))?;
        let known = asking.get(&format!("/v1/transactions/{}", transaction.id())).await?;
        ensure!(known.status == StatusCode::NOT_FOUND, "node {node} took it from a stranger: {known:?}");
    }
    let after = scene.cluster.health(TEACHING).await?;
    ensure!(after.peers == Some(VALIDATORS.len() as u64 - 1) && after.status == "healthy", "{after:?}");
    scene.close(1).await
}
