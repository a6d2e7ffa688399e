//! Imports that are taken back, by the newest copy of their directory and by older ones.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use yilian_tests::cluster::TEACHING;
use yilian_tests::importer::{Changing, IMPORT_LIMIT, copy_files, first_lines, standing, transactions};
use yilian_tests::programs::{program, run_to_end};

#[tokio::test]
async fn an_import_is_taken_back_and_the_other_goes_on() -> Result<()> {
    let Some(case) = Changing::start().await? else { return Ok(()) };
    let (cluster, importer) = (&case.cluster, case.before());
    let with = |state: &'static str| case.with(state);
    importer.run(&with("one"))?;
    importer.run(&[&with("two")[..], &["--beside-others", "--close"]].concat())?;
    ensure!(standing(cluster).await? == 2, "both recorded the service");
    importer.fails(5, &with("one"))?;

    let back = [&case.back("two")[..], &["--reason", "duplicate"]].concat();
    let before = transactions(cluster).await?;
    let look = importer.withdraw(&["--state", "two", "--dry-run"])?;
    ensure!(look.contains("100.00 EUR gross in 1 services"), "{look}");
    ensure!(look.contains("Nothing was submitted") && transactions(cluster).await? == before, "{look}");
    let withdrawn = importer.withdraw(&back)?;
    ensure!(withdrawn.contains("1 reverse_service") && withdrawn.contains("1 revoke_grant"), "{withdrawn}");
    ensure!(withdrawn.contains("no service of this import any more"), "{withdrawn}");
    ensure!(standing(cluster).await? == 1, "the other one's stands");
    let before = transactions(cluster).await?;
    let again = importer.withdraw(&back)?;
    ensure!(again.contains("Recorded 0 operations"), "{again}");
    ensure!(transactions(cluster).await? == before, "nothing is left to take back");
    // What was withdrawn is in nobody's way.
    ensure!(importer.run(&with("one"))?.contains("Recorded 0 operations"));

    // An import of a directory that withdrew records anew, once.
    importer.withdraw(&case.back("one"))?;
    ensure!(standing(cluster).await? == 0, "nobody's stands");
    let anew = importer.run(&with("one"))?;
    ensure!(anew.contains("1 deliver_service") && anew.contains("1 grant_access"), "{anew}");
    ensure!(importer.run(&with("one"))?.contains("Recorded 0 operations"));
    ensure!(standing(cluster).await? == 1, "it stands once");

    // A withdrawn directory is refused like a new one where another's services stand, and a new one is not where none do.
    importer.fails(5, &with("two"))?;
    importer.withdraw(&case.back("one"))?;
    ensure!(importer.run(&with("three"))?.contains("1 deliver_service"), "nothing stands in its way");
    importer.withdraw(&case.back("three"))?;
    Ok(())
}

/// Whatever an older copy of the directory does not know is taken back all the same, and what is recorded anew finds evidence
/// that the ledger does not have.
#[tokio::test]
async fn an_older_copy_takes_everything_back_and_records_anew() -> Result<()> {
    let Some(case) = Changing::start().await? else { return Ok(()) };
    let (cluster, importer) = (&case.cluster, case.before());
    let with = |state: &'static str| case.with(state);
    let back = |state: &'static str| case.back(state);
    importer.run(&with("newest"))?;
    copy_files(&case.path("newest"), &case.path("older"))?;
    for _ in 0..2 {
        importer.withdraw(&back("newest"))?;
        importer.run(&with("newest"))?;
    }
    ensure!(standing(cluster).await? == 1);
    let withdrawn = importer.withdraw(&back("older"))?;
    ensure!(withdrawn.contains("1 reverse_service"), "{withdrawn}");
    ensure!(standing(cluster).await? == 0, "also what it did not know");
    let anew = importer.run(&with("older"))?;
    ensure!(anew.contains("1 deliver_service") && standing(cluster).await? == 1, "{anew}");
    ensure!(importer.run(&with("older"))?.contains("Recorded 0 operations"));

    // A grant that was revoked by hand is nothing to take back, and no reason to fail.
    let desk = cluster.desk(TEACHING).await?;
    let grants = desk.client.list::<Value>("/v1/grants", &[]).await?.items;
    let open = grants.iter().find(|grant| grant["record"]["ended"].is_null()).context("a grant in force")?;
    let revoke = yilian_spec::domain::access::RevokeGrant {
        grant: open["id"].as_str().context("an id")?.parse()?,
        reason: yilian_spec::domain::access::GrantRevocationReason::ConsentWithdrawn,
    };
    desk.record(vec![yilian_spec::domain::Operation::RevokeGrant(revoke)]).await?;
    let withdrawn = importer.withdraw(&back("older"))?;
    ensure!(withdrawn.contains("1 reverse_service") && !withdrawn.contains("revoke_grant"), "{withdrawn}");

    // Of a journal that has lost everything, nothing is said to be taken back.
    first_lines(&case.path("newest"), &case.path("lost"), 1)?;
    let mut command = Command::new(program("yilian")?);
    command.args(["import", "withdraw"]).args(back("lost")).current_dir(case.place.path());
    let ended = run_to_end(&mut command, IMPORT_LIMIT)?;
    ensure!(
        ended.code == Some(5) && ended.stderr.contains("gone or empty"),
        "{} {}",
        ended.stdout,
        ended.stderr
    );

    // Under an agreement that was terminated, nothing is recorded that nobody would owe.
    let agreements = desk.client.list::<Value>("/v1/agreements", &[]).await?.items;
    let agreement = agreements[0]["id"].as_str().context("an id")?.parse()?;
    let terminate = yilian_spec::domain::agreement::TerminateAgreement { agreement };
    desk.record(vec![yilian_spec::domain::Operation::TerminateAgreement(terminate)]).await?;
    let said = importer.fails(5, &with("older"))?;
    ensure!(said.contains("has ended") && said.contains("agreement propose"), "{said}");
    ensure!(standing(cluster).await? == 0);
    Ok(())
}
