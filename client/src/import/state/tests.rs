//! The directory of an import: whom it is open to, who has it, and what is missed in it.

use std::os::unix::fs::PermissionsExt as _;

use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::ledger::transaction::TransactionBody;

use super::*;
use crate::import::document::Key;

const CHAIN: ChainId = ChainId([7; 32]);

/// A directory of an import that has come so far that its journal and its secret are there.
fn begun() -> (tempfile::TempDir, State) {
    let place = tempfile::tempdir().unwrap();
    let state = State::new(&place.path().join("state"));
    let _taken = state.take().unwrap();
    let secret = state.open_secret().unwrap();
    drop(state.open_journal(CHAIN).unwrap());
    state.keep_secret(&secret).unwrap();
    (place, state)
}

/// Writes an operation into the journal.
fn sign(state: &State) {
    let secret = SecretKey::from_seed(&[1; 32]);
    let accept = yilian_spec::domain::referral::AcceptReferral { referral: Default::default() };
    let transaction = TransactionBody {
        chain_id: CHAIN,
        author: secret.public_key(),
        institution: "county-hospital".parse().unwrap(),
        created: LedgerTime(1),
        expires: LedgerTime(2),
        nonce: [0; 16],
        operations: vec![yilian_spec::domain::Operation::AcceptReferral(accept)],
    };
    let mut journal = state.open_journal(CHAIN).unwrap();
    journal.sign(vec![(transaction.sign(&secret), vec![(Key([1; 32]), [1; 32])])]).unwrap();
}

#[test]
fn the_directory_and_its_files_are_open_to_their_owner_alone() {
    let (_place, state) = begun();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state.directory), 0o700);
    for name in [JOURNAL, SECRET, LOCK] {
        assert_eq!(mode(&state.directory.join(name)), 0o600, "{name}");
    }
    // An earlier version made it for all to read.
    std::fs::set_permissions(state.journal(), std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(state.open_journal(CHAIN).unwrap());
    assert_eq!(mode(&state.journal()), 0o600);
}

#[test]
fn a_second_import_is_told_that_another_one_has_the_directory() {
    let place = tempfile::tempdir().unwrap();
    let state = State::new(&place.path().join("state"));
    let taken = state.take().unwrap();
    let error = state.take().unwrap_err();
    assert!(matches!(&error, ImportError::StateBusy { path } if *path == state.directory), "{error}");
    assert!(error.to_string().contains("another import or withdrawal has"), "{error}");
    drop(taken);
    state.take().unwrap();
}

#[test]
fn an_import_that_found_no_node_leaves_nothing_that_a_later_one_misses() {
    let place = tempfile::tempdir().unwrap();
    let state = State::new(&place.path().join("state"));
    drop(state.open_secret().unwrap());
    drop(state.open_secret().unwrap());
    assert!(!state.directory.join(SECRET).exists());
}

#[test]
fn a_secret_without_its_journal_is_refused_and_begins_none() {
    let (_place, state) = begun();
    let secret = state.open_secret().unwrap();
    assert_eq!(*secret.to_hex(), std::fs::read_to_string(state.directory.join(SECRET)).unwrap());
    std::fs::remove_file(state.journal()).unwrap();
    let is_lost = |error: &ImportError| matches!(error, ImportError::Journal(JournalError::Lost { .. }));
    let error = state.open_secret().err().unwrap();
    assert!(is_lost(&error) && error.to_string().contains("recorded twice"), "{error}");
    assert!(is_lost(&state.open_journal(CHAIN).unwrap_err()));
    assert!(!state.journal().exists());
}

#[test]
fn a_secret_is_drawn_anew_only_where_the_journal_knows_nothing() {
    let (_place, state) = begun();
    std::fs::remove_file(state.directory.join(SECRET)).unwrap();
    state.open_secret().unwrap();
    sign(&state);
    assert!(matches!(state.open_secret().err().unwrap(), ImportError::SecretLost { .. }));
}

#[test]
fn two_copies_of_a_directory_come_to_the_same_tags_and_a_table_keeps_its_own() {
    let (_place, state) = begun();
    let secret = state.open_secret().unwrap();
    let passphrase = SecretString::from("correct horse battery");
    let copy = State::new(&state.directory.join("../copy"));
    std::fs::create_dir(&copy.directory).unwrap();
    let renhe: InstitutionId = "renhe-hospital".parse().unwrap();
    let subjects = ["p1", "p2"].map(|patient| (renhe.clone(), format!("renhe-hospital/{patient}")));
    let tags = |state: &State| state.tags(&subjects, &secret, &passphrase).unwrap();
    let one = tags(&state);
    assert_eq!(one, tags(&copy));
    assert!(one[0] != one[1] && one.iter().all(|tag| tag.is_kept_by(&renhe)));
    assert_eq!(one, tags(&state), "they stay");
    // What a table has already stays in it.
    let other = State::new(&state.directory.join("../other"));
    std::fs::create_dir(&other.directory).unwrap();
    let drawn = other.table(&passphrase).unwrap().tag_for(&renhe, &subjects[0].1).unwrap();
    assert_eq!(tags(&other), [drawn, one[1]]);
}
