//! The journal over crashes: what was written counts, what was cut off does not, and nothing is taken twice.

use super::*;
use yilian_spec::id::InstitutionId;
use yilian_spec::operation::Operation;
use yilian_spec::operation::referral::AcceptReferral;
use yilian_spec::signature::SecretKey;
use yilian_spec::time::LedgerTime;
use yilian_spec::transaction::TransactionBody;

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

#[test]
fn what_was_written_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let (one, two, three) = (transaction(1, 2), transaction(2, 2), transaction(3, 1));
    let mut journal = Journal::open(&path, CHAIN).unwrap();
    journal
        .sign(vec![
            (one.clone(), vec![key(1), key(2)]),
            (two.clone(), vec![key(3), key(4)]),
            (three.clone(), vec![key(5)]),
        ])
        .unwrap();
    let refused = Outcome::Refused { operation: 1, reason: Refusal::EvidenceRepeated };
    journal.finish(&[(one.id(), Some(Outcome::Applied)), (two.id(), Some(refused))]).unwrap();
    drop(journal);
    let mut journal = Journal::open(&path, CHAIN).unwrap();
    assert_eq!(journal.fate(&key(2)), Some(Fate::Applied { transaction: one.id(), operation: 1 }));
    assert_eq!(journal.object(&key(2)), Some(object_id(one.id(), 1)));
    assert_eq!(journal.fate(&key(3)), None, "free to be signed again");
    assert_eq!(journal.fate(&key(4)), Some(Fate::Refused(Refusal::EvidenceRepeated)));
    assert_eq!(journal.unfinished().as_slice(), std::slice::from_ref(&three));
    journal.finish(&[(three.id(), None)]).unwrap();
    drop(journal);
    let journal = Journal::open(&path, CHAIN).unwrap();
    assert_eq!((journal.unfinished(), journal.fate(&key(5))), (vec![], None));
}

#[test]
fn a_line_cut_off_anywhere_was_never_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let mut journal = Journal::open(&path, CHAIN).unwrap();
    let before = std::fs::read(&path).unwrap();
    journal.sign(vec![(transaction(1, 1), vec![key(1)])]).unwrap();
    drop(journal);
    let after = std::fs::read(&path).unwrap();
    for length in (before.len()..after.len()).step_by(97).chain([after.len() - 1]) {
        std::fs::write(&path, &after[..length]).unwrap();
        let mut journal = Journal::open(&path, CHAIN).unwrap();
        assert_eq!(journal.unfinished(), [], "{length} bytes");
        journal.sign(vec![(transaction(2, 1), vec![key(1)])]).unwrap();
        drop(journal);
        assert_eq!(Journal::open(&path, CHAIN).unwrap().unfinished(), [transaction(2, 1)], "{length} bytes");
    }
}

#[test]
fn two_imports_another_ledger_and_damage_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let journal = Journal::open(&path, CHAIN).unwrap();
    assert!(matches!(Journal::open(&path, CHAIN), Err(JournalError::Busy { .. })));
    drop(journal);
    let other = ChainId([8; 32]);
    assert!(matches!(Journal::open(&path, other), Err(JournalError::OtherChain { .. })));
    let good = std::fs::read(&path).unwrap();
    let id = "00".repeat(32);
    for line in [
        "x",
        "{}",
        "{\"applied\":\"00\"}",
        &format!("{{\"applied\":\"{id}\"}}"),
        "{\"signed\":{\"transaction\":\"00\",\"keys\":[]}}",
    ] {
        let mut bytes = good.clone();
        bytes.extend_from_slice(format!("{line}\n").as_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let error = Journal::open(&path, CHAIN).unwrap_err();
        assert!(matches!(error, JournalError::Line { line: 2, .. }), "{line}: {error}");
    }
}
