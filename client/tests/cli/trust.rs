//! What a client believes: nodes that answer in another's place, that serve what was true once, that have another history,
//! or whose clock is wrong; and proxies that should see nothing.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{GrantRevocationReason, RevokeGrant};
use yilian_spec::domain::referral::PublishCapacity;

use crate::commands::Setting;
use crate::ledger::Day;
use crate::node::{Fault, Node};

/// A node on which the grant of the day is revoked, in one more block than the other one has.
fn later_node() -> Node {
    let mut day = Day::play();
    let (grant, reason) = (day.grant, GrantRevocationReason::ConsentWithdrawn);
    let revoke = day.ledger.sign("qinghe-hospital", Operation::RevokeGrant(RevokeGrant { grant, reason }));
    day.ledger.block(vec![revoke]);
    Node::start(Arc::new(Mutex::new(day)))
}

/// A node with another final block in the place of [`later_node`]'s.
fn other_history() -> Node {
    let mut day = Day::play();
    let service = "cardiology".parse().unwrap();
    let publish = Operation::PublishCapacity(PublishCapacity { service, slots: 1 });
    let publish = day.ledger.sign("qinghe-hospital", publish);
    day.ledger.block(vec![publish]);
    Node::start(Arc::new(Mutex::new(day)))
}

fn ended(shown: &Value) -> &Value {
    &shown["record"]["ended"]["how"]
}

#[test]
fn a_node_that_serves_the_proof_from_before_a_revocation_is_found_out() {
    let setting = Setting::new();
    let (later, grant) = (later_node(), setting.grant());
    let before = setting.json(&["grant", "show", &grant]);
    assert_eq!((&before["height"], ended(&before)), (&json!(4), &Value::Null));
    let after = setting.json(&["grant", "show", &grant, "--node", &later.url]);
    assert_eq!((&after["height"], ended(&after)), (&json!(5), &json!("revoked")));
    // The same genuine proof as before, from the node that has not moved.
    let run = setting.run(&["grant", "show", &grant]).exits(4);
    assert!(run.err.contains("as of block 4") && run.err.contains("block 5"), "{}", run.err);
    assert!(run.out.is_empty(), "{}", run.out);
    let run = setting.run(&["grant", "show", &grant, "--json"]).exits(4).json();
    assert_eq!(run["error"]["code"], "stale");
    for arguments in [["stream", "show", "institution/renhe-hospital"], ["block", "show", "latest"]] {
        setting.run(&arguments).exits(4);
    }
    // A list is not proven, but says of which block it is.
    let run = setting.run(&["grant", "list"]).exits(4);
    assert!(run.err.contains("as of block 4, but block 5"), "{}", run.err);
    setting.run(&["grant", "list", "--node", &later.url]).exits(0);
    setting.run(&["grant", "list", "--max-lag", "1"]).exits(0);
    let allowed = setting.json(&["grant", "show", &grant, "--max-lag", "1"]);
    assert_eq!(allowed["height"], 4);
    // A receipt stands in its block for ever, and so does an old block that is asked for by its height.
    setting.run(&["block", "show", "3"]).exits(0);
    // One that is up to date answers for one that is not.
    let both = ["--node", &setting.node.url, "--node", &later.url];
    let shown = setting.json(&[&["grant", "show", &grant][..], &both].concat());
    assert_eq!(ended(&shown), "revoked");
}

/// Nothing proves that something is not there, so the node's last block must show that it would know.
#[test]
fn a_node_that_is_behind_is_not_believed_that_something_does_not_exist() {
    let setting = Setting::new();
    let (later, grant) = (later_node(), setting.grant());
    setting.node.lose(&grant);
    setting.run(&["grant", "show", &grant]).exits(6);
    setting.run(&["block", "show", "latest", "--node", &later.url]).exits(0);
    let run = setting.run(&["grant", "show", &grant]).exits(4);
    assert!(run.err.contains("block 4") && run.err.contains("block 5"), "{}", run.err);
    setting.run(&["grant", "show", &grant, "--max-lag", "1"]).exits(6);
    let both = ["--node", &setting.node.url, "--node", &later.url];
    setting.json(&[&["grant", "show", &grant][..], &both].concat());
}

#[test]
fn nodes_are_compared_and_an_answer_behind_any_of_them_is_refused() {
    let setting = Setting::new();
    let (later, grant) = (later_node(), setting.grant());
    let tips = setting.json(&["node", "compare", "--compare", &later.url]);
    assert_eq!((&tips[0]["height"], &tips[1]["height"]), (&json!(4), &json!(5)));
    let fresh = Setting::new();
    let run = fresh.run(&["grant", "show", &grant, "--compare", &later.url]).exits(4);
    assert!(run.err.contains("block 4") && run.err.contains("block 5"), "{}", run.err);
    // A comparison that leaves a node out would show nothing.
    fresh.run(&["grant", "show", &grant, "--compare", "http://127.0.0.1:9"]).exits(3);
}

#[test]
fn two_final_blocks_of_one_height_are_kept_as_evidence() {
    let setting = Setting::new();
    let (later, other) = (later_node(), other_history());
    let directory = setting.yilian.home.path().join(".config/yilian/memory/qinghe");
    let evidence = || {
        let names = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.display().to_string().contains("conflict-5")).collect::<Vec<_>>()
    };
    setting.run(&["block", "show", "latest", "--node", &later.url]).exits(0);
    assert!(evidence().is_empty());
    let run = setting.run(&["block", "show", "latest", "--node", &other.url]).exits(4);
    let files = evidence();
    assert_eq!(files.len(), 1);
    assert!(run.err.contains("height 5") && run.err.contains(&files[0].display().to_string()), "{}", run.err);
    let kept: Value = serde_json::from_slice(&std::fs::read(&files[0]).unwrap()).unwrap();
    let headers = kept["headers"].as_array().unwrap();
    assert!(headers.iter().all(|header| header["header"]["height"] == 5), "{kept}");
    assert_ne!(headers[0]["header"], headers[1]["header"]);
    assert!(headers.iter().all(|header| header["certificate"]["signatures"].as_array().unwrap().len() == 3));
    // Also where both are asked at once, of clients that have seen neither.
    let fresh = Setting::new();
    let compare = ["node", "compare", "--json", "--node", &later.url, "--compare", &other.url];
    assert_eq!(fresh.run(&compare).exits(4).json()["error"]["code"], "conflicting_headers");
}

#[test]
fn an_answer_older_than_the_caller_allows_is_refused() {
    let setting = Setting::new();
    let grant = setting.grant();
    let run = setting.run(&["grant", "show", &grant, "--max-age", "1h"]).exits(4);
    assert!(run.err.contains("--max-age 3600 s") && run.err.contains("block 4"), "{}", run.err);
    let help = setting.run(&["grant", "show", "--help"]).exits(0).out;
    assert!(help.contains("validators' heartbeat"), "{help}");
    setting.run(&["grant", "show", &grant, "--max-age", "5000w"]).exits(0);
}

#[test]
fn an_address_that_names_another_key_is_told_and_a_captured_token_is_of_no_use_elsewhere() {
    let setting = Setting::new();
    let other = Node::start(Arc::clone(&setting.day));
    setting.run(&["grant", "list"]).exits(0);
    let captured = setting.node.tokens();
    // As if the other node had answered there before.
    let trust = |key: String| ["node", "trust", &setting.node.url, "--node-key", &key].map(str::to_owned);
    let run_all = |arguments: [String; 5]| setting.run(&arguments.each_ref().map(String::as_str)).exits(0);
    run_all(trust(other.key().to_string()));
    let run = setting.run(&["grant", "list"]).exits(4);
    for key in [setting.node.key(), other.key()] {
        assert!(run.err.contains(&key.to_string()), "{}", run.err);
    }
    assert_eq!(setting.run(&["grant", "list", "--json"]).exits(4).json()["error"]["code"], "node_changed");
    run_all(trust(setting.node.key().to_string()));
    setting.run(&["grant", "list"]).exits(0);
    // The node that was spoken to uses at the other one what it was shown.
    assert!(!captured.is_empty());
    for token in captured {
        assert_eq!(other.status_for(&token), 401);
    }
    let last = setting.node.tokens().pop().unwrap();
    assert_eq!(setting.node.status_for(&last), 200, "at the node that it was made for it is good");
}

#[test]
fn keys_that_the_configuration_names_are_not_learnt_from_anybody() {
    let setting = Setting::new();
    let config = setting.yilian.home.path().join(".config/yilian/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let other = Node::start(Arc::clone(&setting.day)).key();
    let given = format!("{text}\n[profiles.qinghe.node_keys]\n\"{}\" = \"{other}\"\n", setting.node.url);
    std::fs::write(&config, given).unwrap();
    let run = setting.run(&["grant", "list", "--json"]).exits(4).json();
    assert_eq!(run["error"]["code"], "node_changed");
    std::fs::write(&config, text).unwrap();
    setting.run(&["grant", "list"]).exits(0);
}

#[test]
fn a_clock_that_differs_is_named_with_by_how_much() {
    let setting = Setting::new();
    let run = setting.run(&["grant", "list"]).exits(0);
    assert!(run.err.is_empty(), "{}", run.err);
    setting.node.set_clock_ahead(92_000);
    let run = setting.run(&["grant", "list"]).exits(0);
    assert!(run.err.contains("behind that of") && run.err.contains(&setting.node.url), "{}", run.err);
    setting.node.set_clock_ahead(-92_000);
    setting.node.fail(&[Fault::LateToken]);
    let run = setting.run(&["grant", "list", "--json"]).exits(1);
    let message = run.json()["error"]["message"].to_string();
    assert!(message.contains("token expired") && message.contains("s ahead of that of"), "{message}");
}

#[test]
fn proxies_of_the_environment_see_nothing_of_plain_http_and_are_named_where_they_are_used() {
    let setting = Setting::new();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let address = format!("http://somebody:secret@{}", proxy.local_addr().unwrap());
    let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let environment = names.map(|name| (name, address.as_str()));
    setting.yilian.run_with(&environment, &["grant", "list"]).exits(0);
    assert!(proxy.accept().is_err(), "the proxy was spoken to");
    // Over HTTPS to another machine it is used, and named when it fails; its password is not.
    let dead = names.map(|name| (name, "http://somebody:secret@127.0.0.1:9"));
    let elsewhere = ["node", "status", "--node", "https://ledger.example:8600"];
    let run = setting.yilian.run_with(&dead, &elsewhere).exits(3);
    assert!(run.err.contains("proxy http://127.0.0.1:9/ of HTTPS_PROXY"), "{}", run.err);
    assert!(!run.err.contains("secret"), "{}", run.err);
}
