//! Other people's tools against a real node: what its description promises, it keeps. Needs them installed; `make conform`
//! does both. Whether every answer fits its schema, the tests of the API check by themselves (`node/src/api/tests/conformity.rs`).

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use yilian_spec::base::limits::TOKEN_LIFETIME_S_MAX;
use yilian_tests::cluster::{Cluster, INSURER, TEACHING, VALIDATORS};
use yilian_tests::work;

/// The checks of schemathesis that are not made, and why.
///
/// `positive_data_acceptance`: a request may fit the description and name a cursor of another list, a row that no kind of
/// key has, or a transaction of another ledger; the answer then is 400 or 422, and says so.
const LEFT_OUT: &str = "positive_data_acceptance";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs tools that are not part of the build: make conform"]
async fn other_peoples_tools_find_nothing() -> Result<()> {
    let tools =
        PathBuf::from(std::env::var_os("YILIAN_CONFORM").context("YILIAN_CONFORM names their directory")?);
    let examples = std::env::var("YILIAN_CONFORM_EXAMPLES").unwrap_or_else(|_| "50".to_owned());
    let cluster = Cluster::start(&VALIDATORS).await?;
    let desk = cluster.desk(TEACHING).await?;
    let grant = work::grant(work::subject(&desk.id)?, &cluster.institution(INSURER))?;
    desk.record(vec![grant]).await?;
    let token = desk.client.token(TOKEN_LIFETIME_S_MAX).await?;
    let place = tempfile::tempdir()?;
    let description = place.path().join("openapi.json");
    let text = reqwest::get(format!("{}/v1/openapi.json", token.node)).await?.text().await?;
    std::fs::write(&description, text)?;

    let tool = |name: &str| {
        let mut command = Command::new(tools.join(name));
        // What it keeps for its next run goes with the directory.
        command.current_dir(place.path());
        command
    };
    run(tool("openapi-spec-validator").arg(&description))?;
    let mut generate = tool("openapi-python-client");
    generate.args(["generate", "--meta", "none", "--path"]).arg(&description).arg("--output-path");
    let generated = run(generate.arg(place.path().join("generated")))?;
    ensure!(!generated.contains("Unable to") && !generated.contains("WARNING parsing"), "{generated}");
    run(tool("python").args(["-m", "compileall", "-q"]).arg(place.path().join("generated")))?;
    let mut schemathesis = tool("schemathesis");
    schemathesis.arg("run").arg(format!("{}/v1/openapi.json", token.node));
    schemathesis.args(["--header", &format!("Authorization: Bearer {}", token.token)]);
    // Events never end.
    schemathesis.args(["--exclude-path", "/v1/events", "--exclude-checks", LEFT_OUT]);
    schemathesis.args(["--max-examples", &examples, "--request-timeout", "20", "--seed", "1", "--no-color"]);
    println!("{}", run(&mut schemathesis)?);
    Ok(())
}

/// What a program prints that ends well.
fn run(command: &mut Command) -> Result<String> {
    let ended = command.output().with_context(|| format!("{command:?}"))?;
    let text = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{command:?} ended with {}:\n{text}", ended.status);
    Ok(text)
}
