//! The `yilian` command from end to end: what people at the institutions type, against real nodes.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use yilian_node::consortium::CONSORTIUM;
use yilian_spec::base::id::{GrantId, SubjectTag};
use yilian_spec::base::limits::PROOF_BYTES_MAX;
use yilian_tests::cluster::{
    ALL, COUNTY, Cluster, INSURER, PATIENCE, REGULATOR, TEACHING, TOWNSHIP, VALIDATORS,
};
use yilian_tests::command_line::{Shell, exit};
use yilian_tests::work;

/// A document and the salt beside it travel together, so that the other side comes to the same commitment.
fn hand_over(from: &Path, to: &Path, document: &str) -> Result<()> {
    for name in [document.to_owned(), format!("{document}.salt.json")] {
        std::fs::copy(from.join(&name), to.join(&name))
            .with_context(|| format!("cannot hand over {name}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_grant_a_disclosure_its_receipt_and_a_complete_account_of_it() -> Result<()> {
    let mut cluster = Cluster::start(&ALL).await?;
    let (here, there) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let township = Shell::of(&cluster, TOWNSHIP, here.path())?;
    let county = Shell::of(&cluster, COUNTY, there.path())?;
    let regulator = Shell::of(&cluster, REGULATOR, there.path())?;
    std::fs::write(here.path().join("consent.pdf"), "consent")?;
    std::fs::write(here.path().join("bundle.json"), "records")?;

    township.ends_with(exit::OK, "subject create")?;
    let drawn = township.json("subject create 104-2231")?;
    let tag = drawn[0]["tag"].as_str().context("a tag")?.to_owned();
    let to_county = format!("--to {} --record 104-2231", cluster.institution(COUNTY));
    let scope = "--category laboratory,imaging --purpose TREAT --expires +30d --document consent.pdf";
    let grant = township.create("grant", &format!("grant create {to_county} {scope}"))?;
    std::fs::write(here.path().join("person.json"), "who acted, and when")?;
    std::fs::write(there.path().join("person.json"), "who received it")?;
    std::fs::write(here.path().join("origin.json"), "which system made the records")?;
    let persons = "--acting-person person.json --origin origin.json";
    let what = format!("--category laboratory --document bundle.json {persons}");
    let disclosure =
        township.create("disclosure", &format!("access disclose --grant {grant} {to_county} {what}"))?;
    let beyond = "--category genomic --document bundle.json";
    let beyond = format!("access disclose --grant {grant} {to_county} {beyond}");
    let said = township.ends_with(exit::REFUSED, &beyond)?;
    ensure!(said.contains("does not cover this category"), "the refusal says why: {said}");
    ensure!(said.contains("nothing is on record"), "a mistake stays off the ledger: {said}");
    let said = township.ends_with(exit::REFUSED, &format!("{beyond} --force"))?;
    ensure!(said.contains("the refusal is on record"), "unless it is to be on it: {said}");

    std::fs::copy(here.path().join("bundle.json"), there.path().join("bundle.json"))?;
    let said =
        county.ends_with(exit::LOCAL, &format!("access receive {disclosure} --document bundle.json"))?;
    ensure!(said.contains("bundle.json.salt.json must come with the document"), "{said}");
    hand_over(here.path(), there.path(), "bundle.json")?;
    let open = county.json("access open")?;
    ensure!(open.as_array().is_some_and(|open| open.len() == 1 && open[0]["id"] == *disclosure), "{open}");
    let receive = format!("access receive {disclosure} --document bundle.json --acting-person person.json");
    let received = county.json(&receive)?;
    for (place, file) in [(&here, "person.json"), (&here, "origin.json"), (&there, "person.json")] {
        let salt = place.path().join(format!("{file}.salt.json"));
        ensure!(salt.exists(), "who commits to {file} keeps its salt");
    }
    ensure!(received["status"] == "applied", "{received}");
    ensure!(county.json("access open")?.as_array().is_some_and(Vec::is_empty));

    // Who saw this patient's records: the regulator has all of it, proven complete, the refused attempt too.
    let account = regulator.json(&format!("stream show subject/{tag} --with-grants"))?;
    ensure!(account["complete"] == true && account["entries"] == 5, "{account}");
    let names = |stream: &Value| -> Vec<String> {
        let names = entries(stream).filter_map(|entry| entry["operation_name"].as_str());
        names.map(str::to_owned).collect()
    };
    let contents = names(&account["contents"]);
    ensure!(contents == ["grant_access", "record_disclosure"], "{contents:?}");
    ensure!(account["contents"]["entries"][1]["kind"] == "refused", "{account}");
    ensure!(account["grants"].as_array().is_some_and(|grants| grants.len() == 1), "{account}");
    let under_grant = names(&account["grants"][0]);
    ensure!(under_grant == ["grant_access", "record_disclosure", "record_receipt"], "{under_grant:?}");
    // The recipient proves all of its own grant, and reads nothing else about the patient.
    let own = county.json(&format!("stream show grant/{grant} --resolve"))?;
    ensure!(own["complete"] == true && names(&own) == under_grant, "{own}");
    county.ends_with(exit::UNKNOWN, &format!("stream show subject/{tag}"))?;
    // Any of it goes into a file and is checked without a node.
    regulator.ends_with(exit::OK, &format!("stream save grant/{grant} grant.json"))?;
    regulator.ends_with(exit::OK, &format!("grant show {grant} --save row.json"))?;
    let id = account["grants"][0]["entries"][1]["transaction_id"].as_str().context("an id")?;
    regulator.ends_with(exit::OK, &format!("transaction receipt {id} --in-log --save receipt.json"))?;
    let given_at = &account["contents"]["entries"][0]["height"];
    regulator.ends_with(exit::OK, &format!("block consistency {given_at} --save consistency.json"))?;
    for file in ["grant.json", "row.json", "receipt.json", "consistency.json"] {
        let trust = cluster.files.checkpoint.display();
        let said = regulator.ends_with(exit::OK, &format!("verify {file} --trust {trust}"))?;
        ensure!(said.starts_with("Verified. "), "{file}: {said}");
    }
    // A mistyped tag proves nothing about anybody, and says so.
    let typo = "7f".repeat(32);
    let said = regulator.ends_with(exit::UNKNOWN, &format!("stream show subject/{typo}"))?;
    ensure!(said.contains("knows no stream") && said.contains("proven: it has no entries"), "{said}");
    let said = regulator.ends_with(exit::UNKNOWN, &format!("stream save subject/{typo} absent.json"))?;
    ensure!(said.contains("knows no stream"), "{said}");
    let trust = cluster.files.checkpoint.display();
    let said = regulator.ends_with(exit::OK, &format!("verify absent.json --trust {trust}"))?;
    ensure!(said.contains("knew no stream"), "{said}");
    township.ends_with(exit::LOCAL, "subject tag 104-2213")?;
    ensure!(township.json("subject list")?.as_array().is_some_and(|list| list.len() == 1));
    let shown = township.json(&format!("grant show {grant}"))?;
    ensure!(shown["verified"] == true && shown["record"]["grantee"] == cluster.institution(COUNTY).as_str());
    cluster.check_all_nodes().await?;
    Ok(())
}

fn entries(stream: &Value) -> impl Iterator<Item = &Value> {
    stream["entries"].as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

#[tokio::test]
async fn a_referral_goes_up_and_is_closed_on_both_sides() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let (here, there) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let township = Shell::of(&cluster, TOWNSHIP, here.path())?;
    let teaching = Shell::of(&cluster, TEACHING, there.path())?;
    for (directory, document) in [(&here, "reason.pdf"), (&here, "package.zip"), (&there, "report.pdf")] {
        std::fs::write(directory.path().join(document), document)?;
    }
    teaching.json("capacity publish --service cardiology --slots 1")?;
    let request = |tag: &str| {
        format!(
            "referral request --to {} --subject {tag} --direction up --service cardiology --category laboratory --document reason.pdf",
            cluster.institution(TEACHING)
        )
    };
    let [first, second] =
        [0x1a, 0x2b].map(|byte| SubjectTag::of(&cluster.institution(TOWNSHIP), [byte; 16]).to_string());
    let referral = township.create("referral", &request(&first))?;
    let other = township.create("referral", &request(&second))?;
    teaching.create("grant", &format!("referral accept {referral}"))?;
    let said = teaching.ends_with(exit::REFUSED, &format!("referral accept {other}"))?;
    ensure!(said.contains("no free capacity"), "{said}");
    teaching.json(&format!("referral decline {other} --reason no-capacity"))?;
    township.json(&format!("referral hand-over {referral} --document package.zip"))?;
    hand_over(here.path(), there.path(), "package.zip")?;
    teaching.json(&format!("referral acknowledge {referral} --document package.zip"))?;
    teaching.json(&format!("referral report {referral} --outcome completed --document report.pdf"))?;
    township.json(&format!("referral close-clinically {referral}"))?;
    teaching.json(&format!("referral close-administratively {referral}"))?;

    let shown = township.json(&format!("referral show {referral}"))?;
    ensure!(shown["verified"] == true && shown["record"]["state"] == "closed", "{shown}");
    let listed = teaching.json("referral list")?;
    ensure!(listed.as_array().is_some_and(|listed| listed.len() == 2), "{listed}");
    let capacity =
        teaching.json(&format!("capacity show {} --service cardiology", cluster.institution(TEACHING)))?;
    ensure!(capacity.to_string().contains("\"reserved\":0"), "the slot is free again: {capacity}");
    let stream = township.json(&format!("stream show referral/{referral} --resolve"))?;
    ensure!(stream["complete"] == true && entries(&stream).count() == 7, "{stream}");
    cluster.check_all_nodes().await?;
    Ok(())
}

#[tokio::test]
async fn an_agreement_is_signed_and_settled_and_its_statement_verified_offline() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let directory = tempfile::tempdir()?;
    let shell = |institution| Shell::of(&cluster, institution, directory.path());
    let (teaching, county, insurer) = (shell(TEACHING)?, shell(COUNTY)?, shell(INSURER)?);
    let [teaching_id, county_id, insurer_id] =
        [TEACHING, COUNTY, INSURER].map(|institution| cluster.institution(institution));
    let proposal = format!(
        "agreement propose percentage-split --consortium {CONSORTIUM} --service teleconsultation --payer {insurer_id} \
         --share primary={county_id}:30 --share expert={teaching_id}:70 --rounding per-event --expires +365d"
    );
    let agreement = teaching.create("agreement", &proposal)?;
    for party in [&county, &insurer] {
        party.json(&format!("agreement sign {agreement}"))?;
    }
    let mut transaction = String::new();
    for claim in 1..=3 {
        std::fs::write(directory.path().join("claim.json"), format!("claim {claim}"))?;
        // Each claim is a document of its own, with a salt of its own.
        let _ = std::fs::remove_file(directory.path().join("claim.json.salt.json"));
        let delivered = county.json(&format!(
            "service deliver --service teleconsultation --part primary={county_id} --part expert={teaching_id} \
             --payer {insurer_id} --amount 100.01 --document claim.json"
        ))?;
        transaction = delivered["transaction_id"].as_str().context("an id")?.to_owned();
    }
    insurer.json(&format!("period close {agreement} --period 0"))?;
    let shown = county.json(&format!("statement show {agreement} 0"))?;
    ensure!(shown["verified"] == true, "{shown}");
    // 3 × 100.01 yuan; 30 % of 10,001 fen is 3,000.3, so per event 3,000 and 7,001.
    ensure!(owed(&shown) == [9_000, 21_003], "{shown}");

    county.json(&format!("statement save {agreement} 0 statement.json"))?;
    county.json(&format!("transaction receipt {transaction} --save receipt.json"))?;
    cluster.check_all_nodes().await?;
    // No node runs any more: files are all that is left.
    let trust = cluster.files.checkpoint.display();
    for (file, kind) in [("statement.json", "statement"), ("receipt.json", "transaction")] {
        let verified = county.json(&format!("verify {file} --trust {trust}"))?;
        ensure!(verified["verified"] == true && verified["kind"] == kind, "{verified}");
    }
    let path = directory.path().join("statement.json");
    let forged = std::fs::read_to_string(&path)?.replace("21003", "31003");
    std::fs::write(directory.path().join("forged.json"), forged)?;
    county.ends_with(exit::VERIFICATION, &format!("verify forged.json --trust {trust}"))?;
    Ok(())
}

/// What the lines of a shown statement owe, in minor units, ascending; the payer's own line owes nothing.
fn owed(shown: &Value) -> Vec<i64> {
    let lines = shown["statement"]["statement"]["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut amounts: Vec<i64> =
        lines.iter().filter_map(|line| line["share"]["amount_minor"].as_i64()).collect();
    amounts.retain(|amount| *amount != 0);
    amounts.sort_unstable();
    amounts
}

#[tokio::test]
async fn a_watch_shows_every_block_from_its_beginning_over_a_broken_connection() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let directory = tempfile::tempdir()?;
    let township = Shell::of(&cluster, TOWNSHIP, directory.path())?;
    let watching = Shell::of(&cluster, INSURER, directory.path())?;
    let began: u64 = watching.json("node status")?["height"].as_u64().context("a height")?;
    let mut watch = watching.start("watch --json", "watched.jsonl")?;
    // It has asked where the ledger stands once the node has an open stream of events.
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster.kill(INSURER)?;
    // Nothing was seen yet when the connection broke; these blocks are made while nobody tells of them.
    township.json("capacity publish --service cardiology --slots 1")?;
    township.json("capacity publish --service cardiology --slots 2")?;
    cluster.start_nodes(&[INSURER]).await?;
    let last = township.json("capacity publish --service cardiology --slots 3")?;
    let last = last["height"].as_u64().context("a height")?;
    let path = directory.path().join("watched.jsonl");
    let seen = || -> Vec<u64> {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events
            .filter(|event| event["event"] == "block")
            .filter_map(|event| event["data"]["height"].as_u64())
            .collect()
    };
    let patience = Instant::now() + PATIENCE;
    while !seen().contains(&last) && Instant::now() < patience {
        ensure!(watch.try_wait()?.is_none(), "the watch gave up: {:?}", seen());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    watch.kill()?;
    watch.wait()?;
    let seen = seen();
    ensure!(seen.first().is_some_and(|first| *first <= began + 1), "began at {began}, seen {seen:?}");
    ensure!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "a block is missing or repeated: {seen:?}");
    ensure!(seen.contains(&last), "block {last} is not among {seen:?}");
    cluster.check_all_nodes().await?;
    Ok(())
}

#[tokio::test]
async fn exit_codes_tell_scripts_what_went_wrong() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let directory = tempfile::tempdir()?;
    let township = Shell::of(&cluster, TOWNSHIP, directory.path())?;
    let nowhere = "0a1b".repeat(16);
    township.ends_with(exit::OK, "node health")?;
    township.ends_with(exit::OK, "watch --after 0 --count 1 --json")?;
    township.ends_with(exit::UNKNOWN, &format!("grant show {nowhere}"))?;
    township.ends_with(exit::REFUSED, &format!("referral accept {nowhere}"))?;
    township.ends_with(exit::USAGE, "grant create --to nobody")?;
    township.ends_with(exit::USAGE, "no-such-command")?;
    township.ends_with(exit::LOCAL, "transaction submit no-such-file.json")?;
    township.ends_with(exit::LOCAL, "grant list --key no-such.key")?;
    township.ends_with(exit::LOCAL, "grant list --profile nobody")?;
    let trust = cluster.files.checkpoint.display();
    std::fs::write(directory.path().join("proof.json"), "{}")?;
    township.ends_with(exit::LOCAL, &format!("verify proof.json --trust {trust}"))?;
    township.ends_with(exit::UNREACHABLE, "grant list --node http://127.0.0.1:9")?;
    let error = township.run("grant list --node http://127.0.0.1:9 --json")?;
    let printed: Value = serde_json::from_str(&error.stdout)?;
    ensure!(printed["error"]["code"] == "unreachable", "errors are JSON for programs: {printed}");
    cluster.stop_all()?;
    township.ends_with(exit::UNREACHABLE, "node health")?;
    Ok(())
}

/// Disclosures of one transaction, and transactions: more entries than two parts of a stream hold.
const DISCLOSURES: usize = 250;
const TRANSACTIONS: usize = 33;

#[tokio::test]
async fn a_stream_of_thousands_is_shown_saved_and_verified_part_by_part() -> Result<()> {
    let mut cluster = Cluster::start(&VALIDATORS).await?;
    let (subject, recipient) = (work::subject(&cluster.institution(TOWNSHIP))?, cluster.institution(COUNTY));
    let desk = cluster.desk_at(TOWNSHIP, &[TOWNSHIP]).await?;
    let grant = GrantId(desk.record(vec![work::grant(subject, &recipient)?]).await?.object(0));
    for _ in 0..TRANSACTIONS {
        let operations: Result<Vec<_>> =
            (0..DISCLOSURES).map(|_| work::disclosure(subject, grant, &recipient)).collect();
        desk.record(operations?).await?;
    }
    let entries = 1 + DISCLOSURES * TRANSACTIONS;

    let directory = tempfile::tempdir()?;
    let county = Shell::of(&cluster, COUNTY, directory.path())?;
    let name = format!("grant/{grant}");
    let shown = county.json(&format!("stream show {name}"))?;
    ensure!(shown["complete"] == true && shown["length"] == entries, "{} entries", shown["length"]);
    let all = shown["entries"].as_array().context("entries")?;
    ensure!(all.len() == entries, "{} entries", all.len());
    let last = county.json(&format!("stream show {name} --from {}", entries - 3))?;
    ensure!(last["entries"].as_array().is_some_and(|last| last[..] == all[entries - 3..]), "{last}");
    let first = county.json(&format!("stream show {name} --limit 2"))?;
    ensure!(first["complete"] == false && first["length"] == entries, "{first}");

    county.ends_with(exit::OK, &format!("stream save {name} stream.json"))?;
    let trust = cluster.files.checkpoint.display();
    let said = county.ends_with(exit::OK, &format!("verify stream.json --trust {trust}"))?;
    ensure!(said.contains(&format!("had exactly these {entries} entries")), "{said}");
    // What is left out is found: a part of the file, or the end of it.
    let saved = std::fs::read_to_string(directory.path().join("stream.json"))?;
    let parts: Vec<&str> = saved.lines().collect();
    ensure!(
        parts.len() == 3 && parts.iter().all(|part| part.len() < PROOF_BYTES_MAX),
        "{} parts",
        parts.len()
    );
    std::fs::write(directory.path().join("gap.json"), format!("{}\n{}\n", parts[0], parts[2]))?;
    county.ends_with(exit::VERIFICATION, &format!("verify gap.json --trust {trust}"))?;
    std::fs::write(directory.path().join("begin.json"), format!("{}\n{}\n", parts[0], parts[1]))?;
    let said = county.ends_with(exit::OK, &format!("verify begin.json --trust {trust}"))?;
    ensure!(!said.contains(&format!("had exactly these {entries} entries")), "{said}");
    cluster.check_all_nodes().await?;
    Ok(())
}
