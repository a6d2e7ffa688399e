//! The API over TLS, from the node's configuration to the `yilian` command's.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use yilian_client::config::Config as ClientConfig;
use yilian_node::config::{Config, FILE_NAME};
use yilian_tests::cluster::{COUNTY, Cluster, INSURER, PATIENCE, TEACHING, TOWNSHIP};
use yilian_tests::command_line::{Shell, exit};

const CERTIFICATE: &str = "api.pem";
const KEY: &str = "api.key";

/// Gives a node a certificate of its own for 127.0.0.1.
fn speak_tls(home: &Path) -> Result<()> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    std::fs::write(home.join(CERTIFICATE), made.cert.pem())?;
    std::fs::write(home.join(KEY), made.key_pair.serialize_pem())?;
    let mut config = Config::load(home)?;
    config.api.tls_certificate = CERTIFICATE.into();
    config.api.tls_key = KEY.into();
    std::fs::write(home.join(FILE_NAME), toml::to_string(&config)?)?;
    Ok(())
}

#[tokio::test]
async fn a_node_with_a_certificate_answers_those_who_trust_it_and_nobody_else() -> Result<()> {
    let mut cluster = Cluster::start(&[COUNTY, TOWNSHIP, INSURER]).await?;
    let home = cluster.files.members[TEACHING].home.clone();
    speak_tls(&home)?;
    cluster.start_process(TEACHING)?;

    let plain = cluster.url(TEACHING);
    let url = plain.replace("http://", "https://");
    let institution = cluster.institution(TEACHING).to_string();
    let mut config = ClientConfig::load(&cluster.files.client_config)?;
    let profile = config.profiles.get_mut(&institution).context("every institution has a profile")?;
    profile.nodes = vec![url];
    let stranger = cluster.files.directory.join("client-without-certificate.toml");
    config.save(&stranger)?;
    let profile = config.profiles.get_mut(&institution).context("every institution has a profile")?;
    profile.ca = Some(home.join(CERTIFICATE));
    let trusting = cluster.files.directory.join("client-with-certificate.toml");
    config.save(&trusting)?;

    let directory = tempfile::tempdir()?;
    let shell = Shell::of(&cluster, TEACHING, directory.path())?.with_config(&trusting);
    let began = Instant::now();
    while shell.run("node health")?.code != Some(exit::OK) {
        ensure!(began.elapsed() < PATIENCE, "no answer over TLS: {:?}", shell.run("node health")?);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // A write, and what it becomes, both over TLS.
    let published = shell.json("capacity publish --service cardiology --slots 3")?;
    ensure!(published["status"] == "applied" && published["verified"] == true, "{published}");

    let said = shell.with_config(&stranger).ends_with(exit::UNREACHABLE, "node health")?;
    ensure!(said.contains("certificate"), "the refusal says why: {said}");
    ensure!(reqwest::get(format!("{plain}/health")).await.is_err(), "plain HTTP is not answered");
    Ok(())
}
