//! Every command's help has examples, and every example is a command that the parser takes.

use clap::{Command as ClapCommand, CommandFactory as _, Parser as _};

use crate::command::Cli;

/// Every command with the words that lead to it.
fn all(command: &ClapCommand, path: &[String], found: &mut Vec<(String, String)>) {
    let mut path = path.to_vec();
    path.push(command.get_name().to_owned());
    // As on a narrow terminal, where examples must not be wrapped either.
    let mut rendered = command.clone().term_width(80);
    found.push((path.join(" "), rendered.render_long_help().to_string()));
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        all(inner, &path, found);
    }
}

fn helps() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut command = Cli::command();
    command.build();
    all(&command, &[], &mut found);
    found
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_an_example_that_parses() {
    let helps = helps();
    assert!(helps.len() > 70, "only {} commands", helps.len());
    for (path, help) in helps {
        // A shell joins the lines that end in a backslash.
        let help = help.replace("\\\n", "");
        let examples: Vec<&str> =
            help.lines().map(str::trim).filter(|line| line.starts_with("yilian ")).collect();
        assert!(!examples.is_empty(), "{path} has no example:\n{help}");
        for example in examples {
            let words: Vec<&str> = example.split_whitespace().collect();
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{path}: {example}\n{error}");
            }
        }
    }
}

#[test]
fn an_example_of_a_command_is_of_that_command() {
    for (path, help) in helps() {
        if path.split(' ').count() < 2 {
            continue;
        }
        let example = help.lines().map(str::trim).find(|line| line.starts_with("yilian ")).unwrap();
        assert!(example.starts_with(&path), "{path}: {example}");
    }
}
