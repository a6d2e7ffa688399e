//! The importer of the client as a program: run with its own directory, on inputs beside the checkout.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use yilian_spec::domain::Operation;
use yilian_spec::state::key::StreamId;

use crate::cluster::{Cluster, INSURER, TEACHING, VALIDATORS};
use crate::programs::{Ended, program, run_to_end};

/// How long one import may take on a slow machine.
pub const IMPORT_LIMIT: Duration = Duration::from_secs(300);

/// A directory of the shared data; `None`, with a word, where it is absent.
pub fn input(name: &str) -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    if !directory.is_dir() {
        println!("skipped: there is no ../shared/data/{name} beside the checkout");
        return None;
    }
    Some(directory)
}

/// Imports one input from one working directory.
pub struct Importer<'a> {
    /// The input.
    pub input: &'a Path,
    /// Where it works.
    pub directory: PathBuf,
}

impl Importer<'_> {
    /// Takes back what a directory recorded; what it prints.
    ///
    /// # Errors
    /// When it does not end with 0.
    pub fn withdraw(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program("yilian")?);
        command.args(["import", "withdraw"]).args(arguments).current_dir(&self.directory);
        let Ended { code, stdout, stderr } = run_to_end(&mut command, IMPORT_LIMIT)?;
        ensure!(code == Some(0), "{arguments:?} ended with {code:?}: {stdout} {stderr}");
        Ok(stdout)
    }

    /// Runs an import that ends well; what it prints.
    ///
    /// # Errors
    /// When it does not.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_to(0, arguments)
    }

    /// Runs an import that ends with this exit code; what it prints.
    ///
    /// # Errors
    /// When it ends with another.
    pub fn run_to(&self, code: i32, arguments: &[&str]) -> Result<String> {
        Ok(self.ends_with(code, arguments)?.stdout)
    }

    fn ends_with(&self, code: i32, arguments: &[&str]) -> Result<Ended> {
        let mut command = Command::new(program("yilian")?);
        command.args(["import", "fhir"]).arg(self.input).args(arguments).current_dir(&self.directory);
        let ended = run_to_end(&mut command, IMPORT_LIMIT)?;
        let Ended { stdout, stderr, .. } = &ended;
        ensure!(ended.code == Some(code), "{arguments:?} ended with {:?}: {stdout} {stderr}", ended.code);
        Ok(ended)
    }

    /// What an import says that fails.
    ///
    /// # Errors
    /// When it ends with another exit code.
    pub fn fails(&self, code: i32, arguments: &[&str]) -> Result<String> {
        Ok(self.ends_with(code, arguments)?.stderr)
    }
}

/// A ledger of four validators, and an input that changes.
pub struct Changing {
    /// The ledger.
    pub cluster: Cluster,
    /// Where imports work.
    pub place: TempDir,
    /// The file with the nodes and keys.
    pub consortium: String,
    /// The file that maps the input's organisations.
    pub mapping: String,
    before: PathBuf,
    after: PathBuf,
}

impl Changing {
    /// Starts the validators; `None` where the input is absent.
    ///
    /// # Errors
    /// When the ledger does not start.
    pub async fn start() -> Result<Option<Self>> {
        let Some(cases) = input("import-cases") else { return Ok(None) };
        let cluster = Cluster::start(&VALIDATORS).await?;
        let text = |path: &Path| path.to_str().map(str::to_owned).context("a path of text");
        Ok(Some(Self {
            consortium: text(&cluster.files.consortium)?,
            mapping: text(&cases.join("changed-map.toml"))?,
            cluster,
            place: tempfile::tempdir()?,
            before: cases.join("changed-before"),
            after: cases.join("changed-after"),
        }))
    }

    /// Imports the input before it changed.
    pub fn before(&self) -> Importer<'_> {
        Importer { input: &self.before, directory: self.place.path().to_owned() }
    }

    /// Imports the input after it changed.
    pub fn after(&self) -> Importer<'_> {
        Importer { input: &self.after, directory: self.place.path().to_owned() }
    }

    /// The arguments of an import with a directory of its own.
    pub fn with<'a>(&'a self, state: &'a str) -> [&'a str; 6] {
        ["--consortium", &self.consortium, "--mapping", &self.mapping, "--state", state]
    }

    /// The arguments that take it back.
    pub fn back<'a>(&'a self, state: &'a str) -> [&'a str; 4] {
        ["--state", state, "--consortium", &self.consortium]
    }

    /// A file that maps the input's two organisations, where imports work.
    ///
    /// # Errors
    /// What the system says.
    pub fn map(&self, name: &str, organisations: [usize; 2]) -> Result<()> {
        let [one, two] = organisations.map(|position| self.cluster.institution(position).clone());
        let payer = self.cluster.institution(INSURER);
        let text = format!("payer = \"{payer}\"\n[organizations]\no1 = \"{one}\"\no2 = \"{two}\"\n");
        Ok(std::fs::write(self.path(name), text)?)
    }

    /// The arguments of an import with such a mapping.
    pub fn mapped<'a>(&'a self, mapping: &'a str, state: &'a str) -> [&'a str; 6] {
        ["--consortium", &self.consortium, "--mapping", mapping, "--state", state]
    }

    /// An input of as many more claims at the second organisation, beside the one before it changed.
    ///
    /// # Errors
    /// What the system says.
    pub fn more(&self, name: &str, claims: usize) -> Result<PathBuf> {
        let mut text = std::fs::read_to_string(self.before.join("x.ndjson"))?;
        for number in 0..claims {
            text += &format!(
                r#"
{{"resourceType":"Encounter","id":"m{number}","status":"finished","class":{{"code":"AMB"}},"subject":{{"reference":"Patient/q{number}"}},"serviceProvider":{{"reference":"Organization/o2"}},"period":{{"start":"2020-02-01"}}}}
{{"resourceType":"Claim","id":"n{number}","status":"active","use":"claim","provider":{{"reference":"Organization/o2"}},"item":[{{"encounter":[{{"reference":"Encounter/m{number}"}}]}}],"total":{{"value":77.00,"currency":"EUR"}}}}"#
            );
        }
        let directory = self.path(name);
        std::fs::create_dir(&directory)?;
        std::fs::write(directory.join("x.ndjson"), text + "\n")?;
        Ok(directory)
    }

    /// A file or directory where imports work.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }
}

/// How many transactions are on the ledger, refused ones among them.
///
/// # Errors
/// When no node answers.
pub async fn transactions(cluster: &Cluster) -> Result<u64> {
    let (block, _) = cluster.desk(TEACHING).await?.client.block("latest").await?;
    Ok(block.certified.header.log_size)
}

/// Copies the files of a directory into a new one.
///
/// # Errors
/// What the system says.
pub fn copy_files(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Copies the directory of an import, with no more than the first lines of its journal.
///
/// # Errors
/// When there are no more, or what the system says.
pub fn first_lines(from: &Path, to: &Path, lines: usize) -> Result<()> {
    copy_files(from, to)?;
    let journal = std::fs::read_to_string(to.join("journal"))?;
    ensure!(journal.lines().count() > lines, "there is something to forget");
    let kept: Vec<&str> = journal.lines().take(lines).collect();
    Ok(std::fs::write(to.join("journal"), kept.join("\n") + "\n")?)
}

/// Services that the teaching hospital recorded and nobody reversed, by its transactions.
///
/// # Errors
/// When no node answers.
pub async fn standing(cluster: &Cluster) -> Result<i64> {
    standing_of(cluster, TEACHING).await
}

/// Services that an institution recorded and nobody reversed, by its transactions.
///
/// # Errors
/// When no node answers.
pub async fn standing_of(cluster: &Cluster, institution: usize) -> Result<i64> {
    let operations = operations_of(cluster, institution).await?;
    Ok(operations.iter().fold(0, |sum, operation| match operation {
        Operation::DeliverService(_) => sum + 1,
        Operation::ReverseService(_) => sum - 1,
        _ => sum,
    }))
}

/// The operations that an institution signed, in the order of its stream.
///
/// # Errors
/// When no node answers.
pub async fn operations_of(cluster: &Cluster, institution: usize) -> Result<Vec<Operation>> {
    let client = cluster.desk(institution).await?.client;
    let id = cluster.institution(institution);
    let stream = client.stream(&StreamId::Institution(id.clone()), 0).await?;
    let mut ids: Vec<_> = stream.entries.iter().map(|entry| entry.transaction_id).collect();
    ids.dedup();
    let mut operations = Vec::new();
    for transaction in ids {
        let body = client.transaction_proof(transaction).await?.0.transaction.body;
        if body.institution == id {
            operations.extend(body.operations);
        }
    }
    Ok(operations)
}
