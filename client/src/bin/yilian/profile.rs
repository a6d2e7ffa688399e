//! `yilian profile`: nodes, institution, keys and checkpoint under one name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use yilian_client::config::{Config, Profile};
use yilian_client::error::exit;
use yilian_spec::domain::membership::Role;

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::parse;

/// Profiles: nodes, institution, keys and checkpoint under one name.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian profile list")]
pub enum ProfileCommand {
    /// Add a profile, from the options of all commands: --node, --as, --key, --passphrase, --checkpoint, --chain-id, --compare.
    #[command(
        after_help = "Example:\n  yilian profile add renhe --node https://ledger.renhe.example:8600 \\\n    --as renhe-hospital --key gateway.key --passphrase env:YILIAN_PASSPHRASE \\\n    --checkpoint checkpoint.json --subjects subjects.age"
    )]
    Add(Add),
    /// List the profiles.
    #[command(after_help = "Example:\n  yilian profile list --json")]
    List,
    /// Use a profile from now on.
    #[command(after_help = "Example:\n  yilian profile use renhe")]
    Use {
        /// Its name.
        name: String,
    },
    /// Show a profile.
    #[command(after_help = "Example:\n  yilian profile show renhe")]
    Show {
        /// Its name [default: the one in use].
        name: Option<String>,
    },
}

/// A new profile.
#[derive(Debug, Args)]
pub struct Add {
    /// Its name.
    name: String,
    /// A key file for one role, ROLE=FILE; once for each.
    #[arg(long = "key-for", value_name = "ROLE=FILE", value_parser = role_file)]
    keys: Vec<(Role, PathBuf)>,
    /// A PEM file of certificate authorities that nodes' certificates may come from.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The encrypted table of subject tags.
    #[arg(long, value_name = "FILE")]
    subjects: Option<PathBuf>,
    /// Replace a profile of this name.
    #[arg(long)]
    replace: bool,
}

fn role_file(text: &str) -> Result<(Role, PathBuf), String> {
    let (role, file) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?}: write ROLE=FILE, such as finance=finance.key"))?;
    Ok((parse::code(role)?, file.into()))
}

impl ProfileCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Add(add) => add.run(context),
            Self::List => {
                list(context);
                Ok(exit::OK)
            }
            Self::Use { name } => {
                let mut config = context.config.clone();
                config.select(Some(&name), &context.config_path)?;
                config.default_profile = Some(name.clone());
                let chosen = context.global.profile.as_ref().filter(|chosen| **chosen != name);
                let unless = chosen.map_or(String::new(), |chosen| {
                    format!(" where neither --profile nor YILIAN_PROFILE says otherwise, as now: {chosen}")
                });
                save(context, &config, &format!("profile {name} is in use{unless}"))
            }
            Self::Show { name } => show(context, name.as_deref()),
        }
    }
}

impl Add {
    fn run(self, context: &Context) -> Outcome {
        let Self { name, keys, ca, subjects, replace } = self;
        if context.config.profiles.contains_key(&name) && !replace {
            return Err(Failure::Usage(format!("there is a profile {name:?}: give --replace to replace it")));
        }
        let global = &context.global;
        let replaced = context.config.profiles.get(&name);
        if global.nodes.is_empty() && replaced.is_some_and(|profile| !profile.nodes.is_empty()) {
            return Err(Failure::Usage(format!(
                "--replace puts the new profile in the place of the whole old one, which has a node: give --node and all other options \
                 again, or change one line of {}",
                context.config_path.display()
            )));
        }
        let profile = Profile {
            nodes: global.nodes.clone(),
            institution: global.institution.clone(),
            key: global.key.as_deref().map(absolute).transpose()?,
            passphrase: global.passphrase.clone().map(absolute_source).transpose()?,
            checkpoint: global.checkpoint.as_deref().map(absolute).transpose()?,
            chain_id: global.chain_id,
            ca: ca.as_deref().map(absolute).transpose()?,
            subjects: subjects.as_deref().map(absolute).transpose()?,
            memory: None,
            compare: global.compare.clone(),
            node_keys: BTreeMap::new(),
            keys: keys
                .into_iter()
                .map(|(role, file)| Ok((role, absolute(&file)?)))
                .collect::<Result<_, Failure>>()?,
        };
        profile.check(&name)?;
        let mut config = context.config.clone();
        config.profiles.insert(name.clone(), profile);
        config.default_profile.get_or_insert_with(|| name.clone());
        save(context, &config, &format!("profile {name} is in {}", context.config_path.display()))
    }
}

/// A path that means the same from everywhere: what is typed is relative to the working directory.
fn absolute(path: &std::path::Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::Local(format!("{}: {error}", path.display())))
}

fn absolute_source(source: String) -> Result<String, Failure> {
    match source.strip_prefix("file:") {
        Some(path) => Ok(format!("file:{}", absolute(path.as_ref())?.display())),
        None => Ok(source),
    }
}

fn save(context: &Context, config: &Config, sentence: &str) -> Outcome {
    if context.config_path.as_os_str().is_empty() {
        return Err(yilian_client::config::ConfigError::NoHome.into());
    }
    config.save(&context.config_path)?;
    if context.json() {
        output::print_json(&json!({"done": sentence}));
    } else {
        output::print_line(sentence);
    }
    Ok(exit::OK)
}

fn list(context: &Context) {
    if context.json() {
        return output::print_json(&context.config);
    }
    let chosen = context.global.profile.as_ref().or(context.config.default_profile.as_ref());
    let row = |(name, profile): (&String, &Profile)| {
        let used = chosen == Some(name);
        vec![
            name.clone(),
            output::or_dash(profile.institution.as_ref()),
            profile.nodes.join(", "),
            if profile.checkpoint.is_some() { "yes".to_owned() } else { "no".to_owned() },
            if used { "in use".to_owned() } else { String::new() },
        ]
    };
    let rows = context.config.profiles.iter().map(row).collect();
    output::print_table(&["profile", "institution", "nodes", "verifies", "state"], rows);
}

fn show(context: &Context, name: Option<&str>) -> Outcome {
    let name = name.or(context.global.profile.as_deref());
    let Some((name, profile)) = context.config.select(name, &context.config_path)? else {
        return Err(Failure::Local("no profile is in use: `yilian profile add` makes one".to_owned()));
    };
    if context.json() {
        output::print_json(&json!({"name": name, "profile": profile}));
        return Ok(exit::OK);
    }
    let path = |path: &Option<PathBuf>| output::or_dash(path.as_ref().map(|path| path.display()));
    output::print_fields(&[
        ("profile", name.to_owned()),
        ("nodes", profile.nodes.join(", ")),
        ("compared with", output::or_dash((!profile.compare.is_empty()).then(|| profile.compare.join(", ")))),
        ("institution", output::or_dash(profile.institution.as_ref())),
        ("key", path(&profile.key)),
        ("passphrase", output::or_dash(profile.passphrase.as_ref())),
        ("checkpoint", path(&profile.checkpoint)),
        ("chain", output::or_dash(profile.chain_id)),
        ("authorities", path(&profile.ca)),
        ("subjects", path(&profile.subjects)),
    ]);
    for (node, key) in &profile.node_keys {
        output::print_fields(&[("node key", format!("{node}: {key}"))]);
    }
    for (role, file) in &profile.keys {
        output::print_fields(&[("key for", format!("{}: {}", output::name(role), file.display()))]);
    }
    Ok(exit::OK)
}
