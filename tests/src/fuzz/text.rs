//! Readers of text and files: JSON documents, tokens, configuration, FHIR files, sealed keys, the API's bodies.

use std::collections::BTreeSet;
use std::hint::black_box;

use age::secrecy::SecretString;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use yilian_client::config::Config as ClientConfig;
use yilian_client::consortium::Consortium;
use yilian_client::import::collect::{Collected, Reach};
use yilian_client::import::journal::Journal;
use yilian_client::import::mapping::Mapping;
use yilian_local::sealed as seal;
use yilian_node::api::body;
use yilian_node::config::Config as NodeConfig;
use yilian_spec::base::codec;
use yilian_spec::crypto::token as tokens;
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::ledger::validation::structural;
use yilian_spec::proof::{Checkpoint, ProofDocument};

use super::seeds;

/// A proof as a file or an answer: what is read is written as the same proof, and says nothing against a stranger's
/// checkpoint.
pub fn proof(bytes: &[u8]) {
    let Ok(document) = ProofDocument::from_json(bytes) else { return };
    let again = ProofDocument::from_json(document.to_json().as_bytes());
    assert!(again.is_ok_and(|again| again == document), "a proof is not read as it was written");
    let stranger = Checkpoint::of_genesis(&seeds::genesis());
    assert!(document.verify(&stranger).is_err(), "a made-up proof verifies");
}

/// A checkpoint.
pub fn checkpoint(bytes: &[u8]) {
    let Ok(checkpoint) = serde_json::from_slice::<Checkpoint>(bytes) else { return };
    let json = serde_json::to_vec(&checkpoint).expect("a checkpoint has a JSON form");
    assert!(serde_json::from_slice::<Checkpoint>(&json).is_ok_and(|again| again == checkpoint));
}

/// A genesis file.
pub fn genesis(bytes: &[u8]) {
    let Ok(genesis) = serde_json::from_slice::<Genesis>(bytes) else { return };
    if genesis.check().is_ok() {
        let encoded = codec::encode(&genesis);
        assert!(codec::decode::<Genesis>(&encoded, encoded.len()).is_ok_and(|again| again == genesis));
    }
}

/// A token: one that passes is one that its key signed, so no change of a seed passes.
pub fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let verified = tokens::parse_and_verify(text, seeds::TOKEN_TIME_S, &seeds::token_audience());
    if verified.is_ok() {
        assert!(seeds::tokens().iter().any(|seed| seed == bytes), "a made-up token passes: {text}");
    }
}

/// A body of `POST /v1/transactions`; the first byte chooses the content type.
pub fn submission(bytes: &[u8]) {
    let (kind, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let kind = if kind % 2 == 0 { "application/json" } else { "application/octet-stream" };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let Ok(submission) = body::read(&headers, bytes) else { return };
    for transaction in submission.entries.into_iter().flatten() {
        let encoded = codec::encode(&transaction);
        assert!(
            structural::decode(&encoded).is_ok(),
            "the API accepts what the ledger's own decoder refuses"
        );
    }
}

/// A node's configuration.
pub fn node_config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(config) = NodeConfig::parse(text) {
        black_box(config.check().is_ok());
    }
}

/// A file in a directory of this process, for readers that take a path.
fn with_file(name: &str, bytes: &[u8], read: impl FnOnce(&std::path::Path)) {
    thread_local! {
        static DIRECTORY: tempfile::TempDir = tempfile::tempdir().expect("a temporary directory can be made");
    }
    DIRECTORY.with(|directory| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).expect("a temporary file can be written");
        read(&path);
    });
}

/// A client's configuration: what is read is written as the same.
pub fn client_config(bytes: &[u8]) {
    with_file("config.toml", bytes, |path| {
        if let Ok(config) = ClientConfig::load(path) {
            let written = toml::to_string(&config).expect("a configuration has a TOML form");
            assert!(
                toml::from_str::<ClientConfig>(&written).is_ok(),
                "not read as it was written: {written}"
            );
        }
    });
}

/// A consortium file: no institution is read twice, and what is read is written as the same.
pub fn consortium(bytes: &[u8]) {
    with_file("consortium.toml", bytes, |path| {
        let Ok(consortium) = Consortium::load(path) else { return };
        let names: BTreeSet<_> = consortium.institutions.iter().map(|member| &member.id).collect();
        assert!(!names.is_empty() && names.len() == consortium.institutions.len());
        let written = toml::to_string(&consortium).expect("a consortium has a TOML form");
        std::fs::write(path, &written).expect("a temporary file can be written");
        assert!(Consortium::load(path).is_ok(), "not read as it was written: {written}");
    });
}

/// A mapping of organisations onto institutions: nobody both provides and pays.
pub fn mapping(bytes: &[u8]) {
    with_file("mapping.toml", bytes, |path| {
        let Ok(mapping) = Mapping::load(path) else { return };
        let paying = mapping.payers();
        assert!(mapping.organizations.values().all(|provider| !paying.contains(provider)));
    });
}

/// The journal of an import: one that opens has lost at most a last line that was cut off, and opens again as the same.
pub fn journal(bytes: &[u8]) {
    with_file("journal.ndjson", bytes, |path| {
        let open = || Journal::open(path, seeds::CHAIN_ID, None);
        let Ok(unfinished) = open().map(|journal| journal.unfinished()) else { return };
        let kept = std::fs::read(path).expect("a temporary file can be read");
        let lines = bytes.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |last| &bytes[..=last]);
        assert!(kept.starts_with(lines), "a whole line is gone");
        let again = open().map(|journal| journal.unfinished());
        assert!(
            again.is_ok_and(|again| again == unfinished),
            "a journal that was opened does not open again"
        );
        assert!(std::fs::read(path).is_ok_and(|bytes| bytes == kept), "opening changes the journal again");
    });
}

/// A file of FHIR resources, one a line or as a bundle; the first byte chooses.
pub fn fhir(bytes: &[u8]) {
    let (kind, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let (name, other) = if kind % 2 == 0 { ("all.ndjson", "all.json") } else { ("all.json", "all.ndjson") };
    with_file(name, bytes, |path| {
        let directory = path.parent().expect("a file lies in a directory");
        let _absent = std::fs::remove_file(directory.join(other));
        if let Ok(collected) = Collected::read(directory, Reach::default(), |_, _| {}) {
            assert!(collected.files == 1);
        }
        let _done = std::fs::remove_file(path);
    });
}

/// A sealed file: nothing but the seed itself opens.
pub fn sealed(bytes: &[u8]) {
    let passphrase = SecretString::from(seeds::PASSPHRASE.to_owned());
    // A work factor above the tests' is honest work, and takes minutes of it.
    let asks_for_more = bytes
        .split(|byte| *byte == b'\n')
        .any(|line| line.starts_with(b"-> scrypt ") && !line.ends_with(b" 4"));
    if !asks_for_more && let Ok(plain) = seal::open(bytes, &passphrase) {
        assert!(plain.as_slice() == seeds::SEALED, "a changed seal opens");
    }
}
