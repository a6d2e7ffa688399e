//! What needs no node: usage errors, profiles, keys, subject tags, commitments, verification.

use std::os::unix::fs::DirBuilderExt as _;

use serde_json::{Value, json};
use yilian_spec::base::id::BlockId;
use yilian_spec::base::limits::PROOF_BYTES_MAX;
use yilian_spec::proof::ProofDocument;
use yilian_spec::state::key::StreamId;

use crate::ledger::{Day, institution};
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
    assert!(run.err.contains("no node answers") && run.err.contains("is the node running"), "{}", run.err);
    assert_eq!(run.err.matches("127.0.0.1:9").count(), 1, "{}", run.err);
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
    let add = ["profile", "add", "one", "--node", "http://127.0.0.1:8600", "--as", "renhe-hospital"];
    yilian.run(&add).exits(0);
    yilian.run(&add).exits(2);
    yilian
        .run(&[&add[..], &["--replace", "--key", "keys/a.key", "--key-for", "finance=f.key"]].concat())
        .exits(0);
    yilian.run(&["profile", "add", "two", "--node", "http://127.0.0.1:8601"]).exits(0);
    // What is left out is not kept from the old one.
    let lacking = yilian.run(&["profile", "add", "two", "--replace", "--subjects", "s.age"]).exits(2);
    assert!(lacking.err.contains("all other options again"), "{}", lacking.err);
    yilian.run(&["profile", "use", "two"]).exits(0);
    yilian.run(&["profile", "use", "three"]).exits(5);
    let shown = yilian.run(&["profile", "show", "one", "--json"]).exits(0).json();
    assert_eq!(shown["profile"]["institution"], "renhe-hospital");
    assert_eq!(shown["profile"]["key"], yilian.path("keys/a.key"));
    assert_eq!(shown["profile"]["keys"]["finance"], yilian.path("f.key"));
    let all = yilian.run(&["profile", "list", "--json"]).exits(0).json();
    assert_eq!(all["default_profile"], "two");
    let in_use = |arguments: &[&str]| {
        let text = yilian.run(&[&["profile", "list"], arguments].concat()).exits(0).out;
        text.lines().find(|line| line.contains("in use")).unwrap_or_default().to_owned()
    };
    assert!(in_use(&[]).contains("two"));
    assert!(in_use(&["--profile", "one"]).contains("one"));
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
    yilian.run(&["subject", "create", "104-2231"]).exits(5);
    yilian.run(&["subject", "create"]).exits(0);
    let drawn = yilian.run(&["subject", "create", "104-2231", "--json"]).exits(0).json();
    let tag = drawn[0]["tag"].clone();
    assert_eq!(drawn[0]["new"], true);
    let again = yilian.run(&["subject", "create", "104-2231", "--json"]).exits(0).json();
    assert_eq!(again, json!([{"record": "104-2231", "tag": tag, "new": false}]));
    assert_eq!(yilian.run(&["subject", "tag", "104-2231", "--json"]).json()["tag"], tag);
    let tag = tag.as_str().unwrap().to_owned();
    assert_eq!(yilian.run(&["subject", "show", &tag, "--json"]).exits(0).json()["record"], "104-2231");
    yilian.run(&["subject", "show", ID]).exits(5);
    let list = yilian.run(&["subject", "list", "--json"]).exits(0).json();
    assert_eq!(list, json!([{"record": "104-2231", "tag": tag}]));
    let sealed = std::fs::read(yilian.home.path().join("s.age")).unwrap();
    assert!(!sealed.windows(8).any(|bytes| bytes == b"104-2231"));
}

#[test]
fn a_mistyped_record_number_is_told_and_never_becomes_a_patient() {
    let yilian = Yilian::new();
    let add = [
        "profile",
        "add",
        "p",
        "--as",
        "renhe-hospital",
        "--subjects",
        "s.age",
        "--node",
        "http://127.0.0.1:9",
    ];
    yilian.run(&[&add[..], &PASSPHRASE].concat()).exits(0);
    yilian.run(&["subject", "create"]).exits(0);
    yilian.run(&["subject", "create", "104-2231"]).exits(0);
    let run = yilian.run(&["subject", "tag", "TYPO-999"]).exits(5);
    assert!(run.err.contains("TYPO-999") && run.err.contains("subject create"), "{}", run.err);
    yilian.write("consent.pdf", "consent");
    let grant = ["grant", "create", "--to", "renhe-hospital", "--category", "laboratory", "--expires", "+1d"];
    let of_typo = ["--record", "TYPO-999", "--document", "consent.pdf"];
    let run = yilian.run(&[&grant[..], &of_typo].concat()).exits(5);
    assert!(run.err.contains("TYPO-999"), "{}", run.err);
    let list = yilian.run(&["subject", "list", "--json"]).exits(0).json();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
}

#[test]
fn what_was_received_without_its_salt_is_told_and_no_salt_is_made_up() {
    let yilian = Yilian::new();
    yilian.write("bundle.json", "records");
    let run = yilian.run(&["access", "receive", ID, "--document", "bundle.json"]).exits(5);
    assert!(run.err.contains("bundle.json.salt.json must come with the document"), "{}", run.err);
    let run = yilian.run(&["referral", "acknowledge", ID, "--document", "bundle.json"]).exits(5);
    assert!(run.err.contains("bundle.json.salt.json"), "{}", run.err);
    assert!(!yilian.home.path().join("bundle.json.salt.json").exists());
}

#[test]
fn a_key_stays_open_until_it_is_locked_or_its_time_is_over() {
    let yilian = Yilian::new();
    let generate = ["key", "generate", "--role", "finance", "--out", "f.key", "--as", "renhe-hospital"];
    yilian.run(&[&generate[..], &PASSPHRASE].concat()).exits(0);
    let add = ["profile", "add", "p", "--as", "renhe-hospital", "--key", "f.key"];
    yilian.run(&[&add[..], &PASSPHRASE].concat()).exits(0);
    let runtime = yilian.home.path().join("run");
    std::fs::DirBuilder::new().mode(0o700).create(&runtime).unwrap();
    let right = [("XDG_RUNTIME_DIR", runtime.to_str().unwrap())];
    let wrong = [right[0], ("YILIAN_PASSPHRASE", "wrong")];
    let show = ["key", "show", "f.key", "--json"];
    let run = yilian.run(&["key", "unlock"]).exits(5);
    assert!(run.err.contains("XDG_RUNTIME_DIR"), "{}", run.err);
    yilian.run_with(&wrong, &show).exits(5);
    yilian.run_with(&wrong, &["key", "unlock"]).exits(5);
    yilian.run_with(&right, &["key", "unlock", "--for", "13h"]).exits(5);
    let run = yilian.run_with(&right, &["key", "unlock", "--for", "2h"]).exits(0);
    assert!(run.out.starts_with("1 keys stay open until"), "{}", run.out);
    let shown = yilian.run_with(&wrong, &show).exits(0).json();
    assert_eq!(shown, yilian.run_with(&right, &show).exits(0).json());
    let run = yilian.run_with(&wrong, &["key", "lock"]).exits(0);
    assert!(run.out.starts_with("1 open keys forgotten"), "{}", run.out);
    yilian.run_with(&wrong, &show).exits(5);
    yilian.run_with(&right, &["key", "unlock", "f.key", "--for", "1ms"]).exits(0);
    std::thread::sleep(std::time::Duration::from_millis(5));
    yilian.run_with(&wrong, &show).exits(5);
    assert_eq!(std::fs::read_dir(runtime.join("yilian")).unwrap().count(), 0, "an open key was left behind");
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let yilian = Yilian::new();
    let program = env!("CARGO_BIN_EXE_yilian");
    for command in ["completions bash", "profile list", "--help", "no-such-command"] {
        // The script waits for the reader to be gone before the command begins to write.
        let script =
            format!("exec 3> >(exec true); sleep 0.2; {program} {command} >&3 2>&3; echo \"code $?\"");
        let output = std::process::Command::new("bash")
            .args(["-c", &script])
            .env_clear()
            .env("HOME", yilian.home.path())
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let code = if command == "no-such-command" { 2 } else { 0 };
        assert_eq!((out.trim(), err.trim()), (format!("code {code}").as_str(), ""), "{command}");
    }
}

#[test]
fn the_passphrase_comes_from_its_variable_unless_told_and_without_one_the_remedy_is_told() {
    let yilian = Yilian::new();
    let generate = ["key", "generate", "--role", "finance", "--out", "f.key", "--as", "renhe-hospital"];
    yilian.run(&generate).exits(0);
    yilian.run(&["key", "show", "f.key"]).exits(0);
    // The test has no terminal, as a script has none.
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_yilian"))
        .args(["key", "show", "f.key"])
        .current_dir(yilian.home.path())
        .env_clear()
        .env("HOME", yilian.home.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{said}");
    for part in ["YILIAN_PASSPHRASE", "--passphrase of a command", "file:PATH or prompt"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn output_that_cannot_be_written_is_told_and_exits_with_5() {
    let yilian = Yilian::new();
    for arguments in [&["completions", "bash"][..], &["profile", "list"], &["profile", "list", "--json"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_yilian"))
            .args(arguments)
            .env_clear()
            .env("HOME", yilian.home.path())
            .stdout(full)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{arguments:?}: {said}");
        assert!(said.contains("the output cannot be written: No space left on device"), "{said}");
    }
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
        "exactly these 2",
        "from number 3 on",
        "had no entries",
        "renhe-hospital 540.00 CNY",
        "from number 2 to number 4 exactly these 3",
        "was refused",
        "continued that of block 2",
    ];
    assert_eq!(day.documents().len(), says.len());
    for (number, document) in day.documents().iter().enumerate() {
        let name = format!("{number}.json");
        yilian.write(&name, document.to_json());
        let run = yilian.run(&["verify", &name, "--trust", "trust.json"]).exits(0);
        assert!(run.out.starts_with("Verified. ") && run.out.contains(says[number]), "{}", run.out);
        let run = yilian.run(&["verify", &name, "--trust", "trust.json", "--json"]).exits(0).json();
        assert_eq!(
            (&run["verified"], &run["height"]),
            (&json!(true), &json!(document.block().header.height))
        );
        yilian.write("bent.json", bend(&document.to_json()));
        let run = yilian.run(&["verify", "bent.json", "--trust", "trust.json", "--json"]).exits(4).json();
        assert_eq!(run["error"]["code"], "verification_failed");
        let details = &run["error"]["details"];
        assert!(details["rule"].as_str().is_some_and(|rule| rule.starts_with("P-")), "{details}");
        assert!(details["name"].as_str().is_some_and(|name| !name.is_empty()), "{details}");
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

/// A program that asked for JSON reads JSON, whoever found the mistake.
#[test]
fn arguments_that_cannot_be_read_are_told_as_json_where_that_is_asked_for() {
    let yilian = Yilian::new();
    let tag = "5f0c8a1b2e3d4c5f60718293a4b5c6d7e8f9010203040506070809aabbccddee";
    for (arguments, part) in [
        (&["stream", "show", "nope/x", "--json"][..], "no kind of stream"),
        (&["stream", "show", tag, "--json"], &format!("subject/{tag}")),
        (&["stream", "show", "renhe-hospital", "--json"], "institution/renhe-hospital"),
        (&["grant", "--json", "nonsense"], "unrecognized subcommand"),
    ] {
        let error = yilian.run(arguments).exits(2).json()["error"].clone();
        assert_eq!(error["code"], "usage", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(part) && !message.contains('\n'), "{message}");
    }
    let run = yilian.run(&["stream", "show", "nope/x"]).exits(2);
    assert!(run.out.is_empty() && run.err.contains("no kind of stream"), "{}", run.err);
    // Help is help, also with the option.
    assert!(yilian.run(&["stream", "--help", "--json"]).exits(0).out.starts_with("Streams"));
}

/// Rule P-21: a file of many proofs, of which parts of a stream go together.
#[test]
fn parts_of_a_stream_in_one_file_are_verified_together() {
    let yilian = Yilian::new();
    let day = Day::play();
    yilian.write("trust.json", serde_json::to_vec(&day.ledger.checkpoint()).unwrap());
    let name = StreamId::Institution(institution("renhe-hospital"));
    let length = day.ledger.stream_proof(name.clone(), 0).entries.len();
    let part = |from, count| ProofDocument::from(day.ledger.stream_part(name.clone(), from, count)).to_json();
    let parts: Vec<String> = (0..length).step_by(2).map(|from| part(from, 2)).collect();
    assert!(parts.len() > 2);
    let verify = |lines: &[&str]| {
        yilian.write("parts.json", lines.concat());
        yilian.run(&["verify", "parts.json", "--trust", "trust.json", "--json"])
    };
    let all: Vec<&str> = parts.iter().map(String::as_str).collect();
    let run = verify(&all).exits(0).json();
    assert_eq!((&run["verified"], &run["kind"]), (&json!(true), &json!("stream")));
    let proves = run["proves"].as_str().unwrap();
    assert!(proves.contains(&format!("exactly these {length} entries; none was left out")), "{proves}");
    let text = yilian.run(&["verify", "parts.json", "--trust", "trust.json"]).exits(0).out;
    assert_eq!(text.lines().count(), 1, "{text}");
    // With others in the file each is told.
    let receipt = ProofDocument::from(day.ledger.transaction_proof(1, 0)).to_json();
    let with_others = [&[receipt.as_str()][..], &all[..2], &[receipt.as_str()]].concat();
    let run = verify(&with_others).exits(0).json();
    let kinds: Vec<&Value> = run["proofs"].as_array().unwrap().iter().map(|proof| &proof["kind"]).collect();
    assert_eq!(kinds, ["transaction", "stream", "transaction"]);
    assert!(run["proofs"][1]["proves"].as_str().unwrap().contains("from number 0 to number 3"), "{run}");
    // One left out, two swapped, one twice, one bent.
    let without = [&all[..1], &all[2..]].concat();
    let swapped = [&[all[1], all[0]][..], &all[2..]].concat();
    let doubled = [&all[..1], &all[..]].concat();
    for (lines, line) in [(without, 2), (swapped, 2), (doubled, 2)] {
        let run = verify(&lines).exits(4).json();
        let details = &run["error"]["details"];
        assert_eq!((&details["rule"], &details["line"]), (&json!("P-21"), &json!(line)), "{details}");
        assert_eq!(details["name"], "part_missing");
    }
    let bent = all[1].replacen("\"operation\":0", "\"operation\":7", 1);
    assert_ne!(bent, all[1]);
    let run = verify(&[&[all[0], bent.as_str()][..], &all[2..]].concat()).exits(4).json();
    assert_eq!(
        (&run["error"]["details"]["rule"], &run["error"]["details"]["line"]),
        (&json!("P-15"), &json!(2))
    );
    // Cut off in the middle of a line, an empty line, and what is no proof.
    for last in [&all[1][..all[1].len() / 2], "\n", "[]\n"] {
        let run = verify(&[all[0], last]).exits(5);
        assert!(run.out.contains("line 2"), "{}", run.out);
    }
    // The first line damaged: the file does not pass for a single proof on several lines.
    let marked = format!("\u{feff}{}", all[0]);
    let shortened = format!("{}\n", &all[0][..all[0].len() / 2]);
    for (first, reason) in [
        ("\n", "line 1: it is blank"),
        (marked.as_str(), "line 1: it begins with a byte order mark"),
        (shortened.as_str(), "line 1: it ends within a proof"),
        (&all[0][1..], "line 1: invalid type"),
    ] {
        let run = verify(&[&[first][..], &all[1..]].concat()).exits(5).json();
        let message = run["error"]["message"].as_str().unwrap();
        assert!(message.contains(reason), "{message}");
    }
    verify(&[]).exits(5);
    let long = "x".repeat(PROOF_BYTES_MAX + 1);
    let run = verify(&[all[0], long.as_str()]).exits(4).json();
    assert_eq!(run["error"]["details"]["name"], "too_long");
    // One proof may stand on several lines.
    let value: Value = serde_json::from_str(all[0]).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    verify(&[pretty.as_str()]).exits(0);
    let lines: Vec<&str> = pretty.split_inclusive('\n').collect();
    let run = verify(&[&lines[..3], &["?\n"], &lines[3..]].concat()).exits(5).json();
    assert!(run["error"]["message"].as_str().unwrap().contains("line 4: "), "{run}");
    // JSON that is no proof is refused at its place.
    let other = all[0].replacen("\"height\":", "\"height\":-", 1);
    let details = verify(&[other.as_str()]).exits(4).json()["error"]["details"].clone();
    assert_eq!((&details["rule"], &details["at"]), (&json!("P-18"), &json!("/entries/0/height")));
}
