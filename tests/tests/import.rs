//! Real input: the whole Synthea set goes onto a four-validator ledger, once, to the cent, and without a personal word. A
//! source that changes afterwards is found and corrected.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use serde_json::Value;
use yilian_client::consortium::Consortium;
use yilian_client::subject::SubjectTable;
use yilian_local::sealed::WorkFactor;
use yilian_node::storage::StorageOptions;
use yilian_node::storage::database::Database;
use yilian_node::storage::disk::{Column, ReadBytes};
use yilian_tests::cluster::{Cluster, INSURER, TEACHING, VALIDATORS};
use yilian_tests::importer::{
    Changing, IMPORT_LIMIT, Importer, copy_files, first_lines, input, transactions,
};
use yilian_tests::programs::{Ended, program, run_to_end};

/// Strings below this length occur by chance.
const WORD_BYTES_MIN: usize = 8;
/// What the input says that the ledger may say, too: coarse codes.
const COARSE: [&str; 5] = ["emergency", "inpatient", "ambulatory", "outpatient", "pharmacy"];

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

/// What each institution claimed of the insurer, by the mapping: the few lines that the ledger's statements must equal.
fn claimed(input: &Path, mapping: &Path) -> Result<BTreeMap<String, i64>> {
    let mapping: toml::Table = std::fs::read_to_string(mapping)?.parse()?;
    let mut sums = BTreeMap::new();
    for claim in resources(input, "Claim")? {
        if claim["insurance"][0]["coverage"]["display"] == "no_insurance" {
            continue;
        }
        let provider = claim["provider"]["reference"].as_str().context("a claim has a provider")?;
        let organization = provider.trim_start_matches("urn:uuid:");
        let institution = mapping["organizations"][organization].as_str().context("a mapped organisation")?;
        *sums.entry(institution.to_owned()).or_default() += cents(&claim["total"]["value"])?;
    }
    Ok(sums)
}

/// What the insurer owes each institution, as the ledger's proven statements say.
async fn owed(cluster: &Cluster) -> Result<BTreeMap<String, i64>> {
    use yilian_spec::base::id::AgreementId;
    let client = cluster.desk(INSURER).await?.client;
    let filter = [("institution", cluster.institution(INSURER).to_string())];
    let agreements = client.list::<Value>("/v1/agreements", &filter).await?.items;
    let mut sums = BTreeMap::new();
    for agreement in agreements {
        let id: AgreementId = agreement["id"].as_str().context("an agreement has an id")?.parse()?;
        let (proof, verified) = client.statement(id, 0).await?;
        ensure!(verified, "the statement comes with a proof");
        let terms = client
            .record::<yilian_spec::domain::agreement::Agreement>(
                &yilian_spec::state::key::StateKey::Agreement(id),
            )
            .await?
            .value
            .terms;
        for line in &proof.statement.statement.lines {
            let party = &terms.parties[line.party.position()].institution;
            *sums.entry(party.to_string()).or_default() += line.share.amount_minor.0;
        }
    }
    sums.retain(|_, sum| *sum != 0);
    Ok(sums)
}

/// Services that count under the agreements of the insurer, each once for its provider.
async fn services(cluster: &Cluster) -> Result<u64> {
    use yilian_spec::base::id::AgreementId;
    use yilian_spec::crypto::merkle::log::Frontier;
    use yilian_spec::domain::agreement::Agreement;
    use yilian_spec::state::key::{StateKey, StreamId};
    let client = cluster.desk(INSURER).await?.client;
    let filter = [("institution", cluster.institution(INSURER).to_string())];
    let mut of_provider: BTreeMap<String, u64> = BTreeMap::new();
    for agreement in client.list::<Value>("/v1/agreements", &filter).await?.items {
        let id: AgreementId = agreement["id"].as_str().context("an agreement has an id")?.parse()?;
        let terms = client.record::<Agreement>(&StateKey::Agreement(id)).await?.value.terms;
        let head = StateKey::StreamHead(StreamId::Period { agreement: id, period: 0 });
        let head = client.row::<Frontier>(&head).await?.value;
        let events = head.map_or(0, |head| head.length());
        let parties: Vec<String> = terms.parties.iter().map(|party| party.institution.to_string()).collect();
        let most = of_provider.entry(parties.join(" ")).or_default();
        *most = events.max(*most);
    }
    Ok(of_provider.values().sum())
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
    let Some(input) = input("synthea-r4-2019-dev") else { return Ok(()) };
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

#[tokio::test]
async fn a_source_that_changes_after_its_import_is_found_and_corrected() -> Result<()> {
    let Some(case) = Changing::start().await? else { return Ok(()) };
    let (cluster, mapping, consortium) = (&case.cluster, case.mapping.as_str(), case.consortium.as_str());
    let (before, after) = (case.before(), case.after());
    let all = case.with("state");
    let holds = |summary: &str, amount: &str| -> Result<()> {
        let line = format!("On the ledger: {amount} EUR gross in 1 services");
        ensure!(summary.contains(&line), "the ledger holds {amount}: {summary}");
        Ok(())
    };
    holds(&before.run(&all)?, "100.00")?;

    copy_files(&case.path("state"), &case.path("older"))?;
    let changed = after.run_to(5, &all)?;
    holds(&changed, "100.00")?;
    ensure!(
        changed.contains("Claim c1: 100.00 EUR of renhe-hospital to anping-insurer, now 170.00 EUR"),
        "{changed}"
    );
    ensure!(changed.contains("--correct"), "it says how to correct: {changed}");
    let look = after.run_to(5, &[&all[..], &["--dry-run"]].concat())?;
    holds(&look, "100.00")?;

    let close = ["--close"];
    let corrected = after.run(&[&all[..], &["--correct"], &close[..]].concat())?;
    holds(&corrected, "170.00")?;
    ensure!(corrected.contains("1 reverse_service"), "{corrected}");
    ensure!(
        corrected.contains("anping-insurer owes renhe-hospital 170.00 EUR for 1 services"),
        "{corrected}"
    );
    ensure!(after.run(&all)?.contains("Recorded 0 operations"), "a corrected source is like any other");

    // An older copy of the directory: what it lacks is found, and neither recorded again nor refused on record.
    let recorded = transactions(cluster).await?;
    std::fs::rename(case.path("state"), case.path("newest"))?;
    std::fs::rename(case.path("older"), case.path("state"))?;
    let completed = after.run(&[&all[..], &["--correct"]].concat())?;
    holds(&completed, "170.00")?;
    ensure!(
        completed.contains("Recorded 0 operations") && completed.contains("an older copy"),
        "it says what it found: {completed}"
    );
    ensure!(transactions(cluster).await? == recorded, "nothing was recorded");
    ensure!(!after.run(&all)?.contains("an older copy"), "it is complete again");

    // One from before the first services: of the service that was replaced nothing is known, nor need be.
    first_lines(&case.path("newest"), &case.path("oldest"), 10)?;
    let oldest = |arguments: &[&'static str]| [&all[..5], &["oldest"], arguments].concat();
    let said = before.fails(5, &oldest(&["--correct"]))?;
    ensure!(
        said.contains("cannot be told from this input and mapping"),
        "another input explains it not: {said}"
    );
    // From before it knew its patients: their tags stand on the ledger.
    for table in ["subjects.age", "subjects.made"] {
        std::fs::remove_file(case.path("oldest").join(table))?;
    }
    let completed = after.run(&oldest(&["--correct"]))?;
    holds(&completed, "170.00")?;
    ensure!(completed.contains("an older copy"), "{completed}");
    ensure!(transactions(cluster).await? == recorded, "nothing was recorded");
    let passphrase = Consortium::load(&cluster.files.consortium)?.passphrase()?;
    let tags = |state: &str| -> Result<Vec<(String, String)>> {
        let table = case.path(state).join("subjects.age");
        let table = SubjectTable::open(&table, &passphrase, WorkFactor::PRODUCTION, Duration::ZERO)?;
        Ok(table.list().map(|(number, tag)| (number.to_owned(), tag.to_string())).collect())
    };
    // Of the other patient no operation names the tag, so that a new one does no harm.
    let named =
        |tags: Vec<(String, String)>| tags.into_iter().find(|(number, _)| number == "renhe-hospital/p1");
    let newest = named(tags("newest")?);
    ensure!(newest.is_some() && named(tags("oldest")?) == newest, "the table is as it was: {newest:?}");
    std::fs::remove_dir_all(case.path("oldest"))?;
    // Nor does another mapping: whoever pays now, the service of before is this import's.
    first_lines(&case.path("newest"), &case.path("oldest"), 10)?;
    let other_payer = std::fs::read_to_string(mapping)?.replace("anping-insurer", "health-commission");
    std::fs::write(case.path("other-payer.toml"), other_payer)?;
    let remapped =
        ["--consortium", consortium, "--mapping", "other-payer.toml", "--state", "oldest", "--correct"];
    let said = after.fails(5, &remapped)?;
    ensure!(said.contains("cannot be told from this input and mapping"), "{said}");
    ensure!(transactions(cluster).await? == recorded, "nothing was recorded");
    std::fs::remove_dir_all(case.path("oldest"))?;
    // Where the journal has lost even its beginning, nothing can be completed.
    first_lines(&case.path("newest"), &case.path("oldest"), 1)?;
    let said = after.fails(5, &oldest(&["--correct"]))?;
    ensure!(said.contains("recorded twice"), "{said}");

    // Reversed by hand: it stays so, until the source changes; then what the input says now is recorded.
    let back = before.run_to(5, &all)?;
    let service = back.split("service ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let desk = cluster.desk(TEACHING).await?;
    let reverse = yilian_spec::domain::service::ReverseService {
        service: service.context("the summary names the service")?.parse()?,
        reason: yilian_spec::domain::service::ReversalReason::Mistake,
    };
    desk.record(vec![yilian_spec::domain::Operation::ReverseService(reverse)]).await?;
    let reversed = after.run(&all)?;
    ensure!(reversed.contains("Recorded 0 operations"), "nobody takes a reversal back: {reversed}");
    ensure!(reversed.contains("1 services of this import were reversed by somebody else"), "{reversed}");
    ensure!(!reversed.contains("On the ledger: 170.00"), "{reversed}");
    holds(&before.run(&all)?, "100.00")?;

    // Without its journal everything would be recorded twice, with and without the table of tags beside it.
    let state = case.path("state");
    std::fs::remove_file(state.join("journal"))?;
    for gone in ["journal", "subjects.age", "subjects.made"] {
        let _ = std::fs::remove_file(state.join(gone));
        let said = before.fails(5, &all)?;
        ensure!(said.contains("recorded twice"), "without {gone}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn another_state_directory_is_refused_where_the_ledger_has_what_it_does_not_know() -> Result<()> {
    let Some(case) = Changing::start().await? else { return Ok(()) };
    let (cluster, importer) = (&case.cluster, case.before());
    let with = |state: &'static str| case.with(state);
    importer.run(&with("state"))?;
    let before = transactions(cluster).await?;
    let said = importer.fails(5, &with("other"))?;
    ensure!(
        said.contains("recorded twice") && said.contains("--beside-others"),
        "it names the remedies: {said}"
    );
    ensure!(said.contains("anping-insurer pays"), "it names the parties: {said}");
    ensure!(!case.path("other/subjects.age").exists(), "nobody has a tag");
    ensure!(transactions(cluster).await? == before, "nothing was recorded");
    // Somebody says that it is another source; from then on the directory knows.
    let beside = importer.run(&[&with("other")[..], &["--beside-others"]].concat())?;
    ensure!(beside.contains("1 deliver_service"), "{beside}");
    ensure!(importer.run(&with("other"))?.contains("Recorded 0 operations"));
    // The first directory is told, too, until somebody says that it is another source.
    let said = importer.fails(5, &with("state"))?;
    ensure!(said.contains("renhe-hospital delivered and anping-insurer pays (1, the first"), "{said}");
    importer.run(&[&with("state")[..], &["--beside-others"]].concat())?;
    ensure!(importer.run(&with("state"))?.contains("Recorded 0 operations"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_first_imports_at_once_one_at_most_records_all_and_the_other_says_so() -> Result<()> {
    let Some(input) = input("synthea-r4-2019-dev") else { return Ok(()) };
    let cluster = Cluster::start(&VALIDATORS).await?;
    let consortium = cluster.files.consortium.to_str().context("a path of text")?.to_owned();
    let place = tempfile::tempdir()?;
    let directory = place.path().to_owned();
    let importer = Importer { input: &input, directory: directory.clone() };
    importer.run(&["--consortium", &consortium, "--propose-mapping", "mapping.toml"])?;
    let arguments = |state: &str| {
        let given = ["--consortium", &consortium, "--mapping", "mapping.toml", "--state", state];
        given.map(str::to_owned).to_vec()
    };
    let start = |state: &str| {
        let (input, directory, given) = (input.clone(), directory.clone(), arguments(state));
        std::thread::spawn(move || {
            let mut command = Command::new(program("yilian")?);
            command.args(["import", "fhir"]).arg(input).args(given).current_dir(directory);
            run_to_end(&mut command, IMPORT_LIMIT)
        })
    };
    let (one, other) = (start("one"), start("other"));
    let ended = [one, other].map(|running| running.join().expect("the thread ends"));
    let mut stopped = 0;
    for ended in ended {
        let Ended { code, stderr, .. } = ended?;
        println!("{code:?}: {stderr}");
        if code == Some(0) {
            continue;
        }
        stopped += 1;
        let is_told = stderr.contains("--beside-others") && stderr.contains("--state directory");
        ensure!(code == Some(5) && is_told, "it names what happened and the remedy: {stderr}");
    }
    ensure!(stopped > 0, "two imports of one input cannot both be right");
    let planned =
        importer.run(&["--consortium", &consortium, "--mapping", "mapping.toml", "--dry-run", "--json"])?;
    let planned: Value = serde_json::from_str(&planned)?;
    let planned = planned["operations"]["deliver_service"].as_u64().context("a plan has services")?;
    let recorded = services(&cluster).await?;
    println!("{recorded} services recorded of {planned}, {stopped} imports stopped");
    ensure!(
        recorded == if stopped == 2 { 0 } else { planned },
        "{recorded} services were recorded of {planned}"
    );
    // Somebody lets one of the two directories go.
    if stopped == 2 {
        let given = arguments("one");
        importer.run(&given.iter().map(String::as_str).collect::<Vec<_>>())?;
        ensure!(services(&cluster).await? == planned, "the other one goes on");
    }
    Ok(())
}
