//! What `yilian-node` says to an operator who errs: what is wrong, by name, and what to do.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use yilian_tests::programs::{self, Ended, run_to_end};

const LIMIT: Duration = Duration::from_secs(60);
const PASSPHRASE: &str = "correct horse battery staple";

/// Runs the program with these words in a directory, with a passphrase in its environment.
fn node(directory: &Path, words: &str) -> Result<Ended> {
    let mut command = Command::new(programs::program("yilian-node")?);
    command.current_dir(directory).env("YILIAN_PASSPHRASE", PASSPHRASE).args(words.split(' '));
    run_to_end(&mut command, LIMIT)
}

/// Demands that the program fails and says all of this.
fn refuses(directory: &Path, words: &str, says: &[&str]) -> Result<()> {
    let ended = node(directory, words)?;
    ensure!(ended.code == Some(1), "{words}: {ended:?}");
    for part in says {
        ensure!(ended.stderr.contains(part), "{words} does not say {part:?}: {ended:?}");
    }
    Ok(())
}

/// As [`node`], without a passphrase, and without a terminal.
fn node_without_passphrase(directory: &Path, words: &str) -> Result<Ended> {
    let mut command = Command::new(programs::program("yilian-node")?);
    command.current_dir(directory).env_remove("YILIAN_PASSPHRASE").args(words.split(' '));
    run_to_end(&mut command, LIMIT)
}

#[test]
fn without_a_passphrase_init_says_where_it_may_come_from_and_makes_nothing() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let init = "init --home node --institution renhe-hospital --validator";
    let ended = node_without_passphrase(directory.path(), init)?;
    ensure!(ended.code == Some(1), "{ended:?}");
    for part in ["YILIAN_PASSPHRASE", "--passphrase of a command", "file:PATH or prompt"] {
        ensure!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    refuses(directory.path(), &format!("{init} --genesis none.json"), &["none.json"])?;
    refuses(directory.path(), "init --home node", &["give --institution"])?;
    ensure!(!directory.path().join("node").exists(), "a failed init left a home behind");
    Ok(())
}

#[test]
fn init_shows_also_the_second_time_what_is_there() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let first = node(directory.path(), "init --home node --institution renhe-hospital --validator")?;
    let keys = |ended: &Ended| -> Vec<String> {
        ended.stdout.lines().filter(|line| line.contains("key (role")).map(str::to_owned).collect()
    };
    ensure!(keys(&first).len() == 2, "{first:?}");
    let second = node(directory.path(), "init --home node")?;
    ensure!(second.code == Some(0) && keys(&second) == keys(&first), "{second:?}");
    let sealed = node_without_passphrase(directory.path(), "init --home node")?;
    ensure!(sealed.stdout.contains("yilian key show node/validator.key"), "{sealed:?}");
    Ok(())
}

/// A home that was rebuilt around copies of its keys became an observer's without a word.
#[test]
fn init_keeps_the_keys_that_lie_in_a_home_and_names_them() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let init = "init --home first --institution renhe-hospital --validator";
    ensure!(node(directory.path(), init)?.code == Some(0));
    let file = |home: &str, name: &str| directory.path().join(home).join(name);
    for (home, words) in
        [("second", init.replace("first", "second")), ("third", "init --home third".to_owned())]
    {
        std::fs::create_dir(directory.path().join(home))?;
        for key in ["validator.key", "network.key"] {
            std::fs::copy(file("first", key), file(home, key))?;
        }
        let ended = node(directory.path(), &format!("{words} --json"))?;
        let told: serde_json::Value = serde_json::from_str(&ended.stdout)?;
        ensure!(told["made"] == serde_json::json!(["config.toml"]), "{told}");
        ensure!(told["validator_key"].is_string(), "{told}");
        for key in ["validator.key", "network.key"] {
            ensure!(
                std::fs::read(file("first", key))? == std::fs::read(file(home, key))?,
                "{key} was replaced"
            );
        }
        ensure!(
            std::fs::read_to_string(file(home, "config.toml"))?.contains("validator_key = \"validator.key\"")
        );
        ensure!(
            file("first", "never-voted").exists() && !file(home, "never-voted").exists(),
            "a copy is taken for a key that never voted"
        );
    }
    // A configuration that is there stays, and that it names no validator's key is told.
    let config = std::fs::read_to_string(file("third", "config.toml"))?;
    std::fs::write(
        file("third", "config.toml"),
        config.replace("validator_key = \"validator.key\"", "validator_key = \"\""),
    )?;
    let ended = node(directory.path(), "init --home third --validator")?;
    ensure!(ended.stdout.contains("the node only observes"), "{ended:?}");
    Ok(())
}

#[test]
fn with_json_a_failure_is_json_too() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for (words, code, exit) in [
        ("status --home typo --json", "failed", 1),
        ("peers --home typo --json", "failed", 1),
        ("status --json", "usage", 2),
    ] {
        let ended = node(directory.path(), words)?;
        let told: serde_json::Value = serde_json::from_str(&ended.stdout)?;
        ensure!(ended.code == Some(exit) && told["error"]["code"] == code, "{words}: {ended:?}");
        ensure!(told["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{told}");
    }
    Ok(())
}

fn made() -> Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    let ended = node(directory.path(), "init --home node --institution renhe-hospital --validator")?;
    ensure!(ended.code == Some(0), "{ended:?}");
    Ok(directory)
}

#[test]
fn a_mistyped_home_is_told() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for command in ["status", "peers", "run", "check", "repair"] {
        let says = ["typo is no node's home", "check --home"];
        refuses(directory.path(), &format!("{command} --home typo"), &says)?;
    }
    Ok(())
}

#[test]
fn a_value_of_the_configuration_is_told_with_its_file_and_the_remedy() -> Result<()> {
    let directory = made()?;
    let path = directory.path().join("node/config.toml");
    let text = std::fs::read_to_string(&path)?;
    for (right, wrong, says) in [
        ("level = \"info\"", "level = \"loud\"", "error, warn, info, debug or trace"),
        ("listen = \"127.0.0.1:8600\"", "listen = \"127.0.0.1\"", "write HOST:PORT"),
        ("heartbeat_ms = 30000", "heartbeat_ms = 1", "heartbeat_ms"),
    ] {
        ensure!(text.contains(right), "{right}");
        std::fs::write(&path, text.replace(right, wrong))?;
        refuses(directory.path(), "run --home node", &["node/config.toml", says])?;
    }
    Ok(())
}

#[test]
fn a_node_without_a_genesis_is_told_how_it_gets_one() -> Result<()> {
    let directory = made()?;
    let remedy = "yilian-node init --home node --genesis FILE";
    refuses(directory.path(), "run --home node", &["node has no genesis", remedy])
}

#[test]
fn keys_that_the_genesis_does_not_name_are_told_before_anybody_starts() -> Result<()> {
    let directory = made()?;
    let shown: serde_json::Value =
        serde_json::from_str(&node(directory.path(), "init --home node --json")?.stdout)?;
    let key =
        |name: &str, role: &str| format!("[[institution.key]]\nkey = {}\nrole = \"{role}\"\n", shown[name]);
    let institution = "[[institution]]\nid = \"renhe-hospital\"\nname = \"Renhe\"\nkind = \"hospital\"\ntier = \"county\"\n";
    let text = format!(
        "network = \"county\"\n{institution}{}{}",
        key("validator_key", "validator"),
        key("network_key", "node")
    );
    std::fs::write(directory.path().join("consortium.toml"), text)?;
    for words in [
        "genesis make consortium.toml --out genesis.json",
        "init --home node --genesis genesis.json",
        "init --home other --institution renhe-hospital --validator",
    ] {
        let ended = node(directory.path(), words)?;
        ensure!(ended.code == Some(0), "{words}: {ended:?}");
    }
    let warnings = |home: &str| -> Result<usize> {
        let ended = node(directory.path(), &format!("init --home {home} --genesis genesis.json --json"))?;
        let told: serde_json::Value = serde_json::from_str(&ended.stdout)?;
        Ok(told["warnings"].as_array().map_or(0, Vec::len))
    };
    ensure!(
        (warnings("node")?, warnings("other")?) == (0, 2),
        "of two keys that are not named both are told"
    );
    for (home, notes) in [("node", 0), ("other", 2)] {
        let ended = node(directory.path(), &format!("check --home {home}"))?;
        let told = ended.stdout.matches("note: the genesis names no key").count();
        ensure!(ended.code == Some(0) && told == notes, "{home}: {ended:?}");
    }
    Ok(())
}

#[test]
fn an_institution_that_is_described_twice_is_named_with_the_file() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let one = "[[institution]]\nid = \"renhe-hospital\"\nname = \"Renhe\"\nkind = \"hospital\"\ntier = \"county\"\n";
    let text = format!("network = \"county\"\n{one}{one}");
    std::fs::write(directory.path().join("consortium.toml"), text)?;
    let says = ["consortium.toml", "renhe-hospital appears twice"];
    refuses(directory.path(), "genesis make consortium.toml", &says)
}

#[test]
fn a_directory_that_holds_no_backup_is_told_and_leaves_no_trace_in_the_home() -> Result<()> {
    let directory = made()?;
    refuses(directory.path(), "restore --home node nowhere", &["nowhere does not exist"])?;
    std::fs::create_dir(directory.path().join("empty"))?;
    refuses(directory.path(), "restore --home node empty", &["empty holds no backup"])?;
    ensure!(!directory.path().join("node/data").exists(), "something was made");
    Ok(())
}
