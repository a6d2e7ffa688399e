//! Key files and passphrases on real files: what is refused, by which error, and that nothing is overwritten.

use age::secrecy::{ExposeSecret as _, SecretString};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use yilian_local::durable::{self, FileError};
use yilian_local::keyfile::{Key, KeyFileError};
use yilian_local::passphrase::{PASSPHRASE_BYTES_MAX, PassphraseError, PassphraseSource, passphrase};
use yilian_local::sealed::{self, SealError, WorkFactor};
use yilian_spec::base::id::InstitutionId;
use yilian_spec::domain::membership::Role;

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

fn key() -> Key {
    let institution = InstitutionId::new("county-hospital").expect("a slug");
    Key::generate(institution, Role::AccessGateway).expect("the system has randomness")
}

fn create(path: &Path) -> Key {
    let key = key();
    key.create(path, &secret("right"), WorkFactor::TESTS_ONLY).expect("a new file in an empty directory");
    key
}

/// A key file whose sealed content is anything.
fn write_content(path: &Path, content: &str) {
    let sealed =
        sealed::seal(content.as_bytes(), &secret("right"), WorkFactor::TESTS_ONLY).expect("sealing works");
    fs::write(path, sealed).expect("the directory is writable");
}

fn open_error(path: &Path, phrase: &str) -> KeyFileError {
    Key::open(path, &secret(phrase)).expect_err("must be refused")
}

fn seal_error(path: &Path, phrase: &str) -> SealError {
    match open_error(path, phrase) {
        KeyFileError::Seal { path: named, source } => {
            assert_eq!(named, path);
            source
        }
        other => panic!("not an error of the seal: {other}"),
    }
}

#[test]
fn a_key_is_read_back_and_its_file_is_private() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gateway.key");
    let key = create(&path);
    let opened = Key::open(&path, &secret("right")).unwrap();
    assert_eq!(opened.key.secret.public_key(), key.secret.public_key());
    assert_eq!(opened.key.secret.seed(), key.secret.seed());
    assert_eq!((&opened.key.institution, opened.key.role), (&key.institution, key.role));
    assert_eq!(opened.warning, None);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1\n-> scrypt "));
    let seed = *key.secret.seed();
    assert!(!bytes.windows(32).any(|window| window == seed));
    let names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["gateway.key"], "no temporary file is left");
}

#[test]
fn two_generated_keys_differ_and_may_be_registered() {
    let (one, two) = (key(), key());
    assert_ne!(one.secret.public_key(), two.secret.public_key());
    assert_eq!(one.secret.public_key().check_registrable(), Ok(()));
}

#[test]
fn a_key_is_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("validator.key");
    create(&path);
    let before = fs::read(&path).unwrap();
    let refused = key().create(&path, &secret("other"), WorkFactor::TESTS_ONLY);
    assert!(matches!(refused, Err(KeyFileError::File(FileError::Exists { path: named })) if named == path));
    assert_eq!(fs::read(&path).unwrap(), before);
    let nowhere = directory.path().join("absent").join("validator.key");
    let refused = key().create(&nowhere, &secret("other"), WorkFactor::TESTS_ONLY);
    assert!(matches!(refused, Err(KeyFileError::File(FileError::Io { .. }))));
}

#[test]
fn a_wrong_passphrase_damage_and_other_files_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("finance.key");
    create(&path);
    assert!(matches!(seal_error(&path, "wrong"), SealError::WrongPassphrase));
    assert!(matches!(seal_error(&path, ""), SealError::WrongPassphrase));
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[..good.len() - 1]).unwrap();
    assert!(matches!(seal_error(&path, "right"), SealError::Damaged));
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(&path, &flipped).unwrap();
    assert!(matches!(seal_error(&path, "right"), SealError::Damaged));
    for other in [&b""[..], b"-----BEGIN PRIVATE KEY-----\n", b"age-encryption.org/v1\n", &[0xff; 99]] {
        fs::write(&path, other).unwrap();
        assert!(matches!(seal_error(&path, "right"), SealError::NotSealed | SealError::Damaged), "{other:?}");
    }
    fs::write(&path, vec![0; 17 << 10]).unwrap();
    assert!(matches!(open_error(&path, "right"), KeyFileError::File(FileError::TooLarge { .. })));
    let absent = directory.path().join("absent.key");
    assert!(matches!(open_error(&absent, "right"), KeyFileError::File(FileError::Absent { .. })));
}

#[test]
fn every_truncation_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.key");
    create(&path);
    let good = fs::read(&path).unwrap();
    for length in (0..good.len()).step_by(7) {
        fs::write(&path, &good[..length]).unwrap();
        assert!(Key::open(&path, &secret("right")).is_err(), "{length} bytes");
    }
}

#[test]
fn what_is_inside_the_seal_must_be_a_key_and_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("edited.key");
    let (one, two) = (key(), key());
    let content = |format: &str, public: &Key, extra: &str| {
        format!(
            r#"{{"format":"{format}","institution":"county-hospital","role":"finance","public_key":"{}","secret_seed":"{}"{extra}}}"#,
            public.secret.public_key(),
            hex::encode(*one.secret.seed()),
        )
    };
    write_content(&path, &content("yilian key v1", &one, ""));
    assert_eq!(Key::open(&path, &secret("right")).unwrap().key.role, Role::Finance);
    write_content(&path, &content("yilian key v1", &two, ""));
    assert!(matches!(open_error(&path, "right"), KeyFileError::PublicKey { .. }));
    let seed = hex::encode(*one.secret.seed());
    for (wrong, told) in [
        (String::new(), "not a JSON object"),
        ("yilian subjects v1\n".to_owned(), "not a JSON object"),
        (content("yilian key v2", &one, ""), "of format \"yilian key v2\""),
        (content("yilian key v1", &one, r#","more":1"#), "unknown field `more`"),
        (content("yilian key v1", &one, "").replace("finance", "owner"), "`owner`"),
        (
            content("yilian key v1", &one, "").replace("county-hospital", "County Hospital"),
            "2 to 40 characters",
        ),
        (content("yilian key v1", &one, "").replace(&seed, &seed[1..]), "64 hexadecimal digits"),
    ] {
        write_content(&path, &wrong);
        let error = open_error(&path, "right");
        assert!(matches!(error, KeyFileError::NotAKey { .. }), "{wrong}");
        let error = error.to_string();
        assert!(error.contains(told) && !error.contains(&seed[1..]), "{error}");
    }
    // Another algorithm is said as such: the file is whole, and the program too old for it.
    let public = one.secret.public_key().to_string();
    let other = content("yilian key v1", &one, "").replace(&public, &format!("02{}", &public[2..]));
    write_content(&path, &other);
    let error = open_error(&path, "right").to_string();
    assert!(error.contains("algorithm 02") && error.contains("update"), "{error}");
}

#[test]
fn a_file_open_to_others_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("open.key");
    create(&path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let warning = Key::open(&path, &secret("right")).unwrap().warning.expect("a warning");
    assert!(warning.contains("644") && warning.contains("chmod 600"), "{warning}");
}

#[test]
fn a_seal_that_asks_for_too_much_work_is_refused_before_the_work() {
    let sealed = sealed::seal(b"x", &secret("right"), WorkFactor::TESTS_ONLY).unwrap();
    let text = String::from_utf8_lossy(&sealed).into_owned();
    let line = text.lines().nth(1).unwrap().to_owned();
    let dear = line.strip_suffix(" 4").expect("the factor ends the line").to_owned() + " 30";
    let mut forged = sealed.clone();
    forged.splice(22..22 + line.len(), dear.bytes());
    assert!(matches!(sealed::open(&forged, &secret("right")), Err(SealError::TooMuchWork { factor: 30 })));
}

#[test]
fn a_passphrase_comes_from_a_file_or_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("passphrase");
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        passphrase(&PassphraseSource::File(path.clone())).map(|secret| secret.expose_secret().to_owned())
    };
    assert_eq!(read(b"two words").unwrap(), "two words");
    assert_eq!(read(b" kept \n").unwrap(), " kept ");
    assert_eq!(read("口令\r\n".as_bytes()).unwrap(), "口令");
    assert_eq!(read(&[b'p'; PASSPHRASE_BYTES_MAX]).unwrap().len(), PASSPHRASE_BYTES_MAX);
    assert_eq!(read("\u{feff}from a Windows editor\r\n".as_bytes()).unwrap(), "from a Windows editor");
    assert!(matches!(read("\u{feff}".as_bytes()), Err(PassphraseError::Empty)));
    assert!(matches!(read(b""), Err(PassphraseError::Empty)));
    assert!(matches!(read(b"\n"), Err(PassphraseError::Empty)));
    assert!(matches!(read(b"a\nb\n"), Err(PassphraseError::Lines)));
    assert!(matches!(read(b"a\n\n"), Err(PassphraseError::Lines)));
    assert!(matches!(read(&[0xff, 0xfe]), Err(PassphraseError::NotText)));
    assert!(matches!(read(&[b'p'; PASSPHRASE_BYTES_MAX + 1]), Err(PassphraseError::TooLong)));
    assert!(matches!(read(&[b'p'; 9_999]), Err(PassphraseError::File(FileError::TooLarge { .. }))));
    let absent = PassphraseSource::File(directory.path().join("absent"));
    assert!(matches!(passphrase(&absent), Err(PassphraseError::File(FileError::Absent { .. }))));
    // The test runner sets this one.
    let set = PassphraseSource::Environment("CARGO_PKG_NAME".to_owned());
    assert_eq!(passphrase(&set).unwrap().expose_secret(), "yilian-client");
    let unset = PassphraseSource::Environment("YILIAN_NO_SUCH_VARIABLE".to_owned());
    assert!(
        matches!(passphrase(&unset), Err(PassphraseError::Unset { name }) if name == "YILIAN_NO_SUCH_VARIABLE")
    );
}

#[test]
fn a_source_is_written_in_one_of_four_forms() {
    assert_eq!(
        "file:/etc/p:q".parse::<PassphraseSource>().unwrap(),
        PassphraseSource::File("/etc/p:q".into())
    );
    assert_eq!(
        "env:SECRET".parse::<PassphraseSource>().unwrap(),
        PassphraseSource::Environment("SECRET".to_owned())
    );
    assert!(matches!("prompt".parse().unwrap(), PassphraseSource::Prompt { confirm: false, .. }));
    assert!(matches!("default".parse().unwrap(), PassphraseSource::Default { confirm: false, .. }));
    for wrong in ["", "file:", "env:", "prompt:", "pass:word", "/etc/passphrase"] {
        assert!(matches!(wrong.parse::<PassphraseSource>(), Err(PassphraseError::Source { .. })), "{wrong}");
    }
}

#[test]
fn a_replaced_file_holds_the_new_content_and_becomes_private() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, b"old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    durable::replace(&path, b"new").unwrap();
    assert_eq!(durable::read(&path, 3).unwrap(), b"new");
    assert!(matches!(durable::read(&path, 2), Err(FileError::TooLarge { bytes_max: 2, .. })));
    assert_eq!(durable::open_to_others(&path), None);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
