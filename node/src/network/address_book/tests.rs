//! What the book takes, refuses, passes on and keeps.

use super::*;

const CHAIN: ChainId = ChainId([7; 32]);
const NOW_MS: u64 = 1_790_000_000_000;

fn identity(number: u8) -> NodeIdentity {
    NodeIdentity::from_ed25519_seed([number; 32]).unwrap()
}

fn institution(number: u8) -> InstitutionId {
    InstitutionId::new(&format!("member-{number}")).unwrap()
}

fn members(numbers: &[u8]) -> Members {
    Members::of(numbers.iter().map(|number| (identity(*number).peer_id(), institution(*number))))
}

fn at(text: &str) -> Vec<DialAddress> {
    vec![text.parse().unwrap()]
}

fn record(of: u8, sequence_ms: u64, address: &str) -> AddressRecord {
    AddressRecord::sign(&identity(of), CHAIN, sequence_ms, at(address))
}

/// The book of node 1.
fn book() -> AddressBook {
    AddressBook::in_memory(identity(1), CHAIN)
}

#[test]
fn the_newest_record_of_a_registered_key_is_held_whoever_passes_it_on() {
    let (mut book, members) = (book(), members(&[1, 2, 3]));
    let mut offer = |record, members: &Members| book.offer(record, &institution(3), members, NOW_MS);
    let peer = identity(2).peer_id();
    let second = record(2, NOW_MS - 10, "10.0.0.2:2");
    assert_eq!(offer(second.clone(), &members), Ok(Taken::New(peer)));
    assert_eq!(offer(second, &members), Ok(Taken::Nothing), "it is known");
    assert_eq!(offer(record(2, NOW_MS - 11, "10.0.0.2:1"), &members), Ok(Taken::Nothing), "it is older");
    let ahead = record(2, NOW_MS + ADDRESS_AHEAD_MS_MAX + 1, "10.0.0.2:4");
    assert_eq!(offer(ahead, &members), Ok(Taken::Nothing), "nothing newer could follow it");
    assert_eq!(offer(record(4, NOW_MS, "10.0.0.4:1"), &members), Ok(Taken::Nothing), "a stranger's");
    let tampered = AddressRecord::sign(&identity(2), ChainId([8; 32]), NOW_MS, at("10.0.0.2:9"));
    assert_eq!(offer(tampered, &members), Err(Offence::ForgedAddress), "of another ledger");
    assert_eq!(offer(record(2, NOW_MS, "10.0.0.2:3"), &members), Ok(Taken::New(peer)));
    assert_eq!(book.addresses_of(&peer), at("10.0.0.2:3"));
    assert_eq!(book.records().count(), 1);
}

#[test]
fn a_revoked_key_is_forgotten_and_not_taken_again() {
    let mut book = book();
    let of_second = record(2, NOW_MS, "10.0.0.2:2");
    book.offer(of_second.clone(), &institution(2), &members(&[1, 2]), NOW_MS).unwrap();
    assert_eq!(book.retain(&members(&[1])), [identity(2).peer_id()]);
    assert_eq!(book.records().count(), 0);
    let offered = book.offer(of_second, &institution(3), &members(&[1, 3]), NOW_MS);
    assert_eq!(offered, Ok(Taken::Nothing));
}

#[test]
fn what_one_key_says_again_and_again_is_passed_on_once_in_a_while_and_the_last_of_it() {
    let (mut book, members) = (book(), members(&[1, 2]));
    let mut now_ms = NOW_MS;
    let mut passed_on = Vec::new();
    for round in 0..100_u16 {
        let next = record(2, NOW_MS + u64::from(round), &format!("10.0.0.2:{}", round + 1));
        book.offer(next, &institution(2), &members, now_ms).unwrap();
        passed_on.extend(book.to_pass_on(now_ms));
        now_ms += 100;
    }
    now_ms += ADDRESS_PASS_ON_INTERVAL_MS;
    passed_on.extend(book.to_pass_on(now_ms));
    assert!(passed_on.len() <= 4, "in fifteen seconds: {}", passed_on.len());
    assert_eq!(passed_on.last().unwrap().addresses(), at("10.0.0.2:100"));
    assert!(book.to_pass_on(now_ms + 60_000).is_empty(), "each once");
}

#[test]
fn an_institution_may_have_only_so_many_signatures_checked() {
    let (mut book, members) = (book(), members(&[1, 2, 3]));
    let forged = AddressRecord::sign(&identity(2), ChainId([8; 32]), NOW_MS, Vec::new());
    let checked = (0..ADDRESS_CHECKS_BURST_MAX + 10)
        .filter(|_| book.offer(forged.clone(), &institution(3), &members, NOW_MS).is_err());
    assert_eq!(checked.count(), ADDRESS_CHECKS_BURST_MAX as usize);
    let good = record(2, NOW_MS, "10.0.0.2:2");
    assert_eq!(book.offer(good.clone(), &institution(3), &members, NOW_MS), Ok(Taken::Nothing));
    assert_eq!(
        book.offer(good, &institution(2), &members, NOW_MS),
        Ok(Taken::New(identity(2).peer_id())),
        "another's allowance is another's"
    );
}

#[test]
fn this_nodes_own_record_never_goes_back_and_outdoes_one_that_it_has_forgotten() {
    let (mut book, members) = (book(), members(&[1, 2]));
    let own = |book: &AddressBook| book.records().next().cloned().unwrap();
    assert!(!book.announce(Vec::new(), NOW_MS), "nowhere, as before");
    assert!(book.announce(at("10.0.0.1:1"), NOW_MS));
    assert!(!book.announce(at("10.0.0.1:1"), NOW_MS + 1), "nothing new");
    assert!(book.announce(at("10.0.0.1:2"), NOW_MS - 60_000), "the clock was set back");
    assert_eq!(own(&book).sequence_ms(), NOW_MS + 1);
    assert!(book.announce(Vec::new(), NOW_MS + 9), "it takes back what it said");
    assert_eq!(own(&book).addresses(), []);

    // Its file was lost, or its key is on two machines.
    let shown = record(1, NOW_MS + 100, "10.0.0.9:9");
    assert_eq!(book.offer(shown, &institution(2), &members, NOW_MS + 50), Ok(Taken::Own));
    assert_eq!((own(&book).sequence_ms(), own(&book).addresses().len()), (NOW_MS + 101, 0));
    assert_eq!(book.to_pass_on(NOW_MS + 50), [own(&book)]);
}

#[test]
fn the_records_outlive_the_process_and_a_damaged_file_is_ignored() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("addresses.bin");
    let open = || AddressBook::open(identity(1), CHAIN, file.clone(), NOW_MS);
    let mut book = open();
    book.announce(at("10.0.0.1:1"), NOW_MS);
    book.offer(record(2, NOW_MS, "10.0.0.2:2"), &institution(2), &members(&[2]), NOW_MS).unwrap();
    address_file::write(&file, &book.encode());
    let mut again = open();
    assert!(again.records().eq(book.records()));
    assert!(again.to_pass_on(NOW_MS).is_empty(), "the peers know it, or are told when they connect");
    assert!(!again.announce(at("10.0.0.1:1"), NOW_MS - 1), "it has said so");

    let long_before = AddressBook::open(identity(1), CHAIN, file.clone(), NOW_MS - 2 * ADDRESS_AHEAD_MS_MAX);
    assert_eq!(long_before.records().count(), 0, "signed while the clock was wrong");
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(open().records().count(), 0);
    std::fs::write(&file, &bytes[1..]).unwrap();
    assert_eq!(open().records().count(), 0);
}

#[tokio::test]
async fn the_keeper_writes_what_it_was_given_last_before_it_ends() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("addresses.bin");
    let keeper = address_file::Keeper::start(Some(file.clone()));
    keeper.keep(b"first".to_vec());
    keeper.keep(b"last".to_vec());
    keeper.finish().await;
    assert_eq!(std::fs::read(&file).unwrap(), b"last");
}
