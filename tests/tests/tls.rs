//! The API over TLS, from the node's configuration to the `yilian` command's.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use yilian_client::config::Config as ClientConfig;
use yilian_node::config::{Config, FILE_NAME};
use yilian_tests::cluster::{COUNTY, Cluster, INSURER, PATIENCE, TEACHING, TOWNSHIP};
use yilian_tests::command_line::{Shell, exit};

const CERTIFICATE: &str = "api.pem";
const KEY: &str = "api.key";

/// Gives a node a certificate of its own for 127.0.0.1 that expires in so many days.
fn certify(home: &Path, days: u64) -> Result<()> {
    let mut parameters = rcgen::CertificateParams::new(["127.0.0.1".to_owned()])?;
    // A little more, so that it is still so many days when it is looked at.
    parameters.not_after = (SystemTime::now() + Duration::from_secs(days * 86_400 + 3_600)).into();
    let key = rcgen::KeyPair::generate()?;
    std::fs::write(home.join(CERTIFICATE), parameters.self_signed(&key)?.pem())?;
    std::fs::write(home.join(KEY), key.serialize_pem())?;
    Ok(())
}

fn speak_tls(home: &Path) -> Result<()> {
    certify(home, 100)?;
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

    renew(&cluster, &home)?;
    let mut renewed = shell.run("node health")?;
    ensure!(renewed.code == Some(exit::OK), "the renewed certificate is not in use: {renewed:?}");
    // One that does not fit its key changes nothing but the log.
    let key = std::fs::read(home.join(KEY))?;
    certify(&home, 100)?;
    std::fs::write(home.join(KEY), key)?;
    hang_up(&cluster, "cannot be used")?;
    let status = status(&cluster, &home)?;
    let names_the_file = status.contains("was not renewed") && status.contains(CERTIFICATE);
    ensure!(names_the_file, "the files are an alarm: {status}");
    std::fs::copy(home.join("in-use.pem"), home.join(CERTIFICATE))?;
    renewed = shell.run("node health")?;
    ensure!(renewed.code == Some(exit::OK), "the certificate in use has gone: {renewed:?}");

    let said = shell.with_config(&stranger).ends_with(exit::UNREACHABLE, "node health")?;
    ensure!(said.contains("certificate"), "the refusal says why: {said}");
    ensure!(reqwest::get(format!("{plain}/health")).await.is_err(), "plain HTTP is not answered");
    Ok(())
}

/// Renews the certificate of a running node, for too short a time, and has it read.
fn renew(cluster: &Cluster, home: &Path) -> Result<()> {
    certify(home, 3)?;
    std::fs::copy(home.join(CERTIFICATE), home.join("in-use.pem"))?;
    hang_up(cluster, "the API uses the certificate")?;
    let status = status(cluster, home)?;
    ensure!(status.contains("in 3 days") && status.contains("SIGHUP"), "the expiry is told: {status}");
    let began = Instant::now();
    while !cluster.log(TEACHING).contains("in 3 days") {
        ensure!(began.elapsed() < PATIENCE, "the log does not tell: {}", cluster.log_tail(TEACHING));
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// What `yilian-node status` prints.
fn status(cluster: &Cluster, home: &Path) -> Result<String> {
    let status = Command::new(cluster.program()).arg("status").arg("--home").arg(home).output()?;
    Ok(String::from_utf8_lossy(&status.stdout).into_owned())
}

/// Sends SIGHUP and waits until the log says what came of it.
fn hang_up(cluster: &Cluster, outcome: &str) -> Result<()> {
    let process = cluster.process_id(TEACHING).context("it runs")?;
    let sent = Command::new("kill").arg("-HUP").arg(process.to_string()).status()?;
    ensure!(sent.success());
    let began = Instant::now();
    let told = |line: &str| line.contains("SIGHUP") && line.contains(outcome);
    while !cluster.log(TEACHING).lines().any(told) {
        ensure!(began.elapsed() < PATIENCE, "SIGHUP: {}", cluster.log_tail(TEACHING));
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
