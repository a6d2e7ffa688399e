//! Real input: the whole Synthea set goes onto a four-validator ledger, once, to the cent, and without a personal word.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use serde_json::Value;
use yilian_node::storage::StorageOptions;
use yilian_node::storage::database::Database;
use yilian_node::storage::disk::{Column, ReadBytes};
use yilian_tests::cluster::{Cluster, INSURER, TEACHING, VALIDATORS};
use yilian_tests::programs::{program, run_to_end};

/// How long one import may take on a slow machine.
const IMPORT_LIMIT: Duration = Duration::from_secs(300);
/// Strings below this length occur by chance.
const WORD_BYTES_MIN: usize = 8;
/// What the input says that the ledger may say, too: coarse codes.
const COARSE: [&str; 5] = ["emergency", "inpatient", "ambulatory", "outpatient", "pharmacy"];

fn input() -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/synthea-r4-2019-dev");
    directory.is_dir().then_some(directory)
}

fn resources(input: &Path, kind: &str) -> Result<Vec<Value>> {
    let file = File::open(input.join(format!("{kind}.ndjson.gz")))?;
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines.map(|line| Ok(serde_json::from_str::<Value>(&line?)?["resource"].take())).collect()
}

/// An amount in cents, from its text; Synthea's claims have at most two decimals.
fn cents(amount: &Value) -> Result<i64> {
    let text = amount.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    ensure!(fraction.len() <= 2, "{text} has more than two decimals");
    Ok(whole.parse::<i64>()? * 100 + format!("{fraction:0<2}").parse::<i64>()?)
}

/// What each institution claimed, by the mapping: the few lines that the ledger's statements must equal.
fn claimed(input: &Path, mapping: &Path) -> Result<BTreeMap<String, i64>> {
    let mapping: toml::Table = std::fs::read_to_string(mapping)?.parse()?;
    let mut sums = BTreeMap::new();
    for claim in resources(input, "Claim")? {
        let provider = claim["provider"]["reference"].as_str().context("a claim has a provider")?;
        let organization = provider.trim_start_matches("urn:uuid:");
        let institution = mapping["organizations"][organization].as_str().context("a mapped organisation")?;
        *sums.entry(institution.to_owned()).or_default() += cents(&claim["total"]["value"])?;
    }
    Ok(sums)
}

struct Importer<'a> {
    input: &'a Path,
    directory: PathBuf,
}

impl Importer<'_> {
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program("yilian")?);
        command.args(["import", "fhir"]).arg(self.input).args(arguments).current_dir(&self.directory);
        let ended = run_to_end(&mut command, IMPORT_LIMIT)?;
        ensure!(ended.code == Some(0), "{arguments:?} ended with {:?}: {}", ended.code, ended.stderr);
        Ok(ended.stdout)
    }
}

/// What the insurer owes each institution, as the ledger's proven statements say.
async fn owed(cluster: &Cluster) -> Result<BTreeMap<String, i64>> {
    use yilian_spec::id::AgreementId;
    let client = cluster.desk(INSURER).await?.client;
    let filter = [("institution", cluster.institution(INSURER).to_string())];
    let agreements = client.list::<Value>("/v1/agreements", &filter).await?.items;
    let mut sums = BTreeMap::new();
    for agreement in agreements {
        let id: AgreementId = agreement["id"].as_str().context("an agreement has an id")?.parse()?;
        let (proof, verified) = client.statement(id, 0).await?;
        ensure!(verified, "the statement comes with a proof");
        let terms = client
            .record::<yilian_spec::state::record::Agreement>(
                &yilian_spec::state::key::StateKey::Agreement(id),
                "the agreement",
            )
            .await?
            .value
            .terms;
        for line in &proof.statement.statement.lines {
            let party = &terms.parties[line.party.position()].institution;
            *sums.entry(party.to_string()).or_default() += line.share.amount.0;
        }
    }
    sums.retain(|_, sum| *sum != 0);
    Ok(sums)
}

/// All strings of the input that could say something about a person: names, identifiers, dates, texts.
fn personal_words(input: &Path) -> Result<BTreeSet<String>> {
    let mut words = BTreeSet::new();
    for kind in ["Patient", "Practitioner", "Organization", "Encounter", "Claim", "ExplanationOfBenefit"] {
        for resource in resources(input, kind)? {
            collect(&resource, &mut words);
        }
    }
    words.retain(|word| !COARSE.contains(&word.as_str()));
    Ok(words)
}

fn collect(value: &Value, words: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let word = text.trim_start_matches("urn:uuid:");
            if word.len() >= WORD_BYTES_MIN {
                words.insert(word.to_owned());
            }
        }
        Value::Array(list) => list.iter().for_each(|entry| collect(entry, words)),
        Value::Object(fields) => fields.values().for_each(|entry| collect(entry, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Looks for the words in every row of a stopped node's database; returns the bytes it read.
fn scan(ledger: &Path, words: &BTreeSet<String>) -> Result<usize> {
    // Sorted by their first bytes, so that each place of a row costs one search.
    let heads: Vec<([u8; WORD_BYTES_MIN], &str)> = words
        .iter()
        .map(|word| Ok((word.as_bytes()[..WORD_BYTES_MIN].try_into()?, word.as_str())))
        .collect::<Result<_>>()?;
    let disk = Database::open_read_only(ledger, StorageOptions::default())?;
    let mut read = 0;
    for column in Column::ALL {
        for row in disk.scan(column, &[]) {
            let (key, value) = row?;
            for bytes in [&key, &value] {
                read += bytes.len();
                for (place, window) in bytes.windows(WORD_BYTES_MIN).enumerate() {
                    let first = heads.partition_point(|(head, _)| head.as_slice() < window);
                    let candidates = heads[first..].iter().take_while(|(head, _)| head.as_slice() == window);
                    for (_, word) in candidates {
                        ensure!(!bytes[place..].starts_with(word.as_bytes()), "{column:?} holds {word:?}");
                    }
                }
            }
        }
    }
    Ok(read)
}

#[tokio::test]
async fn the_whole_set_is_imported_once_to_the_cent_and_without_a_personal_word() -> Result<()> {
    let Some(input) = input() else {
        println!("skipped: there is no ../shared/data/synthea-r4-2019-dev beside the checkout");
        return Ok(());
    };
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let consortium = cluster.files.consortium.clone();
    let consortium = consortium.to_str().context("a path of text")?;
    let place = tempfile::tempdir()?;
    let importer = Importer { input: &input, directory: place.path().to_owned() };
    importer.run(&["--consortium", consortium, "--propose-mapping", "mapping.toml"])?;
    let all = ["--consortium", consortium, "--mapping", "mapping.toml", "--state", "state", "--close"];
    let first = importer.run(&all)?;
    println!("{first}");
    for count in ["307 patients", "8918 encounters", "11169 claims"] {
        ensure!(first.contains(count), "the summary says {count}: {first}");
    }

    let expected = claimed(&input, &place.path().join("mapping.toml"))?;
    ensure!(expected.len() == 3, "the mapping uses the three hospitals and centres");
    ensure!(owed(&cluster).await? == expected, "the statements equal the sums over the files");

    let again = importer.run(&all)?;
    ensure!(again.contains("Recorded 0 operations"), "a second run adds nothing: {again}");
    ensure!(owed(&cluster).await? == expected);

    cluster.check_all_nodes().await?;
    let words = personal_words(&input)?;
    ensure!(words.len() > 10_000, "there is something to look for");
    let read = scan(&cluster.ledger_directory(TEACHING)?, &words)?;
    println!("{} words of the input, none of them in {read} bytes of the ledger", words.len());
    ensure!(read > 10_000_000, "the whole ledger was read");
    Ok(())
}
