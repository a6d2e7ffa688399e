//! Imports whose mapping changes, whose directory has copies, and whose agreements others make, too: nothing is owed twice,
//! nothing is owed by nobody, and whatever stops an import names a remedy that works.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use yilian_spec::api::Entry;
use yilian_spec::base::id::AgreementId;
use yilian_spec::domain::Operation;
use yilian_spec::domain::agreement::{Agreement, ProposeAgreement, SignAgreement, TerminateAgreement};
use yilian_tests::cluster::{COUNTY, Desk, INSURER, TEACHING};
use yilian_tests::importer::{
    Changing, IMPORT_LIMIT, Importer, copy_files, operations_of, standing, standing_of,
};
use yilian_tests::programs::{program, run_to_end};

/// Where the institution that treated changes, the service moves with it.
#[tokio::test]
async fn a_claim_moves_to_another_institution_and_back() -> Result<()> {
    let Some(case) = Changing::start().await? else { return Ok(()) };
    let (cluster, importer) = (&case.cluster, case.before());
    case.map("first", [TEACHING, COUNTY])?;
    case.map("swapped", [COUNTY, TEACHING])?;
    importer.run(&case.mapped("first", "state"))?;
    for (mapping, standing) in [("swapped", [0, 1]), ("first", [1, 0])] {
        let given = case.mapped(mapping, "state");
        let told = importer.run_to(5, &given)?;
        ensure!(told.contains("100.00 EUR of") && told.contains("--correct"), "{told}");
        importer.run(&[&given[..], &["--correct"]].concat())?;
        let found = [standing_of(cluster, TEACHING).await?, standing_of(cluster, COUNTY).await?];
        ensure!(found == standing, "{mapping}: {found:?}");
        let again = importer.run(&given)?;
        ensure!(
            again.contains("Recorded 0 operations") && again.contains("100.00 EUR gross in 1"),
            "{again}"
        );
    }
    importer.withdraw(&case.back("state"))?;
    ensure!(standing_of(cluster, TEACHING).await? + standing_of(cluster, COUNTY).await? == 0);
    Ok(())
}

/// Also of institutions that the older copy has never heard of.
#[tokio::test]
async fn an_older_copy_takes_back_what_providers_recorded_that_it_does_not_know() -> Result<()> {
    let Some(case) = Changing::start().await? else { return Ok(()) };
    let cluster = &case.cluster;
    case.map("together", [TEACHING, TEACHING])?;
    case.map("apart", [TEACHING, COUNTY])?;
    let more = case.more("more", 1)?;
    let later = Importer { input: &more, directory: case.before().directory };
    case.before().run(&case.mapped("together", "state"))?;
    copy_files(&case.path("state"), &case.path("older"))?;
    later.run(&[&case.mapped("apart", "state")[..], &["--correct"]].concat())?;
    let standing = async || -> Result<[i64; 2]> {
        Ok([standing_of(cluster, TEACHING).await?, standing_of(cluster, COUNTY).await?])
    };
    ensure!(standing().await? == [1, 1], "{:?}", standing().await?);

    let withdrawn = later.withdraw(&case.back("older"))?;
    ensure!(withdrawn.contains("2 reverse_service"), "{withdrawn}");
    ensure!(standing().await? == [0, 0], "{:?}", standing().await?);
    // What it found without knowing what it was, the next import tells: nothing that happened is recorded twice.
    let anew = later.run(&case.mapped("apart", "older"))?;
    ensure!(anew.contains("2 deliver_service") && standing().await? == [1, 1], "{anew}");
    let again = later.run(&case.mapped("apart", "older"))?;
    ensure!(again.contains("Recorded 0 operations"), "{again}");
    for provider in [TEACHING, COUNTY] {
        let disclosed: Vec<_> = operations_of(cluster, provider)
            .await?
            .into_iter()
            .filter_map(|operation| match operation {
                Operation::RecordDisclosure(disclosure) => Some(disclosure.content),
                _ => None,
            })
            .collect();
        let different: BTreeSet<_> = disclosed.iter().collect();
        ensure!(!disclosed.is_empty() && different.len() == disclosed.len(), "one is recorded twice");
    }
    Ok(())
}

/// Two active agreements of the same terms each count every service.
#[tokio::test]
async fn a_second_agreement_of_the_same_terms_stops_the_import_until_one_is_ended() -> Result<()> {
    let Some(case) = Changing::start().await? else { return Ok(()) };
    let (cluster, importer) = (&case.cluster, case.before());
    let (provider, payer) = (cluster.desk(TEACHING).await?, cluster.desk(INSURER).await?);
    importer.run(&case.with("state"))?;
    let first = agreements(&provider).await?.remove(0);
    let terms_hash = first.record.terms_hash;
    let made = propose_like(&provider, &first.record).await?;
    payer.record(vec![Operation::SignAgreement(SignAgreement { agreement: made, terms_hash })]).await?;
    for given in [&case.with("state")[..], &[&case.with("state")[..], &["--beside-others"]].concat()] {
        let said = importer.fails(5, given)?;
        ensure!(said.contains("both active") && said.contains("agreement terminate"), "{said}");
        ensure!(said.contains(&made.to_string()), "{said}");
    }
    // The one that the import made may be ended, too: the other serves.
    let terminate = TerminateAgreement { agreement: first.id };
    provider.record(vec![Operation::TerminateAgreement(terminate)]).await?;
    ensure!(importer.run(&case.with("state"))?.contains("Recorded 0 operations"));
    ensure!(standing(cluster).await? == 1);
    Ok(())
}

/// The agreements of the first hospital.
async fn agreements(desk: &Desk) -> Result<Vec<Entry<AgreementId, Agreement>>> {
    Ok(desk.client.list::<Entry<AgreementId, Agreement>>("/v1/agreements", &[]).await?.items)
}

/// Proposes an agreement of the same terms as another's.
async fn propose_like(desk: &Desk, record: &Agreement) -> Result<AgreementId> {
    let known: BTreeSet<_> = agreements(desk).await?.into_iter().map(|one| one.id).collect();
    let Agreement { consortium, terms, window, schedule, .. } = record.clone();
    let proposal = ProposeAgreement { consortium, terms, window, schedule };
    desk.record(vec![Operation::ProposeAgreement(proposal)]).await?;
    let made = agreements(desk).await?.into_iter().find(|one| !known.contains(&one.id));
    Ok(made.context("the agreement that was proposed")?.id)
}

/// How many services all agreements of the first hospital have counted in their open periods, less those reversed.
async fn counted(desk: &Desk) -> Result<i64> {
    let mut count = 0;
    for listed in agreements(desk).await? {
        let period = desk.client.period(listed.id, listed.record.open_period).await?;
        count += period.accumulator.unwrap_or_default().count_net(0);
    }
    Ok(count)
}

/// The attack: an agreement that ends, or a second one that becomes active, while an import runs. Nobody would owe what is
/// recorded after the one, and what is recorded after the other would be owed twice, without a word.
#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_that_ends_or_begins_while_an_import_runs_is_told_and_made_good() -> Result<()> {
    let Some(case) = Changing::start().await? else { return Ok(()) };
    let cluster = &case.cluster;
    case.map("one", [TEACHING, TEACHING])?;
    let (provider, payer) = (cluster.desk(TEACHING).await?, cluster.desk(INSURER).await?);
    case.before().run(&case.mapped("one", "state"))?;
    let first = agreements(&provider).await?.remove(0);
    let sign = async |agreement: AgreementId| {
        let terms_hash = first.record.terms_hash;
        payer.record(vec![Operation::SignAgreement(SignAgreement { agreement, terms_hash })]).await
    };
    let terminate = async |agreement: AgreementId| {
        provider.record(vec![Operation::TerminateAgreement(TerminateAgreement { agreement })]).await
    };
    let mut expected = 1;
    let mut active = first.id;
    for ends in [true, false] {
        let waiting = propose_like(&provider, &first.record).await?;
        expected += 80;
        let input = case.more(&format!("more-{ends}"), expected - 1)?;
        let importer = Importer { input: &input, directory: case.place.path().to_owned() };
        let given = case.mapped("one", "state");
        let slow =
            [&given[..], &["--operations-per-transaction", "1", "--transactions-in-flight", "1"]].concat();
        let slow: Vec<String> = slow.into_iter().map(str::to_owned).collect();
        let (path, directory) = (input.clone(), importer.directory.clone());
        let running = std::thread::spawn(move || {
            let mut command = Command::new(program("yilian")?);
            command.args(["import", "fhir"]).arg(path).args(slow).current_dir(directory);
            run_to_end(&mut command, IMPORT_LIMIT)
        });
        let before = counted(&provider).await?;
        while counted(&provider).await? < before + 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if ends {
            terminate(active).await?;
        } else {
            sign(waiting).await?;
        }
        let ended = running.join().expect("the thread ends")?;
        let word = if ends { "counted by no agreement" } else { "by two" };
        ensure!(ended.code == Some(5) && ended.stderr.contains(word), "{} {}", ended.stdout, ended.stderr);
        ensure!(counted(&provider).await? != expected as i64, "something is miscounted");
        if ends {
            sign(waiting).await?;
        } else {
            let said = importer.fails(5, &given)?;
            ensure!(said.contains("both active"), "{said}");
            terminate(active).await?;
        }
        active = waiting;
        // It is told until it is made good.
        let said = importer.fails(5, &given)?;
        ensure!(said.contains("--correct"), "{said}");
        // A part makes good what it names, and leaves the rest as it is.
        let before = (counted(&provider).await?, standing(cluster).await?);
        let part = [&given[..], &["--partial", "--correct"]].concat();
        let said = case.before().fails(5, &part)?;
        ensure!(said.contains("--correct"), "{said}");
        ensure!((counted(&provider).await?, standing(cluster).await?) == before, "the rest is as it was");
        importer.run(&[&given[..], &["--correct"]].concat())?;
        let found = (counted(&provider).await?, standing(cluster).await?);
        ensure!(found == (expected as i64, expected as i64), "{ends}: {found:?} of {expected}");
        ensure!(importer.run(&given)?.contains("Recorded 0 operations"));
    }
    Ok(())
}

/// Where the patient of a visit was another one, the service stands and each patient has a tag of its own.
#[tokio::test]
async fn a_visit_moves_to_another_patient() -> Result<()> {
    let Some(case) = Changing::start().await? else { return Ok(()) };
    let importer = case.before();
    importer.run(&case.with("state"))?;
    let text = std::fs::read_to_string(importer.input.join("x.ndjson"))?;
    let directory = case.path("moved");
    std::fs::create_dir(&directory)?;
    std::fs::write(directory.join("x.ndjson"), text.replace("Patient/p1", "Patient/p9"))?;
    let moved = Importer { input: &directory, directory: importer.directory.clone() };
    moved.run_to(5, &case.with("state"))?;
    // Without the table nothing could be recorded anew, so nothing is reversed.
    let (table, aside) = (case.path("state/subjects.age"), case.path("aside"));
    std::fs::rename(&table, &aside)?;
    moved.fails(5, &[&case.with("state")[..], &["--correct"]].concat())?;
    ensure!(standing(&case.cluster).await? == 1, "nothing is reversed");
    std::fs::rename(&aside, &table)?;
    moved.run(&[&case.with("state")[..], &["--correct"]].concat())?;
    ensure!(standing(&case.cluster).await? == 1);
    ensure!(moved.run(&case.with("state"))?.contains("Recorded 0 operations"));
    let grants = operations_of(&case.cluster, TEACHING).await?.into_iter().filter_map(|one| match one {
        Operation::GrantAccess(grant) => Some(grant.subject),
        _ => None,
    });
    let tags: Vec<_> = grants.collect();
    ensure!(tags.len() == 2 && tags[0] != tags[1], "{tags:?}");
    Ok(())
}

/// Two copies of one directory at once, with and without a word that others record beside: every claim is recorded once, and
/// both copies go on afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_copies_at_once_neither_records_twice_and_both_go_on() -> Result<()> {
    let Some(case) = Changing::start().await? else { return Ok(()) };
    let cluster = &case.cluster;
    case.map("first", [TEACHING, COUNTY])?;
    case.before().run(&case.mapped("first", "one"))?;
    let mut expected = 0;
    for (round, options) in
        [&["--beside-others", "--operations-per-transaction", "4"][..], &[]].iter().enumerate()
    {
        let _ = std::fs::remove_dir_all(case.path("other"));
        copy_files(&case.path("one"), &case.path("other"))?;
        expected += 24;
        let input = case.more(&format!("more-{round}"), expected)?;
        let start = |state: &'static str| {
            let given: Vec<String> =
                case.mapped("first", state).iter().chain(*options).map(|word| (*word).to_owned()).collect();
            let (input, directory) = (input.clone(), case.place.path().to_owned());
            std::thread::spawn(move || {
                let mut command = Command::new(program("yilian")?);
                command.args(["import", "fhir"]).arg(input).args(given).current_dir(directory);
                run_to_end(&mut command, IMPORT_LIMIT)
            })
        };
        for running in [start("one"), start("other")] {
            let ended = running.join().expect("the thread ends")?;
            let is_told = ended.code == Some(0) || ended.stderr.contains("older copy");
            ensure!(is_told, "{options:?} {:?}: {} {}", ended.code, ended.stdout, ended.stderr);
        }
        let importer = Importer { input: &input, directory: case.place.path().to_owned() };
        for state in ["one", "other"] {
            let summary = importer.run(&case.mapped("first", state))?;
            let services = format!("gross in {} services", expected + 1);
            ensure!(summary.contains(&services), "{state} {options:?}: {summary}");
        }
        let found = standing_of(cluster, COUNTY).await?;
        ensure!(found == expected as i64, "{options:?}: {found} services of {expected}");
    }
    Ok(())
}
