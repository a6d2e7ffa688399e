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
        "6  there is no such thing",
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

#[test]
fn values_of_fixed_lists_are_completed_and_named_when_they_are_mistyped() {
    let yilian = Yilian::new();
    let script = yilian.run(&["completions", "bash"]).exits(0).out;
    for value in ["mental-health", "TREAT", "consent-withdrawn", "access-gateway", "no-capacity"] {
        assert!(script.contains(value), "bash does not complete {value}");
    }
    let create = ["grant", "create", "--to", "renhe-hospital", "--record", "1", "--expires", "+1d"];
    let told = yilian.run(&[&create[..], &["--category", "lab", "--document", "x"]].concat()).exits(2).err;
    assert!(told.contains("'lab' for '--category") && told.contains("mental-health"), "{told}");
    for category in ["mental-health", "mental_health", "Mental-Health"] {
        let run = yilian.run(&[&create[..], &["--category", category, "--document", "x"]].concat()).exits(5);
        assert!(run.err.contains("subjects"), "{}", run.err);
    }
}

#[test]
fn an_end_in_the_past_is_told() {
    let create = ["grant", "create", "--to", "renhe-hospital", "--subject"];
    let tag = "502d258082baa40bda5e46e77356a25507070707070707070707070707070707";
    let rest = ["--category", "laboratory", "--commitment", tag, "--expires", "-1d"];
    let run = Yilian::new().run(&[&create[..], &[tag], &rest].concat()).exits(2);
    assert!(run.err.contains("lies in the past"), "{}", run.err);
}
