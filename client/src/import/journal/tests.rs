//! The journal over crashes: what was written counts, what was cut off does not, and nothing is taken twice.

use super::*;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::referral::AcceptReferral;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::TransactionBody;

const CHAIN: ChainId = ChainId([7; 32]);

fn transaction(nonce: u8, operations: usize) -> Transaction {
    let secret = SecretKey::from_seed(&[1; 32]);
    let operation = Operation::AcceptReferral(AcceptReferral { referral: Default::default() });
    TransactionBody {
        chain_id: CHAIN,
        author: secret.public_key(),
        institution: InstitutionId::new("county-hospital").unwrap(),
        created: LedgerTime(1),
        expires: LedgerTime(2),
        nonce: [nonce; 16],
        operations: vec![operation; operations],
    }
    .sign(&secret)
}

fn key(number: u8) -> Key {
    Key([number; 32])
}

/// A key with the digest of what the input asked for.
fn signed(number: u8) -> (Key, Digest) {
    (key(number), [number; 32])
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let (one, two, three) = (transaction(1, 2), transaction(2, 2), transaction(3, 1));
    let mut journal = Journal::open(&path, CHAIN, None).unwrap();
    journal
        .sign(vec![
            (one.clone(), vec![signed(1), signed(2)]),
            (two.clone(), vec![signed(3), signed(4)]),
            (three.clone(), vec![signed(5)]),
        ])
        .unwrap();
    let refused = Outcome::Refused { operation: 1, reason: Refusal::EvidenceRepeated };
    journal.finish(&[(one.id(), Some(Outcome::Applied)), (two.id(), Some(refused))]).unwrap();
    drop(journal);
    let mut journal = Journal::open(&path, CHAIN, None).unwrap();
    assert_eq!(journal.fate(&key(2)), Some(Fate::Applied { object: one.object_id(1).unwrap() }));
    assert_eq!(journal.object(&key(2)), one.object_id(1));
    assert_eq!(journal.fate(&key(3)), None, "free to be signed again");
    assert_eq!(journal.fate(&key(4)), Some(Fate::Refused(Refusal::EvidenceRepeated)));
    assert_eq!(journal.unfinished().as_slice(), std::slice::from_ref(&three));
    journal.finish(&[(three.id(), None)]).unwrap();
    drop(journal);
    let journal = Journal::open(&path, CHAIN, None).unwrap();
    assert_eq!((journal.unfinished(), journal.fate(&key(5))), (vec![], None));
}

#[test]
fn a_line_cut_off_anywhere_was_never_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let mut journal = Journal::open(&path, CHAIN, None).unwrap();
    let before = std::fs::read(&path).unwrap();
    journal.sign(vec![(transaction(1, 1), vec![signed(1)])]).unwrap();
    drop(journal);
    let after = std::fs::read(&path).unwrap();
    for length in (before.len()..after.len()).step_by(97).chain([after.len() - 1]) {
        std::fs::write(&path, &after[..length]).unwrap();
        let mut journal = Journal::open(&path, CHAIN, None).unwrap();
        assert_eq!(journal.unfinished(), [], "{length} bytes");
        journal.sign(vec![(transaction(2, 1), vec![signed(1)])]).unwrap();
        drop(journal);
        assert_eq!(
            Journal::open(&path, CHAIN, None).unwrap().unfinished(),
            [transaction(2, 1)],
            "{length} bytes"
        );
    }
}

#[test]
fn two_imports_another_ledger_and_damage_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let journal = Journal::open(&path, CHAIN, None).unwrap();
    assert!(matches!(Journal::open(&path, CHAIN, None), Err(JournalError::Busy { .. })));
    drop(journal);
    let other = ChainId([8; 32]);
    assert!(matches!(Journal::open(&path, other, None), Err(JournalError::OtherChain { .. })));
    let good = std::fs::read(&path).unwrap();
    let id = "00".repeat(32);
    for line in [
        "x",
        "{}",
        "{\"applied\":\"00\"}",
        &format!("{{\"applied\":\"{id}\"}}"),
        &format!("{{\"known\":{{\"key\":\"{id}\"}}}}"),
        "{\"signed\":{\"transaction\":\"00\",\"keys\":[],\"sources\":[]}}",
    ] {
        let mut bytes = good.clone();
        bytes.extend_from_slice(format!("{line}\n").as_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let error = Journal::open(&path, CHAIN, None).unwrap_err();
        assert!(matches!(error, JournalError::Line { line: 2, .. }), "{line}: {error}");
    }
}

#[test]
fn sources_and_what_was_seen_afterwards_are_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let one = transaction(1, 2);
    let mut journal = Journal::open(&path, CHAIN, None).unwrap();
    journal.sign(vec![(one.clone(), vec![signed(1), signed(2)])]).unwrap();
    journal.finish(&[(one.id(), Some(Outcome::Applied))]).unwrap();
    journal.note_known(&[(key(1), Some([9; 32])), (key(2), None)]).unwrap();
    let service = ServiceId([5; 32]);
    journal.note_reversed(&[service]).unwrap();
    let (county, fund) = ("county-hospital".parse().unwrap(), "fund".parse().unwrap());
    journal.note_seen(&[(InstitutionId::clone(&county), 7)]).unwrap();
    drop(journal);
    let journal = Journal::open(&path, CHAIN, None).unwrap();
    let source = |number| journal.contents().get(&key(number)).unwrap().source;
    assert_eq!((source(1), source(2)), (Some([9; 32]), None));
    assert_eq!(journal.contents().get(&key(1)).unwrap().what, What::Stays { name: "accept_referral" });
    assert_eq!((journal.contents().seen(&county), journal.contents().seen(&fund)), (7, 0));
    assert!(journal.contents().knows(&one.id()) && journal.contents().has_object(&one.object_id(1).unwrap()));
    assert!(journal.contents().is_reversed(service) && !journal.contents().is_reversed(ServiceId([6; 32])));
    drop(journal);
    let looked = Journal::look(&path).unwrap().unwrap();
    assert_eq!(looked.object(&key(2)), one.object_id(1));
    assert!(Journal::look(&directory.path().join("none")).unwrap().is_none());
}

#[test]
fn a_journal_that_is_gone_or_emptied_beside_a_table_is_refused_and_stays_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (path, table) = (directory.path().join("journal"), directory.path().join("subjects.age"));
    let lost = || matches!(Journal::open(&path, CHAIN, Some(&table)), Err(JournalError::Lost { .. }));
    assert!(lost());
    assert!(!path.exists(), "a refusal begins no journal");
    for left in ["", "{\"format\":\"yilian-import-jour"] {
        std::fs::write(&path, left).unwrap();
        assert!(lost(), "{left}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), left);
    }
    std::fs::remove_file(&path).unwrap();
    drop(Journal::open(&path, CHAIN, None).unwrap());
    assert!(Journal::open(&path, CHAIN, Some(&table)).is_ok());
}

#[test]
fn nothing_to_write_leaves_no_line() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("journal");
    let mut journal = Journal::open(&path, CHAIN, None).unwrap();
    let before = std::fs::read(&path).unwrap();
    journal.sign(Vec::new()).unwrap();
    journal.note_reversed(&[]).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
