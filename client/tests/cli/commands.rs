//! Commands against a ledger over HTTP: submission, verified answers, failover, and answers that are not to be trusted.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use yilian_client::client::{Client, Settings, Signers};
use yilian_client::error::ClientError;
use yilian_local::keyfile::Key;
use yilian_local::sealed::WorkFactor;
use yilian_spec::base::id::Commitment;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{Category, Decision, DenialReason, Purpose, RecordDisclosure, Sensitivity};
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::referral::PublishCapacity;
use yilian_spec::state::key::StreamId;

use crate::ledger::{Day, SUBJECT, institution, secret};
use crate::node::{Fault, Node};
use crate::yilian::{Run, Yilian};

/// A user with profile, keys and checkpoint, and a node to talk to.
pub struct Setting {
    pub yilian: Yilian,
    pub node: Node,
    pub day: Arc<Mutex<Day>>,
}

fn write_key(path: &Path, role: Role) {
    let key =
        Key { institution: institution("qinghe-hospital"), role, secret: secret("qinghe-hospital", role) };
    let passphrase = String::from("correct horse battery").into();
    key.create(path, &passphrase, WorkFactor::TESTS_ONLY).unwrap();
}

impl Setting {
    pub fn new() -> Self {
        let day = Arc::new(Mutex::new(Day::play()));
        let node = Node::start(Arc::clone(&day));
        let yilian = Yilian::new();
        write_key(&yilian.home.path().join("access.key"), Role::AccessGateway);
        write_key(&yilian.home.path().join("finance.key"), Role::Finance);
        yilian.write("trust.json", serde_json::to_vec(&day.lock().unwrap().ledger.checkpoint()).unwrap());
        yilian.write("consent.pdf", "consent");
        let arguments = [
            "profile",
            "add",
            "qinghe",
            "--node",
            &node.url,
            "--as",
            "qinghe-hospital",
            "--key",
            "access.key",
            "--key-for",
            "finance=finance.key",
            "--passphrase",
            "env:YILIAN_PASSPHRASE",
            "--checkpoint",
            "trust.json",
        ];
        yilian.run(&arguments).exits(0);
        Self { yilian, node, day }
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.yilian.run(arguments)
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).exits(0).json()
    }

    pub fn grant(&self) -> String {
        self.day.lock().unwrap().grant.to_string()
    }

    fn agreement(&self) -> String {
        self.day.lock().unwrap().agreement.to_string()
    }
}

pub const CREATE: [&str; 12] = [
    "grant",
    "create",
    "--to",
    "renhe-hospital",
    "--subject",
    // A tag of Qinghe's: SUBJECT of the ledger.
    "502d258082baa40bda5e46e77356a25507070707070707070707070707070707",
    "--category",
    "laboratory,imaging",
    "--expires",
    "+30d",
    "--document",
    "consent.pdf",
];

#[test]
fn a_grant_is_created_shown_verified_and_its_receipt_checked_offline() {
    let setting = Setting::new();
    let created = setting.json(&CREATE);
    assert_eq!(
        (&created["status"], &created["verified"], &created["height"]),
        (&json!("applied"), &json!(true), &json!(5))
    );
    let id = created["created"][0]["id"].as_str().unwrap();
    let shown = setting.json(&["grant", "show", id]);
    assert_eq!(shown["record"]["grantee"], "renhe-hospital");
    assert_eq!(shown["record"]["scope"]["categories"], json!(["laboratory", "imaging"]));
    assert_eq!(shown["verified"], true);
    let text = setting.run(&["grant", "show", id]).exits(0).out;
    assert!(text.contains("renhe-hospital") && text.contains("verified against the checkpoint"), "{text}");
    let transaction = created["transaction_id"].as_str().unwrap();
    setting.run(&["transaction", "receipt", transaction, "--save", "receipt.json"]).exits(0);
    let verified = setting.run(&["verify", "receipt.json", "--trust", "trust.json"]).exits(0);
    assert!(verified.out.contains(transaction) && verified.out.contains("took effect"), "{}", verified.out);
    setting.run(&["transaction", "receipt", transaction, "--save", "receipt.json"]).exits(5);
    let list = setting.json(&["grant", "list"]);
    assert_eq!(list[0]["id"], setting.grant());
}

#[test]
fn a_refusal_by_the_rules_is_on_record_and_exits_with_1() {
    let setting = Setting::new();
    let grant = setting.grant();
    let disclose = [
        "access",
        "disclose",
        "--grant",
        &grant,
        "--to",
        "renhe-hospital",
        "--subject",
        CREATE[5],
        "--category",
        "genomic",
        "--commitment",
        CREATE[5],
        "--json",
    ];
    let told = setting.run(&disclose).exits(1).json();
    assert_eq!(
        (&told["status"], &told["transaction_id"], &told["refusal"]["reason"]),
        (&json!("not_submitted"), &Value::Null, &json!("category_not_granted"))
    );
    assert!(setting.node.submitted().is_empty(), "what would be refused was submitted");
    let text = setting.run(&disclose[..12]).exits(1).out;
    assert!(text.contains("nothing is on record") && text.contains("--force"), "{text}");
    assert!(setting.node.submitted().is_empty());
    let refused = setting.run(&[&disclose[..], &["--force"]].concat()).exits(1).json();
    assert_eq!((&refused["status"], &refused["created"]), (&json!("refused"), &json!([])));
    assert_eq!(refused["refusal"]["reason"], "category_not_granted");
    assert_eq!(refused["verified"], true);
    let id = refused["transaction_id"].as_str().unwrap();
    let shown = setting.json(&["transaction", "show", id]);
    assert_eq!(shown["receipt"]["outcome"]["refused"]["reason"], "category_not_granted");
}

#[test]
fn an_institution_that_is_no_member_is_named() {
    let setting = Setting::new();
    let mut create = CREATE;
    create[3] = "typo-hospital";
    let run = setting.run(&create).exits(1);
    for part in ["refused: an institution", "no member: typo-hospital", "yilian institution list"] {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
}

#[test]
fn streams_and_statements_are_proven_complete_and_saved() {
    let setting = Setting::new();
    let name = format!("subject/{}", *SUBJECT);
    let stream = setting.json(&["stream", "show", &name, "--resolve"]);
    assert_eq!((&stream["length"], &stream["complete"]), (&json!(2), &json!(true)));
    let names: Vec<&Value> =
        stream["entries"].as_array().unwrap().iter().map(|entry| &entry["operation_name"]).collect();
    assert_eq!(names, ["grant_access", "record_disclosure"]);
    assert_eq!(stream["entries"][1]["kind"], "refused");
    let block = setting.json(&["block", "show", "latest"]);
    assert_eq!((&block["header"]["height"], &block["verified"]), (&json!(4), &json!(true)));
    let part = setting.json(&["stream", "show", &name, "--from", "1"]);
    assert_eq!((&part["length"], &part["complete"]), (&json!(2), &json!(false)));
    let part =
        setting.json(&["stream", "show", "institution/qinghe-hospital", "--from", "1", "--limit", "2"]);
    assert_eq!((&part["complete"], part["entries"].as_array().unwrap().len()), (&json!(false), 2));
    assert!(part["length"].as_u64().unwrap() > 3);
    let agreement = setting.agreement();
    let shown = setting.run(&["statement", "show", &agreement, "0"]).exits(0).out;
    assert!(shown.contains("540.00 CNY") && shown.contains("qinghe-hospital"), "{shown}");
    setting.run(&["statement", "save", &agreement, "0", "statement.json"]).exits(0);
    setting.run(&["verify", "statement.json", "--trust", "trust.json"]).exits(0);
    setting.run(&["stream", "save", &name, "stream.json"]).exits(0);
    setting.run(&["verify", "stream.json", "--trust", "trust.json"]).exits(0);
    let period = setting.json(&["period", "show", &agreement, "0"]);
    assert_eq!(period["record"]["events"], 3);
    setting.run(&["period", "show", &agreement, "1"]).exits(6);
}

#[test]
fn a_transaction_that_is_not_readable_leaves_a_named_gap_in_a_stream() {
    let setting = Setting::new();
    let show = ["stream", "show", "institution/qinghe-hospital", "--resolve"];
    let whole = setting.json(&show);
    let transaction = |index: usize| whole["entries"][index]["transaction_id"].as_str().unwrap().to_owned();
    setting.node.hide(&transaction(1));
    setting.node.lose(&transaction(2));
    let parted = setting.json(&show);
    assert_eq!((&parted["length"], &parted["complete"]), (&whole["length"], &json!(true)));
    let entries = parted["entries"].as_array().unwrap();
    let gaps: Vec<&Value> = entries.iter().take(3).map(|entry| &entry["gap"]).collect();
    assert_eq!(gaps, [&json!(null), &json!("not_readable"), &json!("not_there")]);
    assert_eq!(entries[0], whole["entries"][0]);
    assert_eq!(
        (&entries[1]["operation_name"], &entries[1]["kind"]),
        (&json!(null), &whole["entries"][1]["kind"])
    );
    let shown = setting.run(&show).exits(0).out;
    for part in
        ["grant_access", "complete: none was left out", "transactions of 1 entries: not readable to you"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

/// A subject's stream names its grants, and theirs hold what was disclosed.
#[test]
fn everything_about_a_subject_is_its_stream_and_those_of_its_grants() {
    let setting = Setting::new();
    let name = format!("subject/{}", *SUBJECT);
    let grant = setting.grant();
    let found = setting.json(&["stream", "show", &name, "--with-grants"]);
    assert_eq!((&found["entries"], &found["complete"]), (&json!(4), &json!(true)));
    let grants = found["grants"].as_array().unwrap();
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0]["stream"], format!("grant/{grant}"));
    let names: Vec<&Value> =
        grants[0]["entries"].as_array().unwrap().iter().map(|entry| &entry["operation_name"]).collect();
    assert_eq!(names, ["grant_access", "record_disclosure"]);
    let said = setting.run(&["stream", "show", &name, "--with-grants"]).exits(0).out;
    assert!(said.contains("4 entries in 2 streams: everything about this subject, none left out"), "{said}");
    // A transaction that cannot be read may have created a grant.
    let given = found["contents"]["entries"][0]["transaction_id"].as_str().unwrap().to_owned();
    setting.node.hide(&given);
    let found = setting.json(&["stream", "show", &name, "--with-grants"]);
    assert_eq!((&found["complete"], found["grants"].as_array().unwrap().len()), (&json!(false), 0));
    let said = setting.run(&["stream", "show", &name, "--with-grants"]).exits(0).out;
    assert!(said.contains("not proven complete"), "{said}");
    let other = format!("grant/{grant}");
    setting.run(&["stream", "show", &other, "--with-grants"]).exits(2);
}

#[test]
fn the_proof_of_whatever_is_shown_can_be_saved() {
    let setting = Setting::new();
    let (grant, agreement) = (setting.grant(), setting.agreement());
    let shown: [&[&str]; 6] = [
        &["grant", "show", &grant],
        &["agreement", "show", &agreement],
        &["period", "show", &agreement, "0"],
        &["institution", "show", "renhe-hospital"],
        &["block", "consistency", "2"],
        &["--json", "grant", "show", &grant],
    ];
    for (number, command) in shown.into_iter().enumerate() {
        let file = format!("proof{number}.json");
        let run = setting.run(&[command, &["--save", &file]].concat()).exits(0);
        let said = if command.contains(&"--json") { &run.err } else { &run.out };
        assert!(said.contains(&format!("saved {file}")), "{said}");
        let run = setting.run(&["verify", &file, "--trust", "trust.json"]).exits(0);
        assert!(run.out.starts_with("Verified. "), "{}", run.out);
        let again = setting.run(&[command, &["--save", &file, "--json"]].concat()).exits(5).json();
        assert_eq!(again["error"]["code"], "local", "one document, and it says why");
    }
    let id = setting.json(&["stream", "show", &format!("grant/{grant}")])["entries"][1]["transaction_id"]
        .as_str()
        .unwrap()
        .to_owned();
    setting.run(&["transaction", "receipt", &id, "--in-log", "--save", "in-log.json"]).exits(0);
    let said = setting.run(&["verify", "in-log.json", "--trust", "trust.json"]).exits(0).out;
    assert!(said.contains("took effect, and stands in the ledger's log, as of block 4"), "{said}");
    setting.run(&["capacity", "show", "renhe-hospital", "--save", "capacity.json"]).exits(2);
}

/// A node says the same of what does not exist and of what exists for others.
#[test]
fn what_a_node_shows_to_others_only_is_told_as_perhaps_not_there() {
    let setting = Setting::new();
    let grant = setting.grant();
    setting.node.lose(&grant);
    let said = setting.run(&["grant", "show", &grant]).exits(6).err;
    for part in [&format!("no grant {grant}, or it does not concern your institution"), "a regulator"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let stream = format!("grant/{grant}");
    for command in [&["stream", "show", &stream][..], &["stream", "save", &stream, "stream.json"]] {
        let said = setting.run(command).exits(6).err;
        assert!(said.contains("or it does not concern your institution"), "{said}");
    }
    let told = setting.run(&["stream", "show", &stream, "--json"]).exits(6).json();
    assert_eq!(told["error"]["code"], "not_found");
    let help = setting.run(&["--help"]).exits(0).out;
    assert!(help.contains("6  there is no such thing, or it does not concern your institution"), "{help}");
}

#[test]
fn a_token_serves_another_program_at_the_first_node_alone_and_says_until_when() {
    let setting = Setting::new();
    let other = Node::start(Arc::clone(&setting.day));
    let run = setting.run(&["token"]).exits(0);
    let token = run.out.trim();
    assert_eq!(run.out.lines().count(), 1);
    assert!(run.err.contains(&format!("for {} alone, until 2", setting.node.url)), "{}", run.err);
    assert_eq!((setting.node.status_for(token), other.status_for(token)), (200, 401));
    let shown = setting.json(&["token", "--for", "30s", "--node", &other.url]);
    assert_eq!((&shown["node"], &shown["node_key"]), (&json!(other.url), &json!(other.key())));
    assert_eq!(shown["institution"], "qinghe-hospital");
    let now_ms = yilian_local::moment::now().unwrap().0;
    let left_ms = shown["expires_ms"].as_u64().unwrap().checked_sub(now_ms).unwrap();
    assert!((1_000..=30_000).contains(&left_ms), "{left_ms}");
    assert_eq!(other.status_for(shown["token"].as_str().unwrap()), 200);
    for too_long in ["6m", "0s"] {
        assert!(setting.run(&["token", "--for", too_long]).exits(2).err.contains("1 s to 300 s"));
    }
}

#[test]
fn the_key_of_the_operations_role_signs() {
    let setting = Setting::new();
    let agreement = setting.agreement();
    let closed = setting.json(&["period", "close", &agreement]);
    assert_eq!(closed["status"], "applied", "{closed}");
    setting
        .yilian
        .write("capacity.json", r#"[{"publish_capacity": {"service": "cardiology", "slots": 12}}]"#);
    // There is no referral gateway's key in the profile: the other key signs, and the ledger refuses its role.
    let refused =
        setting.run(&["transaction", "submit", "capacity.json", "--force", "--json"]).exits(1).json();
    assert_eq!(refused["refusal"]["reason"], "wrong_role");
}

#[test]
fn a_repeated_submission_is_the_same_bytes_and_counts_once() {
    let setting = Setting::new();
    setting.node.fail(&[Fault::Hangs, Fault::NotReady, Fault::Forgets]);
    let created = setting.json(&CREATE);
    assert_eq!(created["status"], "applied");
    let submitted = setting.node.submitted();
    assert_eq!(submitted.len(), 4, "hung up, not ready, forgotten, taken");
    assert!(submitted.windows(2).all(|pair| pair[0] == pair[1]));
    let day = setting.day.lock().unwrap();
    assert_eq!(day.ledger.tip().height.0, 5);
}

#[test]
fn another_node_answers_for_one_that_does_not() {
    let setting = Setting::new();
    let dead = ["--node", "http://127.0.0.1:9", "--node", &setting.node.url];
    let grant = setting.grant();
    setting.run(&[&["grant", "show", &grant][..], &dead].concat()).exits(0);
    setting.node.fail(&[Fault::NotReady; 64]);
    let run = setting.run(&[&["grant", "show", &grant][..], &dead].concat()).exits(3);
    assert!(run.err.contains("catching up") && run.err.contains("127.0.0.1:9"), "{}", run.err);
}

#[test]
fn answers_that_prove_nothing_are_not_believed() {
    let setting = Setting::new();
    let grant = setting.grant();
    setting.node.fail(&[Fault::OtherProof]);
    let run = setting.run(&["grant", "show", &grant, "--json"]).exits(4).json();
    assert_eq!(run["error"]["code"], "other_proof");
    setting.node.fail(&[Fault::Garbage]);
    setting.run(&["grant", "show", &grant]).exits(4);
    setting.node.fail(&[Fault::Garbage]);
    setting.run(&["grant", "list"]).exits(3);
    setting.node.fail(&[Fault::Endless]);
    let run = setting.run(&["grant", "list"]).exits(3);
    assert!(run.err.contains("more than"), "{}", run.err);
    let wrong = "0".repeat(64);
    let run = setting.run(&["grant", "list", "--chain-id", &wrong, "--json"]).exits(4).json();
    assert_eq!(run["error"]["code"], "other_chain");
    let id = "9".repeat(64);
    let run = setting.run(&["grant", "show", &id, "--json"]).exits(6).json();
    assert_eq!(run["error"]["code"], "not_found");
    let run = setting.run(&["grant", "show", &id]).exits(6);
    assert!(run.err.contains(&format!("no grant {id}")) && run.err.contains("something else"), "{}", run.err);
    let run = setting.run(&["institution", "show", "nope"]).exits(6);
    assert!(run.err.contains("no institution nope"), "{}", run.err);
    let requests = setting.node.requests();
    for name in ["trust.json", "consent.pdf"] {
        let run = setting.run(&["verify", name, "--trust", "trust.json"]).exits(5);
        assert!(run.err.contains(name) && run.err.contains("is not a saved proof"), "{}", run.err);
    }
    assert_eq!(setting.node.requests(), requests, "verifying asks nobody");
}

#[test]
fn health_status_and_checkpoints_need_no_key() {
    let setting = Setting::new();
    let node = ["--node", setting.node.url.as_str(), "--config", "none.toml"];
    let run = setting.run(&[&["node", "health", "--json"][..], &node].concat()).exits(1).json();
    assert_eq!((&run["status"], &run["reason"]), (&json!("syncing"), &json!("7 blocks behind")));
    let status = setting.run(&[&["node", "status", "--json"][..], &node].concat()).exits(0).json();
    assert_eq!(status["height"], 4);
    setting.run(&[&["checkpoint", "save", "new.json"][..], &node].concat()).exits(0);
    let saved = setting.run(&["checkpoint", "show", "new.json", "--json"]).exits(0).json();
    assert_eq!(saved, setting.run(&["checkpoint", "show", "trust.json", "--json"]).exits(0).json());
}

pub async fn client(day: &Mutex<Day>, node: &Node) -> Client {
    let settings = Settings {
        nodes: vec![node.url.clone()],
        institution: Some(institution("qinghe-hospital")),
        signers: Signers::one(secret("qinghe-hospital", Role::AccessGateway)),
        checkpoint: Some(day.lock().unwrap().ledger.checkpoint()),
        ..Settings::default()
    };
    Client::connect(settings).await.unwrap()
}

#[tokio::test]
async fn the_library_submits_many_and_says_what_became_of_each() {
    let day = Arc::new(Mutex::new(Day::play()));
    let node = Node::start(Arc::clone(&day));
    let client = client(&day, &node).await;
    let service = "cardiology".parse().unwrap();
    let operation = Operation::PublishCapacity(PublishCapacity { service, slots: 1 });
    let transactions: Vec<_> = (0..300).map(|_| client.sign(vec![operation.clone()]).unwrap()).collect();
    let results = client.submit_many(&transactions).await.unwrap();
    assert_eq!(results.len(), 300);
    assert!(results.iter().zip(&transactions).all(|(result, sent)| result.transaction_id == sent.id()));
    assert_eq!(node.submitted().len(), 2, "256 in one request");
    assert!(client.poll(transactions[299].id(), 0).await.unwrap().is_some());
    let empty = client.sign(Vec::new());
    assert!(matches!(empty, Err(ClientError::NoKey { .. })));
}

/// So many refusals to disclose, in one transaction.
fn denials(count: usize) -> Vec<Operation> {
    let denial = RecordDisclosure {
        subject: *SUBJECT,
        recipient: institution("renhe-hospital"),
        category: Category::Laboratory,
        sensitivity: Sensitivity::N,
        purpose: Purpose::Treat,
        content: Commitment([4; 32]),
        decision: Decision::Deny { reason: DenialReason::NoGrant },
        acting_person: None,
        origin: None,
    };
    vec![Operation::RecordDisclosure(denial); count]
}

#[tokio::test]
async fn a_stream_longer_than_one_proof_is_still_proven_whole() {
    let day = Arc::new(Mutex::new(Day::play()));
    let node = Node::start(Arc::clone(&day));
    let client = client(&day, &node).await;
    let transactions: Vec<_> = (0..16).map(|_| client.sign(denials(256)).unwrap()).collect();
    client.submit_many(&transactions).await.unwrap();
    let stream = StreamId::Subject(*SUBJECT);
    for (from, length) in [(0, 2 + 16 * 256), (2, 16 * 256), (1_000, 3_098), (4_098, 0)] {
        let found = client.stream(&stream, from).await.unwrap();
        assert_eq!((found.entries.len(), found.verified), (length, true));
        assert_eq!((found.parts.first(), found.parts.reach_the_end()), (from, true));
    }
}
