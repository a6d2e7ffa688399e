//! Every example that `yilian --help` shows runs as it is written, against a consortium where the things exist that it
//! names: with the placeholders of institutions, identifiers and addresses filled in, and the files it reads beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use yilian_client::commitment::commit_to_file;
use yilian_client::config::Config;
use yilian_node::consortium::CONSORTIUM;
use yilian_tests::cluster::{COUNTY, Cluster, INSURER, TEACHING, TOWNSHIP, VALIDATORS};
use yilian_tests::command_line::{Shell, exit};

/// Placeholders of identifiers in the examples; that of a key has the number of its algorithm before it.
const ID: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";
const GRANT_OR_TAG: &str = "5f0c8a1b2e3d4c5f60718293a4b5c6d7e8f9010203040506070809aabbccddee";

/// Commands whose example meets things in a state that the rules refuse it in, since every example names the same few.
const MAY_BE_REFUSED: [&str; 14] = [
    "yilian access receive",
    "yilian agreement sign",
    "yilian agreement terminate",
    "yilian key revoke",
    "yilian key rotate",
    "yilian period close",
    "yilian referral ",
    "yilian service reverse",
    "yilian access disclose",
    "yilian access deny",
    "yilian grant revoke",
    "yilian key show",
    "yilian service show",
    "yilian capacity show",
];

/// Examples that go on until somebody stops them.
const ENDLESS: [&str; 1] = ["yilian watch"];

/// Examples that need a directory of health records; `tests/import.rs` runs them on a real one.
const RUN_ELSEWHERE: [&str; 1] = ["yilian import"];

/// Whose clerk would type the example: who is named as the institution, the hospital for what it is a party of, and the
/// health centre for the rest.
fn author(example: &str) -> usize {
    let named = |id: &str| {
        example.contains(&format!("--institution {id}")) || example.contains(&format!("institution/{id}"))
    };
    let group = example.split_whitespace().nth(1).unwrap_or_default();
    if named("anping-insurer") {
        INSURER
    } else if named("qinghe-county-hospital") {
        COUNTY
    } else if named("renhe-hospital")
        || ["agreement", "period", "statement", "service", "transaction"].contains(&group)
    {
        TEACHING
    } else {
        TOWNSHIP
    }
}

/// All examples, in the order of the help.
fn examples(shell: &Shell, command: &mut Vec<String>, found: &mut Vec<String>) -> Result<()> {
    let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
    let help = shell.run_words(&words)?;
    ensure!(help.code == Some(exit::OK), "{words:?}: {help:?}");
    // A shell joins the lines that end in a backslash.
    let joined = help.stdout.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| line.starts_with("yilian "));
    for line in lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")) {
        if !found.contains(&line) {
            found.push(line);
        }
    }
    let list = help.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = list
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<String> =
        names.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect();
    for name in names.into_iter().filter(|name| name != "help") {
        command.push(name);
        examples(shell, command, found)?;
        command.pop();
    }
    Ok(())
}

/// What the placeholders stand for, and a directory with all files that examples read.
struct Stage {
    files: TempDir,
    config: PathBuf,
    /// By the first word behind `yilian`.
    ids: BTreeMap<&'static str, String>,
    tag: String,
    grant: String,
    names: Vec<(&'static str, String)>,
}

impl Stage {
    fn set(cluster: &Cluster) -> Result<Self> {
        let files = tempfile::tempdir()?;
        let config = with_profile_renhe(cluster)?;
        let shell = |institution| -> Result<Shell> {
            Ok(Shell::of(cluster, institution, files.path())?.with_config(&config))
        };
        let (township, county, teaching, insurer) =
            (shell(TOWNSHIP)?, shell(COUNTY)?, shell(TEACHING)?, shell(INSURER)?);
        for name in [
            "consent.pdf",
            "bundle.json",
            "request.json",
            "reason.pdf",
            "package.zip",
            "report.pdf",
            "plan.pdf",
            "claim.json",
        ] {
            std::fs::write(files.path().join(name), name)?;
        }
        // As it comes from the other side, with its salt.
        commit_to_file(&files.path().join("package.zip"))?;
        std::fs::write(files.path().join("subjects.txt"), "yilian subjects v1\n")?;
        let operations = r#"[{"publish_capacity": {"service": "cardiology", "slots": 12}}]"#;
        std::fs::write(files.path().join("operations.json"), operations)?;
        std::fs::copy(cluster.files.directory.join("genesis.json"), files.path().join("genesis.json"))?;
        std::fs::copy(&cluster.files.checkpoint, files.path().join("checkpoint.json"))?;

        township.ends_with(exit::OK, "subject create")?;
        let drawn = township.json("subject create 104-2231 88-1")?;
        let tag = drawn[0]["tag"].as_str().context("a tag")?.to_owned();
        for name in ["gateway.key", "next.key"] {
            township.ends_with(exit::OK, &format!("key generate --role access-gateway --out {name}"))?;
        }
        let [county_id, teaching_id, insurer_id] =
            [COUNTY, TEACHING, INSURER].map(|node| cluster.institution(node));
        let about = format!("--to {teaching_id} --subject {tag} --category laboratory");
        let grant = township
            .create("grant", &format!("grant create {about} --expires +30d --document consent.pdf"))?;
        let disclose = format!("access disclose --grant {grant} {about} --document bundle.json");
        let disclosure = township.create("disclosure", &disclose)?;
        let request =
            format!("referral request {about} --direction up --service cardiology --document reason.pdf");
        let referral = township.create("referral", &request)?;
        let agreement = teaching.create(
            "agreement",
            &format!(
                "agreement propose fixed-price --consortium {CONSORTIUM} --service teleconsultation --payer {insurer_id} \
                 --provider {teaching_id} --provider {county_id} --role expert --fee 180.00 --expires +365d"
            ),
        )?;
        county.json(&format!("agreement sign {agreement}"))?;
        insurer.json(&format!("agreement sign {agreement}"))?;
        let terms = teaching.json(&format!("agreement show {agreement}"))?["record"]["terms"].to_string();
        std::fs::write(files.path().join("terms.json"), terms)?;
        let service = teaching.create(
            "service",
            &format!("service deliver --service teleconsultation --part expert={teaching_id} --payer {insurer_id} --amount 180.00 --document report.pdf"),
        )?;
        let closed = insurer.json(&format!("period close {agreement}"))?;
        let transaction = closed["transaction_id"].as_str().context("an id")?.to_owned();
        teaching.json(&format!("statement save {agreement} 0 statement.json"))?;
        teaching.json(&format!("transaction receipt {transaction} --save receipt.json"))?;
        let key = cluster.member(TEACHING).secrets.values().next().context("a key")?.public_key().to_string();
        let names = vec![
            ("renhe-hospital", teaching_id.to_string()),
            ("anping-insurer", insurer_id.to_string()),
            ("qinghe-community", CONSORTIUM.to_owned()),
            ("image-platform", county_id.to_string()),
            ("http://127.0.0.1:8600", cluster.url(TEACHING)),
        ];
        let ids = BTreeMap::from([
            ("access", disclosure),
            ("referral", referral),
            ("agreement", agreement.clone()),
            ("period", agreement.clone()),
            ("statement", agreement),
            ("service", service),
            ("transaction", transaction),
            ("key", key),
            ("node", cluster.member(TEACHING).network.public_key().to_string()),
        ]);
        Ok(Self { files, config, ids, tag, grant, names })
    }

    /// The example with everything filled in.
    fn fill(&self, example: &str) -> String {
        let group = example.split_whitespace().nth(1).unwrap_or_default();
        let id = self.ids.get(group).map_or(ID, String::as_str);
        let is_tag = group == "subject" || example.contains(&format!("subject/{GRANT_OR_TAG}"));
        let other = if is_tag { &self.tag } else { &self.grant };
        let mut line = example.replace(&format!("01{ID}"), id).replace(ID, id).replace(GRANT_OR_TAG, other);
        for (placeholder, name) in &self.names {
            line = line.replace(placeholder, name);
        }
        line.strip_prefix("yilian ").unwrap_or(&line).to_owned()
    }

    /// A fresh copy of all files, without the one that the example writes.
    fn copy(&self, example: &str) -> Result<TempDir> {
        let directory = tempfile::tempdir()?;
        for entry in std::fs::read_dir(self.files.path())? {
            let entry = entry?;
            std::fs::copy(entry.path(), directory.path().join(entry.file_name()))?;
        }
        let words: Vec<&str> = example.split_whitespace().collect();
        let behind =
            |word: &str| words.iter().position(|other| *other == word).and_then(|at| words.get(at + 1));
        let written = match words.get(1..3) {
            Some(["checkpoint", "save"]) => words.get(3),
            Some(["statement" | "stream", "save"] | ["subject", "export"]) => words.last(),
            _ => behind("--out").or_else(|| behind("--save")),
        };
        if let Some(file) = written {
            let path = directory.path().join(file);
            if path.is_file() {
                std::fs::remove_file(path)?;
            }
        }
        Ok(directory)
    }
}

/// The cluster's configuration with one more profile, the township's under the name that examples use, in a file of its
/// own beside it.
fn with_profile_renhe(cluster: &Cluster) -> Result<PathBuf> {
    let mut config = Config::load(&cluster.files.client_config)?;
    let township = config.profiles.get(cluster.institution(TOWNSHIP).as_str()).context("a profile")?.clone();
    config.profiles.insert("renhe".to_owned(), township);
    let path = cluster.files.directory.join("client-examples.toml");
    config.save(&path)?;
    Ok(path)
}

#[tokio::test]
async fn every_example_of_the_help_runs() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let stage = Stage::set(&cluster)?;
    let shell = Shell::of(&cluster, TOWNSHIP, stage.files.path())?;
    let mut found = Vec::new();
    examples(&shell, &mut Vec::new(), &mut found)?;
    ensure!(found.len() > 60, "only {} examples: is the help read rightly?", found.len());
    let mut wrong = Vec::new();
    let left_out =
        |example: &str| ENDLESS.iter().chain(&RUN_ELSEWHERE).any(|start| example.starts_with(start));
    for example in found.iter().filter(|example| !left_out(example)) {
        let shell = Shell::of(&cluster, author(example), stage.files.path())?;
        if let Err(error) = runs(&cluster, &stage, &shell, example) {
            wrong.push(format!("{example}\n    {error}"));
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} of {} examples do not run:\n{}",
        wrong.len(),
        found.len(),
        wrong.join("\n")
    );
    cluster.check_all_nodes().await?;
    Ok(())
}

fn runs(cluster: &Cluster, stage: &Stage, shell: &Shell, example: &str) -> Result<()> {
    let directory = stage.copy(example)?;
    // Commands that change the configuration change a copy of it; its paths are relative to where it lies.
    let config = cluster.files.directory.join("client-one-example.toml");
    let is_new_profile = example.starts_with("yilian profile add");
    let source: &Path = if is_new_profile { &cluster.files.client_config } else { &stage.config };
    std::fs::copy(source, &config)?;
    let table = cluster.files.directory.join(format!("subjects-{}.age", cluster.institution(TOWNSHIP)));
    let kept = cluster.files.directory.join("subjects-kept.age");
    let makes_table = example == "yilian subject create";
    if makes_table {
        std::fs::rename(&table, &kept)?;
    }
    let line = stage.fill(example);
    let ended = shell.in_directory(directory.path()).with_config(&config).run(&line)?;
    if makes_table {
        std::fs::rename(&kept, &table)?;
    }
    let may_be_refused = MAY_BE_REFUSED.iter().any(|command| example.starts_with(command));
    match ended.code {
        Some(exit::OK) => Ok(()),
        Some(exit::REFUSED | exit::UNKNOWN) if may_be_refused => Ok(()),
        code => bail!("code {code:?}: {}{}", ended.stderr, ended.stdout),
    }
}

#[test]
fn the_programs_are_built() -> Result<()> {
    for name in ["yilian", "yilian-node"] {
        yilian_tests::programs::program(name)?;
    }
    Ok(())
}
