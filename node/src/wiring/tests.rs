//! A whole node in this process: started from a home, asked, copied, stopped, and read from its files.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use yilian_local::keyfile::Key;
use yilian_local::passphrase::SecretString;
use yilian_local::sealed::WorkFactor;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::base::version::UnknownVersion;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::domain::membership::{Institution, InstitutionKind, Role};
use yilian_spec::domain::parameters::Parameters;
use yilian_spec::ledger::genesis::{Genesis, GenesisInstitution, GenesisKey};

use crate::config::Config;
use crate::home::{Home, HomeError};
use crate::metrics::lint;
use crate::network::NodeIdentity;
use crate::operator::control::{self, Answer, Command};
use crate::storage::{audit, backup};
use crate::wiring::Node;

const PASSPHRASE: &str = "correct horse";

/// A home with one validator, whose ledger nobody else has.
fn make_home(path: &Path) -> Home {
    make_home_of(path, 2)
}

/// The same with a network key of its own: the engine's metrics are the process's, and tell nodes apart by their keys.
fn make_home_of(path: &Path, seed: u8) -> Home {
    let institution = InstitutionId::new("lone-hospital").unwrap();
    let (validator, network) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[seed; 32]));
    let now_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let time = LedgerTime(now_ms - 1_000);
    let window = Window { starts: time, expires: time.plus_ms(86_400_000) };
    let key = |secret: &SecretKey, role| GenesisKey { key: secret.public_key(), role, window };
    let genesis = Genesis {
        network: "lone".to_owned(),
        time,
        parameters: Parameters::default(),
        institutions: vec![GenesisInstitution {
            institution: Institution {
                id: institution.clone(),
                name: "Lone".to_owned(),
                kind: InstitutionKind::Hospital,
                tier: None,
                consortia: BTreeSet::new(),
            },
            keys: vec![key(&validator, Role::Validator), key(&network, Role::Node)],
        }],
        validators: ValidatorSet::new(vec![Validator {
            key: validator.public_key(),
            institution: institution.clone(),
            power: 1,
        }]),
    };
    let mut config = Config::default();
    config.network.listen = "127.0.0.1:0".parse().unwrap();
    config.api.listen = "127.0.0.1:0".parse().unwrap();
    config.consensus.heartbeat_ms = 1_000;
    config.node.validator_key = "validator.key".into();
    config.node.passphrase = "file:passphrase".to_owned();
    std::fs::create_dir_all(path).unwrap();
    let write = |name: &str, text: String| std::fs::write(path.join(name), text).unwrap();
    write("config.toml", toml::to_string(&config).unwrap());
    write("passphrase", format!("{PASSPHRASE}\n"));
    Key { institution: institution.clone(), role: Role::Node, secret: network }
        .create_unsealed(&path.join("network.key"))
        .unwrap();
    write("genesis.json", serde_json::to_string(&genesis).unwrap());
    Key { institution, role: Role::Validator, secret: validator }
        .create(&path.join("validator.key"), &SecretString::from(PASSPHRASE), WorkFactor::TESTS_ONLY)
        .unwrap();
    crate::voting::mark_never_voted(path).unwrap();
    Home::open(path).unwrap()
}

async fn status(home: &Path) -> serde_json::Value {
    match control::ask(home, &Command::Status).await.unwrap() {
        Answer::Status { health, .. } => health,
        other => panic!("{other:?}"),
    }
}

/// `/metrics` as `curl` gets it.
async fn metrics(address: std::net::SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\nhost: node\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    body.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_runs_is_copied_stops_and_goes_on_from_its_files() {
    let directory = tempfile::tempdir().unwrap();
    // A path longer than a socket's may be.
    let home = make_home(&directory.path().join("a-home-with-a-long-name".repeat(6)));
    assert!(
        control::ask(&home.path, &Command::Status).await.unwrap_err().to_string().contains("no node runs")
    );
    let node = Node::start(&home).await.unwrap();
    let second = Node::start(&home).await.err().expect("a home belongs to one process");
    assert!(matches!(second.downcast_ref::<HomeError>(), Some(HomeError::InUse { .. })), "{second}");
    while status(&home.path).await["height"].as_u64().unwrap() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(status(&home.path).await["status"], "healthy");
    let text = metrics(node.server.address).await;
    assert!(text.contains("yilian_ledger_height") && text.contains("malachitebft_core"), "{text}");
    // The engine's registry is the process's, and other tests of this process start nodes of one name again.
    let identity = NodeIdentity::from_ed25519_seed(*home.network_key().unwrap().secret.seed()).unwrap();
    let own = format!("moniker=\"{}\"", identity.peer_id());
    let own: String = text
        .lines()
        .filter(|line| !line.contains("moniker=") || line.contains(&own))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(lint::complaints(&own), [""; 0]);
    let copies = directory.path().join("copies");
    let command = Command::Backup { directory: copies.clone(), keep: 2 };
    let answer = control::ask(&home.path, &command).await.unwrap();
    assert!(matches!(answer, Answer::Backup { .. }), "{answer:?}");
    node.shutdown().await.unwrap();

    let report = audit::check(&home.ledger_directory(), |_, _| ()).unwrap();
    assert!(report.is_clean() && report.height.0 >= 2, "{report:?}");
    let restored = backup::restore(&copies, &directory.path().join("restored")).unwrap();
    assert_eq!(restored.chain_id, home.genesis().unwrap().chain_id());

    let node = Node::start(&home).await.unwrap();
    while status(&home.path).await["height"].as_u64().unwrap() <= report.height.0 {
        tokio::task::yield_now().await;
    }
    node.shutdown().await.unwrap();
}

#[test]
fn what_is_wrong_with_a_home_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let home = make_home(&directory.path().join("home"));
    std::fs::write(home.path.join("passphrase"), "wrong").unwrap();
    assert!(matches!(home.validator_key(), Err(HomeError::ValidatorKey(_))));
    std::fs::write(home.path.join("network.key"), "zz").unwrap();
    assert!(matches!(home.network_key(), Err(HomeError::NetworkKey(_))));
    std::fs::write(home.path.join("genesis.json"), "{}").unwrap();
    assert!(matches!(home.genesis(), Err(HomeError::GenesisForm { .. })));
    assert!(Home::open(directory.path()).unwrap_err().to_string().contains("yilian-node init"));
}

/// A node whose ledger goes on under a version that it does not know says so from the first block on, goes on until then, and
/// names the version when it ends, and when it is started again.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_version_is_told_ahead_and_ends_the_node() {
    let directory = tempfile::tempdir().unwrap();
    let home = make_home_of(&directory.path().join("home"), 3);
    let file = home.path.join("genesis.json");
    let mut genesis: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    genesis["parameters"]["versions"] =
        serde_json::json!([{"height": 1, "version": 2}, {"height": 4, "version": 900}]);
    std::fs::write(&file, genesis.to_string()).unwrap();
    let home = Home::open(&home.path).unwrap();
    let mut node = Node::start(&home).await.unwrap();
    let health = status(&home.path).await;
    let alarms = health["alarms"].as_array().unwrap();
    let told = alarms.iter().find(|alarm| alarm["kind"] == "version").expect("an alarm");
    assert!(told["reason"].as_str().unwrap().contains("version 900"), "{health}");
    let ended = node.ended(false).await.expect_err("block 4 cannot be executed");
    assert!(format!("{ended:#}").contains("version 900"), "{ended:#}");
    let _ = node.shutdown().await;
    assert_eq!(audit::check(&home.ledger_directory(), |_, _| ()).unwrap().height.0, 3);
    let again = Node::start(&home).await.err().expect("it does not start");
    assert!(again.downcast_ref::<UnknownVersion>().is_some_and(|one| one.found == 900), "{again:#}");
}

/// Two of two that lost their disks, or one of one: nothing could ever be decided again.
#[tokio::test(flavor = "multi_thread")]
async fn a_validator_without_which_nothing_is_decided_votes_again_by_its_operators_word() {
    let directory = tempfile::tempdir().unwrap();
    let home = make_home_of(&directory.path().join("home"), 4);
    // It has voted, and nobody knows for what.
    std::fs::remove_file(home.path.join(crate::voting::NEVER_VOTED)).unwrap();
    let node = Node::start(&home).await.unwrap();
    let health = status(&home.path).await;
    let remedy = health["remedy"].as_str().unwrap();
    assert!(health["status"] == "no_quorum" && remedy.contains("vote-again"), "{health}");
    node.shutdown().await.unwrap();
    crate::voting::vote_again(&home, yilian_spec::base::height::Height(1)).unwrap();
    let node = Node::start(&home).await.unwrap();
    while status(&home.path).await["height"].as_u64().unwrap() < 2 {
        tokio::task::yield_now().await;
    }
    node.shutdown().await.unwrap();
}
