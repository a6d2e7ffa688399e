//! Imports whose mapping changes, whose directory has copies, and whose agreements others make, too: nothing is owed twice,
//! nothing is owed by nobody, and whatever stops an import names a remedy that works.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use yilian_spec::api::Entry;
use yilian_spec::base::id::AgreementId;
use yilian_spec::domain::Operation;
use yilian_spec::domain::agreement::{Agreement, ProposeAgreement, SignAgreement, TerminateAgreement};
use yilian_tests::cluster::{COUNTY, INSURER, TEACHING};
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
    let agreements = async || {
        let list = provider.client.list::<Entry<AgreementId, Agreement>>("/v1/agreements", &[]).await?;
        Ok::<_, anyhow::Error>(list.items)
    };
    let before = agreements().await?;
    let record = before[0].record.clone();
    let Agreement { consortium, terms, terms_hash, window, schedule, .. } = record;
    let proposal = ProposeAgreement { consortium, terms, window, schedule };
    provider.record(vec![Operation::ProposeAgreement(proposal)]).await?;
    let made = agreements().await?;
    let made = made.iter().find(|one| one.id != before[0].id).context("the second agreement")?.id;
    payer.record(vec![Operation::SignAgreement(SignAgreement { agreement: made, terms_hash })]).await?;
    for given in [&case.with("state")[..], &[&case.with("state")[..], &["--beside-others"]].concat()] {
        let said = importer.fails(5, given)?;
        ensure!(said.contains("both active") && said.contains("agreement terminate"), "{said}");
        ensure!(said.contains(&made.to_string()), "{said}");
    }
    // The one that the import made may be ended, too: the other serves.
    let terminate = TerminateAgreement { agreement: before[0].id };
    provider.record(vec![Operation::TerminateAgreement(terminate)]).await?;
    ensure!(importer.run(&case.with("state"))?.contains("Recorded 0 operations"));
    ensure!(standing(cluster).await? == 1);
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
