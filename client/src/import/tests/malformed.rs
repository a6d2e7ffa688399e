//! Bad input: what is not whole stops with its place, what is whole and of no use is skipped with its place.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{directory, dry};
use crate::import::ImportError;
use crate::import::skip::Reason;
use crate::import::source::SourceError;

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p1"}"#;

fn failure(files: &[(&str, &str)]) -> String {
    let directory = directory(files);
    let error = dry(directory.path()).unwrap_err();
    assert!(matches!(error, ImportError::Source(_)), "{error}");
    error.to_string()
}

#[test]
fn a_line_that_is_no_resource_is_named() {
    for bad in [
        "{",
        "[]",
        "1",
        "\"x\"",
        "{}",
        "{\"resourceType\":1}",
        "{\"resource\":{}}",
        "{\"resourceType\":\"Patient\"}}",
    ] {
        let message = failure(&[("Patient.ndjson", &format!("{PATIENT}\n\n{bad}\n"))]);
        assert!(message.starts_with("Patient.ndjson line 3: not a FHIR resource"), "{bad}: {message}");
    }
    let message =
        failure(&[("a.json", "{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{\"id\":\"x\"}}]}")]);
    assert!(message.starts_with("a.json entry 1:"), "{message}");
}

#[test]
fn a_gzip_stream_cut_off_anywhere_is_named() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    for number in 0..2_000u32 {
        let id = number.wrapping_mul(2_654_435_761);
        writeln!(encoder, "{{\"resourceType\":\"Patient\",\"id\":\"{id:08x}\"}}").unwrap();
    }
    let whole = encoder.finish().unwrap();
    let directory = directory(&[]);
    let path = directory.path().join("Patient.ndjson.gz");
    for length in [1, 5, 20, whole.len() / 2, whole.len() - 5, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = dry(directory.path()).unwrap_err();
        let is_read = matches!(&error, ImportError::Source(SourceError::Read { .. }));
        assert!(is_read && error.to_string().contains("Patient.ndjson.gz line "), "{length}: {error}");
    }
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0x10;
    std::fs::write(&path, &damaged).unwrap();
    assert!(matches!(dry(directory.path()), Err(ImportError::Source(_))));
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(dry(directory.path()).unwrap().read.patients, 2_000);
}

#[test]
fn bytes_that_are_no_text_are_named() {
    let directory = directory(&[]);
    std::fs::write(directory.path().join("x.ndjson"), b"{\"resourceType\":\"\xff\"}\n").unwrap();
    let message = dry(directory.path()).unwrap_err().to_string();
    assert!(message.starts_with("x.ndjson line 1:"), "{message}");
}

#[test]
fn a_directory_without_input_is_refused() {
    assert!(failure(&[("README.md", "x")]).contains(".ndjson"));
    let nowhere = directory(&[]).path().join("nowhere");
    assert!(matches!(dry(&nowhere), Err(ImportError::Source(SourceError::Open { .. }))));
}

#[test]
fn resources_that_lack_something_are_skipped_with_the_reason_and_the_line() {
    let encounter = |rest: &str| format!("{{\"resourceType\":\"Encounter\",{rest}}}");
    let whole = "\"status\":\"finished\",\"subject\":{\"reference\":\"Patient/p1\"},\
                 \"serviceProvider\":{\"reference\":\"Organization/o1\"},\"period\":{\"start\":\"1950\"}";
    let claim =
        |rest: &str| format!("{{\"resourceType\":\"Claim\",\"status\":\"active\",\"use\":\"claim\",{rest}}}");
    let cases = [
        (encounter(whole), Reason::NoId),
        (encounter(&format!("\"id\":\"a b\",{whole}")), Reason::NoId),
        (
            encounter(&format!("\"id\":\"e1\",{}", whole.replace("finished", "cancelled"))),
            Reason::NotTakenPlace,
        ),
        (encounter(&format!("\"id\":\"e1\",{}", whole.replace("Patient/p1", "#p1"))), Reason::NoPatient),
        (
            encounter(&format!(
                "\"id\":\"e1\",{}",
                whole.replace("reference\":\"Organ", "display\":\"Organ")
            )),
            Reason::NoOrganization,
        ),
        (encounter(&format!("\"id\":\"e1\",{}", whole.replace("1950", "yesterday"))), Reason::NoStart),
        (encounter(&format!("\"id\":\"e1\",{}", whole.replace("\"1950\"", "1950"))), Reason::OtherForm),
        (claim("\"id\":\"c1\""), Reason::NoAmount),
        (claim("\"id\":\"c1\",\"total\":{\"currency\":\"USD\"}"), Reason::NoAmount),
        (claim("\"id\":\"c1\",\"total\":{\"value\":1}"), Reason::NoCurrency),
        (claim("\"id\":\"c1\",\"total\":{\"value\":1,\"currency\":\"usd\"}"), Reason::NoCurrency),
        (claim("\"id\":\"c1\",\"total\":{\"value\":1,\"currency\":\"XAU\"}"), Reason::NoCurrency),
        (claim("\"id\":\"c1\",\"total\":{\"value\":1,\"currency\":\"XXX\"}"), Reason::NoCurrency),
        (claim("\"id\":\"c1\",\"total\":{\"value\":1,\"currency\":\"ZZZ\"}"), Reason::NoCurrency),
        (claim("\"id\":\"c1\",\"total\":{\"value\":-1,\"currency\":\"USD\"}"), Reason::AmountOutOfBounds),
        (claim("\"id\":\"c1\",\"total\":{\"value\":1e30,\"currency\":\"USD\"}"), Reason::AmountOutOfBounds),
        (claim("\"id\":\"c1\",\"total\":{\"value\":\"1\",\"currency\":\"USD\"}"), Reason::AmountOutOfBounds),
        (claim("\"id\":\"c1\",\"total\":{\"value\":1,\"currency\":\"USD\"}"), Reason::NoOrganization),
        (claim("\"id\":\"c1\"").replace("active", "draft"), Reason::NotActive),
        (claim("\"id\":\"c1\"").replace("\"claim\",", "\"preauthorization\","), Reason::NotAClaim),
        ("{\"resourceType\":\"Condition\",\"id\":\"d1\"}".to_owned(), Reason::NoEncounter),
        (PATIENT.to_owned(), Reason::Repeated),
    ];
    for (line, reason) in cases {
        let directory = directory(&[("x.ndjson", &format!("{PATIENT}\n{line}\n"))]);
        let skipped = dry(directory.path()).unwrap().skipped;
        assert_eq!(skipped.len(), 1, "{line}: {skipped:?}");
        assert_eq!((skipped[0].reason, skipped[0].count), (reason, 1), "{line}");
        assert_eq!(skipped[0].examples, ["x.ndjson line 2"], "{line}");
    }
}
