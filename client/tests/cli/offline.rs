//! What needs no node: usage errors, profiles, keys, subject tags, commitments, verification.

use serde_json::{Value, json};
use yilian_spec::id::BlockId;

use crate::ledger::Day;
use crate::yilian::Yilian;

const ID: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";
const PASSPHRASE: [&str; 2] = ["--passphrase", "env:YILIAN_PASSPHRASE"];

#[test]
fn what_is_not_a_command_exits_with_2() {
    let yilian = Yilian::new();
    let cases: [&[&str]; 9] = [
        &["referral", "fly"],
        &["grant", "show"],
        &["grant", "show", "abc"],
        &["grant", "show", &ID.to_uppercase()],
        &["key", "generate", "--role", "boss", "--out", "x.key"],
        &["referral", "decline", ID, "--reason", "because"],
        &["access", "receive", ID],
        &["access", "receive", ID, "--document", "x", "--commitment", ID],
        &["grant", "list", "--timeout", "soon"],
    ];
    for arguments in cases {
        let run = yilian.run(arguments).exits(2);
        assert!(run.out.is_empty() && !run.err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn without_a_node_that_answers_the_exit_code_is_3() {
    let yilian = Yilian::new();
    // Port 9 of the loopback: nothing listens there.
    let run = yilian.run(&["node", "health", "--node", "http://127.0.0.1:9"]).exits(3);
    assert!(run.err.contains("no node answers") && run.err.contains("127.0.0.1:9"), "{}", run.err);
    let run = yilian.run(&["node", "status", "--json", "--node", "http://127.0.0.1:9"]).exits(3);
    assert_eq!(run.json()["error"]["code"], "unreachable");
}

#[test]
fn local_trouble_exits_with_5_and_names_the_remedy() {
    let yilian = Yilian::new();
    let run = yilian.run(&["grant", "list", "--node", "http://127.0.0.1:9"]).exits(5);
    assert!(run.err.contains("--key"), "{}", run.err);
    yilian.run(&["grant", "list", "--key", "none.key"]).exits(5);
    yilian.run(&["verify", "none.json", "--trust", "none.json"]).exits(5);
    yilian.run(&["--config", &yilian.write("bad.toml", "nonsense = 1"), "profile", "list"]).exits(5);
    yilian.run(&["--profile", "none", "grant", "list"]).exits(5);
    let made = [
        &["key", "generate", "--role", "finance", "--out", "f.key", "--as", "renhe-hospital"],
        &PASSPHRASE[..],
    ];
    yilian.run(&made.concat()).exits(0);
    yilian.run(&made.concat()).exits(5);
    yilian.write("other", "wrong");
    let run = yilian.run(&["key", "show", "f.key", "--passphrase", "file:other"]).exits(5);
    assert!(run.err.contains("passphrase is wrong"), "{}", run.err);
}

#[test]
fn profiles_are_added_used_and_shown() {
    let yilian = Yilian::new();
    assert_eq!(yilian.run(&["profile", "list"]).exits(0).out, "none\n");
    let add = ["profile", "add", "one", "--node", "http://127.0.0.1:8440", "--as", "renhe-hospital"];
    yilian.run(&add).exits(0);
    yilian.run(&add).exits(2);
    yilian
        .run(&[&add[..], &["--replace", "--key", "keys/a.key", "--key-for", "finance=f.key"]].concat())
        .exits(0);
    yilian.run(&["profile", "add", "two", "--node", "http://127.0.0.1:8441"]).exits(0);
    yilian.run(&["profile", "use", "two"]).exits(0);
    yilian.run(&["profile", "use", "three"]).exits(5);
    let shown = yilian.run(&["profile", "show", "one", "--json"]).exits(0).json();
    assert_eq!(shown["profile"]["institution"], "renhe-hospital");
    assert_eq!(shown["profile"]["key"], yilian.path("keys/a.key"));
    assert_eq!(shown["profile"]["keys"]["finance"], yilian.path("f.key"));
    let all = yilian.run(&["profile", "list", "--json"]).exits(0).json();
    assert_eq!(all["default_profile"], "two");
    yilian.run(&["profile", "add", "bad", "--node", "ftp://x"]).exits(5);
}

#[test]
fn keys_and_subject_tags_are_kept_encrypted() {
    let yilian = Yilian::new();
    yilian.write("pass", "correct horse battery\n");
    let add =
        ["profile", "add", "p", "--as", "renhe-hospital", "--passphrase", "file:pass", "--subjects", "s.age"];
    yilian.run(&add).exits(0);
    let made = yilian.run(&["key", "generate", "--role", "access-gateway", "--out", "g.key", "--json"]);
    let shown = yilian.run(&["key", "show", "g.key", "--json"]).exits(0).json();
    assert_eq!(made.exits(0).json(), shown);
    assert_eq!(shown["role"], "access_gateway");
    yilian.run(&["subject", "tag", "104-2231"]).exits(5);
    yilian.run(&["subject", "create"]).exits(0);
    let tag = yilian.run(&["subject", "tag", "104-2231", "--json"]).exits(0).json()["tag"].clone();
    assert_eq!(yilian.run(&["subject", "tag", "104-2231", "--json"]).json()["tag"], tag);
    let tag = tag.as_str().unwrap().to_owned();
    assert_eq!(yilian.run(&["subject", "show", &tag, "--json"]).exits(0).json()["record"], "104-2231");
    yilian.run(&["subject", "show", ID]).exits(5);
    let list = yilian.run(&["subject", "list", "--json"]).exits(0).json();
    assert_eq!(list, json!([{"record": "104-2231", "tag": tag}]));
    let sealed = std::fs::read(yilian.home.path().join("s.age")).unwrap();
    assert!(!sealed.windows(8).any(|bytes| bytes == b"104-2231"));
}

/// Changes one digit of the first signature in a saved proof.
fn bend(json: &str) -> String {
    let mut value: Value = serde_json::from_str(json).unwrap();
    let signature = &mut value["block"]["certificate"]["signatures"][0]["signature"];
    let text = signature.as_str().unwrap();
    let first = if text.starts_with('0') { "1" } else { "0" };
    *signature = Value::String(format!("{first}{}", &text[1..]));
    value.to_string()
}

#[test]
fn saved_proofs_are_verified_offline() {
    let yilian = Yilian::new();
    let day = Day::play();
    let mut checkpoint = day.ledger.checkpoint();
    yilian.write("trust.json", serde_json::to_vec(&checkpoint).unwrap());
    let says = [
        "grant_access",
        "was refused",
        "deliver_service",
        "held grant",
        "held no grant",
        "exactly these 3",
        "from number 3 on",
        "had no entries",
        "owes qinghe-hospital 0.00 CNY",
    ];
    for (number, document) in day.documents().iter().enumerate() {
        let name = format!("{number}.json");
        yilian.write(&name, document.to_json());
        let run = yilian.run(&["verify", &name, "--trust", "trust.json"]).exits(0);
        let expected = if number == 8 { "renhe-hospital 540.00 CNY" } else { says[number] };
        assert!(run.out.starts_with("Verified. ") && run.out.contains(expected), "{}", run.out);
        let run = yilian.run(&["verify", &name, "--trust", "trust.json", "--json"]).exits(0).json();
        assert_eq!(
            (&run["verified"], &run["height"]),
            (&json!(true), &json!(document.block().header.height))
        );
        yilian.write("bent.json", bend(&document.to_json()));
        let run = yilian.run(&["verify", "bent.json", "--trust", "trust.json", "--json"]).exits(4).json();
        assert_eq!(run["error"]["code"], "verification_failed");
    }
    yilian.write("short.json", "{\"format\":\"yilian-proof/v1\"}");
    yilian.run(&["verify", "short.json", "--trust", "trust.json"]).exits(4);
    yilian.run(&["verify", "0.json", "--trust", "1.json"]).exits(5);
    checkpoint.height = day.documents()[0].block().header.height;
    checkpoint.block_id = Some(BlockId([1; 32]));
    yilian.write("fork.json", serde_json::to_vec(&checkpoint).unwrap());
    let run = yilian.run(&["verify", "0.json", "--trust", "fork.json"]).exits(4);
    assert!(run.err.contains("two histories"), "{}", run.err);
}
