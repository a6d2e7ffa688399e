//! Help and completions.

use crate::yilian::Yilian;

/// The names under `Commands:` in a help text.
fn subcommands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|name| name != "help")
        .collect()
}

fn check(yilian: &Yilian, path: &[&str], seen: &mut usize) {
    let help = yilian.run(&[path, &["--help"]].concat()).exits(0).out;
    assert!(help.contains("Example"), "{path:?} has no example:\n{help}");
    *seen += 1;
    for name in subcommands(&help) {
        check(yilian, &[path, &[name.as_str()]].concat(), seen);
    }
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let mut seen = 0;
    check(&Yilian::new(), &[], &mut seen);
    assert!(seen > 70, "only {seen} commands");
}

#[test]
fn the_exit_codes_are_in_the_help() {
    let help = Yilian::new().run(&["--help"]).exits(0).out;
    for line in [
        "0  done",
        "1  refused",
        "2  the command",
        "3  no node",
        "4  a proof",
        "5  a local file",
        "6  the ledger knows no",
    ] {
        assert!(help.contains(line), "{line}");
    }
}

#[test]
fn completions_know_the_groups() {
    let yilian = Yilian::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = yilian.run(&["completions", shell]).exits(0).out;
        for word in ["yilian", "referral", "hand-over", "statement", "checkpoint"] {
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
    }
    yilian.run(&["completions", "ed"]).exits(2);
}
